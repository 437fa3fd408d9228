"""Signal of COHERENT CsI[Na] 2021: coherent scattering for each source and nucleus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist

from nmmfit.constants import ATOMIC_MASS_UNIT_MEV, M_ELECTRON_MEV
from nmmfit.experiment import Component, Factor, Pulls, TheoryChoices, Weighting
from nmmfit.physics.folded import FoldedKernels, fold_cevns
from nmmfit.physics.form_factors import form_factor
from nmmfit.physics.forms import HEAVY, MASSIVE_NUCLEAR_FORMS, Forms
from nmmfit.physics.kinematics import max_recoil_energy, min_neutrino_energy, momentum_transfer
from nmmfit.physics.nuclei import Nucleus, nucleus, target_spin
from nmmfit.physics.sns import SNS_FLUX_PULL, flux_per_pot_cm2, sns_flux_scale, sns_pull_priors, sns_sources
from nmmfit.physics.sources import flavour_projector
from nmmfit.shapes import Array
from nmmfit.units import AVOGADRO_PER_MOL

from .massive import HEAVY_RECOIL_ORDER, HeavyFold, heavy_folded, heavy_kernels
from .options import Options
from .response import EFFICIENCY, QF0, QF1, RECOIL_ORDER, Response, recoil_nodes
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


@partial(jax.jit, static_argnames=("profile", "order"))
def _recoils(
    e_max_mev: float, mass_mev: float, r_p_fm: float, profile: Callable[[Any, Any], Array], order: int = RECOIL_ORDER
) -> tuple[Array, Array, Array, Array, Array]:
    """Recoil energies, their weights, thresholds, momentum transfers and form factors of protons, each (recoil,).

    Compiled as one, for all sources and nuclei.
    """
    t_mev, weight = recoil_nodes(max_recoil_energy(e_max_mev, mass_mev), order)
    q_mev = momentum_transfer(t_mev, mass_mev)
    return t_mev, weight, min_neutrino_energy(t_mev, mass_mev), q_mev, profile(q_mev, r_p_fm)


@dataclass(frozen=True)
class _Signal:
    """One source on one nucleus: recoil nodes with their weights, form factors and kernels."""

    target: Nucleus
    t_mev: np.ndarray
    weight: np.ndarray
    q_mev: np.ndarray
    f_p: np.ndarray
    kernels: FoldedKernels


def signal_energy_factors(
    response: Response, efficiency: Weighting, theory: TheoryChoices, rn_width: float
) -> tuple[dict[str, Factor], float | None]:
    """Counts per energy bin of each source on each nucleus, before time efficiency and at nominal flux.

    Args:
        response: detector response.
        efficiency: its weighting, one for all sources and nuclei.
        theory: weak charges, tensor coherence, spin, form factor, mass of N.
        rn_width: relative standard deviation of the neutron radius.
    Returns: `<source>_<nuclide>` -> factor, and the mass above which no N is made (None: massless N).
    """
    profile = form_factor(theory.form_factor)
    massive = theory.m_n_mev != 0.0
    order = HEAVY_RECOIL_ORDER if massive else RECOIL_ORDER
    signals: dict[str, _Signal] = {}
    folds: dict[str, HeavyFold] = {}
    for (name, source), nuclide in product(sns_sources().items(), NUCLIDES):
        target = nucleus(nuclide)
        spin = target_spin(target, theory.nuclear_spin)
        numbers = _recoils(source.e_max_mev, target.mass_mev, target.r_p_fm, profile, order)
        t_mev, weight, threshold, q_mev, f_p = (np.asarray(n) for n in numbers)
        nodes = source.nodes(threshold, order=_ENERGY_ORDER)
        kernels = fold_cevns(nodes, t_mev, target, theory.weak_charges, theory.tensor_coherence, spin)
        key = f"{name}_{nuclide.lower()}"
        signals[key] = _Signal(target, t_mev, weight, q_mev, f_p, kernels.of_light() if massive else kernels)
        if massive:
            t_max = float(max_recoil_energy(source.e_max_mev, target.mass_mev))
            folds[key] = HeavyFold(source, target, t_mev, t_max, theory.tensor_coherence, spin)
    heavy: dict[str, Callable[[Array], Array]] = {}
    if folds:
        nominal = {pull: jnp.asarray(0.0) for pull in (QF0, QF1)}

        def seen(key: str, values: np.ndarray) -> np.ndarray:
            flat = (values * signals[key].f_p ** 2).reshape(-1, values.shape[-1])
            smeared = jax.jit(lambda v: response.smeared(v, signals[key].t_mev, nominal))(flat.T)
            return np.asarray(smeared).T.reshape(*values.shape[:-1], -1)

        heavy = heavy_kernels(folds, theory.m_n_mev, seen)
    factors = {key: _energy_factor(one, heavy.get(key), response, efficiency, profile, rn_width) for key, one in signals.items()}
    return factors, max((fold.threshold_mass_mev for fold in folds.values()), default=None)


def _energy_factor(
    signal: _Signal,
    heavy: Callable[[Array], Array] | None,
    response: Response,
    efficiency: Weighting,
    profile: Callable[[Any, Any], Array],
    rn_width: float,
) -> Factor:
    radius, target = radius_pull(signal.target.name), signal.target
    exposure = signal.weight * fluence_per_cm2() * nuclei_of_each_kind()

    def function(forms: Forms, pulls: Pulls) -> Array:
        f_n = profile(signal.q_mev, target.r_n_fm * (1.0 + rn_width * pulls[radius]))
        recoils = signal.kernels.spectrum(forms, signal.f_p, f_n) * exposure
        if heavy is not None:
            of_n = heavy_folded(heavy(forms.get("m_n_mev", jnp.asarray(0.0))))
            recoils = recoils + of_n.spectrum(forms, signal.f_p, f_n) * (fluence_per_cm2() * nuclei_of_each_kind())
        return response.smeared(recoils, signal.t_mev, pulls)

    names = tuple(signal.kernels.forms)
    if heavy is not None:
        names += tuple(HEAVY + name for name in MASSIVE_NUCLEAR_FORMS)
    return Factor(function, shape_pulls=(QF0, QF1, radius), forms=names, weighting=efficiency)


def signal(
    response: Response, time_edges_us: np.ndarray, theory: TheoryChoices, options: Options
) -> tuple[list[Component], dict[str, dist.Distribution], float | None]:
    """One component for each source and nucleus, `cevns_<source>_<nuclide>`, with their pulls; the largest mass of N."""
    components = []
    energies, largest = signal_energy_factors(response, response.weighting(), theory, options.rn_width)
    for name in sns_sources():
        arrival = signal_times(name, time_edges_us, options.timing_centre_ns, options.timing_width_ns)
        for nuclide in NUCLIDES:
            key = f"{name}_{nuclide.lower()}"
            components.append(Component(f"cevns_{key}", (energies[key], arrival), sns_flux_scale, (SNS_FLUX_PULL,)))
    own = (QF0, QF1, EFFICIENCY, TIMING, *(radius_pull(n) for n in NUCLIDES))
    return components, {**sns_pull_priors(), **{pull: dist.Normal(0.0, 1.0) for pull in own}}, largest
