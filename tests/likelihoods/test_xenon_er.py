"""Electron recoils in xenon: tables, folded rates against adaptive integrals, published totals, options and shared pulls."""

from __future__ import annotations

import dataclasses
import math
from importlib.resources import files
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import chebyshev
from scipy import integrate, interpolate, optimize, stats

import nmmfit
from likelihoods import lz_er, pandax4t_er, xenonnt_er_2022
from likelihoods.lz_er import make_data as lz_data
from likelihoods.pandax4t_er import make_data as pandax_data
from likelihoods.xenonnt_er_2022 import make_data as xenonnt_data
from nmmfit.constants import ALPHA_0, FERMI, M_ELECTRON_MEV, SIN2_THETA_W_0, bohr_magneton_per_gev
from nmmfit.errors import DataError, UserInputError
from nmmfit.experiment import BinnedExperiment, TheoryChoices, constraints
from nmmfit.inference.compatibility import refuse_different_meanings
from nmmfit.physics.forms import TargetCouplings, quadratic_forms
from nmmfit.physics.oscillation import OscillationParameters, survival_probability
from nmmfit.physics.solar import SOLAR_COMPONENTS, gallium_log_density, production_region, solar_fluxes, solar_spectrum
from nmmfit.physics.solar_pulls import flux_widths
from nmmfit.tables import read_table

MODULES: dict[str, Any] = {"xenonnt_er_2022": xenonnt_er_2022, "lz_er": lz_er, "pandax4t_er": pandax4t_er}
MAKERS: dict[str, Any] = {"xenonnt_er_2022": xenonnt_data, "lz_er": lz_data, "pandax4t_er": pandax_data}
TREE = TheoryChoices(electron_radiative="none")
M_E = M_ELECTRON_MEV.value
GEV2_CM2 = 3.893793721e-28


@pytest.fixture(scope="module")
def experiments() -> dict[str, BinnedExperiment]:
    """At tree level, so that rates have closed forms."""
    return {name: module.build(TREE) for name, module in MODULES.items()}


@pytest.fixture(scope="module")
def wide() -> dict[str, np.ndarray]:
    """Solar neutrinos of XENONnT up to 140 keV, by what is assumed of bound electrons."""
    return {
        b: solar(component_counts(xenonnt_er_2022.build(window="1_140", binding=b))["spectrum"]) for b in ("stepping", "free")
    }


def dipole(moment_mub: float) -> TargetCouplings:
    """The same diagonal Dirac moment for every flavour: mu = 2 |d|."""
    d = 0.5 * moment_mub * bohr_magneton_per_gev()
    return dataclasses.replace(TargetCouplings.zero(), dipole=jnp.asarray(d * np.eye(3, 6) + 0j))


def component_counts(experiment: BinnedExperiment, moment_mub: float = 0.0) -> dict[str, dict[str, np.ndarray]]:
    forms = quadratic_forms(dipole(moment_mub))

    def evaluate() -> Any:
        return {c.name: c.component_counts(forms, experiment.nominal_pulls()) for c in experiment.channels}

    return {c: {k: np.asarray(v) for k, v in parts.items()} for c, parts in jax.jit(evaluate)().items()}


def solar(parts: dict[str, np.ndarray]) -> np.ndarray:
    return np.sum([parts[c] for c in SOLAR_COMPONENTS], axis=0)


# --- tables -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_tables_are_rebuilt_byte_for_byte(name, release_dir, tmp_path):
    assert MAKERS[name].main(["--release", str(release_dir), "--out", str(tmp_path)]) == 0
    data = files(MODULES[name]) / "data"
    made = sorted(p.name for p in tmp_path.iterdir())
    assert made == sorted(p.name for p in data.iterdir())
    for table in made:
        assert (tmp_path / table).read_bytes() == (data / table).read_bytes(), table


def test_counts_are_those_published():
    """XENONnT: 433 events below 30 keV, 4 of them below 2 keV (the collaboration's list of energies); LZ 471 and 1787."""
    table = read_table(files(xenonnt_er_2022) / "data" / "spectrum.csv")
    assert table["counts"][table["high_kev"] <= 30.0].sum() == 433
    assert table["counts"][:3].tolist() == [4, 25, 23]
    for run, total in (("ws2022", 471), ("ws2024", 1787)):
        assert read_table(files(lz_er) / "data" / f"{run}_spectrum.csv")["counts"].sum() == total


def test_first_bin_of_xenonnt_is_an_integral():
    """From 1 to 2 keV the fit climbs from 1.4 to 9.8 events / (t yr keV): 6.9 events by the collaboration's own table."""
    table = read_table(files(xenonnt_er_2022) / "data" / "spectrum.csv")
    official = [1.360, 2.293, 3.362, 4.559, 5.721, 6.825, 7.791, 8.608, 9.214, 9.753]
    assert table["background"][0] + table["solar"][0] == pytest.approx(1.16 * np.mean(official), rel=0.07)


def test_peaks_are_those_of_the_published_fits():
    """37Ar: 52.5 +9.6 -8.9 events in LZ's fit of WS2022, of which 8 % lie below 2 keV; 3H: 114 +- 33 expected by PandaX-4T."""
    argon = read_table(files(lz_er) / "data" / "ws2022_spectrum.csv")["argon37"].sum()
    assert argon == pytest.approx(0.92 * 52.5, abs=9.0)
    assert read_table(files(pandax4t_er) / "data" / "spectrum.csv")["tritium"].sum() == pytest.approx(114.0, abs=33.0)


# --- rates --------------------------------------------------------------------------------------------------------------


def electrons(t_kev: float) -> int:
    """Electrons of a xenon atom with smaller binding energies, from the energies of the shells, keV."""
    outer = [(0.0120, 4), (0.0134, 2), (0.0275, 2), (0.0717, 6), (0.0738, 4), (0.1628, 4), (0.1756, 2), (0.2294, 2)]
    inner = [(0.6499, 6), (0.7081, 4), (0.9612, 4), (1.0248, 2), (1.1705, 2), (4.8356, 4), (5.1615, 2), (5.5098, 2), (34.759, 2)]
    subshells = outer + inner
    return sum(n for binding, n in subshells if t_kev > binding)


def pp_rate(t_mev: float, moment_mub: float, p_ee: chebyshev.Chebyshev) -> float:
    """d R / dT of pp neutrinos on one free electron, per MeV and s, from closed forms and adaptive integration over energy."""
    shape, flux, e_max = solar_spectrum("pp"), solar_fluxes()["pp"][0], 0.42341
    s2 = SIN2_THETA_W_0.value
    threshold = 0.5 * (t_mev + math.sqrt(t_mev * (t_mev + 2.0 * M_E)))

    def weak(e: float, g_plus: float) -> float:
        g_minus = 2.0 * s2
        bracket = g_plus**2 * e**2 + g_minus**2 * (e - t_mev) ** 2 - g_plus * g_minus * M_E * t_mev
        return FERMI.value**2 * (M_E * 1e-3) / (2.0 * np.pi * e**2) * bracket * GEV2_CM2 * 1e-3

    def integrand(u: float) -> float:
        e = e_max - (e_max - threshold) * u**2
        p = float(p_ee(e))
        magnetic = np.pi * ALPHA_0.value**2 / (M_E * 1e-3) ** 2 * GEV2_CM2 * moment_mub**2 * (1.0 / t_mev - 1.0 / e)
        cross_section = p * weak(e, 2.0 * s2 + 1.0) + (1.0 - p) * weak(e, 2.0 * s2 - 1.0) + magnetic
        return float(shape(np.asarray(e))) * cross_section * 2.0 * (e_max - threshold) * u

    return flux * integrate.quad(integrand, 0.0, 1.0, epsrel=1e-8, epsabs=0.0)[0]


# name, channel, bin, edges of the bin, sigma(E) in keV, exposure in t yr, whether the efficiency is one of the smeared energy
CASES = [
    ("xenonnt_er_2022", "spectrum", 0, (1.0, 2.0), lambda t: 0.31 * math.sqrt(t) + 0.0037 * t, 1.16, True),
    ("lz_er", "ws2022", 4, (5.0, 6.0), lambda t: 0.33 * math.sqrt(t), 60.0 * 5.5 / 365.25, False),
    ("pandax4t_er", "run1", 9, (10.0, 11.0), lambda t: 0.073 + 0.173 * t - 6.5e-3 * t**2 + 1.1e-4 * t**3, 1.0, True),
]
TABLES = {"xenonnt_er_2022": "efficiency.csv", "lz_er": "ws2022_efficiency.csv", "pandax4t_er": "efficiency.csv"}


@pytest.mark.parametrize(("name", "channel", "index", "edges", "sigma", "exposure", "smeared"), CASES)
def test_counts_match_adaptive_integration(experiments, name, channel, index, edges, sigma, exposure, smeared):
    """pp counts of a bin, Standard Model with a moment of 3e-11 mu_B, from closed forms and scipy, to 1e-5."""
    moment = 3e-11
    table = read_table(files(MODULES[name]) / "data" / TABLES[name])
    curve = np.maximum.accumulate(table["efficiency"]) if name != "xenonnt_er_2022" else table["efficiency"]

    def efficiency(x):
        return np.interp(x, table["energy_kev"], curve, left=0.0)

    p_ee = chebyshev.Chebyshev.interpolate(
        lambda e: np.asarray(survival_probability(OscillationParameters(), jnp.asarray(e), production_region("pp"))),
        16,
        domain=[0.0, 0.43],
    )
    fine = np.linspace(*edges, 4001)

    def found(t: float) -> float:
        """Probability that a recoil of T keV is selected and falls into the bin."""
        if not smeared:
            return float(efficiency(t)) * float(np.diff(stats.norm.cdf(edges, t, sigma(t)))[0])
        return float(np.trapezoid(efficiency(fine) * np.exp(-0.5 * ((fine - t) / sigma(t)) ** 2), fine)) / (
            math.sqrt(2.0 * np.pi) * sigma(t)
        )

    low, high = max(0.1, edges[0] - 7.0 * sigma(edges[0])), edges[1] + 8.0 * sigma(edges[1])
    steps = [0.1628, 0.1756, 0.2294, 0.6499, 0.7081, 0.9612, 1.0248, 1.1705, 4.8356, 5.1615, 5.5098, 34.759]
    cuts = [low, *[s for s in steps if low < s < high], high]
    # The spectrum is smooth: Gauss-Legendre in panels between the steps, and between the points of an efficiency of T.
    if not smeared:
        cuts = sorted({*cuts, *[float(e) for e in table["energy_kev"] if low < e < high]})
    x, w = np.polynomial.legendre.leggauss(24 if smeared else 8)
    total = 0.0
    for a, b in pairwise(cuts):
        for node, weight in zip(0.5 * (a + b) + 0.5 * (b - a) * x, 0.5 * (b - a) * w, strict=True):
            total += weight * electrons(node) * found(node) * pp_rate(node * 1e-3, moment, p_ee)
    atoms = 6.02214076e23 * 1e6 / 131.293
    expected = total * 1e-3 * atoms * exposure * 365.25 * 86400.0
    got = component_counts(experiments[name], moment)[channel]["pp"][index]
    assert got == pytest.approx(expected, rel=1e-5)


def test_solar_neutrinos_of_xenonnt(wide):
    """1 to 140 keV: 300 +- 30 events expected by the collaboration (Table I; from memory), and its drawn curve bin by bin.

    The drawn curve lies 10 % higher below 6 keV, between free electrons and the stepping function. Its two points below 2 keV say
    little.
    """
    counts = wide["stepping"]
    assert counts.sum() == pytest.approx(300.0, abs=30.0)
    drawn = read_table(files(xenonnt_er_2022) / "data" / "spectrum.csv")["solar"]
    np.testing.assert_allclose(counts[4:], drawn[4:], rtol=0.05)
    np.testing.assert_allclose(counts[1:4], drawn[1:4], rtol=0.11)
    assert np.all((counts[1:4] < drawn[1:4]) & (drawn[1:4] < 1.02 * wide["free"][1:4]))


def test_solar_neutrinos_of_lz(experiments):
    """Their share of what is expected beside 37Ar, against Table I of the searches for WIMPs (1 to about 13 keV).

    27.2 of 27.2 + 222 + 9.3 + 5.2 + 15.2 events in WS2022, 102 of 1202 in WS2024; the calculation behind them has bound electrons
    take part less than the stepping function does.
    """
    for run, share in (("ws2022", 27.2 / 278.9), ("ws2024", 102.0 / 1202.0)):
        parts = component_counts(experiments["lz_er"])[run]
        own = solar(parts)[:12].sum()
        assert own / (own + parts["background"][:12].sum()) == pytest.approx(share, rel=0.2)


@pytest.mark.parametrize("name", ["lz_er", "pandax4t_er"])
def test_the_nominal_expectation_is_the_drawn_fit(experiments, name):
    """Solar neutrinos are taken off the drawn total, whatever is chosen for them."""
    for channel, parts in component_counts(experiments[name]).items():
        table = f"{channel}_spectrum.csv" if name == "lz_er" else "spectrum.csv"
        drawn = read_table(files(MODULES[name]) / "data" / table)
        total = drawn["smooth"] + drawn["argon37" if name == "lz_er" else "tritium"]
        np.testing.assert_allclose(np.sum(list(parts.values()), axis=0), total, rtol=1e-9)
        # Bins of Poisson counts around the collaboration's fit.
        observed = next(c.observed for c in experiments[name].channels if c.name == channel)
        deviance = 2.0 * np.sum(total - observed + observed * np.log(np.maximum(observed, 1e-9) / total))
        assert stats.chi2.sf(deviance, len(total)) > 0.01


def test_binding_matters_at_low_energies_only(wide):
    """Free electrons: 54 instead of 44 below the L shells, the same above the K shell."""
    ratio = wide["free"] / wide["stepping"]
    assert ratio[1] == pytest.approx(54 / 44, rel=0.01)
    assert ratio[40] == pytest.approx(1.0, rel=1e-6)
    assert np.all(ratio > 1.0 - 1e-6)


# --- the model as a function --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_expected_counts_are_positive(experiments, name):
    experiment = experiments[name]
    forms = quadratic_forms(dipole(5e-11))
    evaluate = jax.jit(lambda pulls: experiment.expected(forms, pulls))
    for side in (-4.0, 0.0, 4.0):
        for counts in evaluate({pull: jnp.asarray(side) for pull in experiment.pulls}).values():
            assert np.all(np.isfinite(counts) & (np.asarray(counts) > 0.0))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_gradients_match_finite_differences(experiments, name):
    """Every pull and the dipole, by central differences of the log-likelihood away from the nominal."""
    experiment = experiments[name]
    names = list(experiment.pulls)

    def nll(x):
        pulls = dict(zip(names, x[1:], strict=True))
        matrix = jnp.asarray(np.eye(3, 6) + 0.1j * np.eye(3, 6, 1))
        couplings = dataclasses.replace(TargetCouplings.zero(), dipole=1e-9 * x[0] * matrix)
        counts = experiment.expected(quadratic_forms(couplings), pulls)
        terms = [jnp.sum(counts[c.name] - c.observed * jnp.log(counts[c.name])) for c in experiment.channels]
        return sum(terms) - experiment.constraint(pulls)

    evaluate = jax.jit(jax.vmap(nll))
    start = np.concatenate([[2.0], np.random.default_rng(3).uniform(-0.5, 0.5, len(names))])
    gradient = np.asarray(jax.jit(jax.grad(nll))(start))
    step = 1e-3
    shifts = step * np.concatenate([k * np.eye(len(start)) for k in (-2, -1, 1, 2)])
    f = np.asarray(evaluate(start + shifts)).reshape(4, -1)
    difference = (f[0] - 8.0 * f[1] + 8.0 * f[2] - f[3]) / (12.0 * step)
    np.testing.assert_allclose(gradient, difference, rtol=1e-5, atol=1e-6)
    assert np.all(gradient != 0.0)


# --- massive N ----------------------------------------------------------------------------------------------------------

UNIVERSAL = np.hstack([np.eye(3), np.zeros((3, 3))]).astype(complex)
MAJORANA = np.zeros((3, 6), dtype=complex)
MAJORANA[0, 4], MAJORANA[1, 3] = 1.0, -1.0


def excess(experiment: BinnedExperiment, dipole_matrix: np.ndarray, m_n_mev: float, component: str = "") -> np.ndarray:
    """What couplings add to the first channel, or to one component of it."""

    def evaluate() -> Any:
        d = jnp.asarray(1e-9 * dipole_matrix)
        moved = dataclasses.replace(TargetCouplings.zero(), dipole=d, electron_s1=100.0 * d, electron_tensor=100.0 * d)
        if component:
            moved = dataclasses.replace(TargetCouplings.zero(), dipole=d)
        return [
            experiment.channels[0].component_counts(experiment.forms(c, m_n_mev), experiment.nominal_pulls())
            for c in (moved, TargetCouplings.zero())
        ]

    with_it, without = jax.jit(evaluate)()
    return np.sum([np.asarray(with_it[k] - without[k]) for k in with_it if k.startswith(component)], axis=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_massive_n_between_no_mass_and_the_threshold(experiments, name):
    """m -> 0 gives the massless rates, whose quadrature is another; above every threshold light final states alone are left.

    LZ's efficiency has corners between nodes of the response, which leave 1.2e-5 of a bin.
    """
    massless = excess(experiments[name], UNIVERSAL + MAJORANA, 0.0)
    tiny = MODULES[name].build(dataclasses.replace(TREE, m_n_mev=1e-4))
    np.testing.assert_allclose(excess(tiny, UNIVERSAL + MAJORANA, 1e-4), massless, rtol=3e-5)
    above = MODULES[name].build(dataclasses.replace(TREE, m_n_mev=20.0))
    np.testing.assert_allclose(excess(above, UNIVERSAL, 20.0), 0.0, rtol=0, atol=1e-10)
    light = excess(experiments[name], MAJORANA, 0.0)
    np.testing.assert_allclose(excess(above, UNIVERSAL + MAJORANA, 20.0), light, rtol=1e-7)
    assert "above every threshold" in above.choices["m_N"]


def test_counts_of_a_massive_n_match_adaptive_integration():
    """Dipole counts of 7Be neutrinos from 10 to 12 keV in XENONnT for m = 0.25 MeV, from the closed cross section, to 1e-5."""
    m, d = 0.25, 1e-9
    got = excess(xenonnt_er_2022.build(dataclasses.replace(TREE, m_n_mev=m)), UNIVERSAL, m, "be7")[5]
    table = read_table(files(xenonnt_er_2022) / "data" / "efficiency.csv")
    fine = np.linspace(10.0, 12.0, 4001)
    curve = np.interp(fine, table["energy_kev"], table["efficiency"])

    def window(e: float) -> tuple[float, float]:
        """Recoils that a line can give, MeV."""
        root = e * math.sqrt((2.0 * M_E * e - m**2) ** 2 - 4.0 * M_E**2 * m**2)
        middle, norm = 2.0 * M_E * e**2 - m**2 * (M_E + e), 2.0 * M_E * (M_E + 2.0 * e)
        return (middle - root) / norm, (middle + root) / norm

    def rate(t_kev: float) -> float:
        t, total = t_kev * 1e-3, 0.0
        for e, branching in ((0.8618, 0.896), (0.3843, 0.104)):
            low, high = window(e)
            if low < t < high:
                bracket = 1.0 / t - 1.0 / e - m**2 / (2.0 * e * t * M_E) * (1.0 - t / (2.0 * e) + M_E / (2.0 * e))
                bracket += m**4 * (t - M_E) / (8.0 * e**2 * t**2 * M_E**2)
                # e^2 / (4 pi) |2 d|^2 in GeV^-2, the bracket in 1 / MeV
                total += branching * ALPHA_0.value * (2.0 * d) ** 2 * bracket * GEV2_CM2
        sigma = 0.31 * math.sqrt(t_kev) + 0.0037 * t_kev
        found = np.trapezoid(curve * np.exp(-0.5 * ((fine - t_kev) / sigma) ** 2), fine) / (math.sqrt(2.0 * np.pi) * sigma)
        return total * float(found) * electrons(t_kev)

    ends = [1e3 * t for e in (0.8618, 0.3843) for t in window(e)]
    cuts = sorted({3.0, 4.8356, 5.1615, 5.5098, 21.0, *[t for t in ends if 3.0 < t < 21.0]})
    value = sum(integrate.quad(rate, a, b, epsrel=1e-9, epsabs=0.0, limit=100)[0] for a, b in pairwise(cuts)) * 1e-3
    atoms = 6.02214076e23 * 1e6 / 131.293
    assert got == pytest.approx(solar_fluxes()["be7"][0] * atoms * 1.16 * 365.25 * 86400.0 * value, rel=1e-5)


# --- the fit ------------------------------------------------------------------------------------------------------------


def limit_mub(experiment: BinnedExperiment, rise: float) -> float:
    """Where the chi2 of mu^2, minimised over backgrounds and the pp flux, has risen above its minimum over mu^2 >= 0."""
    base, unit = component_counts(experiment), component_counts(experiment, 1e-11)
    scales = {c.scale_pulls[0]: c.scale for channel in experiment.channels for c in channel.components}
    names = [pull for pull in scales if not pull.startswith("solar.")] + ["solar.pp"]
    grid = np.linspace(-4.0, 4.0, 161)
    curves = {}
    for pull, scale in scales.items():
        values = jax.vmap(lambda x, f=scale, p=pull: f({p: x}))(jnp.asarray(grid))
        curves[pull] = interpolate.CubicSpline(grid, np.asarray(values))

    def chi2(p: np.ndarray, x: float) -> float:
        pulls = dict(zip(names, p, strict=True))
        total = float(np.sum(p**2))
        for channel in experiment.channels:
            n, mu = np.asarray(channel.observed, dtype=float), np.zeros(len(channel.observed))
            for c in channel.components:
                signal = unit[channel.name][c.name] - base[channel.name][c.name]
                scale = curves[c.scale_pulls[0]](pulls.get(c.scale_pulls[0], 0.0))
                mu = mu + scale * (base[channel.name][c.name] + x * signal)
            total += 2.0 * np.sum(mu - n + np.where(n > 0, n * np.log(np.where(n > 0, n, 1.0) / mu), 0.0))
        return total

    def profile(x: float) -> float:
        return float(optimize.minimize(chi2, np.zeros(len(names)), args=(x,), method="BFGS", options={"gtol": 1e-4}).fun)

    best = optimize.minimize_scalar(profile, bounds=(0.0, 4.0), method="bounded", options={"xatol": 1e-2})
    start, lowest = min([(0.0, profile(0.0)), (float(best.x), float(best.fun))], key=lambda pair: pair[1])
    return 1e-11 * math.sqrt(optimize.brentq(lambda x: profile(x) - lowest - rise, start, start + 10.0, xtol=1e-2))


@pytest.mark.slow
def test_limits_on_the_solar_moment():
    """XENONnT: 0.64e-11 mu_B (from memory of arXiv:2207.11330), here 0.8 with the two-sided rise of 2.71, 0.67 with the one-sided
    one of 1.64, and 0.7 with free electrons. LZ: 1.1e-11 from WS2022 alone (abstract of arXiv:2207.05036).
    """
    xenonnt = xenonnt_er_2022.build(solar_flux_constraint="ssm")
    assert limit_mub(xenonnt, 1.642) == pytest.approx(0.64e-11, rel=0.1)
    assert limit_mub(xenonnt, 2.706) == pytest.approx(0.64e-11, rel=0.3)
    assert limit_mub(lz_er.build(solar_flux_constraint="ssm"), 2.706) == pytest.approx(1.1e-11, rel=0.15)
    free = xenonnt_er_2022.build(solar_flux_constraint="ssm", binding="free")
    assert 0.6e-11 < limit_mub(free, 2.706) < limit_mub(xenonnt, 2.706)


# --- options and what is shared -----------------------------------------------------------------------------------------


def test_options_are_strict():
    with pytest.raises(UserInputError, match="binding"):
        lz_er.build(binding="rrpa")
    with pytest.raises(UserInputError, match="did you mean 'window'"):
        xenonnt_er_2022.build(windows="1_30")
    with pytest.raises(UserInputError, match=r"xenonnt_er_2022.*one mass of N, not a range"):
        xenonnt_er_2022.build(TheoryChoices(m_n_mev=(0.1, 0.2)))


def test_fluxes_are_shared_and_counted_once(experiments):
    """The gallium rate is one constraint for all, and pulls of fluxes must mean the same."""
    built = list(experiments.values())
    assert len(constraints(built)) == 1
    refuse_different_meanings(built)
    shared = set.intersection(*(set(e.pulls) for e in built))
    assert {"solar.pp", "solar.be7", "oscillation.s12sq"} <= shared
    own = {p for e in built for p in e.pulls} - shared
    assert own == {p for e in built for p in e.pulls if p.split(".")[0] in MODULES}
    other = lz_er.build(TREE, solar_flux_constraint="ssm")
    with pytest.raises(UserInputError, match=r"'xenonnt_er_2022' and 'lz_er' share the pull 'solar.pp'.*factor 2 .*factor 1.006"):
        refuse_different_meanings([built[0], other])
    model = lz_er.build(TREE, ssm="b16_agss09met")
    with pytest.raises(UserInputError, match="b16_agss09met flux"):
        refuse_different_meanings([built[0], model])
    assert other.constraint is None


JOINT = """
experiments = ["lz_er", "xenonnt_er_2022"]
{options}
[parameters.L_dipole]
coefficients = {{ nuNgamma_11 = 1, nuNgamma_22 = 1, nuNgamma_33 = 1 }}
prior = {{ normal = [0.0, 1e-8] }}
[theory]
electron_radiative = "none"
c_T = -3.2
c_T_s = -3.6
"""


def test_a_joint_fit_has_every_shared_pull_and_the_gallium_rate_once():
    """The constraint terms of two experiments are one unit normal per pull and one gallium rate."""
    joint = nmmfit.parse_run(JOINT.format(options="")).joint("direct")
    pulls = [p.name for p in joint.parameters if p.kind == "nuisance"]
    assert [p.kind for p in joint.parameters] == ["coefficient", *["nuisance"] * len(pulls)]
    assert pulls.count("solar.pp") == 1
    assert len(pulls) == len(set(pulls)) == 8 + 3 + 1 + 3
    vector = np.array([0.0 if p.kind != "nuisance" else 0.1 + 0.05 * i for i, p in enumerate(joint.parameters)])
    values = {p.name: jnp.asarray(x) for p, x in zip(joint.parameters, vector, strict=True)}
    expected = stats.norm.logpdf(vector[1:]).sum() + float(gallium_log_density(values, "b16_gs98", flux_widths("gallium")))
    assert float(joint.constraint_vector(jnp.asarray(vector))) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(UserInputError, match=r"options: 'lz_er' and 'xenonnt_er_2022' share the pull 'solar.pp'"):
        nmmfit.parse_run(JOINT.format(options='[options.lz_er]\nsolar_flux_constraint = "ssm"')).joint("direct")


def test_a_curve_without_background_beside_the_sun_is_refused(monkeypatch):
    monkeypatch.setitem(lz_er.TONNE_YEARS, "ws2022", 100.0)
    with pytest.raises(DataError, match="no background is left in bin 0"):
        lz_er.build(TREE)
