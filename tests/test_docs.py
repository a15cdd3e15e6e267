"""The pages of docs/ are all in the site, link to what is there, and say what the program says."""

import importlib.util
import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")


def titles(page: Path) -> set[str]:
    """Return the anchors of a page's titles."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in found}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.is_file(), link
        assert not anchor or anchor in titles(target), link


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_scripts_that_are_named_are_there(page: Path) -> None:
    for script in re.findall(r"scripts/\w+\.py", page.read_text(encoding="utf-8")):
        assert (ROOT / script).is_file(), script


def test_every_page_is_in_the_site_and_the_other_way_round() -> None:
    nav = re.findall(r": (\w+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(nav) == [page.name for page in PAGES]


def test_every_picture_is_shown_somewhere() -> None:
    shown = {Path(link).name for page in [*PAGES, ROOT / "README.md"] for link in LINK.findall(page.read_text(encoding="utf-8"))}
    assert {file.name for file in (DOCS / "images").iterdir()} <= shown


def test_the_page_of_the_command_line_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("cli_page", ROOT / "scripts" / "cli_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run python scripts/cli_page.py"


NAMES = re.findall(r"^::: (\S+)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_the_names_of_the_python_page_exist(name: str) -> None:
    assert pkgutil.resolve_name(name).__doc__


def test_the_texts_speak_of_the_project_alone() -> None:
    for page in [*PAGES, ROOT / "README.md", ROOT / "CHANGELOG.md"]:
        assert not re.search(r"(?:^|[\s`('\"=])/\w+/|localhost", page.read_text(encoding="utf-8"), re.MULTILINE), page.name
