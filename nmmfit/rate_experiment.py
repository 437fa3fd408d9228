"""Experiments known by one number of coherent scatters above a threshold: stopped-pion neutrinos on germanium.

    N = N_SM(published) R / R_SM,   R = sum_sources sum_isotopes f_i int_{T_0} dT dR_i/dT,   E_ion(T_0) = threshold

Neither exposure nor efficiency enters: the Standard Model gives the published prediction, whatever the choices. What depends on
threshold and quenching is how much other recoil shapes add to it.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist
from pydantic import Field

from nmmfit.cevns_signal import natural_element, signal_factors
from nmmfit.components import unit_pulls
from nmmfit.experiment import BinnedExperiment, Channel, Component, Published, Pulls, TheoryChoices, mass_choice
from nmmfit.physics.forms import TargetCouplings, quadratic_forms, split_forms
from nmmfit.physics.quenching import LINDHARD_SOURCES, Quenching, germanium_quenching, recoil_energy_mev
from nmmfit.physics.sns import SNS_EFFECTIVE_MOMENTS, SNS_FLUX_PULL, sns_flux_scale, sns_pull_priors, sns_sources
from nmmfit.shapes import Array
from nmmfit.split_normal import SplitNormal
from nmmfit.units import KEV_PER_MEV
from nmmfit.validation import StrictModel


@dataclass(frozen=True)
class PublishedRate:
    """A measured number with its errors, the Standard Model's prediction, and the prediction's relative error beside the flux."""

    observed: float
    error_up: float
    error_down: float
    predicted: float
    other_uncertainty: float = 0.0
    """0: no pull."""


class GermaniumRateOptions(StrictModel):
    """Options of a number of scatters on germanium; unknown keys are errors."""

    quenching: Literal["bonhomme2022", "lindhard", "scholz2016"] = Field(
        default="lindhard",
        description="strength k of Lindhard's model for germanium: 0.162 (arXiv:2202.03754), Lindhard's own 0.157, or 0.179",
    )
    lindhard_k: float | None = Field(default=None, gt=0.05, le=0.4, description="any other strength k, in place of `quenching`")
    threshold_kee: float = Field(default=1.5, ge=0.2, le=3.0, description="ionisation energy from which recoils count, keVee")
    rn_width: float = Field(default=0.02, gt=0.0, le=0.1, description="relative prior width of the neutron radii of germanium")


@dataclass(frozen=True)
class CountedRecoils:
    """Response that counts recoils above a sharp threshold; it is the lower end of the quadrature's range."""

    lowest_recoil_mev: float
    pulls: tuple[str, ...] = ()

    def smeared(self, recoils: Array, t_mev: np.ndarray, pulls: Pulls) -> Array:
        """Their number, (1,)."""
        return jnp.sum(recoils, keepdims=True)


def germanium_rate_experiment(
    name: str,
    title: str,
    rate: PublishedRate,
    theory: TheoryChoices,
    options: GermaniumRateOptions,
    *,
    references: tuple[str, ...],
    overlaps: tuple[str, ...],
    status: str,
    choices: Mapping[str, str],
    published: tuple[Published, ...],
) -> BinnedExperiment:
    """One number with asymmetric errors, `SplitNormal` around what is expected.

    Args:
        name, title, references, overlaps, status, choices, published: of the experiment.
        rate: the published numbers.
        theory: tensor coherence, weak charges, form factor, nuclear spin and mass of N.
        options: quenching, threshold, width of the radii.
    Returns: channel "recoils" with one component for each source; pulls `sns.flux`, `theory.rn_ge` and, if the prediction has an
        error beside these, `<name>.prediction`.
    Raises: UserInputError for an unknown choice.
    """
    quenching: Quenching = germanium_quenching(options.quenching, options.lindhard_k)
    material = natural_element(1.0, "Ge")
    threshold = float(recoil_energy_mev(quenching, options.threshold_kee / KEV_PER_MEV))
    response = CountedRecoils(threshold)
    factors, largest = signal_factors(
        sns_sources(), (material,), 1.0, response, theory, rn_width=options.rn_width, threshold_mev=threshold
    )
    nothing = TargetCouplings.zero()
    forms = quadratic_forms(nothing) if largest is None else split_forms(nothing)
    nominal = {material.radius_pull: jnp.asarray(0.0)}
    standard = float(jax.jit(lambda: functools.reduce(operator.add, (f.values(forms, nominal)[0] for f in factors.values())))())
    log_norm = math.log(rate.predicted / standard)
    prediction = f"{name}.prediction"
    has_other = rate.other_uncertainty > 0.0
    log_other = math.log1p(rate.other_uncertainty)

    def scale(pulls: Pulls) -> Array:
        other = log_other * pulls[prediction] if has_other else 0.0
        return sns_flux_scale(pulls) * jnp.exp(log_norm + other)

    def distribution(expected: Array) -> Any:
        return SplitNormal(expected, rate.error_up, rate.error_down)

    scale_pulls = (SNS_FLUX_PULL, prediction) if has_other else (SNS_FLUX_PULL,)
    components = tuple(Component(f"cevns_{key}", (factor,), scale, scale_pulls) for key, factor in factors.items())
    priors: dict[str, dist.Distribution] = {**sns_pull_priors(), **unit_pulls(material.radius_pull)}
    edges = {
        "ionisation_kee": np.array([options.threshold_kee, _largest_ionisation(quenching, material.nuclides[0][0].mass_mev)])
    }
    return BinnedExperiment(
        name=name,
        title=title,
        channels=(
            Channel("recoils", np.array([rate.observed]), components, edges, distribution=distribution, statistic="normal"),
        ),
        pulls={**priors, **(unit_pulls(prediction) if has_other else {})},
        references=references,
        formulae=LINDHARD_SOURCES,
        overlaps=overlaps,
        status=status,
        choices={
            "tensor_coherence": theory.tensor_coherence,
            "weak_charges": theory.weak_charges,
            "form_factor": theory.form_factor,
            "quenching": quenching.describe(),
            "threshold": f"{options.threshold_kee:g} keVee, recoils of {KEV_PER_MEV * threshold:.3g} keV, sharp",
            "normalisation": f"{rate.predicted:g} events in the Standard Model, as published",
            **choices,
            **({} if theory.nuclear_spin == "half" else {"nuclear_spin": theory.nuclear_spin}),
            **mass_choice(theory, largest),
        },
        effective_moments=SNS_EFFECTIVE_MOMENTS,
        largest_m_n_mev=largest,
        published=published,
    )


def _largest_ionisation(quenching: Quenching, mass_mev: float) -> float:
    """Ionisation energy of the largest recoil, keVee."""
    e_max = max(source.e_max_mev for source in sns_sources().values())
    t_max = 2.0 * e_max**2 / (mass_mev + 2.0 * e_max)
    return float(quenching(t_max)) * KEV_PER_MEV
