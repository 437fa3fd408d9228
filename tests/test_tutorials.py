"""The tutorials: what they say goes wrong does so, in these words, and where their pictures come from."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import nmmfit
from nmmfit.cli.main import main

ROOT = Path(nmmfit.__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
ERROR = re.compile(r"^\| `nmmfit (?P<arguments>[^`]+)` \| (?P<said>.+) \|$", re.MULTILINE)
ERRORS = [(page.stem, m["arguments"], m["said"]) for page in PAGES for m in ERROR.finditer(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("page", "arguments", "said"), ERRORS, ids=[f"{page}: {given}" for page, given, _ in ERRORS])
def test_a_common_error_is_the_line_that_the_page_shows(
    page: str, arguments: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    assert main(shlex.split(arguments)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert said in printed.err


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_tutorial_has_commands_output_a_picture_errors_and_a_way_on(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("```bash") >= 3
    assert "```text" in text
    (picture, *_) = re.findall(r"!\[([^\]]{20,})\]\(\.\./images/(tutorial_\w+)\.png\)", text)
    assert (ROOT / "docs" / "images" / f"{picture[1]}.png").is_file()
    assert ERROR.search(text)
    assert "seed" in text
    assert text.index("## Common errors") < text.index("## What next")
