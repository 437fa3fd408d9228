"""Signal of COHERENT CsI[Na] 2021: coherent scattering for each source and nucleus."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from numpyro import distributions as dist

from nmmfit.constants import ATOMIC_MASS_UNIT_MEV, M_ELECTRON_MEV
from nmmfit.experiment import Component, Factor, Pulls, TheoryChoices, Weighting
from nmmfit.physics.folded import fold_cevns
from nmmfit.physics.form_factors import form_factor
from nmmfit.physics.forms import NUCLEAR_FORMS, NUCLEAR_VECTOR_FORMS, Forms
from nmmfit.physics.kinematics import max_recoil_energy, min_neutrino_energy, momentum_transfer
from nmmfit.physics.nuclei import Nucleus, nucleus
from nmmfit.physics.sns import SNS_FLUX_PULL, flux_per_pot_cm2, sns_flux_scale, sns_pull_priors, sns_sources
from nmmfit.physics.sources import NeutrinoSource, flavour_projector
from nmmfit.shapes import Array
from nmmfit.units import AVOGADRO_PER_MOL

from .options import Options
from .response import EFFICIENCY, QF0, QF1, Response, recoil_nodes
from .timing import TIMING, signal_times

# arXiv:2110.07730, as quoted with its ancillary files. 3.198e23 protons are 13.99 GWh.
MASS_KG = 14.6
PROTONS_ON_TARGET = 3.198e23
NEUTRINOS_PER_PROTON = 0.0848
DISTANCE_M = 19.3

NUCLIDES = ("Cs133", "I127")
# The moments that this experiment constrains: of nu_mu and nu_mu-bar (both change nothing but the transpose), and of nu_e.
EFFECTIVE_MOMENTS = {"sns_mu": (flavour_projector("mu"), False), "sns_e": (flavour_projector("e"), False)}

# Exact for muon decay times a kernel of this degree; the kernels are polynomials in 1 / E times the spectrum.
_ENERGY_ORDER = 16


def fluence_per_cm2() -> float:
    """Neutrinos of each flavour per cm^2 during the whole exposure."""
    return PROTONS_ON_TARGET * flux_per_pot_cm2(DISTANCE_M, NEUTRINOS_PER_PROTON)


def nuclei_of_each_kind() -> float:
    """Number of Cs, and of I, nuclei in the detector."""
    nuclides = [nucleus(name) for name in NUCLIDES]
    molar_mass = sum((n.mass_mev + n.z * M_ELECTRON_MEV.value) / ATOMIC_MASS_UNIT_MEV.value for n in nuclides)
    return MASS_KG * 1e3 / molar_mass * AVOGADRO_PER_MOL


def radius_pull(nuclide: str) -> str:
    """Name of the pull on a nuclide's neutron radius, shared by all experiments with that nuclide."""
    return f"theory.rn_{nuclide.lower()}"


@partial(jax.jit, static_argnames="profile")
def _recoils(
    e_max_mev: float, mass_mev: float, r_p_fm: float, profile: Callable[[Any, Any], Array]
) -> tuple[Array, Array, Array, Array, Array]:
    """Recoil energies, their weights, thresholds, momentum transfers and form factors of protons, each (recoil,).

    Compiled as one, for all sources and nuclei.
    """
    t_mev, weight = recoil_nodes(max_recoil_energy(e_max_mev, mass_mev))
    q_mev = momentum_transfer(t_mev, mass_mev)
    return t_mev, weight, min_neutrino_energy(t_mev, mass_mev), q_mev, profile(q_mev, r_p_fm)


def signal_energy_factor(
    source: NeutrinoSource, target: Nucleus, response: Response, efficiency: Weighting, theory: TheoryChoices, rn_width: float
) -> Factor:
    """Counts per energy bin of one source on one nucleus, before time efficiency and at nominal flux.

    Args:
        source: spectrum normalised to 1, flavour density matrix.
        target: Cs133 or I127.
        response: detector response.
        efficiency: its weighting, one for all sources and nuclei.
        theory: weak charges, tensor coherence, form factor.
        rn_width: relative standard deviation of the neutron radius.
    """
    profile = form_factor(theory.form_factor)
    numbers = _recoils(source.e_max_mev, target.mass_mev, target.r_p_fm, profile)
    t_mev, weight, threshold, q_mev, f_p = (np.asarray(n) for n in numbers)
    nodes = source.nodes(threshold, order=_ENERGY_ORDER)
    kernels = fold_cevns(nodes, t_mev, target, theory.weak_charges, theory.tensor_coherence)
    exposure = weight * fluence_per_cm2() * nuclei_of_each_kind()
    radius = radius_pull(target.name)

    def function(forms: Forms, pulls: Pulls) -> Array:
        f_n = profile(q_mev, target.r_n_fm * (1.0 + rn_width * pulls[radius]))
        recoils = kernels.spectrum(forms, f_p, f_n) * exposure
        return response.smeared(recoils, t_mev, pulls)

    return Factor(function, shape_pulls=(QF0, QF1, radius), forms=NUCLEAR_FORMS + NUCLEAR_VECTOR_FORMS, weighting=efficiency)


def signal(
    response: Response, time_edges_us: np.ndarray, theory: TheoryChoices, options: Options
) -> tuple[list[Component], dict[str, dist.Distribution]]:
    """One component for each source and nucleus, `cevns_<source>_<nuclide>`, with their pulls."""
    components = []
    efficiency = response.weighting()
    for name, source in sns_sources().items():
        arrival = signal_times(name, time_edges_us, options.timing_centre_ns, options.timing_width_ns)
        for nuclide in NUCLIDES:
            energy = signal_energy_factor(source, nucleus(nuclide), response, efficiency, theory, options.rn_width)
            components.append(Component(f"cevns_{name}_{nuclide.lower()}", (energy, arrival), sns_flux_scale, (SNS_FLUX_PULL,)))
    own = (QF0, QF1, EFFICIENCY, TIMING, *(radius_pull(n) for n in NUCLIDES))
    return components, {**sns_pull_priors(), **{pull: dist.Normal(0.0, 1.0) for pull in own}}
