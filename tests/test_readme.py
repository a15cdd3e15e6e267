"""The README's Python and command lines run as written."""

import re
from pathlib import Path

import pytest

from napari_stem_inpaint.cli import main

README = Path(__file__).parents[1] / "README.md"


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of ``language``: every second piece between fences, by its first line."""
    pieces = README.read_text(encoding="utf-8").split("```")[1::2]
    return [code for first, _, code in (piece.partition("\n") for piece in pieces) if first == language]


@pytest.mark.slow
def test_python_lines(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    scores = eval(capsys.readouterr().out)
    assert scores["sre_db"] > 48


@pytest.mark.slow
def test_command_lines(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    lines = [line.split()[1:] for block in blocks("") for line in block.splitlines() if line.startswith("stem-inpaint ")]
    assert len(lines) == 4
    for line in lines:
        assert main(line) == 0
    assert Path("result.tif").stat().st_size > 256 * 256 * 4


def test_pictures_are_there():
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", README.read_text(encoding="utf-8"))
    assert pictures
    assert all((README.parent / p).is_file() for p in pictures)
