"""Every example of README and of the documentation runs, and the numbers written beside examples are what they give."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from markdown_examples import assert_written, blocks, command_lines, run_block, run_command

import nmmfit
from nmmfit.cli.main import main

ROOT = Path(nmmfit.__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_EXAMPLES = [p for p in PAGES if any(b.language in ("python", "toml", "bash") for b in blocks(p))]
DOCTESTS = sorted(p for p in (ROOT / "nmmfit").rglob("*.py") if ">>> " in p.read_text(encoding="utf-8"))


def small_fit(folder: str) -> None:
    """A folder as a fit leaves it, from the priors alone and too few draws to have converged."""
    few = ["--chains", "2", "--warmup", "20", "--draws", "20"]
    assert main(["fit", "--set", "experiments=[]", *few, "--no-plots", "--out", folder]) == 3


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda p: str(p.relative_to(ROOT)))
def test_examples_of_a_page_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page starts in an empty folder with the repository's examples/, and with my-run.toml unless it makes one itself."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    page = blocks(path)
    if not any(["init", "my-run.toml"] in command_lines(block.text) for block in page if block.language == "bash"):
        assert main(["init", "my-run.toml"]) == 0
    for folder in sorted(set(re.findall(r"nmmfit-runs/\d{8}-\d{6}", path.read_text(encoding="utf-8")))):
        small_fit(folder)
    names: dict[str, Any] = {"__name__": "page"}
    for block in page:
        run_block(block, names)


@pytest.mark.parametrize("path", DOCTESTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_docstring_examples_run(path: Path) -> None:
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    results = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert results.attempted > 0
    assert results.failed == 0


def test_the_two_commands_stand_in_readme_once_each() -> None:
    """What fits and what tests: one line each, between markers that the whole check reads."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for marker in ("run-command", "test-command"):
        (inside,) = re.findall(rf"^<!-- {marker} -->\n```bash\n(.*?)\n```\n<!-- /{marker} -->$", text, re.DOTALL | re.MULTILINE)
        assert inside.startswith("python3 -m venv .venv && ")
        assert "\n" not in inside
    assert text.count(".venv/bin/nmmfit fit\n") == 1


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_listed() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = {(ROOT / "docs" / target).resolve() for target in re.findall(r"\]\(([^)#\s]+\.md)\)", index)}
    assert listed == {p for p in PAGES[1:] if p.name != "index.md"}


def test_pictures_of_the_pages_are_small() -> None:
    for picture in (ROOT / "docs" / "images").glob("*.png"):
        assert picture.stat().st_size < 300_000


def test_the_runner_notices_wrong_numbers_and_wrong_commands() -> None:
    assert_written(1.2349, "1.23", "x")
    with pytest.raises(AssertionError, match="the page says"):
        assert_written(1.2449, "1.23", "x")
    with pytest.raises(AssertionError, match="exit code 2"):
        run_command(["evolve", "TnuNdRR_11=1"])
    with pytest.raises(nmmfit.NmmfitError):
        run_command(["fit", "--set", "theory.c_t=1"])
    assert command_lines("nmmfit list presets  # all\nls\n") == [["list", "presets"]]
