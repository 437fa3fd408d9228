"""Signal of coherent scattering in a detector: sources on nuclides, folded once, seen through the detector's response.

A factor of counts (or of whatever the response makes of recoils) for each source and each material. The neutron radius floats,
the same relative shift for all nuclides of a material, and with it what the response's own pulls move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.constants import ATOMIC_MASS_UNIT_MEV, M_ELECTRON_MEV
from nmmfit.experiment import Component, Factor, Pulls, TheoryChoices, Weighting
from nmmfit.physics.folded import FoldedKernels, fold_cevns
from nmmfit.physics.form_factors import form_factor
from nmmfit.physics.forms import HEAVY, MASSIVE_NUCLEAR_FORMS, Forms
from nmmfit.physics.kinematics import max_recoil_energy, min_neutrino_energy, momentum_transfer
from nmmfit.physics.massive_cevns import HEAVY_RECOIL_ORDER, HeavyFold, heavy_folded, heavy_kernels
from nmmfit.physics.nuclei import NEUTRON_RADIUS_RELATIVE_UNCERTAINTY, Nucleus, natural_mixture, nucleus, target_spin
from nmmfit.physics.sns import SNS_FLUX_PULL, sns_flux_scale
from nmmfit.physics.sources import NeutrinoSource
from nmmfit.shapes import Array, ArrayLike
from nmmfit.units import AVOGADRO_PER_MOL

RECOIL_ORDER = 40
# Exact for muon decay times a kernel of this degree; the kernels are polynomials in 1 / E times the spectrum.
_ENERGY_ORDER = 16


class RecoilResponse(Protocol):
    """What a detector makes of nuclear recoils, before anything that is a weight in what it measures."""

    @property
    def pulls(self) -> tuple[str, ...]:
        """Pulls that `smeared` depends on."""

    @property
    def lowest_recoil_mev(self) -> float:
        """Recoils below are not seen, however many there are, MeV."""

    def smeared(self, recoils: Array, t_mev: np.ndarray, pulls: Pulls) -> Array:
        """What comes of recoils at nodes: spectrum times quadrature weight (recoil,), of energies (recoil,) -> (fine,)."""


@dataclass(frozen=True)
class Material:
    """What neutrinos scatter on: nuclides with their numbers, whose neutron radii the pull `theory.rn_<name>` moves together."""

    name: str
    nuclides: tuple[tuple[Nucleus, float], ...]

    @property
    def radius_pull(self) -> str:
        """Name of the pull on the neutron radii, shared by all experiments with that material."""
        return f"theory.rn_{self.name}"


def molar_mass_g(target: Nucleus) -> float:
    """Molar mass of the atom, g/mol."""
    return (target.mass_mev + target.z * M_ELECTRON_MEV.value) / ATOMIC_MASS_UNIT_MEV.value


def compound(mass_kg: float, *names: str) -> tuple[Material, ...]:
    """A detector of equally many nuclei of each of some nuclides, CsI for example: one material for each."""
    nuclides = [nucleus(name) for name in names]
    number = mass_kg * 1e3 / sum(molar_mass_g(n) for n in nuclides) * AVOGADRO_PER_MOL
    return tuple(Material(n.name.lower(), ((n, number),)) for n in nuclides)


def natural_element(mass_kg: float, element: str) -> Material:
    """A detector of a natural element, such as "Ge": its isotopes by abundance, one radius pull for all."""
    mixture = natural_mixture(element)
    number = mass_kg * 1e3 / sum(fraction * molar_mass_g(n) for n, fraction in mixture) * AVOGADRO_PER_MOL
    return Material(element.lower(), tuple((n, fraction * number) for n, fraction in mixture))


def recoil_nodes(t_max_mev: ArrayLike, order: int = RECOIL_ORDER, t_min_mev: ArrayLike = 0.0) -> tuple[Array, Array]:
    """Quadrature over recoil energy, (T in MeV, weight in MeV), each (recoil,): Gauss-Legendre in the square root of T.

    It makes a dipole's dT / T regular at small recoils. Nothing is left (weights of 0) of a range above T_max.
    """
    u, w = np.polynomial.legendre.leggauss(order)
    u, w = 0.5 * (u + 1.0), 0.5 * w
    low, high = jnp.sqrt(jnp.minimum(t_min_mev, t_max_mev)), jnp.sqrt(t_max_mev)
    root = low + (high - low) * u
    return root**2, 2.0 * root * (high - low) * w


@partial(jax.jit, static_argnames=("profile", "order"))
def _recoils(
    e_max_mev: float, mass_mev: float, r_p_fm: float, t_min_mev: float, profile: Callable[[Any, Any], Array], order: int
) -> tuple[Array, Array, Array, Array, Array]:
    """Recoil energies, their weights, thresholds, momentum transfers and form factors of protons, each (recoil,).

    Compiled as one, for all sources and nuclei.
    """
    t_mev, weight = recoil_nodes(max_recoil_energy(e_max_mev, mass_mev), order, t_min_mev)
    q_mev = momentum_transfer(t_mev, mass_mev)
    return t_mev, weight, min_neutrino_energy(t_mev, mass_mev), q_mev, profile(q_mev, r_p_fm)


@dataclass(frozen=True)
class _Recoils:
    """One source on the nuclides of a material, one after the other: all arrays (recoil,)."""

    t_mev: np.ndarray
    weight: np.ndarray
    """Quadrature weight times `exposure`."""
    exposure: np.ndarray
    """Fluence in cm^-2 times nuclei."""
    q_mev: np.ndarray
    f_p: np.ndarray
    r_n_fm: np.ndarray
    kernels: FoldedKernels

    @staticmethod
    def joined(parts: list[_Recoils]) -> _Recoils:
        """Several nuclides as one."""
        if len(parts) == 1:
            return parts[0]
        arrays = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(_Recoils) if f.name != "kernels"}
        kernels = FoldedKernels(
            {key: _together([p.kernels.sm[key] for p in parts]) for key in parts[0].kernels.sm},
            {key: _together([p.kernels.forms[key] for p in parts]) for key in parts[0].kernels.forms},
        )
        return _Recoils(**arrays, kernels=kernels)


def _together(parts: list[Array]) -> Array:
    """One after the other, in plain numbers: nothing to compile."""
    joined: Any = np.concatenate([np.asarray(p) for p in parts])
    return joined


def signal_factors(
    sources: Mapping[str, NeutrinoSource],
    materials: tuple[Material, ...],
    fluence_per_cm2: float,
    response: RecoilResponse,
    theory: TheoryChoices,
    weighting: Weighting | None = None,
    rn_width: float = NEUTRON_RADIUS_RELATIVE_UNCERTAINTY,
    threshold_mev: float = 0.0,
) -> tuple[dict[str, Factor], float | None]:
    """Counts of each source on each material, as the response and a weighting make them, at nominal flux.

    Args:
        sources: by name, normalised to 1.
        materials: what scatters.
        fluence_per_cm2: neutrinos of every source per cm^2 in the whole exposure.
        response: detector response.
        theory: weak charges, tensor coherence, spin, form factor, mass of N.
        weighting: what follows the response, one for all sources and materials.
        rn_width: relative standard deviation of the neutron radii.
        threshold_mev: a sharp threshold in recoil energy, where the response has one.
    Returns: `<source>_<material>` -> factor, and the mass above which no N is made (None: massless N).
    """
    profile = form_factor(theory.form_factor)
    massive = theory.m_n_mev != 0.0
    order = HEAVY_RECOIL_ORDER if massive else RECOIL_ORDER
    signals: dict[str, dict[str, _Recoils]] = {}
    folds: dict[str, HeavyFold] = {}
    for name, source in sources.items():
        for material in materials:
            nuclides = signals.setdefault(f"{name}_{material.name}", {})
            for target, number in material.nuclides:
                spin = target_spin(target, theory.nuclear_spin)
                numbers = _recoils(source.e_max_mev, target.mass_mev, target.r_p_fm, threshold_mev, profile, order)
                t_mev, weight, e_min, q_mev, f_p = (np.asarray(n) for n in numbers)
                kernels = fold_cevns(
                    source.nodes(e_min, order=_ENERGY_ORDER), t_mev, target, theory.weak_charges, theory.tensor_coherence, spin
                )
                exposure = np.full_like(t_mev, fluence_per_cm2 * number)
                radius = np.full_like(t_mev, target.r_n_fm)
                key = f"{name}_{target.name.lower()}"
                nuclides[key] = _Recoils(
                    t_mev, weight * exposure, exposure, q_mev, f_p, radius, kernels.of_light() if massive else kernels
                )
                if massive:
                    seen = float(max_recoil_energy(source.e_max_mev, target.mass_mev)), response.lowest_recoil_mev
                    folds[key] = HeavyFold(source, target, t_mev, *seen, theory.tensor_coherence, spin)
    heavy = _heavy(folds, {k: one for part in signals.values() for k, one in part.items()}, response, theory)
    pulls = {f"{name}_{material.name}": material.radius_pull for name in sources for material in materials}
    factors = {}
    for key, nuclides in signals.items():
        of_n = [heavy[k] for k in nuclides] if heavy else []
        recoils = _Recoils.joined(list(nuclides.values()))
        factors[key] = _factor(recoils, of_n, response, weighting, profile, pulls[key], rn_width)
    return factors, max((fold.threshold_mass_mev for fold in folds.values()), default=None)


def sns_components(
    sources: Mapping[str, NeutrinoSource],
    materials: tuple[Material, ...],
    energies: Mapping[str, Factor],
    arrival: Callable[[str], Factor],
) -> list[Component]:
    """Signals at the stopped-pion source, `cevns_<source>_<material>`, under the flux that all experiments there share.

    Args:
        sources, materials: those of `signal_factors`. `energies`: what it made of them.
        arrival: source -> its arrival times.
    """
    components = []
    for source in sources:
        times = arrival(source)
        for material in materials:
            key = f"{source}_{material.name}"
            components.append(Component(f"cevns_{key}", (energies[key], times), sns_flux_scale, (SNS_FLUX_PULL,)))
    return components


def _heavy(
    folds: dict[str, HeavyFold], signals: dict[str, _Recoils], response: RecoilResponse, theory: TheoryChoices
) -> dict[str, Callable[[Array], Array]]:
    """Kernels of N of every source and nuclide, each as a function of the mass; none for massless N."""
    if not folds:
        return {}
    nominal = {pull: jnp.asarray(0.0) for pull in response.pulls}

    def seen(key: str, values: np.ndarray) -> np.ndarray:
        flat = (values * signals[key].f_p ** 2).reshape(-1, values.shape[-1])
        smeared = jax.jit(lambda v: jax.vmap(lambda one: response.smeared(one, signals[key].t_mev, nominal))(v))(flat)
        return np.asarray(smeared).reshape(*values.shape[:-1], -1)

    return heavy_kernels(folds, theory.m_n_mev, seen)


def _factor(
    recoils: _Recoils,
    heavy: list[Callable[[Array], Array]],
    response: RecoilResponse,
    weighting: Weighting | None,
    profile: Callable[[Any, Any], Array],
    radius: str,
    rn_width: float,
) -> Factor:
    def function(forms: Forms, pulls: Pulls) -> Array:
        f_n = profile(recoils.q_mev, recoils.r_n_fm * (1.0 + rn_width * pulls[radius]))
        spectrum = recoils.kernels.spectrum(forms, recoils.f_p, f_n) * recoils.weight
        if heavy:
            m_n_mev = forms.get("m_n_mev", jnp.asarray(0.0))
            of_n = heavy_folded(jnp.concatenate([kernels(m_n_mev) for kernels in heavy], axis=1))
            spectrum = spectrum + of_n.spectrum(forms, recoils.f_p, f_n) * recoils.exposure
        return response.smeared(spectrum, recoils.t_mev, pulls)

    names = tuple(recoils.kernels.forms)
    if heavy:
        names += tuple(HEAVY + name for name in MASSIVE_NUCLEAR_FORMS)
    return Factor(function, shape_pulls=(*response.pulls, radius), forms=names, weighting=weighting)
