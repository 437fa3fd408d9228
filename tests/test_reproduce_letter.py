"""Figure 3 of arXiv:1901.00482: values at the marked fermions against closed forms, and the picture itself."""

from __future__ import annotations

import math
import re
from pathlib import Path

import matplotlib.text
import numpy as np
import pytest

import nmmfit
from nmmfit import evolve
from nmmfit.reproduce_letter import BOUNDS, MASS_RANGE_GEV, curves, letter_payload, marked_fermions
from nmmfit.results.figure import save
from nmmfit.results.letter import letter_figure

G_F, M_E = 1.1663787e-5, 0.51099895069e-3
FACTORS = {"e": 1, "mu": 1, "tau": 1, "u": 2, "c": 2, "d": 1, "s": 1, "b": 1}
NAMES = {"e": "TnuNeRR_1111", "u": "TnuNuRR_1111", "s": "TnuNdRR_1122", "tau": "TnuNeRR_1133", "b": "TnuNdRR_1133"}


@pytest.fixture(scope="module")
def found():
    return {row.fermion: row for row in marked_fermions()}


def test_marked_fermions_are_all_there_in_the_order_of_their_masses(found):
    assert set(found) == set(FACTORS)
    masses = [row.mass_gev for row in found.values()]
    assert masses == sorted(masses)
    assert all(MASS_RANGE_GEV[0] < m < MASS_RANGE_GEV[1] for m in masses)
    assert found["tau"].mass_gev == 1.77686
    assert all(row.reason for row in found.values())


@pytest.mark.parametrize("fermion", list(FACTORS))
def test_values_at_the_marked_fermions(found, fermion):
    """In mu_B (11) is m_e G m |1 + ln(m^2 G)| / pi^2, (10) m_e G m / 4 pi^2, the logarithm N_c |Q| m_e G m |ln(m^2 G)| / pi^2."""
    row = found[fermion]
    m = row.mass_gev
    for edge, g in enumerate((0.1 * G_F, G_F)):
        unit = M_E * g * m / math.pi**2
        log = math.log(m**2 * g)
        assert row.letter_tensor_mub[edge] == pytest.approx(unit * abs(1 + log), rel=1e-9)
        assert row.letter_scalar_mub[edge] == pytest.approx(unit / 4, rel=1e-9)
        assert row.eft_tensor_mub[edge] == pytest.approx(FACTORS[fermion] * unit * abs(log), rel=1e-9)
        assert row.eft_scalar_mub[edge] == 0.0
    assert row.charge_factor == FACTORS[fermion]
    assert row.eft_from_m_w_mub[1] == pytest.approx(10 * row.eft_from_m_w_mub[0], rel=1e-12)
    assert row.ratio == pytest.approx(row.eft_from_m_w_mub[1] / row.letter_tensor_mub[1])


@pytest.mark.parametrize("fermion", list(NAMES))
def test_the_whole_program_from_m_w(found, fermion):
    moment = evolve({NAMES[fermion]: G_F}, 80.379).moments_mub["reactor_e"]
    assert found[fermion].eft_from_m_w_mub[1] == pytest.approx(moment, rel=1e-10)


def test_leptons_from_m_w_are_the_logarithm_from_m_w(found):
    for lepton in ("e", "mu", "tau"):
        m = found[lepton].mass_gev
        closed = M_E * G_F * m / math.pi**2 * math.log(80.379**2 / m**2)
        assert found[lepton].eft_from_m_w_mub[1] == pytest.approx(closed, rel=0.03)


def test_confinement_sets_the_scale_of_light_quarks(found):
    """u and d: 2 e |Q| |c_T| x 7.345 MeV instead of a logarithm of a few MeV; far above the letter's formula."""
    assert found["u"].ratio > 10
    assert found["d"].ratio > 3
    for heavy in ("e", "mu", "tau", "c", "s", "b"):
        assert 0.5 < found[heavy].ratio < 1.1


def test_curves_pass_through_the_marked_values(found):
    made = curves(2001)
    assert made["letter_tensor"].shape == made["eft_tensor"].shape == (2, 2001)
    for fermion in ("e", "mu", "tau"):
        for name, row in (
            ("letter_tensor", "letter_tensor_mub"),
            ("letter_scalar", "letter_scalar_mub"),
            ("eft_tensor", "eft_tensor_mub"),
        ):
            for edge in (0, 1):
                at = np.exp(np.interp(math.log(found[fermion].mass_gev), np.log(made["mass_gev"]), np.log(made[name][edge])))
                assert at == pytest.approx(getattr(found[fermion], row)[edge], rel=1e-4)


def test_bounds_say_where_they_come_from():
    assert {b.status for b in BOUNDS} == {"SEEN", "MEMORY"}
    assert all(b.source and b.quantity and 1e-13 < b.moment_mub < 1e-9 for b in BOUNDS)
    assert {b.name for b in BOUNDS if b.in_letter} == {"TEXONO", "Borexino 2008", "GEMMA", "Astro"}


def test_the_figure_shows_both_pictures(tmp_path):
    payload = letter_payload()
    figure = letter_figure(curves(50), payload["entries"], payload["bounds"])
    shown = "\n".join(t.get_text() for t in figure.findobj(matplotlib.text.Text))
    for expected in ("eq. (11)", "eq. (10)", "effective theory", "contact scalar: 0", "GEMMA", "Borexino Phase-II", r"$\tau$"):
        assert expected in shown
    left, right = figure.axes
    assert {line.get_ydata()[0] for line in left.lines if line.get_label().startswith("_")} >= {7.4e-11, 2.9e-11}
    assert left.get_xlim() == right.get_xlim() == MASS_RANGE_GEV
    assert [path.name for path in save(figure, tmp_path / "xu-fig3", ("png",))] == ["xu-fig3.png"]


ROOT = Path(nmmfit.__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "theory" / "models.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("fermion", list(FACTORS))
def test_the_table_of_the_documentation(found, fermion):
    cells = re.search(rf"^\| {fermion} \|(.*)\|$", PAGE, re.MULTILINE)[1].split("|")
    row = found[fermion]
    expected = [row.letter_tensor_mub[1], row.eft_tensor_mub[1], row.eft_from_m_w_mub[1], row.letter_scalar_mub[1], 0.0]
    assert [float(cell) for cell in cells] == pytest.approx(expected, rel=6e-3)
