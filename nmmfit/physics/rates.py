"""Folding a flavour density matrix and a flux with cross-section kernels: the recoil spectrum of one source."""

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from nmmfit.physics.forms import N_FLAVOUR, Forms, flavour_traces, is_linear, trace
from nmmfit.shapes import Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SourceNodes:
    """Quadrature nodes over neutrino energy of one source.

    Shapes may carry a leading `recoil` axis, where the nodes follow the threshold E_min(T); or not, for a line or a fixed grid.
    """

    energy_mev: Array
    """(..., energy), MeV."""
    weight: Array
    """(..., energy): flux times quadrature weight; sums to the flux above E_min (per cm^2 per s, or 1 if normalised)."""
    density: Array
    """(..., energy, 3, 3): flavour density matrix, trace 1."""
    antineutrino: bool = field(metadata={"static": True}, default=False)


def recoil_spectrum(forms: Forms, nodes: SourceNodes, sm_kernel: Array, kernels: dict[str, Array]) -> Array:
    """Sum over energies of weight * {sm * sum_a rho_aa K_SM,a + sum_k Tr[rho Q_k] K_k}.

    Args:
        forms: quadratic forms of the couplings.
        nodes: source nodes, arrays broadcastable to (recoil, energy).
        sm_kernel: (3, recoil, energy), d sigma / dT in cm^2/MeV for each flavour.
        kernels: name -> (recoil, energy), cm^2/MeV per unit of the form of that name; (3, recoil, energy) where
            `forms.is_linear`.
    Returns: (recoil,): rate per target per MeV, in units of `weight` times cm^2.
    """
    rho = nodes.density
    total = sum(jnp.real(rho[..., a, a]) * sm_kernel[a] for a in range(N_FLAVOUR)) * forms["sm"]
    for name, kernel in kernels.items():
        if is_linear(name):
            weights = flavour_traces(rho, forms[name], nodes.antineutrino)
            total = total + sum(weights[a] * kernel[a] for a in range(N_FLAVOUR))
        else:
            total = total + trace(rho, forms[name], nodes.antineutrino) * kernel
    return jnp.sum(nodes.weight * total, axis=-1)
