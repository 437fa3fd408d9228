"""What loops of charm quarks and charged leptons below 2 GeV add to the dipole at zero momentum transfer.

Confinement turns light-quark tensors into a dipole (`chiral`); for charm and the charged leptons perturbation theory goes on
below 2 GeV, down to their masses, where the loop stops: <fbar sigma f>_F = (4 N_c m e Q / 16 pi^2) F ln(mu^2 / m^2)
has no constant at mu = m in MS-bar. It is the continuation of the mixing that running has above 2 GeV.
"""

from __future__ import annotations

import jax.numpy as jnp

from nmmfit.eft.qcd import REFERENCE_SCALE_GEV
from nmmfit.eft.running import MIXING
from nmmfit.eft.theories import inverse_alpha, quark_mass
from nmmfit.inputs import StandardModelInputs
from nmmfit.shapes import Array


def loop_dipole(inputs: StandardModelInputs) -> dict[str, Array]:
    """Addition to L_gamma(2 GeV) per unit of a tensor coefficient at 2 GeV, GeV, for `c`, `e`, `mu` and `tau`.

    One loop at fixed order with the mass at 2 GeV: -8 e N_c Q m ln(m / 2 GeV) / 16 pi^2, m(m) in the logarithm.

    Limits: momentum transfers below the mass of the fermion. Where |q^2| is above it (electron loops in scattering on nuclei),
    the logarithm ends at |q^2| instead and the result is too large, by a factor of two at 50 MeV.
    """
    e = jnp.sqrt(4.0 * jnp.pi / inverse_alpha(REFERENCE_SCALE_GEV, inputs))
    end = {"c": inputs.m_c_gev, "e": inputs.m_e_gev, "mu": inputs.m_mu_gev, "tau": inputs.m_tau_gev}
    mass = end | {"c": quark_mass("c", REFERENCE_SCALE_GEV, inputs)}
    return {f: MIXING[f] * e * mass[f] * jnp.log(jnp.asarray(end[f], dtype=float) / REFERENCE_SCALE_GEV) for f in end}
