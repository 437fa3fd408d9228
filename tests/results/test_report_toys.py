"""Reports of `toys`: what they say, and folders that are broken."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest
from report_documents import build_without_tables, cells, plain, section, tables
from report_folders import toys_payload, toys_result, write_toys_folder

from nmmfit.errors import UserInputError
from nmmfit.inference.toys import ToysResult
from nmmfit.results.report import make_document, page_of
from nmmfit.results.report.document import Document
from nmmfit.results.written import read_results


@pytest.fixture(autouse=True)
def _lab(monkeypatch: pytest.MonkeyPatch) -> None:
    build_without_tables(monkeypatch)


def document_of(path: Path, found: ToysResult) -> Document:
    """The report of toys."""
    return make_document(read_results(write_toys_folder(path / "x", found=found)))


def without_toys() -> ToysResult:
    """Asimov data alone, which take no time to draw."""
    return dataclasses.replace(toys_result(), coverage=(), feldman_cousins=None, cls=None, p_values=())


def test_toys_in_words_and_tables(tmp_path: Path) -> None:
    folder = write_toys_folder(tmp_path / "x")
    document = make_document(read_results(folder))
    assert document.title == "Toy experiments of mu_eff_solar from lab"
    assert document.converged
    # 50 at two points of coverage, at three values of the belt, at one p-value; CL_s: at two values and without a signal.
    assert document.verdict == f"6 of {2 * 50 + 3 * 50 + 50 + 3 * 50} toys did not converge; results are of the others."
    assert [plain(line) for line in document.answer] == [
        "Effective magnetic moment (solar): below 1.60 × 10⁻¹¹ μ_B at 90 % confidence by Feldman and Cousins; asymptotically "
        "below 1.50 × 10⁻¹¹ μ_B.",
        "CL_s: below 1.70 × 10⁻¹¹ μ_B at 90 % confidence.",
        "Expected, from Asimov data: below 1.20 × 10⁻¹¹ μ_B.",
        "Toys made at the Standard Model: the asymptotic 90 % interval holds the true value in 93.0 ± 2.0 % of them; that agrees "
        "with 90 %.",
        "Toys made at the best fit: the asymptotic 90 % interval holds the true value in 82.0 ± 3.0 % of them; it is NARROWER "
        "than it should be.",
        "mu_eff_solar = 0 μ_B: p-value 0.84 ± 0.05.",
    ]
    assert [s.title for s in document.sections] == [
        "What was asked", "What came out", "Conventions", "Diagnostics", "Provenance", "What to cite",
    ]  # fmt: skip
    intervals = cells(document, "Intervals at 90 % confidence")
    assert intervals["asymptotic profile likelihood"] == ("[0.000, 1.500]", "-", "-")
    assert intervals["Feldman-Cousins"] == ("[0.000, 1.600]", "0", "0.10")
    assert intervals["CL_s"] == ("[0.000, 1.700]", "-", "0.10")
    assert list(cells(document, "Belt of Feldman and Cousins")) == ["0.00", "1.00", "2.00"]
    assert cells(document, "CL_s")["2.00"][0] == "0.0500"
    assert cells(document, "Coverage of the asymptotic 90 % interval")["best fit"] == (
        *("0.800", "82.0", "3.0", "3.40", "0.20", "49", "1"),
    )
    assert cells(document, "Toys")["Feldman-Cousins, 3 values"] == ("150", "3")
    came = section(document, "What came out")
    assert plain(came.sentences[0]).startswith(
        "Asimov data are the counts expected at L_dipole = 0 GeV⁻¹, L_T_s = 0 GeV⁻²; all else"
    )
    assert [p.source.partition(";")[0] for p in came.pictures] == ["data:image/svg+xml"] * 3
    assert "physics/9711021" in document.bibtex
    assert "1007.1727" in document.bibtex
    rows = cells(document, "Where this comes from")
    assert rows["SHA-256 of toys.nc"] == (hashlib.sha256((folder / "toys.nc").read_bytes()).hexdigest(),)
    assert rows["seed"] == ("77",)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"warnings": ("9 of 50 toys did not converge; results are of the others",)}, "NOT converged: 9 of 50 toys did"),
        ({"asimov": False}, "NOT converged: expected interval of Asimov data."),
    ],
)
def test_what_did_not_converge_is_the_verdict(changes: dict[str, Any], verdict: str, tmp_path: Path) -> None:
    found = without_toys()
    if "asimov" in changes:
        assert found.asimov is not None
        failed = {n: dataclasses.replace(end, converged=False) for n, end in found.asimov.expected.items()}
        changes = {"asimov": dataclasses.replace(found.asimov, expected=failed)}
    document = document_of(tmp_path, dataclasses.replace(found, **changes))
    assert not document.converged
    assert document.verdict.startswith(verdict)


def test_without_toys_there_is_an_expected_limit_alone(tmp_path: Path) -> None:
    """`--what asimov` makes none, and no file of them."""
    found = dataclasses.replace(without_toys(), asymptotic=(None, 1.5), best=float("nan"))
    document = document_of(tmp_path, found)
    assert document.verdict.startswith("No toys were asked for")
    assert plain(document.answer[0]).startswith("Effective magnetic moment (solar): up to 1.50 × 10⁻¹¹ μ_B, open below at 90 %")
    assert "Toys" not in tables(document)
    assert cells(document, "Intervals at 90 % confidence")["best fit"][0] == "-"
    assert section(document, "What came out").pictures == ()


def test_an_open_interval_says_so(tmp_path: Path) -> None:
    found = toys_result()
    assert found.feldman_cousins is not None
    interval = dataclasses.replace(found.feldman_cousins, lower=0.2, upper=None, reason="not bounded above within 2")
    found = dataclasses.replace(without_toys(), asymptotic=(0.3, 1.6), feldman_cousins=interval)
    document = document_of(tmp_path, found)
    assert "from 2.00 × 10⁻¹² μ_B on, open above at 90 % confidence by Feldman" in plain(document.answer[0])
    assert "asymptotically between 3.00 × 10⁻¹² μ_B and 1.60 × 10⁻¹¹ μ_B" in plain(document.answer[0])
    assert "Feldman-Cousins interval: not bounded above within 2." in section(document, "What came out").points


def test_hostile_strings_are_text(tmp_path: Path) -> None:
    evil = "$x^$</pre></section>\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}"
    short = "$x^$<b>{{"
    found = toys_result()
    coverage = tuple(dataclasses.replace(c, where=f"{short} = 1") for c in found.coverage)
    found = dataclasses.replace(found, name=short, coverage=coverage, construction=evil, warnings=(evil,))
    text = page_of(write_toys_folder(tmp_path / "x", found=found))
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "{{ 7*7 }}" in text
    assert "<b>" not in text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cl": 90.0}, "(cl is 90, not between 0 and 1)"),
        ({"coverage": ...}, "('coverage' is missing)"),
        ({"asimov": []}, "('asimov' is list)"),
        ({"unit": "$x"}, "('$x' is no unit)"),
        ({"coverage": [{}]}, "toys.nc holds toys of 2 points of coverage, not of 1"),
        ({"p_values": [{"value": 0.0}]}, "('toys' is missing)"),
        ({"toys": -1}, "-1 is no number of toys"),
        ({"cls": {}}, "('values' is missing)"),
    ],
)
def test_a_broken_file_is_one_line(changes: dict[str, Any], expected: str, tmp_path: Path) -> None:
    payload = {k: v for k, v in (toys_payload() | changes).items() if v is not ...}
    folder = write_toys_folder(tmp_path / "x", payload)
    with pytest.raises(UserInputError) as error:
        page_of(folder)
    assert expected in str(error.value)
    assert "not what `nmmfit toys` writes" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("content", "expected"), [(None, "there is no such file"), (b"\x89HDF cut", "toys.nc")])
def test_toys_that_are_missing_or_cut_short_are_one_line(content: bytes | None, expected: str, tmp_path: Path) -> None:
    folder = write_toys_folder(tmp_path / "x")
    (folder / "toys.nc").unlink()
    if content is not None:
        (folder / "toys.nc").write_bytes(content)
    with pytest.raises(UserInputError) as error:
        page_of(folder)
    assert str(error.value).startswith(str(folder / "toys.nc"))
    assert expected in str(error.value)
    assert "\n" not in str(error.value)
