"""Write docs/cli.md: every command and option, from the parser itself."""

import argparse
from pathlib import Path

from napari_stem_inpaint.cli import _parser

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"


def page() -> str:
    """Return the page."""
    parser = _parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    lines = ["# Command line", "", parser.description or "", ""]
    lines += ["It returns 0, 2 for bad input, 1 for a failed computation and 130 when interrupted. In brackets: the default.", ""]
    for name, sub in commands.choices.items():
        places = [action for action in sub._actions if not action.option_strings]
        lines += [f"## {name}", "", _sentence(sub.description or ""), ""]
        lines += [f"`stem-inpaint {name}{''.join(f' {_place(one)}' for one in places)} [options]`", ""]
        for group in sub._action_groups:
            rows = [_row(action) for action in group._group_actions if not isinstance(action, argparse._HelpAction)]
            if rows:
                title = [f"**{group.title}**", ""] if group.title not in ("options", "positional arguments") else []
                lines += [*title, "| option | |", "|---|---|", *rows, ""]
    return "\n".join(lines).rstrip() + "\n"


def _row(action: argparse.Action) -> str:
    words = " / ".join(f"`{option}`" for option in action.option_strings) or f"`{_place(action)}`"
    text = (action.help or "").replace("%%", "%").replace("|", "\\|").replace("*", "\\*")
    choices = f" One of {', '.join(map(str, action.choices))}." if action.choices and "One of" not in text and len(text) < 400 else ""
    return f"| {words}{' (needed)' if action.required and action.option_strings else ''} | {text}{choices} |"


def _place(action: argparse.Action) -> str:
    name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    return f"{name} …" if action.nargs in ("+", "*") else name


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
