"""`moments`: what it prints agrees with sums written out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moment_matrices import MU_B

from nmmfit.cli.main import main
from nmmfit.cli.moments import MIXINGS
from nmmfit.physics.oscillation import OSCILLATION_PRESETS


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["moments", *arguments, "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return json.loads(printed.out)


def as_complex(matrix: Any) -> np.ndarray:
    return np.array([[complex(*z) for z in row] for row in matrix])


def test_json_of_a_dirac_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "mu_11=1e-11", "mu_12=2e-11+1e-11j", "mu_21=-3e-11", "mu_34=4e-11")
    moments = found["moments_mub"]
    assert moments["reactor_e"] == pytest.approx(math.sqrt(6.0) * 1e-11, rel=1e-12)
    assert moments["sns_e"] == pytest.approx(math.sqrt(6.0) * 1e-11, rel=1e-12)
    assert moments["sns_mu"] == pytest.approx(3e-11, rel=1e-12)
    assert moments["plasmon"] == pytest.approx(math.sqrt(31.0) * 1e-11, rel=1e-12)
    assert min(moments["reactor_e"], 3e-11) < moments["solar"] < moments["plasmon"]
    given = np.zeros((3, 4), complex)
    given[0, 0], given[0, 1], given[1, 0], given[2, 3] = 1e-11, 2e-11 + 1e-11j, -3e-11, 4e-11
    np.testing.assert_allclose(as_complex(found["matrix_mub"]["flavour"]), given, rtol=1e-14)
    # A rotation of the rows keeps all scalar products of columns.
    mass = as_complex(found["matrix_mub"]["mass"])
    np.testing.assert_allclose(mass.conj().T @ mass, given.conj().T @ given, rtol=1e-12, atol=1e-35)
    assert (found["kind"], found["basis"], found["mixing"]) == ("dirac", "flavour", "capozzi2025")


def test_coefficients_say_their_kind(capsys: pytest.CaptureFixture[str]) -> None:
    """mu = 2 L / mu_B and 4 L / mu_B."""
    dirac = answer(capsys, "nuNgamma_22=1e-9j")
    assert dirac["kind"] == "dirac"
    assert dirac["moments_mub"]["sns_mu"] == pytest.approx(2e-9 / MU_B, rel=1e-8)
    majorana = answer(capsys, "nugamma_12=1e-9")
    assert majorana["kind"] == "majorana"
    for name in ("reactor_e", "sns_mu", "plasmon"):
        assert majorana["moments_mub"][name] == pytest.approx(4e-9 / MU_B, rel=1e-8)


def test_majorana_entries_stand_for_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    one = answer(capsys, "mu_12=1e-11", "--kind", "majorana")
    both = answer(capsys, "mu_12=1e-11", "mu_21=-1e-11", "--kind", "majorana")
    assert one["matrix_mub"]["flavour"] == both["matrix_mub"]["flavour"]
    entries = answer(capsys, "mu_12=1e-11", "--kind", "majorana", "--plasmon", "entries")
    assert entries["moments_mub"]["plasmon"] == pytest.approx(math.sqrt(2.0) * one["moments_mub"]["plasmon"], rel=1e-12)


def test_phases_of_the_mass_basis_and_the_identity_of_the_founding_paper(capsys: pytest.CaptureFixture[str]) -> None:
    size = ["mu_12=1e-11", "mu_13=1e-11j", "mu_23=-1e-11", "--kind", "majorana", "--basis", "mass"]
    exact, seed, turned = (
        answer(capsys, *size, *more)["moments_mub"] for more in ([], ["--solar", "seed_faithful"], ["--alpha1", "1.2"])
    )
    assert exact["solar"] == pytest.approx(math.sqrt(2.0) * 1e-11, rel=1e-12)
    assert seed["solar"] == pytest.approx(1e-11, rel=1e-12)
    assert turned["solar"] == pytest.approx(exact["solar"], rel=1e-12)
    assert abs(turned["reactor_e"] / exact["reactor_e"] - 1) > 1e-2


def test_energy_moves_the_solar_moment_only(capsys: pytest.CaptureFixture[str]) -> None:
    low, high = (answer(capsys, "mu_11=1e-11", "--component", "b8", "--energy", e)["moments_mub"] for e in ("0.1", "15"))
    # vacuum: sum |U_ek|^4; strong matter: P_e2 near 1
    assert low.pop("solar") ** 2 == pytest.approx(0.55e-22, rel=0.02)
    assert high.pop("solar") ** 2 == pytest.approx(0.31e-22, rel=0.05)
    assert low == high


def test_mixing_presets(capsys: pytest.CaptureFixture[str]) -> None:
    """The solar moment of mu_11 alone is the survival probability, which knows sin^2 theta_12."""
    assert set(MIXINGS) == set(OSCILLATION_PRESETS)
    one, other = (answer(capsys, "mu_11=1e-11", "--mixing", m)["moments_mub"] for m in ("capozzi2025", "nufit61_sk"))
    assert one["solar"] != other["solar"]
    assert one["reactor_e"] == other["reactor_e"]


def test_massive_final_states_in_plasmon_decay(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "mu_11=1e-11", "mu_22=1e-11", "--m-n", "0.01", "--m-n", "0.03", "--m-n", "0", "--plasmon-mass", "0.02")
    x = 0.25
    assert found["moments_mub"]["plasmon"] == pytest.approx(1e-11 * (1 - x) * math.sqrt(1 + 2 * x), rel=1e-12)
    assert found["moments_mub"]["sns_mu"] == pytest.approx(1e-11, rel=1e-12)


def test_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["moments", "mu_11=1e-11", "mu_12=2e-11+1e-11j", "--component", "b8", "--energy", "8"]) == 0
    shown = capsys.readouterr().out
    for text in ("flavour basis [1e-11 mu_B]", "2+1j", "reactor, electron antineutrinos", "2.449", "b8 neutrinos of 8 MeV"):
        assert text in shown
    assert main(["moments", "mu_11=1e-11", "--m-n", "0.01", "--plasmon-mass", "0.02", "--out", "made"]) == 0
    assert "plasmons of 0.02 MeV, N of 0.01 MeV" in capsys.readouterr().out
    assert "moments_mub" in json.loads(Path("made/moments.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "moments: name at least one entry, such as mu_11=1e-11"),
        (["mu_11"], "expected NAME=VALUE"),
        (["mu_41=1e-11"], "'mu_41': an entry is mu_pr with p from 1 to 3"),
        (["mu11=1e-11"], "unknown name 'mu11'; did you mean 'mu_11'?"),
        (["nuNgamma_11=1e-9", "mu_11=1e-11"], "nuNgamma_11 and mu_11 are in different units"),
        (["TnuNdRR_1122=1e-9"], "unknown name 'TnuNdRR_1122'"),
        (["nuNgamma_1=1e-9"], "nuNgamma_1"),
        (["nugamma_11=1e-9"], "vanishes"),
        (["nugamma_12=1e-9", "--kind", "dirac"], "'nugamma_12' is no moment of Dirac neutrinos"),
        (["nuNgamma_12=1e-9", "--basis", "mass"], "--basis: coefficients are in the flavour basis"),
        (["mu_11=1e-11", "--kind", "majorana"], "antisymmetric, got a symmetric part of 1e-11 in entry [0, 0]"),
        (["mu_12=1e-11", "mu_21=1e-11", "--kind", "majorana"], "antisymmetric, got a symmetric part of 1e-11 in entry [0, 1]"),
        (["mu_14=1e-11", "--kind", "majorana"], "has shape (..., 3, 3), got (3, 4)"),
        (["mu_11=1e-11", "--kind", "weyl"], "unknown kind of neutrino 'weyl'"),
        (["mu_11=1e-11", "--basis", "flavor"], "unknown basis 'flavor'; did you mean 'flavour'?"),
        (["mu_11=1e-11", "--mixing", "nufit"], "unknown oscillation preset 'nufit'"),
        (["mu_11=1e-11", "--alpha1", "0.3"], "Dirac neutrinos have no Majorana phases"),
        (["mu_11=1e-11", "--component", "be8"], "unknown solar component 'be8'"),
        (["mu_11=1e-11", "--energy", "25"], "lie between 0 and 20 MeV, got 25"),
        (["mu_11=1e-11", "--solar", "exact"], "unknown solar method 'exact'"),
        (["mu_11=1e-11", "--solar", "seed_faithful"], "a matrix proportional to the unit matrix"),
        (["mu_11=1e-11", "--m-n", "0.01"], "plasmon_mass_mev: a massive N needs the mass of the plasmon"),
        (["mu_11=1e-11", "--m-n", "-1", "--plasmon-mass", "0.02"], "m_n_mev: masses are finite and at least 0 MeV, got -1"),
        (["mu_11=1e-11", "--m-n", "0.01", "--m-n", "0.02", "--plasmon-mass", "1"], "m_n_mev: expected a number or one for each"),
        (["mu_11=1e-11", "--m-n", "0.01", "--plasmon-mass", "0"], "plasmon_mass_mev: expected finite and above 0 MeV, got 0"),
        (["mu_12=1e-11", "--kind", "majorana", "--m-n", "0.01"], "m_n_mev: Majorana moments are between the three light"),
        (["mu_11=nan"], "the value must be finite"),
    ],
)
def test_wrong_input_is_one_line(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["moments", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert expected in printed.err
