"""Folded rates to a massive N against nested adaptive quadrature of formulae written here, and tables in the mass."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

from nmmfit.numerics.chebyshev import chebyshev_nodes
from nmmfit.physics import cevns, electron, forms, kinematics
from nmmfit.physics.massive import MassPanels, RecoilNodes, fold_recoils, mass_table, recoil_window, threshold_mass_mev
from nmmfit.physics.nuclei import nucleus
from nmmfit.physics.sns import sns_sources
from nmmfit.physics.solar import solar_sources
from nmmfit.physics.sources import NeutrinoSource
from nmmfit.shapes import Array

M_E = 0.51099895
ALPHA = 1.0 / 137.035999177
GEV2_CM2 = 0.3893793721e-27


def dipole_formula(e: float, t: float, mass: float, m: float) -> float:
    """arXiv:2007.15563: alpha mu^2 [...] of a spin-1/2 target of charge 1, cm^2/MeV for mu = 2 GeV^-1, d = 1."""
    bracket = 1 / t - 1 / e - m**2 / (2 * e * t * mass) * (1 - t / (2 * e) + mass / (2 * e))
    bracket += m**4 * (t - mass) / (8 * e**2 * t**2 * mass**2)
    return ALPHA * 4.0 * bracket * GEV2_CM2  # T in MeV: 1/MeV times GeV^-2


def tensor_formula(e: float, t: float, mass: float, m: float) -> float:
    """Of |t|^2 in GeV^-4: 4 M / pi [...], GeV^-3 times GEV2_CM2 in GeV^2 cm^2 per GeV of recoil, here per MeV."""
    bracket = (1 - t / (2 * e)) ** 2 - mass * t / (4 * e**2) - m**2 / (2 * mass * e) * (1 - t / (4 * e) + mass / (4 * e))
    return 4.0 * mass * 1e-3 / np.pi * bracket * GEV2_CM2 * 1e-3


def response(t: float) -> float:
    """A detector: smooth in sqrt(T)."""
    return float(np.exp(-((np.sqrt(t / 0.3) - 1.2) ** 2) / 0.5))


def by_hand(source: NeutrinoSource, mass: float, m: float, low: float, high: float, formula, gain) -> float:
    """Nested adaptive quadrature: recoils inside, where T_- and T_+ are the roots of E_min(T) = E."""

    def e_min(t: float) -> float:
        return 0.5 * (1 + m**2 / (2 * mass * t)) * (t + np.sqrt(t**2 + 2 * mass * t))

    threshold = m + m**2 / (2 * mass)
    # E_min is smallest, equal to the threshold, where the N comes out with the velocity of the centre of mass.
    best = m**2 / (2 * (mass + m))
    assert e_min(best) == pytest.approx(threshold, rel=1e-12, abs=0)

    def over_recoils(e: float) -> float:
        if e <= threshold:
            return 0.0
        bottom = brentq(lambda s: e_min(np.exp(s)) - e, np.log(best) - 60.0, np.log(best), xtol=1e-14, rtol=1e-15)
        top = brentq(lambda s: e_min(np.exp(s)) - e, np.log(best), np.log(2 * e), xtol=1e-14, rtol=1e-15)
        first, last = max(bottom, np.log(low)), min(top, np.log(high))
        if last <= first:
            return 0.0
        return quad(lambda s: np.exp(s) * formula(e, np.exp(s), mass, m) * gain(np.exp(s)), first, last, epsrel=1e-10, limit=200)[
            0
        ]

    if source.lines_mev:
        return sum(b * over_recoils(e) for e, b in zip(source.lines_mev, source.branching, strict=True))
    assert source.spectrum is not None
    end = source.e_max_mev
    start = max(threshold, e_min(max(low, best))) if best < low else threshold
    if start >= end:
        return 0.0

    total = 0.0
    # kinks where the window meets what is seen; E = a + (b - a) sin^2 makes square roots at ends smooth
    inner = sorted(e for e in (e_min(low), e_min(high)) if start < e < end)
    for a, b in zip([start, *inner], [*inner, end], strict=True):

        def smooth(x: float, a: float = a, b: float = b) -> float:
            e = a + (b - a) * np.sin(0.5 * np.pi * x) ** 2
            jacobian = (b - a) * 0.5 * np.pi * np.sin(np.pi * x)
            return float(source.spectrum(np.asarray(e))) * over_recoils(e) * jacobian

        total += quad(smooth, 0.0, 1.0, epsrel=1e-9, limit=200)[0]
    return total


def nodes(low: float, high: float, count: int = 80) -> RecoilNodes:
    middle, half = 0.5 * (np.sqrt(low) + np.sqrt(high)), 0.5 * (np.sqrt(high) - np.sqrt(low))
    return RecoilNodes((middle + half * chebyshev_nodes(count)) ** 2, np.sqrt, low, high)


def electron_kernels(e: np.ndarray, t: np.ndarray, m: float) -> np.ndarray:
    found = electron.kernels(e, t, False, m)
    return np.stack([np.asarray(found[name]) for name in ("dipole", "electron_tensor")])


def one(energy: np.ndarray) -> np.ndarray:
    return np.ones((*energy.shape, 1))


@pytest.mark.parametrize(
    ("name", "m"),
    # thresholds: pp 0.32 MeV, 7Be 0.298 and 0.557, 15O 0.934, pep 0.81, hep 3.9
    [
        ("pp", 0.05),
        ("pp", 0.30),
        ("be7", 0.2),
        ("be7", 0.2975),
        ("be7", 0.299),
        ("be7", 0.5565),
        ("o15", 0.9),
        ("b8", 2.5),
        ("hep", 3.8),
    ],
)
def test_solar_rates_against_adaptive_quadrature(name: str, m: float) -> None:
    source, recoils = solar_sources()[name], nodes(0.08, 2.7)
    folded = fold_recoils(source, M_E, m, recoils, electron_kernels, one)[:, :, 0]
    gain = np.array([response(t) for t in recoils.t_mev])
    for got, formula in zip(folded @ gain, (dipole_formula, tensor_formula), strict=True):
        wanted = by_hand(source, M_E, m, 0.08, 2.7, formula, response)
        assert wanted > 0.0
        assert got == pytest.approx(wanted, rel=1e-6, abs=0)


@pytest.mark.parametrize(
    ("name", "m"),
    [("prompt_nu_mu", 1.0), ("prompt_nu_mu", 29.7), ("delayed_nu_e", 0.1), ("delayed_nu_e", 30.0), ("delayed_nu_mu_bar", 52.7)],
)
def test_sns_rates_against_adaptive_quadrature(name: str, m: float) -> None:
    source, caesium = sns_sources()[name], nucleus("Cs133")
    mass = caesium.mass_mev
    recoils = nodes(1e-4, 0.05)

    def kernels(e: np.ndarray, t: np.ndarray, mass_n: float) -> np.ndarray:
        found = cevns.kernels(e, t, caesium, 1.0, 1.0, source.antineutrino, m_n_mev=mass_n)
        return np.stack([np.asarray(found["dipole"]) / 55**2, np.asarray(found["tensor_pp"]) / 55**2])

    def gain(t: float) -> float:
        return response(20.0 * t)

    folded = fold_recoils(source, mass, m, recoils, kernels, one)[:, :, 0] @ np.array([gain(t) for t in recoils.t_mev])
    for got, formula in zip(folded, (dipole_formula, tensor_formula), strict=True):
        wanted = by_hand(source, mass, m, 1e-4, 0.05, formula, gain)
        assert got == pytest.approx(wanted, rel=1e-7, abs=0)


@pytest.mark.parametrize(("name", "just"), [("be7", 1e-6), ("pp", 1e-6)])
def test_nothing_above_threshold_and_something_below(name: str, just: float) -> None:
    source = solar_sources()[name]
    end = threshold_mass_mev(source.e_max_mev, M_E)
    recoils = nodes(1e-3, 2.7)
    above = fold_recoils(source, M_E, end * (1 + just), recoils, electron_kernels, one)
    below = fold_recoils(source, M_E, end * (1 - just), recoils, electron_kernels, one)
    assert np.all(above == 0.0)
    assert below[0].sum() > 0.0
    # a line begins like a square root of the distance, a spectrum later
    half = fold_recoils(source, M_E, end * (1 - just / 4), recoils, electron_kernels, one)
    ratio = below[1].sum() / half[1].sum()
    assert ratio == pytest.approx(2.0, rel=1e-2, abs=0) if name == "be7" else ratio > 2.5


@pytest.mark.parametrize(("e", "mass", "m"), [(0.8618, M_E, 0.3), (30.0, 123801.0, 20.0), (52.8, 37216.0, 1e-3)])
def test_windows_and_thresholds_in_plain_numbers(e: float, mass: float, m: float) -> None:
    """Both ends of the window cost the neutrino's energy exactly; the threshold of the largest mass is the energy itself."""
    low, high = recoil_window(e, mass, m)
    for t in (low, high):
        assert float(kinematics.min_neutrino_energy(t, mass, m)) == pytest.approx(e, rel=1e-9, abs=0)
    largest = threshold_mass_mev(e, mass)
    assert largest + largest**2 / (2 * mass) == pytest.approx(e, rel=1e-12, abs=0)
    assert recoil_window(e, mass, largest * (1 + 1e-9)) == (0.0, 0.0)


def random_couplings() -> forms.TargetCouplings:
    random = np.random.default_rng(4)
    return jax.tree.map(
        lambda leaf: jnp.asarray(random.normal(size=(3, 6)) + 1j * random.normal(size=(3, 6))), forms.TargetCouplings.zero()
    )


def test_split_forms_add_up_and_do_not_mix() -> None:
    """Every form is the sum of both parts; the part of N is that of columns 0-2 written out."""
    c = random_couplings()
    split, whole = forms.split_forms(c, 1.5), forms.quadratic_forms(c)
    assert set(split) == {"sm", "m_n_mev", *forms.split_names()}
    for name in forms.ALL_FORMS:
        np.testing.assert_allclose(split["light_" + name] + split["heavy_" + name], whole[name], rtol=1e-12, atol=1e-12)
    d, t = np.asarray(c.dipole)[:, :3], np.asarray(c.electron_tensor)[:, :3]
    by_hand = 0.5 * (d @ t.conj().T + t @ d.conj().T)
    np.testing.assert_allclose(split["heavy_electron_dipole_tensor"], by_hand, rtol=1e-12, atol=1e-14)
    only_n = replace(c, dipole=c.dipole.at[:, 3:].set(0.0))
    assert not np.any(forms.split_forms(only_n)["light_dipole"])


# -- a table in the mass, of a rate that is known ---------------------------------------------------------------------------

EDGES = (0.7, 2.0)


def toy(m: Array | float, xp=np) -> Array:
    """Two thresholds: a line's square root and a spectrum's power of 3/2, with something smooth."""
    a = xp.sqrt(xp.maximum(EDGES[0] - m, 0.0)) * xp.cos(m)
    b = xp.maximum(EDGES[1] - m, 0.0) ** 1.5 * xp.exp(-m)
    return xp.stack([a + b, b * m])


@pytest.fixture(scope="module")
def table():
    panels = MassPanels.make(0.0, np.inf, EDGES)
    return mass_table(panels, lambda m: {"toy": np.asarray(toy(m))}, lambda kernels: kernels["toy"][:, None, :])


@pytest.mark.parametrize("m", [0.0, 1e-6, 0.3, 0.69, 0.6999999, 0.7, 0.7000001, 1.0, 1.999999, 2.0, 2.5, 50.0])
def test_tables_interpolate_between_thresholds(table, m: float) -> None:
    np.testing.assert_allclose(table.kernel("toy", jnp.asarray(m)), toy(m), rtol=0, atol=1e-7)


@pytest.mark.parametrize("m", [0.05, 0.3, 0.65, 0.9, 1.7])
def test_tables_have_the_derivatives_of_the_rate(table, m: float) -> None:
    def value(x: Array) -> Array:
        return table.kernel("toy", x)

    step = 1e-5
    slope = (np.asarray(toy(m + step)) - np.asarray(toy(m - step))) / (2 * step)
    np.testing.assert_allclose(jax.jacfwd(value)(jnp.asarray(m)), slope, rtol=0, atol=1e-5)
    np.testing.assert_allclose(jax.jacrev(value)(jnp.asarray(m)), slope, rtol=0, atol=1e-5)


@pytest.mark.parametrize("m", [0.0, 0.7, 2.0, 3.0])
def test_derivatives_of_tables_are_finite_at_thresholds(table, m: float) -> None:
    def value(x: Array) -> Array:
        return table.kernel("toy", x)

    for found in (value(jnp.asarray(m)), jax.jacrev(value)(jnp.asarray(m)), jax.hessian(value)(jnp.asarray(m))):
        assert np.all(np.isfinite(found))


def test_panels_keep_to_the_range() -> None:
    np.testing.assert_allclose(MassPanels.make(0.1, 1.0, EDGES).edges, [0.1, 0.7, 1.0])
    assert not MassPanels.make(0.1, 1.0, EDGES).ends
    assert MassPanels.make(0.1, 5.0, EDGES).edges[-1] == 2.0
    beyond = mass_table(MassPanels.make(3.0, 5.0, EDGES), lambda m: {"toy": np.asarray(toy(m))}, lambda k: k["toy"][:, None, :])
    assert np.all(np.asarray(beyond.kernel("toy", jnp.asarray(4.0))) == 0.0)
