"""The repository's outside: README's command lines, versions that agree, package data that no ignore rule swallows."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import nmmfit

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def marked_command(name: str) -> str:
    """The one line between README's markers of that name."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(
        rf"^<!-- {name}-command -->\n```bash\n(.*?)\n```\n<!-- /{name}-command -->$", text, re.DOTALL | re.MULTILINE
    )
    assert "\n" not in block
    return block


@pytest.mark.parametrize("name", ["run", "test"])
def test_readme_commands_make_their_own_environment(name: str) -> None:
    steps = marked_command(name).split(" && ")
    assert steps[0] == "python3 -m venv .venv"
    assert all(step.startswith(".venv/bin/") for step in steps[1:])


def test_readme_commands_use_scripts_and_extras_that_exist() -> None:
    assert marked_command("run").split(" && ")[-1].split()[0].removeprefix(".venv/bin/") in PROJECT["scripts"]
    extras = re.findall(r"\.\[(\w+)\]", marked_command("test"))
    assert extras
    assert set(extras) <= set(PROJECT["optional-dependencies"])


def test_versions_agree() -> None:
    citation = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert citation is not None
    assert PROJECT["version"] == nmmfit.__version__ == citation.group(1)


def test_every_dependency_is_bounded_above_and_below() -> None:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    unbounded = [entry for group in groups for entry in group if not (">=" in entry and "<" in entry.split(">=")[1])]
    assert unbounded == []


def test_ci_is_executable() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_no_ignore_rule_matches_package_data() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    paths = [
        str(p.relative_to(ROOT))
        for package in ("nmmfit", "likelihoods")
        for p in (ROOT / package).rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    ]
    answer = subprocess.run(
        ["git", "check-ignore", "--stdin"], cwd=ROOT, input="\n".join(paths), capture_output=True, text=True, check=False
    )
    assert answer.stdout == ""


@pytest.mark.parametrize(
    "page", ["README.md", "CHANGELOG.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:|#", target)]
    broken = [target for target in links if not ((ROOT / page).parent / target).exists()]
    assert broken == []
