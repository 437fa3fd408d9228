"""COHERENT Ge-Mini 2024 and 2026: published numbers, folded rates on natural germanium by scipy, quenching, overlap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize
from stopped_pion import ALPHA, GERMANIUM, M_E, largest_recoil, recoil_spectrum

from likelihoods import coherent_ge_2024, coherent_ge_2026
from nmmfit.errors import UserInputError
from nmmfit.experiment import BinnedExperiment, TheoryChoices
from nmmfit.inference.compatibility import refuse_overlaps
from nmmfit.physics.forms import Forms, TargetCouplings, quadratic_forms

UNIVERSAL = np.hstack([np.eye(3), np.zeros((3, 3))]).astype(complex)
MODULES: dict[str, Any] = {"coherent_ge_2024": coherent_ge_2024, "coherent_ge_2026": coherent_ge_2026}
SOURCES = ("prompt_nu_mu", "delayed_nu_mu_bar", "delayed_nu_e")
TREE = TheoryChoices(weak_charges="tree")
Counts = Callable[[Forms, dict[str, Any]], dict[str, jax.Array]]


def forms_of(dipole: float = 0.0, tensor_p: float = 0.0, sm: float = 1.0) -> Forms:
    couplings = replace(
        TargetCouplings.zero(), dipole=jnp.asarray(dipole * UNIVERSAL), tensor_p=jnp.asarray(tensor_p * UNIVERSAL)
    )
    return quadratic_forms(couplings, sm=sm)


@pytest.fixture(scope="module")
def experiment() -> BinnedExperiment:
    return coherent_ge_2026.build(TREE)


@pytest.fixture(scope="module")
def counts(experiment: BinnedExperiment) -> Counts:
    return jax.jit(experiment.channels[0].component_counts)


def recoil_of(ionisation_kev: float, k: float) -> float:
    """Recoil energy in MeV that ionises like an electron of so many keV: Lindhard's model, Lewin and Smith eq. (4.14)."""

    def excess(t_kev: float) -> float:
        eps = 11.5 * t_kev * 32 ** (-7 / 3)
        kg = k * (3 * eps**0.15 + 0.7 * eps**0.6 + eps)
        return float(t_kev * kg / (1 + kg) - ionisation_kev)

    return 1e-3 * float(optimize.brentq(excess, 0.1, 100.0, xtol=1e-13))


def per_source(kind: str, k: float, threshold_kev: float = 1.5, rn: float = 0.0) -> np.ndarray:
    """Cross section above threshold, cm^2 per atom of natural germanium, for each source: Simpson over recoils."""
    low = recoil_of(threshold_kev, k)
    total = np.zeros(3)
    for j, source in enumerate(SOURCES):
        for isotope, abundance in GERMANIUM.items():
            t = np.linspace(low, largest_recoil(source, isotope) * (1 - 1e-12), 2001)
            total[j] += abundance * integrate.simpson(recoil_spectrum(source, isotope, kind, t, rn), x=t)
    return total


def named(counts: dict[str, jax.Array]) -> np.ndarray:
    return np.array([float(counts[f"cevns_{source}_ge"][0]) for source in SOURCES])


def test_flux_averaged_cross_section() -> None:
    """5.9e-39 cm^2 in the Standard Model, abstract of arXiv:2603.17951; tree level, recoils above 0.2 keV: 3.5 % less."""
    assert per_source("sm", 0.157, threshold_kev=0.02).mean() == pytest.approx(5.9e-39, rel=0.04)


@pytest.fixture(scope="module")
def earlier() -> BinnedExperiment:
    return coherent_ge_2024.build(TREE)


@pytest.fixture(scope="module")
def earlier_counts(earlier: BinnedExperiment) -> Counts:
    return jax.jit(earlier.channels[0].component_counts)


def test_published_numbers(
    experiment: BinnedExperiment, earlier: BinnedExperiment, counts: Counts, earlier_counts: Counts
) -> None:
    """Observed 124 and 20.6; the Standard Model is normalised to the published predictions."""
    assert experiment.channels[0].observed == [124.0]
    assert earlier.channels[0].observed == [20.6]
    assert named(counts(forms_of(), experiment.nominal_pulls())).sum() == pytest.approx(124.0, rel=1e-12)
    assert named(earlier_counts(forms_of(), earlier.nominal_pulls())).sum() == pytest.approx(35.1, rel=1e-12)


@pytest.mark.slow
def test_standard_model_against_the_measured_numbers() -> None:
    """2024: 'within 2 sigma' of the prediction; 2026: 1.00 +- 0.10 +- 0.10."""
    for name, low, high in (("coherent_ge_2024", 1.5, 2.0), ("coherent_ge_2026", 0.0, 1e-6)):
        built = MODULES[name].build()
        channel = built.channels[0]
        expected = jax.jit(channel.component_counts)
        widths = [float(built.pulls[p].scale) for p in built.pulls]

        def deviance(x: np.ndarray, built: Any = built, channel: Any = channel, expected: Any = expected) -> float:
            parts = expected(forms_of(), dict(zip(built.pulls, map(jnp.asarray, x), strict=True)))
            at = channel.distribution(jnp.asarray(named(parts).sum()))
            best = channel.distribution(jnp.asarray(channel.observed[0]))
            observed = channel.observed[0]
            return float(2.0 * (best.log_prob(observed) - at.log_prob(observed))) + float(np.sum(x**2))

        assert widths == [1.0] * len(widths)
        found = optimize.minimize(deviance, np.zeros(len(widths)), method="Nelder-Mead")
        assert low <= np.sqrt(max(found.fun, 0.0)) < high + 1e-3


@pytest.mark.parametrize(
    ("kind", "rn"), [("sm", 0.0), ("dipole", 0.0), ("tensor", 0.0), ("sm", -2.0)]
)  # fmt: skip
def test_rates_on_the_natural_mixture_against_scipy(experiment: BinnedExperiment, counts: Counts, kind: str, rn: float) -> None:
    """Relative to the Standard Model, which has 124 events: by source, five isotopes, dipoles and tensors."""
    mu_b_per_gev = np.sqrt(4 * np.pi * ALPHA) / (2 * M_E * 1e-3)
    forms = {
        "sm": forms_of(),
        "dipole": forms_of(dipole=0.5e-9 * mu_b_per_gev, sm=0.0),
        "tensor": forms_of(tensor_p=1e-6, sm=0.0),
    }[kind]
    pulls = experiment.nominal_pulls() | {"theory.rn_ge": jnp.asarray(rn)}
    expected = 124.0 * per_source(kind, 0.157, rn=rn) / per_source("sm", 0.157).sum()
    np.testing.assert_allclose(named(counts(forms, pulls)), expected, rtol=3e-5)


@pytest.mark.slow
def test_quenching_changes_what_a_dipole_adds() -> None:
    """Less ionisation for a recoil is a higher threshold, above which a dipole has less of its events than the Standard Model."""
    ratios = []
    for k, options in ((0.157, {}), (0.1789, {"quenching": "scholz2016"}), (0.12, {"lindhard_k": 0.12})):
        built = coherent_ge_2026.build(TREE, **options)
        found = jax.jit(built.channels[0].component_counts)(forms_of(dipole=3e-7, sm=0.0), built.nominal_pulls())
        mu = 2 * 3e-7 / (np.sqrt(4 * np.pi * ALPHA) / (2 * M_E * 1e-3)) / 1e-9
        expected = 124.0 * mu**2 * per_source("dipole", k).sum() / per_source("sm", k).sum()
        assert named(found).sum() == pytest.approx(expected, rel=1e-4)
        assert f"k = {k:g}" in built.choices["quenching"]
        # the Standard Model is the published number whatever the quenching
        standard = jax.jit(built.channels[0].component_counts)(forms_of(), built.nominal_pulls())
        assert named(standard).sum() == pytest.approx(124.0, rel=1e-12)
        ratios.append(named(found).sum())
    assert ratios[2] < ratios[0] < ratios[1]


def test_shared_pulls(experiment: BinnedExperiment, earlier: BinnedExperiment, counts: Counts, earlier_counts: Counts) -> None:
    """10 % of flux, shared with the other detectors; 2026 has no other systematic error, 2024 2.3 % of its own."""
    assert set(experiment.pulls) == {"sns.flux", "theory.rn_ge"}
    nominal = named(counts(forms_of(), experiment.nominal_pulls()))
    moved = named(counts(forms_of(), experiment.nominal_pulls() | {"sns.flux": jnp.asarray(1.0)}))
    np.testing.assert_allclose(moved / nominal, 1.1, rtol=1e-12)
    assert set(earlier.pulls) - set(experiment.pulls) == {"coherent_ge_2024.prediction"}
    pulls = earlier.nominal_pulls() | {"coherent_ge_2024.prediction": jnp.asarray(1.0)}
    shifted = named(earlier_counts(forms_of(), pulls)).sum()
    assert shifted / 35.1 - 1.0 == pytest.approx(np.sqrt((3.6 / 35.1) ** 2 - 0.01), rel=1e-9)


@pytest.mark.slow
def test_a_shared_flux_does_not_average_out(experiment: BinnedExperiment, earlier: BinnedExperiment) -> None:
    """Strength of the signal from two detectors: error^2 = 1 / (1/r1^2 + 1/r2^2) + d^2 with one flux (relative errors r and d, d
    of the flux), and 1 / (1/(r1^2 + d^2) + 1/(r2^2 + d^2)) if each had its own. Both years stand for two detectors here."""
    pair = [experiment, earlier]
    relative, d = np.array([0.1, 0.3]), np.log(1.1)
    nominal = {**pair[0].nominal_pulls(), **pair[1].nominal_pulls()}
    counted = [float(jnp.sum(e.channels[0].expected(forms_of(), nominal))) for e in pair]

    def error(shared: bool) -> float:
        def nll(x: jax.Array) -> jax.Array:
            total = 0.5 * jnp.sum(x[1:] ** 2)
            for k, e in enumerate(pair):
                pulls = nominal | {"sns.flux": x[1] if shared else x[1 + k]}
                expected = jnp.sum(e.channels[0].expected(forms_of() | {"sm": x[0]}, pulls))
                total = total + 0.5 * ((expected / counted[k] - 1.0) / relative[k]) ** 2
            return total

        information = np.asarray(jax.jit(jax.hessian(nll))(jnp.array([1.0, 0.0, 0.0])))
        return float(np.sqrt(np.linalg.inv(information)[0, 0]))

    assert error(shared=True) == pytest.approx(np.sqrt(1.0 / np.sum(relative**-2.0) + d**2), rel=1e-9)
    assert error(shared=False) == pytest.approx(np.sum(1.0 / (relative**2 + d**2)) ** -0.5, rel=1e-9)


def test_both_years_are_not_combined(experiment: BinnedExperiment, earlier: BinnedExperiment) -> None:
    with pytest.raises(UserInputError, match="share data"):
        refuse_overlaps([experiment, earlier])


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(
    ("options", "said"), [({"quenching": "lindhart"}, "lindhard"), ({"threshold_kee": 0.0}, "threshold_kee"), ({"k": 0.1}, "k")]
)
def test_wrong_options_are_refused_in_one_line(name: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(UserInputError, match=said) as caught:
        MODULES[name].build(**options)
    assert "\n" not in str(caught.value)
