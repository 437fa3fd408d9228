"""CONUS+ as a number of recoils: against a double integral by hand, the published prediction, and closed forms of its chi2."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from likelihoods import conus_plus
from likelihoods.conus_plus.model import counted
from likelihoods.conus_plus.options import Options
from nmmfit.errors import UserInputError
from nmmfit.experiment import BinnedExperiment, TheoryChoices
from nmmfit.physics.forms import TargetCouplings, quadratic_forms
from nmmfit.physics.nuclei import natural_mixture
from nmmfit.physics.quenching import germanium_quenching
from nmmfit.physics.reactor import reactor_flux_cm2_s, reactor_source

G_F, MU_B = 1.1663787e-5, 0.30282212 / (2 * 0.51099895e-3)
CM2_PER_GEV2, MEV = 3.893793721e-28, 1e-3


@pytest.fixture(scope="module")
def experiment() -> BinnedExperiment:
    return conus_plus.build()


@pytest.fixture(scope="module")
def absolute() -> BinnedExperiment:
    return conus_plus.build(normalisation="absolute")


def couplings(**values: complex) -> TargetCouplings:
    """Couplings of nu_e to N_1."""
    matrices = {name: jnp.zeros((3, 6), dtype=complex).at[0, 0].set(value) for name, value in values.items()}
    return dataclasses.replace(TargetCouplings.zero(), **matrices)


def expected(experiment: BinnedExperiment, point: TargetCouplings, pull: float = 0.0) -> float:
    counts = experiment.expected(quadratic_forms(point), {"conus_plus.prediction": jnp.asarray(pull)})
    return float(counts["recoils"][0])


def helm(q_mev: np.ndarray, radius_fm: float) -> np.ndarray:
    x = q_mev / 197.3269804 * math.sqrt(5.0 / 3.0 * (radius_fm**2 - 3 * 0.9**2))
    return 3.0 * (np.sin(x) - x * np.cos(x)) / x**3 * np.exp(-0.5 * (q_mev / 197.3269804 * 0.9) ** 2)


def recoils_by_hand(threshold_ev: float, k: float) -> dict[str, float]:
    """Events of 327 kg day: Standard Model, a moment of 1e-10 mu_B, t_p = t_n = 1e-6 GeV^-2; energies outside, recoils inside."""

    def quenched(t_kev: float) -> float:
        eps = 11.5 * t_kev / 32 ** (7 / 3)
        g = 3 * eps**0.15 + 0.7 * eps**0.6 + eps
        return t_kev * k * g / (1 + k * g)

    t_min = brentq(lambda t: quenched(t) - 1e-3 * threshold_ev, 1e-3, 10.0) * 1e-3  # MeV
    energy = np.arange(3.0 + 0.00125, 12.5, 0.0025)
    density = reactor_source().spectrum(energy) * 0.0025  # type: ignore[misc]
    x, w = np.polynomial.legendre.leggauss(48)
    mixture = natural_mixture("Ge")
    nuclei = 327e3 / 72.6276 * 6.02214076e23
    total = {"sm": 0.0, "dipole": 0.0, "tensor": 0.0}
    for nucleus, fraction in mixture:
        m, z, n = nucleus.mass_mev, nucleus.z, nucleus.n
        t_max = 2 * energy**2 / (m + 2 * energy)
        open_ = t_max > t_min
        e = energy[open_, None]
        t = t_min + (t_max[open_, None] - t_min) * (x + 1) / 2
        weight = density[open_, None] * w / 2 * (t_max[open_, None] - t_min)
        q = np.sqrt(2 * m * t)
        f_p, f_n = helm(q, nucleus.r_p_fm), helm(q, nucleus.r_n_fm)
        weak = 0.0382 * z * f_p - 0.5117 * n * f_n
        per_gev3 = {
            "sm": G_F**2 * m * MEV / math.pi * weak**2 * (1 - t / e - m * t / (2 * e**2) + t**2 / (2 * e**2)),
            "dipole": (1e-10 / 137.035999 / 0.51099895e-3) ** 2 * math.pi * (z * f_p) ** 2 / MEV * (1 / t - 1 / e),
            "tensor": 4 * m * MEV / math.pi * (1e-6 * (z * f_p + n * f_n)) ** 2 * ((1 - t / (2 * e)) ** 2 - m * t / (4 * e**2)),
        }
        for name, kernel in per_gev3.items():
            total[name] += fraction * float(np.sum(weight * kernel)) * MEV * CM2_PER_GEV2
    scale = nuclei * 86400.0 * reactor_flux_cm2_s(3.6, 20.7)
    return {name: scale * value for name, value in total.items()}


def test_events_are_those_of_a_double_integral(absolute: BinnedExperiment) -> None:
    """2e-4: the midpoint rule over energies, against nodes that follow the threshold of every recoil."""
    by_hand = recoils_by_hand(170.0, 0.162)
    standard = expected(absolute, couplings())
    assert standard == pytest.approx(by_hand["sm"], rel=2e-4)
    moment = expected(absolute, couplings(dipole=0.5e-10 * MU_B)) - standard
    assert moment == pytest.approx(by_hand["dipole"], rel=3e-4)
    tensor = expected(absolute, couplings(tensor_p=1e-6, tensor_n=1e-6)) - standard
    assert tensor == pytest.approx(by_hand["tensor"], rel=2e-4)


def test_prediction_of_the_collaboration(experiment: BinnedExperiment) -> None:
    """347 +- 59 events: by construction by default, and within its error by this model's own flux at thresholds of 160 to 180 eV
    with a resolution of some tens of eV."""
    assert expected(experiment, couplings()) == pytest.approx(347.0, rel=1e-12)
    assert expected(experiment, couplings(), 1.0) == pytest.approx(347.0 + 59.0, rel=1e-12)
    own = conus_plus.build(normalisation="absolute", fwhm_ev=48.0)
    assert expected(own, couplings()) == pytest.approx(347.0, abs=59.0)


def test_chi2_is_that_of_one_gaussian(experiment: BinnedExperiment) -> None:
    (channel,) = experiment.channels
    for point in (couplings(), couplings(dipole=3e-7), couplings(tensor_n=2e-6j)):
        counts = expected(experiment, point)
        log_prob = float(channel.distribution(jnp.asarray([counts])).log_prob(jnp.asarray(channel.observed)).sum())
        assert log_prob == pytest.approx(norm.logpdf(395.0, loc=counts, scale=106.0), rel=1e-12)


def test_only_electron_antineutrinos_count(experiment: BinnedExperiment) -> None:
    standard = expected(experiment, couplings())
    for flavour in (1, 2):
        matrix = jnp.zeros((3, 6), dtype=complex).at[flavour, :].set(1e-5)
        point = dataclasses.replace(TargetCouplings.zero(), dipole=matrix, tensor_p=matrix, scalar_n=matrix)
        assert expected(experiment, point) == pytest.approx(standard, rel=1e-14)


def test_antineutrinos_flip_the_interference_of_dipole_and_scalar(absolute: BinnedExperiment) -> None:
    """physics of spin-1/2 targets: - e Q Re(d s*) for neutrinos, + for antineutrinos."""
    standard = expected(absolute, couplings())
    alone = [expected(absolute, couplings(**{name: 1e-6})) - standard for name in ("dipole", "scalar_p")]
    both = expected(absolute, couplings(dipole=1e-6, scalar_p=1e-6)) - standard
    opposite = expected(absolute, couplings(dipole=1e-6, scalar_p=-1e-6)) - standard
    assert both > sum(alone) > opposite
    assert both + opposite == pytest.approx(2.0 * sum(alone), rel=1e-9)


def test_the_ratio_to_the_standard_model_hardly_depends_on_the_threshold() -> None:
    """Which is what the published normalisation relies on: moments move by 0.8 %, tensors by 8 %, while the rates double."""
    ratios, rates = [], []
    for options in ({"threshold_ev": 160.0}, {"threshold_ev": 180.0}, {"quenching": "scholz2016"}, {"fwhm_ev": 48.0}):
        built = conus_plus.build(**options, normalisation="absolute")
        standard = expected(built, couplings())
        moved = [expected(built, couplings(**{name: 1e-6})) - standard for name in ("dipole", "tensor_p")]
        ratios.append([m / standard for m in moved])
        rates.append(standard)
    spread = np.ptp(np.array(ratios), axis=0) / np.mean(ratios, axis=0)
    assert spread[0] < 0.008
    assert spread[1] < 0.09
    assert max(rates) > 1.5 * min(rates)


@pytest.mark.parametrize("fwhm_ev", [0.0, 60.0])
def test_what_counts_is_above_threshold(fwhm_ev: float) -> None:
    """Integral of exp(-T / 0.4 keV) over recoils, with the probability to be seen, against a fine sum."""
    quenching = germanium_quenching()
    t, weight = counted(quenching, 4.5e-3, Options(fwhm_ev=fwhm_ev))
    fine = np.linspace(1e-5, 4.5e-3, 400001)
    seen = np.asarray(quenching(fine)) * 1e6
    probability = norm.cdf((seen - 170.0) / (fwhm_ev / 2.35482)) if fwhm_ev else (seen > 170.0).astype(float)
    exact = np.trapezoid(np.exp(-fine / 4e-4) * probability, fine)
    assert np.sum(weight * np.exp(-t / 4e-4)) == pytest.approx(exact, rel=3e-5)


def test_gradient_is_that_of_a_quadratic(experiment: BinnedExperiment) -> None:
    point = couplings(dipole=2e-7, tensor_p=1e-6, scalar_n=1e-6)

    def events(scale: jax.Array) -> jax.Array:
        moved = jax.tree.map(lambda x: scale * x, point)
        return experiment.expected(quadratic_forms(moved), {"conus_plus.prediction": jnp.asarray(0.3)})["recoils"][0]

    nothing, once = float(events(jnp.asarray(0.0))), float(events(jnp.asarray(1.0)))
    assert float(jax.grad(events)(0.0)) == pytest.approx(0.0, abs=1e-9)
    assert float(jax.grad(events)(1.0)) == pytest.approx(2.0 * (once - nothing), rel=1e-9)


def test_options_and_theory_are_checked() -> None:
    with pytest.raises(UserInputError, match=r"conus_plus: unknown key 'quench'"):
        conus_plus.build(quench="lindhard")
    with pytest.raises(UserInputError, match="threshold_ev"):
        conus_plus.build(threshold_ev=50.0)
    described = conus_plus.build(TheoryChoices(weak_charges="tree"), lindhard_k=0.2).choices
    assert described["quenching"].startswith("Lindhard, k = 0.2")
    assert described["weak_charges"] == "tree"
