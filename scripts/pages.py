"""Write measured figures into the pages of docs/."""

import re
from pathlib import Path


def put(page: Path, section: str, text: str) -> None:
    """Replace what stands between the section's markers in ``page``, and print it."""
    marked = re.compile(rf"(<!-- {section} -->\n).*?(<!-- /{section} -->)", re.DOTALL)
    before = page.read_text(encoding="utf-8")
    if not marked.search(before):
        raise SystemExit(f"{page} has no section {section!r}.")
    page.write_text(marked.sub(lambda m: m[1] + text.strip() + "\n" + m[2], before), encoding="utf-8")
    print(text)
