"""Reports of `prior-sensitivity`: what they say, and folders that are broken."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import report_documents as documents
from report_documents import build_without_tables, cells, changed, plain, section
from report_folders import PRIOR_SENSITIVITY, RUN, write_json_folder

from nmmfit.errors import UserInputError
from nmmfit.results.report import page_of

document_of = partial(documents.document_of, verb="prior-sensitivity", run=RUN)


@pytest.fixture(autouse=True)
def _lab(monkeypatch: pytest.MonkeyPatch) -> None:
    build_without_tables(monkeypatch)


def test_prior_sensitivity_in_words_and_tables(tmp_path: Path) -> None:
    document = document_of(tmp_path, payload=PRIOR_SENSITIVITY)
    assert document.title == "Prior sensitivity of a fit to lab"
    assert document.converged
    assert document.verdict == "1 of 3 alternatives can be had by weighting the draws."
    assert [plain(line) for line in document.answer] == [
        "The data's: the widths of L_T_s, effective magnetic moment (solar, sns mu) stay within 5 % under every alternative that "
        "can be trusted (twice as wide).",
        "Twice as wide: L_dipole 1.50 times as wide (Pareto k = 0.25).",
        "Half as wide: NOT to be trusted: Pareto k is above 0.70: few draws carry all.",
        "L_dipole = 0: NOT to be trusted: L_dipole held at 0 has no density.",
    ]
    assert [s.title for s in document.sections] == [
        "What was asked", "What came out", "Priors that were tried", "Diagnostics", "Provenance", "What to cite",
    ]  # fmt: skip
    assert cells(document, "L_dipole") == {
        "priors of the fit": ("[-2.00, 2.00]", "1", "-"),
        "twice as wide": ("[-3.00, 3.00]", "1.50", "yes"),
        "half as wide": ("[-1.00, 1.00]", "0.50", "NO"),
        "L_dipole = 0": ("-", "-", "NO"),
    }
    assert "effective magnetic moment (sns mu)" not in " ".join(documents.tables(document)).lower()
    assert cells(document, "Weights")["L_dipole = 0"] == ("infinite", "0.70", "0", "NO")
    assert cells(document, "Priors that change")["twice as wide"][0] == "L_dipole"
    came = section(document, "What came out")
    assert came.points == ("mu_eff_sns_mu: the intervals of mu_eff_solar under all priors.",)
    assert came.pictures[0].source.startswith("data:image/svg+xml;")
    commands = [t.content for t in section(document, "Diagnostics").texts]
    assert commands == ["nmmfit fit my-fit/run.toml --set 'k=0.95'", "nmmfit fit my-fit/run.toml --set 'k=None'"]
    assert cells(document, "Where this comes from")["fit whose draws were weighted"] == ("my-fit",)
    assert "1507.02646" in document.bibtex


def test_the_verdict_follows_the_weights(tmp_path: Path) -> None:
    payload = copy.deepcopy(PRIOR_SENSITIVITY)
    wide = payload["alternatives"].pop("twice as wide")
    none = document_of(tmp_path / "none", payload=payload)
    assert not none.converged
    assert none.verdict.startswith("NOT to be trusted: no alternative")
    every = document_of(tmp_path / "all", payload=payload | {"alternatives": {"wide": wide}})
    assert every.converged
    assert every.verdict == "All alternatives can be had by weighting the draws."
    wide["parameters"]["L_T_s"] |= {"lower": -4e-7, "upper": 4e-7}
    wide["identified"] = {n: {"lower": 0.0, "upper": 4.0} for n in payload["identified"]}
    moved = document_of(tmp_path / "moved", payload=payload | {"alternatives": {"wide": wide}}).answer
    # Of the ratios 1.5, 0.4 and 2 the farthest from 1 comes first.
    assert moved == (
        "No interval keeps its width within 5 % under every alternative that can be trusted (wide).",
        "wide: L_T_s 2.50 times as narrow; effective magnetic moment (solar, sns mu) 2.00 times as wide; L_dipole 1.50 times as "
        "wide (Pareto k = 0.25).",
    )


def test_pictures_of_many_quantities_fit_on_paper(tmp_path: Path) -> None:
    """Four bars and a gap of 0.17 inches each a quantity, 0.95 + 0.68 besides: eight of them are 8.43 inches high."""
    payload = copy.deepcopy(PRIOR_SENSITIVITY)
    for place in (payload, *payload["alternatives"].values()):
        entry = place["identified"]["mu_eff_solar"]
        ends = [None if entry["upper"] is None else entry["upper"] + k for k in range(17)]
        place["identified"] = {f"q_{k}": entry | {"upper": end} for k, end in enumerate(ends)}
    pictures = section(document_of(tmp_path, payload=payload), "What came out").pictures
    assert [len(p.caption.partition(":")[0].split(", ")) for p in pictures] == [8, 8, 3]


def test_hostile_strings_are_text(tmp_path: Path) -> None:
    evil = "$x^$</pre></section>\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}"
    payload = copy.deepcopy(PRIOR_SENSITIVITY)
    payload["alternatives"][evil] = payload["alternatives"]["half as wide"] | {"command": evil, "reason": evil}
    payload |= {"fit": evil, "why_not_flat": evil}
    for place in (payload, *payload["alternatives"].values()):
        place["identified"][evil] = place["identified"]["mu_eff_solar"]
    text = page_of(write_json_folder(tmp_path / "x", "prior-sensitivity", payload))
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "{{ 7*7 }}" in text


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("cl", 90.0, "(cl is 90, not between 0 and 1)"),
        ("alternatives", ..., "('alternatives' is missing)"),
        ("alternatives", {}, "(there is no quantity, or no alternative)"),
        ("parameters/L_dipole/prior", {"gauss": 1}, "unknown prior family"),
        ("parameters/L_dipole/lower", None, "(None is no number)"),
        ("parameters/L_dipole/lower", 1.0, "(an interval from 1 to 2e-07)"),
        ("identified/mu_eff_solar/unit", "$x", "('$x' is no unit)"),
        ("alternatives/twice as wide/priors", {"L_x": {"delta": 0.0}}, "(twice as wide: no coefficient 'L_x')"),
        ("alternatives/twice as wide/identified", {}, "('mu_eff_solar' is missing)"),
        ("alternatives/twice as wide/reason", "so", "(twice as wide: trusted is True, the reason against it so)"),
        ("alternatives/twice as wide/command", ..., "('command' is missing)"),
    ],
)
def test_a_broken_file_is_one_line(path: str, value: Any, expected: str, tmp_path: Path) -> None:
    folder = write_json_folder(tmp_path / "x", "prior-sensitivity", changed(PRIOR_SENSITIVITY, path, value))
    with pytest.raises(UserInputError) as error:
        page_of(folder)
    assert expected in str(error.value)
    assert "not what `nmmfit prior-sensitivity` writes" in str(error.value)
    assert "\n" not in str(error.value)
