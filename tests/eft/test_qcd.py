"""Strong coupling, mass running and decoupling against RunDec's figures."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy.integrate

from nmmfit.eft.qcd import (
    alpha_s,
    anomalous_exponent,
    beta_series,
    decouple_mass,
    log_scale_ratio,
    mass_series,
    run_coupling,
    tensor_series,
)
from nmmfit.errors import UserInputError
from nmmfit.inputs import StandardModelInputs, check, describe

RUNDEC = json.loads((Path(__file__).parents[1] / "reference" / "rundec_reference.json").read_text())["records"]


@pytest.mark.parametrize("record", RUNDEC, ids=lambda r: f"{r['loops']} loops")
def test_rundec(record):
    loops = record["loops"]
    inputs = StandardModelInputs(alpha_s_mz=0.1180, alpha_s_loops=loops)
    above, below = (float(alpha_s(4.18, inputs, n_f=n)) for n in (5, 4))
    at_w, at_2 = (float(x) for x in alpha_s(np.array([80.379, 2.0]), inputs))
    # Its Runge-Kutta steps are good to a few 1e-9.
    for got, name in ((above, "alpha_s_5_mb"), (below, "alpha_s_4_mb"), (at_w, "alpha_s_mw"), (at_2, "alpha_s_2")):
        np.testing.assert_allclose(got, record[name], rtol=5e-9)
    np.testing.assert_allclose(decouple_mass(jnp.asarray(above / (4 * np.pi)), loops), record["mass_decoupling"], rtol=1e-8)
    # Its mass factors are expanded in alpha_s: they differ by the first order left out, of relative size (alpha_s / pi)^loops.
    for start, end, n_f, name in ((at_w, above, 5, "mass_ratio_mb_mw"), (below, at_2, 4, "mass_ratio_2_mb")):
        a = [jnp.asarray(x / (4 * np.pi)) for x in (end, start)]
        ratio = np.exp(anomalous_exponent(*a, beta_series(n_f, loops), mass_series(n_f, loops)))
        neglected = 0.0 if loops == 1 else 30.0 * (at_2 / np.pi) ** loops
        np.testing.assert_allclose(ratio, record[name], rtol=1e-8 + neglected)


def test_anomalous_dimensions_in_numbers():
    # d ln m / d ln mu = -2 (alpha_s / pi + ...): 44.26, 27.30, 11.03 are the four-loop terms for n_f = 3, 4, 5 as published.
    for n_f, four_loop in ((3, 44.2628), (4, 27.3028), (5, 11.0343)):
        np.testing.assert_allclose(mass_series(n_f, 4)[3] / (-2.0 * 4.0**4), four_loop, rtol=1e-5)
    # Tensor current in general-colour form (hep-ph/0007171), evaluated by hand for n_f = 3, 4, 5.
    for n_f, two, three in ((3, 68.889, 690.656), (4, 65.037, 512.312), (5, 61.185, 332.189)):
        np.testing.assert_allclose(tensor_series(n_f, 3)[1:3], (two, three), atol=6e-4)


def test_truncation_keeps_the_lower_orders():
    for series in (beta_series, mass_series, tensor_series):
        full = series(5, 3)
        assert np.all(full[:3] != 0.0)
        for loops in (1, 2, 3):
            np.testing.assert_array_equal(series(5, loops), np.where(np.arange(4) < loops, full, 0.0))


@pytest.mark.parametrize("n_f", [4, 5])
def test_implicit_solution_is_the_integral_of_the_beta_function(n_f):
    beta, gamma = beta_series(n_f, 4), tensor_series(n_f, 3)
    a_0, a_1 = 0.0094, 0.031

    def slope(a):
        return -2.0 * a**2 * np.polyval(beta[::-1], a)

    log_ratio, _ = scipy.integrate.quad(lambda a: 1.0 / slope(a), a_0, a_1, epsabs=0.0, epsrel=1e-13)
    exponent, _ = scipy.integrate.quad(lambda a: a * np.polyval(gamma[::-1], a) / slope(a), a_0, a_1, epsabs=0.0, epsrel=1e-13)
    np.testing.assert_allclose(log_scale_ratio(jnp.asarray(a_1), jnp.asarray(a_0), beta), log_ratio, rtol=1e-12)
    np.testing.assert_allclose(anomalous_exponent(jnp.asarray(a_1), jnp.asarray(a_0), beta, gamma), exponent, rtol=1e-12)
    np.testing.assert_allclose(run_coupling(jnp.asarray(a_0), jnp.asarray(log_ratio), beta), a_1, rtol=1e-12)


def _rate(beta, a):
    """da / d ln mu."""
    return -2 * a**2 * sum(mp.mpf(b) * a**i for i, b in enumerate(beta))


def _implicit(beta, a_0, a_1):
    """ln(mu_1 / mu_0) between two couplings, 30 digits."""
    with mp.workdps(30):
        return mp.quad(lambda a: 1 / _rate(beta, a), mp.linspace(a_0, a_1, 5))


@pytest.mark.parametrize("loops", [1, 2, 3, 4])
def test_couplings_from_the_charm_mass_to_m_w_satisfy_the_equation(loops):
    # alpha_s from 0.10 at m_Z to 0.9 at the charm mass, both ways, and no way at all.
    ways = ((5, 0.0103, -3.4), (5, 0.0080, -2.0), (5, 0.0215, 3.1), (4, 0.0196, -1.6), (4, 0.0121, -1.7), (4, 0.05, 1.5))
    for n_f, a_0, way in ways:
        beta = beta_series(n_f, loops)
        a_1 = float(run_coupling(jnp.asarray(a_0), jnp.asarray(way), beta))
        assert 0.005 < a_1 < 0.075
        np.testing.assert_allclose(float(_implicit(beta, a_0, a_1)), way, rtol=1e-14)
        np.testing.assert_allclose(float(log_scale_ratio(jnp.asarray(a_1), jnp.asarray(a_0), beta)), way, rtol=2e-14)
        np.testing.assert_allclose(float(run_coupling(jnp.asarray(a_0), jnp.asarray(0.0), beta)), a_0, rtol=2e-16)


@pytest.mark.parametrize(("n_f", "loops"), [(5, 4), (4, 1)])
def test_derivatives_of_the_coupling_to_second_order(n_f, loops):
    beta, a_0, way = beta_series(n_f, loops), 0.018, -0.7

    def exact(shift_a, shift_way):
        """The coupling by Newton's method in 30 digits."""
        a = mp.mpf(float(run_coupling(jnp.asarray(a_0), jnp.asarray(way), beta)))
        for _ in range(3):
            off = way + shift_way - _implicit(beta, a_0 + shift_a, a)
            a += off * _rate(beta, a)
        return a

    with mp.workdps(30):
        h = mp.mpf("1e-6")
        f = {(i, j): exact(i * h, j * h) for i in (-1, 0, 1) for j in (-1, 0, 1)}
        first = [(f[1, 0] - f[-1, 0]) / (2 * h), (f[0, 1] - f[0, -1]) / (2 * h)]
        cross = (f[1, 1] - f[1, -1] - f[-1, 1] + f[-1, -1]) / (4 * h**2)
        second = [[(f[1, 0] - 2 * f[0, 0] + f[-1, 0]) / h**2, cross], [cross, (f[0, 1] - 2 * f[0, 0] + f[0, -1]) / h**2]]
    x = jnp.array([a_0, way])

    def run(x):
        return run_coupling(x[0], x[1], beta)

    np.testing.assert_allclose(jax.grad(run)(x), np.array(first, dtype=float), rtol=1e-7)
    for hessian in (jax.jacfwd(jax.jacrev(run)), jax.jacrev(jax.jacfwd(run))):
        np.testing.assert_allclose(hessian(x), np.array(second, dtype=float), rtol=1e-6)


def test_allowed_inputs_have_a_coupling_down_to_the_charm_mass():
    for alpha_s_mz, m_c in ((0.1299, 1.101), (0.1001, 1.899)):
        for loops in (1, 2, 3, 4):
            inputs = StandardModelInputs(alpha_s_mz=alpha_s_mz, m_c_gev=m_c, alpha_s_loops=loops)
            check(inputs)
            assert 0.1 < float(alpha_s(m_c, inputs)) < 1.0


def test_inputs_carry_their_sources():
    for name in StandardModelInputs().as_dict():
        if name not in ("alpha_s_loops", "gamma_T_loops", "e_running"):
            constant = describe(name)
            assert constant.value == getattr(StandardModelInputs(), name)
            assert constant.source
            assert constant.uncertainty > 0.0
    with pytest.raises(UserInputError, match="unknown input 'm_t'"):
        describe("m_t")
