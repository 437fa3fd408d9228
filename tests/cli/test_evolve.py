"""`evolve`: what it prints agrees with the library and with what is known without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nmmfit.cli.main import main


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["evolve", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_has_its_fields_and_the_values_that_were_given(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "--from", "2", "--to", "2", "TnuNdRR_1122=1e-6+2e-6j")
    assert found["scale_gev"] == 2.0
    assert found["coefficients"]["TnuNdRR_1122"] == pytest.approx([1e-6, 2e-6], rel=1e-12)
    assert set(found["moments_mub"]) == {"reactor_e", "sns_mu", "sns_e", "solar", "plasmon"}
    assert found["inputs"]["alpha_s_mz"] == 0.1179
    # arXiv:2206.13122, eq. (2.20): delta L_gamma = (2/3) e c_T F_pi^2 / Lambda_chi L_s, with e near 0.303 and c_T_s = -3.6.
    added = found["chiral"]["nuNgamma_11"]
    assert added[0] == pytest.approx(2.0 / 3.0 * 0.3068 * -3.6 * 7.345e-3 * 1e-6, rel=0.02)
    assert added[1] == pytest.approx(2.0 * added[0], rel=1e-12)


def test_theory_inputs_and_parameters_of_the_default_run(capsys: pytest.CaptureFixture[str]) -> None:
    usual = answer(capsys, "L_T_s=1e-6")
    assert {"TnuNdRR_1122", "TnuNdRR_2222", "TnuNdRR_3322"} <= set(usual["coefficients"])
    assert (usual["scale_from_gev"], usual["scale_gev"], usual["method"]) == (80.379, 2.0, "exact")
    changed = answer(capsys, "L_T_s=1e-6", "--set", "theory.c_T_s=-1", "--set", "theory.alpha_s_mz=0.1185")
    assert changed["inputs"]["alpha_s_mz"] == 0.1185
    ratio = changed["chiral"]["nuNgamma_11"][0] / usual["chiral"]["nuNgamma_11"][0]
    # The tensor runs a little differently with another alpha_s; c_T_s enters linearly.
    assert ratio == pytest.approx(1.0 / 3.6, rel=0.01)
    seed = answer(capsys, "L_T_s=1e-6", "--method", "seed")
    assert seed["method"] == "seed"
    assert seed["coefficients"]["TnuNdRR_1122"] != usual["coefficients"]["TnuNdRR_1122"]


def test_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evolve", "TnuNdRR_1122=1e-6"]) == 0
    shown = capsys.readouterr().out
    assert "From 80.379 GeV to 2 GeV (exact)" in shown
    assert "nuNgamma_11" in shown
    assert "moment [1e-11 mu_B]" in shown


def test_from_above_m_w(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "--from", "1000", "--to", "2", "LNQd3_1122=1e-8")
    (threshold,) = found["thresholds"]
    # A tensor makes a scalar of an eighth of its size on the way from 1 TeV to m_W.
    assert threshold["below"]["SnuNdRR_1122"][0] == pytest.approx(-0.124e-8, rel=0.01)
    assert threshold["above"]["LNQd_1122"] == threshold["below"]["SnuNdRR_1122"]
    assert found["coefficients"]["TnuNdRR_1122"][0] > 0.0
    assert main(["evolve", "--from", "1000", "NB_11=1e-12", "--basis", "up"]) == 0
    shown = capsys.readouterr().out
    for text in (
        "just above m_W",
        "just below m_W",
        "NH_11 at m_W gives neutrinos a Dirac mass",
        "naturalness:",
        "quark_basis = up",
    ):
        assert text in " ".join(shown.split())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["NB_11=1e-9", "nuNgamma_11=1e-9"], "belong to different theories"),
        (["NB_11=1e-9", "--from", "50"], "'NB_11' does not exist at 50 GeV"),
        (["NB_11=1e-9", "--from", "100", "--to", "200"], "scale_to: 200 GeV is above scale_from"),
        (["NB_11=1e-9", "--from", "100", "--method", "seed"], "method 'seed': has no theory above m_W"),
        (["NB_11=1e-9", "--from", "100", "--basis", "dawn"], "--basis: unknown basis 'dawn'; did you mean 'down'?"),
        (["nuNgamma_11=1e-9", "--from", "1000"], "--from: 1000 GeV is above m_W, where 'nuNgamma_11' does not exist"),
        (["LNQd4_1122=1e-9", "--from", "1000"], "unknown operator 'LNQd4'; did you mean 'LNQd"),
        ([], "evolve: name at least one coefficient"),
        (["TnuNdRR_1122"], "expected NAME=VALUE"),
        (["TnuNdRL_1122=1"], "unknown operator 'TnuNdRL'"),
        (["L_T=1"], "unknown name 'L_T'; did you mean 'L_T_"),
        (["TnuNdRR_1122=nan"], "the value must be finite"),
        (["TnuNdRR_1122=1e-6", "--from", "1.5"], "--from: 1.5 GeV is below 2 GeV"),
        (["TnuNdRR_1122=1e-6", "--to", "100"], "--to: 100 GeV is above m_W"),
        (["TnuNdRR_1122=1e-6", "--method", "exakt"], "theory.running: unknown choice 'exakt'; did you mean 'exact'?"),
        (["TnuNdRR_1122=1e-6", "--set", "theory.alpha_s_mz=1"], "alpha_s_mz = 1 is out of range"),
        (["TnuNdRR_1122=1e-6", "--set", "theory.alpha=1"], "theory: unknown key 'alpha'"),
        (["TnuNdRR_1133=1e-6", "--from", "3"], "the b quark is integrated out"),
        (["nugamma_22=1e-9"], "vanishes"),
        (["TnuNdRR_1122=1e308"], "so large that what they lead to is not finite"),
        (["TnuNdRR_1122=1e-6", "--from", "high"], "got 'high' (see nmmfit evolve --help)"),
    ],
)
def test_wrong_input_is_one_line(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evolve", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert expected in printed.err


def test_what_is_negligible_is_counted_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evolve", "--from", "1000", "--to", "2", "LNQd3_1122=1e-8"]) == 0
    shown = capsys.readouterr().out
    assert main(["evolve", "--from", "1000", "--to", "2", "LNQd3_1122=1e-8", "--json"]) == 0
    above = json.loads(capsys.readouterr().out)["thresholds"][0]["above"]
    assert abs(complex(*above["LNQd3_1132"])) > 1e-8 * 1e-8 > abs(complex(*above["LNQd3_1123"]))
    assert "LNQd3_1132" in shown
    assert "LNQd3_1123" not in shown
    assert "coefficients below 1e-08 of the largest of their kind are left out; --json has all" in shown
