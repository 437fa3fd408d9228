"""Reports of `tension`, `impacts` and `leave-one-out`: what they say, and folders of these verbs that are broken."""

from __future__ import annotations

import copy
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import report_documents as documents
from report_documents import build_without_tables, cells, plain, section, tables
from report_folders import IMPACTS, TENSION, TWO, leave_out_payload, write_json_folder

from nmmfit.errors import UserInputError
from nmmfit.results.report import page_of

PAYLOADS: dict[str, Any] = {"tension": TENSION, "impacts": IMPACTS, "leave-one-out": leave_out_payload()}


document_of = partial(documents.document_of, run=TWO)


@pytest.fixture(autouse=True)
def _lab(monkeypatch: pytest.MonkeyPatch) -> None:
    build_without_tables(monkeypatch)


# Tension


def test_a_tension_in_words_and_tables(tmp_path: Path) -> None:
    """chi2_PG 5.0: toys of 7.0 and 6.0 disagree more, two of four."""
    document = document_of(tmp_path, "tension", TENSION)
    assert document.title == "Tension between lab, field"
    assert document.converged
    assert document.verdict == "Both fits of the data converged. 1 toy did not, and does not count."
    first, parts, *wants = map(plain, document.answer)
    assert first.startswith("No sign of a tension: of 4 toys, made where all experiments agree, 2 disagree at least as much")
    assert "p-value 0.40 ± 0.2" in first
    assert parts == "χ²_PG = 5.00, of which lab 3.00, field 1.50, constraints 0.50."
    assert wants == [
        "Effective magnetic moment (solar): joint best fit 2.00 × 10⁻¹¹ μ_B; lab alone wants 1.00 × 10⁻¹¹ μ_B.",
        "Effective magnetic moment (sns mu): joint best fit 2.00 × 10⁻¹¹ μ_B; field alone wants 4.00 × 10⁻¹¹ μ_B.",
    ]
    assert [s.title for s in document.sections] == [
        "What was asked", "What came out", "Where it comes from", "Nuisances", "Diagnostics", "Provenance", "What to cite",
    ]  # fmt: skip
    assert cells(document, "What each experiment adds") == {
        "lab": ("1", "3.000"),
        "field": ("1", "1.500"),
        "constraints": ("", "0.500"),
    }
    moved = tables(document)["Nuisances at the best fits"].rows
    assert [row[0] for row in moved] == ["sns.flux", "lab.light"]
    assert [float(row[4]) for row in moved] == pytest.approx([0.4, 0.1])
    assert document.sections[1].pictures[0].source.startswith("data:image/svg+xml;")
    assert "hep-ph/0304176" in document.bibtex
    assert "parameter goodness of fit" in document.bibtex


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"p_value": 0.02}, "The experiments disagree: of 4 toys, made where all of them agree, only 2 disagree as much"),
        # 2.05 standard deviations have a one-sided tail of 2 %.
        ({"p_value": 0.02}, "2.1 standard deviations, one-sided"),
        ({"p_value": 0.04, "chi2": 9.0}, "none disagrees as much as the data do. The p-value is below about 0.040"),
        ({"p_value": 1.0, "chi2": 3e-7}, "No sign of a tension: common coefficients describe the data as well as"),
        ({"toys": 0, "toy_values": [], "p_value": 1.0}, "No toy could be fitted"),
    ],
)
def test_the_answer_follows_the_p_value(changes, expected, tmp_path: Path) -> None:
    assert expected in plain(document_of(tmp_path, "tension", TENSION | changes).answer[0])


def test_fits_of_the_data_that_did_not_converge_are_the_verdict(tmp_path: Path) -> None:
    document = document_of(tmp_path, "tension", TENSION | {"converged": False, "failed": 0})
    assert not document.converged
    assert document.verdict == "NOT converged: a fit of the data did not reach its minimum."


# Impacts


def test_impacts_in_words_and_tables(tmp_path: Path) -> None:
    document = document_of(tmp_path, "impacts", IMPACTS)
    assert document.title == "Pulls and impacts in a fit to lab, field"
    assert document.converged
    moment, dipole, far = map(plain, document.answer)
    assert moment == (
        "Effective magnetic moment (solar, sns mu): best fit 2.00 × 10⁻¹¹ μ_B. sns.flux moves it most: by -2.5 × 10⁻¹² μ_B where "
        "it is held one standard deviation below its best fit, by +5.0 × 10⁻¹² μ_B where it is held one above."
    )
    assert dipole.startswith("L_dipole: best fit 7.00 × 10⁻⁹ GeV⁻¹. theory.c_T moves it most: by +2.0 × 10⁻¹⁰ GeV⁻¹ where")
    assert far == "The farthest pull is that of sns.flux: +0.50 prior standard deviations."
    table = tables(document)["Pulls and impacts"]
    assert [plain(head) for head in table.heads] == [
        "nuisance", "pull [prior sd]", "sd after the fit [prior sd]",
        "mu_eff_solar, held below / above [10⁻¹¹ μ_B]", "L_dipole, held below / above [10⁻¹⁰ GeV⁻¹]",
    ]  # fmt: skip
    rows = cells(document, "Pulls and impacts")
    assert rows["sns.flux"][:2] == ("0.50", "0.80")
    assert [float(x) for x in rows["sns.flux"][2].split(" / ")] == pytest.approx([-0.25, 0.5])
    assert rows["sns.flux"][3].endswith(" / -")
    assert rows["theory.c_T"][:2] == ("-", "-")
    assert cells(document, "Coefficients at the best fit") == {
        "L_dipole": ("7.00 × 10⁻⁹ GeV⁻¹", "1.0 × 10⁻⁹ GeV⁻¹"),
        "L_T_s": ("0 GeV⁻²", "flat"),
    }
    assert section(document, "Best fit").points == ("L_T_s: flat direction: L_dipole compensates L_T_s exactly",)


def test_many_targets_are_drawn_a_few_at_a_time(tmp_path: Path) -> None:
    payload = copy.deepcopy(IMPACTS)
    payload["targets"] = {f"mu_eff_{k}": {"value": float(k), "unit": "1e-11 mu_B"} for k in "12345"}
    for entry in payload["nuisances"].values():
        entry["impacts"] = {t: [-1.0, float(t[-1])] for t in payload["targets"]}
    document = document_of(tmp_path, "impacts", payload)
    pictures = section(document, "What came out").pictures
    assert [sum(f"moment ({k})" in p.alt for k in "12345") for p in pictures] == [2, 2, 1]
    shown = [t for caption, t in tables(document).items() if "mpacts" in caption]
    assert [len(t.heads) for t in shown] == [1 + 2 + 3, 1 + 2]
    # What moves nothing in a later table is not in it.
    payload["nuisances"]["theory.c_T"]["impacts"] = {t: [1e-6, 0.0] for t in payload["targets"]}
    again = document_of(tmp_path / "again", "impacts", payload)
    assert list(cells(again, "Impacts, part 2")) == ["sns.flux"]
    assert cells(again, "Pulls and impacts")["theory.c_T"][2] == "0 / 0"


@pytest.mark.parametrize(
    ("failed", "best", "verdict"),
    [
        (["sns.flux +"], True, "NOT converged: 1 of the refits."),
        ([], False, "NOT converged: the best fit did not reach its minimum."),
    ],
)
def test_what_did_not_converge_in_impacts_is_named(failed, best, verdict, tmp_path: Path) -> None:
    payload = IMPACTS | {"failed": failed, "converged": False, "fit": IMPACTS["fit"] | {"converged": best}}
    document = document_of(tmp_path, "impacts", payload)
    assert not document.converged
    assert document.verdict == verdict
    assert section(document, "Diagnostics").points == tuple(failed)


# One experiment left out


def test_leave_one_out_says_what_each_experiment_is_worth(tmp_path: Path) -> None:
    payload = leave_out_payload()
    document = document_of(tmp_path, "leave-one-out", payload)
    assert document.title == "One experiment left out: lab, field"
    assert document.verdict == "Every fit converged."
    sds = {name: fit["identified"]["mu_solar"]["sd"] for name, fit in payload["fits"].items()}
    ratio = sds["lab"] / sds["all"]
    assert ratio == pytest.approx(3.0, rel=0.2)
    moment, charge = (line for line in map(plain, document.answer) if line.startswith(("mu_solar", "tensor_Cs133")))
    assert moment.startswith("mu_solar: below ")
    assert moment.endswith(f"and its standard deviation {ratio:.2f} times as large.")
    assert " Without lab it is below " in moment
    assert "Without field it is not measured." in charge
    rows = cells(document, "mu_solar")
    assert list(rows) == ["all experiments", "without lab", "without field"]
    assert [rows[label][-1] for label in rows] == ["1", f"{ratio:.2f}", f"{sds['field'] / sds['all']:.2f}"]
    assert list(cells(document, "tensor_Cs133")) == ["all experiments", "without lab"]
    assert len(section(document, "What came out").pictures) == math.ceil(4 / 2)
    checks = cells(document, "Diagnostics of every fit")
    worst = max(e["r_hat"] for part in ("identified", "parameters") for e in payload["fits"]["all"][part].values())
    assert float(checks["all experiments"][1]) == pytest.approx(worst, abs=6e-4)
    assert "arXiv:1903.08008" in document.bibtex


def test_fits_that_failed_or_are_missing_are_named(tmp_path: Path) -> None:
    payload = leave_out_payload(converged=False)
    del payload["fits"]["field"]
    payload["fits"]["lab"] |= {"converged": False, "problems": ["mu_solar: r_hat"]}
    document = document_of(tmp_path, "leave-one-out", payload)
    assert not document.converged
    assert document.verdict == "NOT converged: without lab. Interrupted; not fitted: without field."
    assert section(document, "Diagnostics").points == ("without lab: mu_solar: r_hat",)


def test_equal_quantities_are_said_once(tmp_path: Path) -> None:
    """Flavour-universal couplings give all sources the same moment."""
    payload = leave_out_payload()
    for fit in payload["fits"].values():
        fit["identified"]["mu_again"] = fit["identified"]["mu_solar"]
    document = document_of(tmp_path, "leave-one-out", payload)
    assert [line.partition(":")[0] for line in document.answer].count("mu_solar, mu_again") == 1
    assert "mu_again" not in tables(document)


# All three


@pytest.mark.parametrize("verb", PAYLOADS)
def test_hostile_strings_are_text(verb: str, tmp_path: Path) -> None:
    evil = "$x^$</pre></section>\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}"
    payload = copy.deepcopy(PAYLOADS[verb])
    payload["provenance"] = {"commit": evil, "version_" + evil: evil}
    if verb == "tension":
        payload["experiments"][evil] = payload["experiments"]["lab"]
    elif verb == "impacts":
        payload["fit"]["flat"] = {evil: evil}
        payload["nuisances"][evil] = payload["nuisances"]["sns.flux"]
    else:
        payload["fits"][evil] = payload["fits"]["lab"] | {"problems": [evil], "converged": False}
    text = page_of(write_json_folder(tmp_path / "x", verb, payload, TWO))
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "{{ 7*7 }}" in text


@pytest.mark.parametrize("verb", PAYLOADS)
def test_how_it_was_made_is_told_where_it_is_stored(verb: str, tmp_path: Path) -> None:
    made = {"created_at": "2026-03-04T05:06:07+00:00", "seed": "77", "commit": "", "version_jax": "9.8.7"}
    rows = cells(document_of(tmp_path, verb, PAYLOADS[verb] | {"provenance": made}), "Where this comes from")
    assert rows["made at"] == ("2026-03-04T05:06:07+00:00",)
    assert rows["seed"] == ("77",)
    assert rows["commit"] == ("unknown",)
    assert rows["version of jax"] == ("9.8.7",)


def changed(verb: str, path: str, value: Any) -> Any:
    """A payload with the entry at a dotted path replaced; deleted where the value is `...`."""
    payload = copy.deepcopy(PAYLOADS[verb])
    *above, last = path.split(".")
    place = payload
    for key in above:
        place = place[key.replace("|", ".")]
    last = last.replace("|", ".")
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return payload


@pytest.mark.parametrize(
    ("verb", "path", "value", "expected"),
    [
        ("tension", "experiments", ..., "('experiments' is missing)"),
        ("tension", "toy_values", 3, "('toy_values' is int)"),
        ("tension", "toy_values", [1.0, None], "(None is no number)"),
        ("tension", "toy_values", [1.0], "(1 toy values of 4 toys)"),
        ("tension", "chi2", "5", "('5' is no number)"),
        ("tension", "chi2", float("nan"), "(nan is no finite number)"),
        ("tension", "p_value", 0.0, "p_value 0)"),
        ("tension", "experiments.lab", {}, "('rank' is missing)"),
        ("tension", "units.mu_eff_solar", ..., "('mu_eff_solar' is missing)"),
        ("tension", "units.mu_eff_solar", "$x", "('$x' is no unit)"),
        ("impacts", "targets", [], "('targets' is list)"),
        ("impacts", "fit", {}, "('kind' is missing)"),
        ("impacts", "nuisances.sns|flux.prior_sd", 0.0, "(the prior of sns.flux has no width)"),
        ("impacts", "nuisances.sns|flux.impacts.mu_eff_solar", [1.0], "not enough values to unpack"),
        ("impacts", "nuisances.sns|flux.impacts", {}, "('mu_eff_solar' is missing)"),
        ("impacts", "nuisances.sns|flux.error", None, "(None is no number)"),
        ("leave-one-out", "fits", {}, "(there is no fit)"),
        ("leave-one-out", "fits.all.identified", ..., "('identified' is missing)"),
        ("leave-one-out", "fits.all.identified.mu_solar.sd", None, "(None is no number)"),
        ("leave-one-out", "fits.all.identified.mu_solar.unit", "GeV^-1", "(mu_solar has several units)"),
        ("leave-one-out", "fits.all.coefficients", ["L_x"], "('L_x' is missing)"),
    ],
)
def test_a_broken_file_is_one_line(verb: str, path: str, value: Any, expected: str, tmp_path: Path) -> None:
    folder = write_json_folder(tmp_path / "x", verb, changed(verb, path, value), TWO)
    with pytest.raises(UserInputError) as error:
        page_of(folder)
    assert expected in str(error.value)
    assert f"not what `nmmfit {verb}` writes" in str(error.value)
    assert str(error.value).startswith(str(folder))
    assert "\n" not in str(error.value)
