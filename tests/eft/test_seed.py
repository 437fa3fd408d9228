"""The running of arXiv:2206.13122 against the numbers that paper prints."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

from nmmfit.eft.amplitudes import quark_couplings
from nmmfit.eft.chiral import ChiralInputs
from nmmfit.eft.qcd import alpha_s
from nmmfit.eft.running import apply_evolution
from nmmfit.eft.seed import reduction_factor, seed_evolution
from nmmfit.inputs import StandardModelInputs

INPUTS = StandardModelInputs()
M_W = 80.379
BOHR_MAGNETON = 296.304
OPERATORS = {"u": ("TnuNuRR_1111", -4 / 3), "d": ("TnuNdRR_1111", 2 / 3), "s": ("TnuNdRR_1122", 2 / 3)}


@functools.partial(jax.jit, static_argnums=0)
def _matched(name, chiral, scale):
    return quark_couplings({name: 1.0}, scale, INPUTS, chiral, "seed").dipole[0, 0]


def _dipole(name, chiral, scale):
    return complex(_matched(name, chiral, scale))


def test_ratio_of_couplings():
    lam = float(alpha_s(M_W, INPUTS) / alpha_s(2.0, INPUTS))
    assert lam == pytest.approx(0.39960, abs=1e-5)
    # eq. (2.4): the tensor's QCD factor is lambda^(4/23), times 1 - (2 Q^2 alpha / 4 pi) ln.
    log, alpha = np.log(M_W / 2.0), 1 / 133.30
    factor = lam ** (4 / 23) * (1 - 8 / 9 * alpha / (4 * np.pi) * log)
    np.testing.assert_allclose(seed_evolution(M_W, 2.0, INPUTS).tensor["u"], factor, rtol=1e-7)


@pytest.mark.parametrize(("quark", "printed", "digits"), [("u", 0.08, 2), ("d", 0.18, 2), ("s", 3.55, 2)])
def test_perturbative_numbers_of_tables_3_and_4(quark, printed, digits):
    # "(c_T - 0.08) L": the dipole from m_W is (c_T - x) times that of a unit of c_T; frozen masses and f = 1.
    name, _ = OPERATORS[quark]
    unit = _dipole(name, ChiralInputs(1.0, 1.0), M_W) - _dipole(name, ChiralInputs(0.0, 0.0), M_W)
    # The printed numbers leave out the electromagnetic factor of the tensor, 1 - (2 Q^2 alpha / 4 pi) ln.
    qed = 1 - 2 * (4 / 9 if quark == "u" else 1 / 9) / (4 * np.pi * 133.30) * np.log(M_W / 2.0)
    x = -(_dipole(name, ChiralInputs(0.0, 0.0), M_W) / (unit / qed)).real
    assert round(x, digits) == printed


def test_reduced_anomalous_dimension():
    # eq. (2.6) at lambda = 0.3996 raises 3.55 to 3.90 and 0.18 to 0.196.
    f = float(reduction_factor(0.39960, 4 / 23, 0.0))
    assert 3.554 * f == pytest.approx(3.90, abs=0.005)
    assert 0.1785 * f == pytest.approx(0.196, abs=0.0005)
    assert float(reduction_factor(1.0, 4 / 23, 0.0)) == 1.0
    np.testing.assert_allclose(reduction_factor(1 - 1e-5, 4 / 23, 0.0), 1.0, atol=1e-5)
    ratio = seed_evolution(M_W, 2.0, INPUTS, reduced=True).mixing["s"] / seed_evolution(M_W, 2.0, INPUTS).mixing["s"]
    np.testing.assert_allclose(ratio, f, rtol=1e-5)


def test_borexino_bounds_of_table_3():
    # mu < 2.8e-11 mu_B, LNC: the bounds on the dipole and on |c_T L| at 2 GeV and at m_W, to the printed digits.
    moment = 2.8e-11 * BOHR_MAGNETON / 2.0
    dipole = {scale: moment / abs(_dipole("nuNgamma_11", ChiralInputs(), scale)) for scale in (2.0, M_W)}
    assert f"{dipole[2.0]:.1e}" == "4.2e-09"
    assert f"{dipole[M_W]:.1e}" == "4.3e-09"
    for quark, at_2, at_w in (("u", "1.4e-06", "1.6e-06"), ("d", "2.8e-06", "3.3e-06"), ("s", "2.8e-06", "3.3e-06")):
        name, _ = OPERATORS[quark]
        one, zero = ChiralInputs(1.0, 1.0), ChiralInputs(0.0, 0.0)
        for scale, printed in ((2.0, at_2), (M_W, at_w)):
            per_c_t = abs(_dipole(name, one, scale) - _dipole(name, zero, scale))
            assert f"{moment / per_c_t:.1e}" == printed


def test_upwards_is_the_inverse():
    start = {"nuNgamma_11": 1e-9, "TnuNdRR_1122": 1e-6j, "TnuNuRR_1111": -1e-6, "SnuNdRR_1111": 1e-6}
    there = apply_evolution(start, seed_evolution(2.0, M_W, INPUTS))
    back = apply_evolution(there, seed_evolution(M_W, 2.0, INPUTS))
    for name, value in start.items():
        np.testing.assert_allclose(complex(back[name]), value, rtol=1e-12)


def test_no_running_at_equal_scales():
    evolved = seed_evolution(20.0, 20.0, INPUTS, reduced=True)
    assert float(evolved.dipole) == 1.0
    assert float(evolved.mixing["s"]) == 0.0
    np.testing.assert_allclose([evolved.tensor[k] for k in "ude"], 1.0, rtol=1e-14)
