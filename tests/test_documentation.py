"""The pages as a whole: navigation, what they say about the founding papers, and the names of tests and code in them."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import nmmfit

ROOT = Path(nmmfit.__file__).resolve().parent.parent
DOCS, TESTS = ROOT / "docs", ROOT / "tests"
PAGES = sorted(DOCS.rglob("*.md"))
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
STATUSES = {"implemented", "corrected", "option", "partly", "not implemented"}
# What the papers number: 20, 13 and 2 equations in sections 2, 3 and the appendix; 26 in the letter, which has no tables.
ITEMS = {
    "arXiv:2206.13122": [
        *(f"(2.{k})" for k in range(1, 21)),
        *(f"(3.{k})" for k in range(1, 14)),
        *("(4.1)", "(4.2)"),
        *(f"table {k}" for k in range(1, 7)),
        "figure 1",
    ],
    "arXiv:1901.00482": [*(f"({k})" for k in range(1, 27)), *(f"figure {k}" for k in range(1, 4))],
}


def defined_tests() -> dict[str, set[str]]:
    """File below the repository -> the tests it defines."""
    return {
        str(path.relative_to(ROOT)): set(re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        for path in TESTS.rglob("test_*.py")
    }


def resolve(dotted: str) -> Any:
    """What a dotted name stands for: the longest module in it, and attributes of that. Raises: AttributeError if nothing."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            found = getattr(found, name)
        return found
    raise AttributeError(dotted)


def pages_of(nav: Any) -> list[str]:
    """All pages of a navigation, in order."""
    if isinstance(nav, str):
        return [nav]
    return [page for part in (nav.values() if isinstance(nav, dict) else nav) for page in pages_of(part)]


def rows(page: str) -> list[list[str]]:
    """Cells of the rows of all tables of a page, heads and rules left out."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rules = [k for k, row in enumerate(cells) if set("".join(row)) <= {"-"}]
    return [row for k, row in enumerate(cells) if k not in rules and k + 1 not in rules]


def coverage() -> dict[str, list[list[str]]]:
    """Paper -> rows (item, what, status, code, test, remark) of its table."""
    parts = re.split(r"^## (arXiv:[\d.]+).*$", (DOCS / "theory" / "coverage.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {paper: rows(text) for paper, text in zip(parts[1::2], parts[2::2], strict=True)}


def exists(named: str, tests: dict[str, set[str]]) -> bool:
    """Whether `path::test`, `file.py::test` or `test` is a test of this suite; a path may be left out, not wrong."""
    file, _, name = named.rpartition("::")
    return any(name in names for path, names in tests.items() if not file or path == file or path.endswith("/" + file))


# Navigation


def test_every_page_is_in_the_navigation_once_and_every_entry_exists() -> None:
    listed = pages_of(SITE["nav"])
    assert sorted(listed) == [str(page.relative_to(DOCS)) for page in PAGES]
    assert len(set(listed)) == len(listed)


def test_the_site_is_built_from_what_the_extra_installs() -> None:
    import tomllib

    extra = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]["docs"]
    assert {re.split(r"[\[><=]", name)[0] for name in extra} == {"mkdocs", "mkdocs-material", "mkdocstrings"}
    assert all("<" in name and ">=" in name for name in extra)
    assert {next(iter(p)) if isinstance(p, dict) else p for p in SITE["plugins"]} == {"search", "mkdocstrings"}


def test_reference_pages_name_what_exists_once_and_all_public_names() -> None:
    named = [x for page in PAGES for x in re.findall(r"^::: ([\w.]+)$", page.read_text(encoding="utf-8"), re.MULTILINE)]
    assert len(set(named)) == len(named)
    for dotted in named:
        assert resolve(dotted).__doc__, dotted
    assert {f"{module}.{name}" for name, module in nmmfit._PUBLIC.items()} <= set(named)
    # A module's entry shows all it has: what stands on its own elsewhere is filtered out there.
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for parent, name in (dotted.rsplit(".", 1) for dotted in named):
        if parent in named:
            assert re.search(rf'^::: {re.escape(parent)}\n    options:\n      filters: .*"!\^{name}\$"', text, re.MULTILINE), name


# Tests and code that pages name


def test_every_test_that_a_page_names_exists() -> None:
    """`test_x`, `file.py::test_x` and `tests/folder/file.py::test_x`; also paths of test files."""
    tests = defined_tests()
    names = set().union(*tests.values())
    count = 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for named in re.findall(r"`((?:[\w/]+\.py::)?test_\w+)`", text):
            assert exists(named, tests), f"{page.name}: {named}"
            count += 1
        for path in re.findall(r"`(tests/[\w/]+\.py)`", text):
            assert (ROOT / path).exists(), f"{page.name}: {path}"
    assert count > 150
    assert "test_every_test_that_a_page_names_exists" in names


def test_the_test_sees_names_that_do_not_exist() -> None:
    tests = defined_tests()
    assert exists("tests/test_documentation.py::test_the_test_sees_names_that_do_not_exist", tests)
    assert exists("test_documentation.py::test_the_test_sees_names_that_do_not_exist", tests)
    assert not exists("tests/test_readme.py::test_the_test_sees_names_that_do_not_exist", tests)
    assert not exists("test_that_nobody_wrote", tests)
    with pytest.raises(AttributeError):
        resolve("nmmfit.eft.running.no_such_thing")


# The founding papers


@pytest.mark.parametrize("paper", ITEMS)
def test_no_equation_table_or_figure_is_missing(paper: str) -> None:
    """35 equations, 6 tables and a figure; 26 equations and 3 figures; in the order of the paper."""
    assert [row[0] for row in coverage()[paper]] == ITEMS[paper]
    assert len(ITEMS["arXiv:2206.13122"]) == 42
    assert len(ITEMS["arXiv:1901.00482"]) == 29


@pytest.mark.parametrize("paper", ITEMS)
def test_every_row_has_a_status_code_that_exists_and_a_test_that_exists(paper: str) -> None:
    tests = defined_tests()
    for item, what, status, code, test, remark in coverage()[paper]:
        where = f"{paper} {item}"
        assert what, where
        assert status in STATUSES, where
        if status == "not implemented":
            assert remark, where
            assert code == test == "", where
            continue
        named = re.findall(r"`([\w.]+)`", code)
        assert named, where
        for dotted in named:
            resolve(dotted)
        holding = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", test)
        assert holding, where
        for file, name in holding:
            assert name in tests[file], f"{where}: {file}::{name}"
        if status in ("corrected", "partly", "option"):
            assert remark, where


def test_every_statement_about_the_literature_names_its_test() -> None:
    """Four cells a row: what is said, what is right, by how much, and which test shows it."""
    tests = defined_tests()
    found = rows((DOCS / "theory" / "literature.md").read_text(encoding="utf-8"))
    assert len(found) > 20
    for row in found:
        assert len(row) == 4, row
        assert all(row), row
        named = re.findall(r"`(tests/[\w/]+\.py::test_\w+)`", row[3])
        assert named, row
        assert all(exists(name, tests) for name in named), row
