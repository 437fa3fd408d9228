"""Reports of `fisher` and `tighten`: what they say, and folders of these verbs that are broken."""

from __future__ import annotations

import copy
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import report_documents as documents
from report_documents import build_without_tables, cells, plain, section, tables
from report_folders import FISHER, THREE, TIGHTEN, write_json_folder

from nmmfit.errors import UserInputError
from nmmfit.results.report import page_of

PAYLOADS: dict[str, Any] = {"fisher": FISHER, "tighten": TIGHTEN}


document_of = partial(documents.document_of, run=THREE)


@pytest.fixture(autouse=True)
def _lab(monkeypatch: pytest.MonkeyPatch) -> None:
    build_without_tables(monkeypatch)


# Directions


def test_directions_in_words_and_tables(tmp_path: Path) -> None:
    """Errors are 1 / sqrt of 2500 and 0.25; the observed one of 1600; the blind step moves L_T_s by its prior width."""
    document = document_of(tmp_path, "fisher", FISHER)
    assert document.title == "Directions that are constrained by lab, field"
    assert document.converged
    assert document.verdict == "Every fit and the region that is averaged over converged."
    assert list(map(plain, document.answer)) == [
        "Of 3 directions among L_dipole, L_T_u and L_T_s, 1 is constrained better than by the prior, 1 is constrained less well "
        "than by the prior and 1 is blind.",
        "Direction 1 (1.00 L_dipole): expected error 0.0200 prior widths; its information comes from lab 90 %, all else 10 %.",
        "Direction 2 (0.80 L_T_u +0.60 L_T_s): expected error 2.00 prior widths; its information comes from field 70 %, "
        "lab 30 %.",
        "Blind: direction 3, L_T_s = -1.00 × 10⁻⁵ GeV⁻², L_T_u = 7.50 × 10⁻⁶ GeV⁻². Why: L_T_u and L_T_s cancel in the dipole.",
    ]
    assert [s.title for s in document.sections] == [
        "What was asked", "What came out", "Blind directions", "Diagnostics", "Provenance", "What to cite",
    ]  # fmt: skip
    assert cells(document, "Directions from best to worst constrained") == {
        "1: 1.00 L_dipole": ("0.0200", "0.0250", "lab 90 %, field 6 %, shared constraints 4 %"),
        "2: 0.80 L_T_u +0.60 L_T_s": ("2.00", "-", "field 70 %, lab 30 %"),
        "3: -0.80 L_T_s +0.60 L_T_u": ("-", "-", "nothing: blind"),
    }
    assert cells(document, "Components of the directions")["3"] == ("0.000", "0.600", "-0.800")
    assert cells(document, "Which experiment constrains which direction") == {
        "lab": ("1", "1: 90 %, 2: 30 %"),
        "field": ("2", "1: 6 %, 2: 70 %"),
        "shared constraints": ("none", "1: 4 %"),
    }
    # 2.5e-9 GeV^-1 in units of the prior's 1e-7 GeV^-1.
    alone = cells(document, "Standard deviation of each coefficient by itself")
    assert alone["L_dipole"] == ("10⁻⁷ GeV⁻¹", "1.00", "0.0200", "0.0250", "0.0200", "-")
    (blind,) = cells(document, "Directions without information").values()
    assert blind == ("blind", "0", "0", "1.00 × 10⁻⁶", "L_T_u and L_T_s cancel in the dipole")
    assert cells(document, "Diagnostics")["directions with expected, but without observed information [1]"][0] == "1"
    (picture,) = section(document, "What came out").pictures
    assert picture.source.startswith("data:image/svg+xml;")
    assert "3 directions in L_dipole, L_T_u, L_T_s" in picture.alt


def test_a_direction_without_information_need_not_be_blind(tmp_path: Path) -> None:
    payload = copy.deepcopy(FISHER)
    payload["directions"][2] |= {"blind": False, "delta_chi2_along": {"1": 0.5, "10": 400.0, "10000": None}, "cause": None}
    document = document_of(tmp_path, "fisher", payload)
    assert plain(document.answer[0]).endswith("1 has no information here, though not blind and none is blind.")
    assert document.answer[-1].startswith("No information here: direction 3, ")
    assert document.answer[-1].endswith("Why: not derived.")
    assert cells(document, "Directions from best to worst constrained")["3: -0.80 L_T_s +0.60 L_T_u"][2] == "nothing here"
    (walked,) = cells(document, "Directions without information").values()
    assert walked == ("not blind", "0.500", "400", "-", "not derived")


def test_every_direction_may_have_information(tmp_path: Path) -> None:
    payload = copy.deepcopy(FISHER)
    payload["directions"][2] |= {"blind": False, "information": 0.01, "shares": {"lab": 1.0}}
    document = document_of(tmp_path, "fisher", payload)
    assert section(document, "Blind directions").sentences == ("There is none: every direction has information.",)
    assert document.answer[0].endswith("2 are constrained less well than by the prior and none is blind.")


def test_many_coefficients_are_drawn_and_listed_a_few_at_a_time(tmp_path: Path) -> None:
    """Ten coefficients: pictures of six and four, tables of eight and two; twelve sentences at most, after the first."""
    names = [f"L_{k}" for k in range(10)]
    payload = copy.deepcopy(FISHER)
    payload["parameters"] = {n: FISHER["parameters"]["L_dipole"] for n in names}
    payload["directions"] = [
        FISHER["directions"][0] | {"composition": {n: float(n == name) for n in names}, "information": 100.0 - k}
        for k, name in enumerate(names)
    ]
    document = document_of(tmp_path, "fisher", payload)
    found = section(document, "What came out")
    assert [sum(f"{n}," in f"{p.alt.partition(' in ')[2]}," for n in names) for p in found.pictures] == [6, 4]
    assert [len(t.heads) - 1 for t in found.tables if t.caption.startswith("Components")] == [8, 2]
    assert document.answer[0].startswith("Of 10 directions among 10 coefficients, 10 are constrained better")
    assert len(document.answer) == 1 + 6 + 1
    assert document.answer[-1] == "And 4 more in the tables."


def test_what_did_not_converge_in_fisher_is_named(tmp_path: Path) -> None:
    document = document_of(tmp_path, "fisher", FISHER | {"converged": False, "problems": ["the best fit"]})
    assert not document.converged
    assert document.verdict == "NOT converged: the best fit."
    assert section(document, "Diagnostics").points == ("the best fit",)


def test_rows_of_the_picture_have_the_numbers_of_the_tables() -> None:
    """Of five directions four are shown: the best three, and the blind one, which is the fifth."""
    import numpy as np

    from nmmfit.inference.directions import Direction
    from nmmfit.inference.fisher import Fisher
    from nmmfit.results.fisher import fisher_figure

    names = tuple("abcde")
    directions = [Direction({n: float(n == m) for n in names}, 9.0 - k, 1.0, {"lab": 1.0}) for k, m in enumerate("abcd")]
    directions.append(Direction({n: float(n == "e") for n in names}, 0.0, 0.0, {}, True, (0.0, 0.0, 0.0), "why"))
    ones = dict.fromkeys(names, 1.0)
    found = Fisher(
        names, dict.fromkeys(names, "1"), ones, ("lab",), {}, "", "", 1, np.eye(5), np.eye(5), tuple(directions), {}, ()
    )
    shown = fisher_figure(found, most=4).axes[0]
    assert [t.get_text() for t in shown.get_yticklabels()] == ["1", "2", "3", "5"]


# Bounds that tighten


def test_bounds_that_tighten_in_words_and_tables(tmp_path: Path) -> None:
    """4 to 2 to 1.6: by 2 and by 1.25, by 2.5 in all."""
    document = document_of(tmp_path, "tighten", TIGHTEN)
    assert document.title == "Limits as experiments are added: lab, + field, + dome"
    assert document.converged
    assert document.verdict == "Every limit of every stage was found."
    assert list(map(plain, document.answer)) == [
        "What matters most: stage 2 (+ field) for effective magnetic moment (solar, sns mu); stage 3 (+ dome) for tensor charge "
        "(Cs133).",
        "Effective magnetic moment (solar, sns mu): below 1.60 × 10⁻¹¹ μ_B in size in stage 3 (+ dome), profiled. That is 2.50 "
        "times tighter than 4.00 × 10⁻¹¹ μ_B of stage 1 (lab). Stage 2 (+ field) tightens it most, by a factor of 2.00.",
        "Tensor charge (Cs133): below 1.00 × 10⁻⁶ GeV⁻² in size in stage 3 (+ dome), profiled. Stage 3 (+ dome) is the first "
        "that bounds it.",
        "No stage bounds, when everything else is profiled: L_dipole. The reasons are below.",
    ]
    assert [s.title for s in document.sections] == [
        "What was asked", "What came out", "Conventions", "Diagnostics", "Provenance", "What to cite",
    ]  # fmt: skip
    assert cells(document, "Stages")["2: + field"] == ("field",)
    matters = cells(document, "Which stage matters most")
    assert matters["Effective magnetic moment (solar, sns mu), one at a time"] == (
        "3.00 × 10⁻¹¹ μ_B", "1.50 × 10⁻¹¹ μ_B", "2.00", "3", "2.00",
    )  # fmt: skip
    assert matters["Tensor charge (Cs133), profiled"][3:] == ("3", "first bound")
    # The farther end: 2e-9 before and 1e-9 after the last stage, nothing in between.
    assert matters["L_dipole, one at a time"] == ("2.00 × 10⁻⁹ GeV⁻¹", "1.00 × 10⁻⁹ GeV⁻¹", "2.00", "3", "2.00")
    assert matters["L_dipole, profiled"] == ("-",) * 5
    moment = tables(document)["Effective magnetic moment (solar): mu_eff_solar"]
    assert [plain(head) for head in moment.heads] == [
        "stage", "one at a time [10⁻¹¹ μ_B]", "one at a time, before / after [1]", "profiled [10⁻¹¹ μ_B]",
        "profiled, before / after [1]",
    ]  # fmt: skip
    assert moment.rows == (
        ("1: lab", "[0.00, 3.00]", "-", "[0.00, 4.00]", "-"),
        ("2: + field", "[0.00, 3.00]", "1.00", "[0.00, 2.00]", "2.00"),
        ("3: + dome", "[0.00, 1.50]", "2.00", "[0.00, 1.60]", "1.25"),
    )
    charge = cells(document, "Tensor charge (Cs133): tensor_charge_cs133")
    assert [charge[stage][2] for stage in ("1: lab", "2: + field", "3: + dome")] == ["-", "[0.00, inf]", "[0.00, 1.00]"]
    assert section(document, "What came out").points == (
        "mu_eff_sns_mu: the bounds of mu_eff_solar (within 0.2 %) in every stage that knows both.",
        "tensor_charge_cs133, profiled, stage 2: flat: the tensors undo it",
        "L_dipole, profiled, stages 1, 2, 3: flat: the tensors undo it",
    )
    # Two kinds of limits on two, four and four quantities.
    assert cells(document, "Limits of every stage") == {
        "1: lab": ("1", "4", "0"),
        "2: + field": ("2", "8", "0"),
        "3: + dome": ("3", "8", "0"),
    }
    (picture,) = section(document, "What came out").pictures
    assert "effective magnetic moment (solar, sns mu), tensor charge (Cs133), L_dipole in 3 stages" in picture.alt


def courses_of(sizes: list[float | None], kind: str = "profiled") -> dict[str, Any]:
    """A tightening of one moment with these upper bounds, one at a time twice as tight."""
    payload = copy.deepcopy(TIGHTEN)
    more = {"best": 0.0, "segments": [], "note": None, "converged": True}
    for stage, size in zip(payload["stages"], sizes, strict=True):
        alone, reason = None if size is None else size / 2.0, None if size is not None else "open"
        entry = {"lower": 0.0, "reason": reason} | more
        open_side = {"lower": 0.0, "upper": None, "reason": "open"} | more
        stage["parameters"] = {}
        stage["identified"] = {
            "mu": {
                "unit": "1e-11 mu_B",
                "one_at_a_time": entry | {"upper": alone},
                "profiled": entry | {"upper": size} if kind == "profiled" else open_side,
            }
        }
    return payload


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([4.0, 4.1, 3.9], "That is within 5 % of the bound of stage 1 (lab)."),
        ([2.0, 4.0, 4.0], "That is 2.00 times wider than 2.00 × 10⁻¹¹ μ_B of stage 1 (lab)."),
        # By 4/3 and by 3: the last.
        ([4.0, 3.0, 1.0], "of stage 1 (lab). Stage 3 (+ dome) tightens it most, by a factor of 3.00."),
        ([None, 3.0, 1.0], "Stage 2 (+ field) is the first that bounds it. That is 3.00 times tighter than"),
        ([4.0, 1.0, None], "The last stage does not bound, when everything else is profiled: mu."),
    ],
)
def test_the_answer_follows_the_bounds(sizes, expected, tmp_path: Path) -> None:
    document = document_of(tmp_path, "tighten", courses_of(sizes))
    assert expected in plain(" ".join(document.answer))


def test_without_profiled_bounds_the_answer_is_one_at_a_time(tmp_path: Path) -> None:
    first, told, none = document_of(tmp_path, "tighten", courses_of([4.0, 2.0, 2.0], "one_at_a_time")).answer
    assert first == "What matters most: stage 2 (+ field) for mu."
    assert plain(told).startswith(
        "mu: below 1.00 × 10⁻¹¹ μ_B in size in stage 3 (+ dome), one at a time. That is 2.00 times tighter"
    )
    assert none == "No stage bounds, when everything else is profiled: mu. The reasons are below."


def test_pictures_of_many_quantities_fit_on_paper(tmp_path: Path) -> None:
    """Sixteen charges in three stages, in rows of 0.8 inches: more than a page holds."""
    payload = copy.deepcopy(TIGHTEN)
    for k, stage in enumerate(payload["stages"]):
        side = stage["identified"]["mu_eff_solar"]["profiled"]
        stage["identified"], stage["parameters"] = {}, {}
        for n in range(16):
            bound = side | {"upper": 1.0 + n + k}
            stage["identified"][f"q_{n}"] = {"unit": "GeV^-2", "one_at_a_time": bound, "profiled": bound}
    document = document_of(tmp_path, "tighten", payload)
    pictures = section(document, "What came out").pictures
    drawn_in = [[n for n in range(16) if f"q_{n}," in f"{p.caption.partition(':')[0]},"] for p in pictures]
    assert sorted(n for names in drawn_in for n in names) == list(range(16))
    # (8.5 - 0.75 - 0.51 - 0.8) / 0.8 rows: eight of them.
    assert [len(names) for names in drawn_in] == [8, 8]
    assert document.answer[0] == "No stage tightens any bound by 5 % or more."
    assert document.answer[-1] == "And 10 more in the tables."


def test_limits_that_failed_and_stages_that_are_missing_are_named(tmp_path: Path) -> None:
    payload = copy.deepcopy(TIGHTEN)
    del payload["stages"][2]
    payload["stages"][1]["identified"]["tensor_charge_cs133"]["profiled"]["converged"] = False
    payload |= {
        "converged": False,
        "failed": ["tensor_charge_cs133 (profiled), stage 2"],
        "interrupted": True,
        "missing": ["+ dome"],
    }
    document = document_of(tmp_path, "tighten", payload)
    assert not document.converged
    assert document.verdict == "NOT converged: 1 of the limits. Interrupted; not computed: + dome."
    assert section(document, "Diagnostics").points == ("tensor_charge_cs133 (profiled), stage 2",)
    assert cells(document, "Limits of every stage")["2: + field"] == ("2", "8", "1")
    assert cells(document, "Tensor charge (Cs133): tensor_charge_cs133")["2: + field"][2] == "[0.00, inf], NOT converged"


def test_stages_without_limits(tmp_path: Path) -> None:
    payload = copy.deepcopy(TIGHTEN)
    for stage in payload["stages"]:
        stage["identified"], stage["parameters"] = {}, {}
    document = document_of(tmp_path, "tighten", payload)
    assert document.answer == ("No stage has limits on anything.",)
    assert section(document, "What came out").pictures == ()


# Both


@pytest.mark.parametrize("verb", PAYLOADS)
def test_hostile_strings_are_text(verb: str, tmp_path: Path) -> None:
    evil = "$x^$</pre></section>\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}"
    payload = copy.deepcopy(PAYLOADS[verb]) | {"provenance": {"commit": evil, "version_" + evil: evil}}
    if verb == "fisher":
        payload = json.loads(json.dumps(payload).replace('"lab"', json.dumps(evil)).replace('"L_T_u"', json.dumps(evil)))
        payload["where"] = payload["directions"][2]["cause"] = evil
    else:
        payload = json.loads(json.dumps(payload).replace('"lab"', json.dumps(evil)).replace('"L_dipole"', json.dumps(evil)))
        payload["conventions"]["profiled"] = payload["stages"][1]["identified"]["tensor_charge_cs133"]["profiled"]["reason"] = (
            evil
        )
    text = page_of(write_json_folder(tmp_path / "x", verb, payload, THREE))
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "{{ 7*7 }}" in text


@pytest.mark.parametrize("verb", PAYLOADS)
def test_how_it_was_made_is_told_where_it_is_stored(verb: str, tmp_path: Path) -> None:
    made = {"created_at": "2026-03-04T05:06:07+00:00", "seed": "77", "commit": "", "version_jax": "9.8.7"}
    rows = cells(document_of(tmp_path, verb, PAYLOADS[verb] | {"provenance": made}), "Where this comes from")
    assert rows["made at"] == ("2026-03-04T05:06:07+00:00",)
    assert rows["seed"] == ("77",)
    assert rows["version of jax"] == ("9.8.7",)
    assert f"SHA-256 of {verb}.json" in rows


def changed(verb: str, path: str, value: Any) -> Any:
    """A payload with the entry at a dotted path replaced; deleted where the value is `...`."""
    payload = copy.deepcopy(PAYLOADS[verb])
    *above, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    place = payload
    for key in above:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return payload


MU = "stages.0.identified.mu_eff_solar"


@pytest.mark.parametrize(
    ("verb", "path", "value", "expected"),
    [
        ("fisher", "directions", ..., "('directions' is missing)"),
        ("fisher", "directions", {}, "('directions' is dict)"),
        ("fisher", "where", 3, "('where' is int)"),
        ("fisher", "directions", [], "(0 directions among 3 coefficients)"),
        ("fisher", "directions.0", 3, "(int"),
        ("fisher", "parameters", {}, "(there is no coefficient)"),
        ("fisher", "parameters.L_T_u.unit", "$x", "('$x' is no unit)"),
        ("fisher", "parameters.L_T_u.prior_width", 0.0, "(prior_width 0)"),
        ("fisher", "parameters.L_T_u.expected", "1", "('1' is no number)"),
        ("fisher", "directions.0.information", None, "(None is no number)"),
        ("fisher", "directions.0.information", float("nan"), "(nan is no finite number)"),
        ("fisher", "directions.0.information", -1.0, "(direction 1 has information -1)"),
        ("fisher", "directions.0.blind", True, "(direction 1 has information 2500 and is blind)"),
        ("fisher", "directions.0.blind", "no", "(blind 'no')"),
        ("fisher", "directions.0.composition.L_T_u", ..., "('L_T_u' is missing)"),
        ("fisher", "directions.0.composition.L_T_u", 0.5, "(squares of the components of direction 1 do not add up to 1)"),
        ("fisher", "directions.0.shares", {"lab": 0.5}, "(shares of direction 1 do not add up to 1)"),
        ("fisher", "directions.0.shares", {"dome": 1.0}, "(direction 1 has shares of what is no experiment of this run)"),
        ("fisher", "directions.2.shares", {"lab": 1.0}, "(shares of direction 3 do not add up to 0)"),
        ("fisher", "directions.2.delta_chi2_along", {"1": 0.0}, "('10' is missing)"),
        ("fisher", "directions.2.delta_chi2_along", None, "(NoneType"),
        ("fisher", "problems", ["x"], "(converged is True with 1 problems)"),
        ("tighten", "stages", ..., "('stages' is missing)"),
        ("tighten", "stages", [], "(there is no stage)"),
        ("tighten", "cl", "0.9", "('cl' is str)"),
        ("tighten", "cl", 90.0, "(cl is 90, not between 0 and 1)"),
        ("tighten", "conventions", {}, "('one_at_a_time' is missing)"),
        ("tighten", "stages.0.parameters", ..., "('parameters' is missing)"),
        ("tighten", "stages.1.experiments", ["field"], "(stage 2 lacks experiments of the stage before it)"),
        ("tighten", f"{MU}.unit", "GeV^-1", "(mu_eff_solar has several units)"),
        ("tighten", f"{MU}.unit", "$x", "('$x' is no unit)"),
        ("tighten", f"{MU}.profiled", ..., "('profiled' is missing)"),
        ("tighten", f"{MU}.profiled", 3, "(int"),
        ("tighten", f"{MU}.profiled.upper", float("nan"), "(nan is no finite number)"),
        ("tighten", f"{MU}.profiled.upper", -1.0, "(an interval from 0 to -1)"),
        ("tighten", f"{MU}.profiled.converged", 1, "(converged 1)"),
        ("tighten", f"{MU}.profiled.converged", False, "(converged is True with 1 limits that did not, 0 of them named)"),
        ("tighten", "failed", ["x"], "(converged is True with 0 limits that did not, 1 of them named)"),
        ("tighten", "missing", ["+ more"], "(stages are missing, though nothing was interrupted)"),
    ],
)  # fmt: skip
def test_a_broken_file_is_one_line(verb: str, path: str, value: Any, expected: str, tmp_path: Path) -> None:
    folder = write_json_folder(tmp_path / "x", verb, changed(verb, path, value), THREE)
    with pytest.raises(UserInputError) as error:
        page_of(folder)
    if not expected.endswith(")"):
        expected = expected.removeprefix("(")
    assert expected in str(error.value)
    assert f"not what `nmmfit {verb}` writes" in str(error.value)
    assert str(error.value).startswith(str(folder))
    assert "\n" not in str(error.value)
