"""Signal of coherent scattering in a detector: sources on nuclides, folded once, seen through the detector's response.

A factor of counts (or of whatever the response makes of recoils) for each source and each material. The neutron radius floats,
the same relative shift for all nuclides of a material, and with it what the response's own pulls move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.constants import ATOMIC_MASS_UNIT_MEV, M_ELECTRON_MEV
from nmmfit.experiment import Factor, Pulls, TheoryChoices, Weighting
from nmmfit.physics.folded import FoldedKernels, fold_cevns
from nmmfit.physics.form_factors import form_factor
from nmmfit.physics.forms import HEAVY, MASSIVE_NUCLEAR_FORMS, Forms
from nmmfit.physics.kinematics import max_recoil_energy, min_neutrino_energy, momentum_transfer
from nmmfit.physics.massive_cevns import HEAVY_RECOIL_ORDER, HeavyFold, heavy_folded, heavy_kernels
from nmmfit.physics.nuclei import NEUTRON_RADIUS_RELATIVE_UNCERTAINTY, Nucleus, natural_mixture, nucleus, target_spin
from nmmfit.physics.sources import NeutrinoSource
from nmmfit.shapes import Array, Points, Scalar
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


def recoil_nodes(t_max_mev: Scalar, order: int = RECOIL_ORDER) -> tuple[Points, Points]:
    """Quadrature over recoil energy, (T in MeV, weight in MeV), each (recoil,): T = T_max u^2, Gauss-Legendre in u.

    The square makes a dipole's dT / T regular at small recoils.
    """
    u, w = np.polynomial.legendre.leggauss(order)
    u, w = 0.5 * (u + 1.0), 0.5 * w
    return t_max_mev * u**2, t_max_mev * 2.0 * u * w


@partial(jax.jit, static_argnames=("profile", "order"))
def _recoils(
    e_max_mev: float, mass_mev: float, r_p_fm: float, profile: Callable[[Any, Any], Array], order: int
) -> tuple[Array, Array, Array, Array, Array]:
    """Recoil energies, their weights, thresholds, momentum transfers and form factors of protons, each (recoil,).

    Compiled as one, for all sources and nuclei.
    """
    t_mev, weight = recoil_nodes(max_recoil_energy(e_max_mev, mass_mev), order)
    q_mev = momentum_transfer(t_mev, mass_mev)
    return t_mev, weight, min_neutrino_energy(t_mev, mass_mev), q_mev, profile(q_mev, r_p_fm)


@dataclass(frozen=True)
class _Recoils:
    """One source on one nuclide: recoil nodes with their weights, form factors and kernels; `exposure` in cm^-2 times nuclei."""

    target: Nucleus
    exposure: float
    t_mev: np.ndarray
    weight: np.ndarray
    q_mev: np.ndarray
    f_p: np.ndarray
    kernels: FoldedKernels


def signal_factors(
    sources: Mapping[str, NeutrinoSource],
    materials: tuple[Material, ...],
    fluence_per_cm2: float,
    response: RecoilResponse,
    theory: TheoryChoices,
    weighting: Weighting | None = None,
    rn_width: float = NEUTRON_RADIUS_RELATIVE_UNCERTAINTY,
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
    Returns: `<source>_<material>` -> factor, and the mass above which no N is made (None: massless N).
    """
    profile = form_factor(theory.form_factor)
    massive = theory.m_n_mev != 0.0
    order = HEAVY_RECOIL_ORDER if massive else RECOIL_ORDER
    signals: dict[str, dict[str, _Recoils]] = {}
    folds: dict[str, HeavyFold] = {}
    for name, source in sources.items():
        for material in materials:
            isotopes = signals.setdefault(f"{name}_{material.name}", {})
            for target, number in material.nuclides:
                spin = target_spin(target, theory.nuclear_spin)
                numbers = _recoils(source.e_max_mev, target.mass_mev, target.r_p_fm, profile, order)
                t_mev, weight, threshold, q_mev, f_p = (np.asarray(n) for n in numbers)
                nodes = source.nodes(threshold, order=_ENERGY_ORDER)
                kernels = fold_cevns(nodes, t_mev, target, theory.weak_charges, theory.tensor_coherence, spin)
                of_light = kernels.of_light() if massive else kernels
                key = f"{name}_{target.name.lower()}"
                isotopes[key] = _Recoils(target, fluence_per_cm2 * number, t_mev, weight, q_mev, f_p, of_light)
                if massive:
                    t_max = float(max_recoil_energy(source.e_max_mev, target.mass_mev))
                    seen = (t_max, response.lowest_recoil_mev)
                    folds[key] = HeavyFold(source, target, t_mev, *seen, theory.tensor_coherence, spin)
    heavy = _heavy(folds, {k: one for part in signals.values() for k, one in part.items()}, response, theory)
    pulls = {f"{name}_{material.name}": material.radius_pull for name in sources for material in materials}
    factors = {
        key: _factor(isotopes, heavy, response, weighting, profile, pulls[key], rn_width) for key, isotopes in signals.items()
    }
    return factors, max((fold.threshold_mass_mev for fold in folds.values()), default=None)


def _heavy(
    folds: dict[str, HeavyFold], signals: dict[str, _Recoils], response: RecoilResponse, theory: TheoryChoices
) -> dict[str, Callable[[Array], Array]]:
    if not folds:
        return {}
    nominal = {pull: jnp.asarray(0.0) for pull in response.pulls}

    def seen(key: str, values: np.ndarray) -> np.ndarray:
        flat = (values * signals[key].f_p ** 2).reshape(-1, values.shape[-1])
        smeared = jax.jit(lambda v: jax.vmap(lambda one: response.smeared(one, signals[key].t_mev, nominal))(v))(flat)
        return np.asarray(smeared).reshape(*values.shape[:-1], -1)

    return heavy_kernels(folds, theory.m_n_mev, seen)


def _factor(
    isotopes: dict[str, _Recoils],
    heavy: dict[str, Callable[[Array], Array]],
    response: RecoilResponse,
    weighting: Weighting | None,
    profile: Callable[[Any, Any], Array],
    radius: str,
    rn_width: float,
) -> Factor:
    t_mev = np.concatenate([one.t_mev for one in isotopes.values()])

    def function(forms: Forms, pulls: Pulls) -> Array:
        parts = []
        for key, one in isotopes.items():
            f_n = profile(one.q_mev, one.target.r_n_fm * (1.0 + rn_width * pulls[radius]))
            recoils = one.kernels.spectrum(forms, one.f_p, f_n) * (one.weight * one.exposure)
            if key in heavy:
                of_n = heavy_folded(heavy[key](forms.get("m_n_mev", jnp.asarray(0.0))))
                recoils = recoils + of_n.spectrum(forms, one.f_p, f_n) * one.exposure
            parts.append(recoils)
        return response.smeared(parts[0] if len(parts) == 1 else jnp.concatenate(parts), t_mev, pulls)

    names = tuple(next(iter(isotopes.values())).kernels.forms)
    if heavy:
        names += tuple(HEAVY + name for name in MASSIVE_NUCLEAR_FORMS)
    return Factor(function, shape_pulls=(*response.pulls, radius), forms=names, weighting=weighting)
