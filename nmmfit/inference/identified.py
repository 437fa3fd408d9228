"""Quantities that rates depend on directly: effective moments, tensor charges of nuclei, shifts of their weak charges."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from nmmfit.constants import FERMI, bohr_magneton_per_gev
from nmmfit.experiment import BinnedExperiment
from nmmfit.inference.parameters import Identified
from nmmfit.physics.forms import N_FLAVOUR, TargetCouplings
from nmmfit.physics.nuclei import nucleus
from nmmfit.shapes import Array
from nmmfit.units import MOMENT_UNIT_MUB

TENSOR_UNIT = 1e-6


def _root(density: np.ndarray) -> np.ndarray:
    """Hermitian square root of a density matrix."""
    values, vectors = np.linalg.eigh(density)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.conj().T


def _weighted(density: np.ndarray, antineutrino: bool) -> np.ndarray:
    """Matrix W with sum_r |W A|^2 = Tr[rho A A^dagger], or with the transpose for antineutrinos."""
    return _root(np.asarray(density).T if antineutrino else np.asarray(density))


def identified_quantities(experiments: Sequence[BinnedExperiment]) -> tuple[Identified, ...]:
    """Effective moments, nuclear tensor charges and shifts of weak charges that the experiments see, each once."""
    found: dict[str, Identified] = {}
    unit = 2.0 / (bohr_magneton_per_gev() * MOMENT_UNIT_MUB)
    for experiment in experiments:
        for name, (density, antineutrino) in experiment.effective_moments.items():
            weight = _weighted(density, antineutrino)

            def moment(c: TargetCouplings, weight: np.ndarray = weight) -> Array:
                return _real(unit * (jnp.asarray(weight) @ c.dipole))

            label = rf"$\mu_\mathrm{{eff}}$ {name.replace('_', ' ')}"
            found[f"mu_eff_{name}"] = Identified(f"mu_eff_{name}", "1e-11 mu_B", label, moment)
    for experiment in experiments:
        for name in experiment.nuclei:
            found[f"tensor_charge_{name.lower()}"] = _tensor_charge(name)
            for index, flavour in enumerate(("e", "mu")):
                found[f"weak_charge_shift_{flavour}_{name.lower()}"] = _weak_charge_shift(name, index, flavour)
    return tuple(found.values())


def _tensor_charge(name: str) -> Identified:
    """Size of Z t_p + N t_n for an incoming nu_mu, the tensor coupling of a nucleus at zero momentum transfer."""
    target = nucleus(name)

    def charge(c: TargetCouplings) -> Array:
        return _real((target.z * c.tensor_p[1] + target.n * c.tensor_n[1]) / TENSOR_UNIT)

    return Identified(f"tensor_charge_{name.lower()}", "1e-6 GeV^-2", f"tensor charge {name}", charge)


def _weak_charge_shift(name: str, index: int, flavour: str) -> Identified:
    """Size of what vectors add to Z g_V^p + N g_V^n of a nucleus for an incoming flavour, off-diagonal entries included.

    The Standard Model has about -38 for 133Cs; the coupling (nubar gamma nu)(Abar gamma A) is -sqrt(2) G_F times it.
    """
    target = nucleus(name)

    def shift(c: TargetCouplings) -> Array:
        row = target.z * c.vector_p[index, :N_FLAVOUR] + target.n * c.vector_n[index, :N_FLAVOUR]
        return _real(row / (math.sqrt(2.0) * FERMI.value))

    label = rf"$\Delta Q_W$ {flavour} {name}"
    return Identified(f"weak_charge_shift_{flavour}_{name.lower()}", "1", label, shift)


def _real(values: Array) -> Array:
    flat = jnp.ravel(values)
    return jnp.concatenate([jnp.real(flat), jnp.imag(flat)])
