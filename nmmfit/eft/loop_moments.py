"""One-loop magnetic moments from scalar and tensor interactions of neutrinos with a charged fermion.

Interactions are L^{T,RR} (nubar_L sigma N_R)(fbar_L sigma f_R) + h.c. and L^{S,RR} or L^{S,RL} (nubar_L N_R)(fbar f) + h.c.;
moments are mu = 2 L_gamma of the dipole L_gamma (nubar_L sigma N_R) F + h.c. Three formulae have names:

- "eft" (tensor): the logarithm of the running, e N_c |Q| m L^T / (2 pi^2) ln(Lambda^2 / m^2). This is a prediction.
- "letter" (tensor): arXiv:1901.00482, eq. (11). It has the logarithm of a fermion with N_c |Q| = 1 and a constant 1 that
  belongs to a form factor which that paper assumes; the constant is never to be fitted.
- "letter" (scalar): arXiv:1901.00482, eq. (10). An order of magnitude, not a prediction: a contact interaction closed into a loop
  with one photon vanishes by charge conjugation, and in the effective theory scalars do not mix into the dipole. The default
  is "none", zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from nmmfit import precision as precision
from nmmfit.constants import bohr_magneton_per_gev, electron_charge
from nmmfit.eft.running import MIXING
from nmmfit.eft.theories import CHARGE, COLOURS, FERMION_TYPE, FERMIONS
from nmmfit.errors import unknown
from nmmfit.inputs import StandardModelInputs
from nmmfit.shapes import Array, ArrayLike

TENSOR_FORMULAE = ("eft", "letter")
SCALAR_FORMULAE = ("none", "letter")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LoopMoments:
    """Sizes of the moments that a tensor and a scalar interaction generate, in mu_B.

    Apart, because the formula for the scalar fixes no sign relative to the tensor's.
    """

    tensor_mub: Array
    scalar_mub: Array


def loop_dipole_per_tensor(fermion: str, mass_gev: ArrayLike, scale_gev: ArrayLike, e: ArrayLike) -> Array:
    """What a tensor coefficient at a scale adds to L_gamma at zero momentum transfer, at leading logarithm, GeV.

    L_gamma / L^T = 8 N_c Q e m ln(scale / m) / 16 pi^2, with its sign (D = d + i e Q A). DERIVED; a quark as if it were free.

    Args:
        fermion: u, d, s, c, b, e, mu or tau; gives N_c and Q.
        mass_gev: its mass, GeV, > 0.
        scale_gev: where the coefficient lives, GeV, > 0.
        e: positron charge.
    Returns: GeV, broadcast; zero where scale and mass are equal.
    Raises: UserInputError for an unknown fermion.
    """
    _known(fermion)
    m, scale = jnp.asarray(mass_gev, dtype=float), jnp.asarray(scale_gev, dtype=float)
    return -MIXING[fermion] * jnp.asarray(e) * m * jnp.log(scale / m)


def tensor_moment_mub(fermion: str, tensor_gev2: ArrayLike, mass_gev: ArrayLike, scale_gev: ArrayLike) -> Array:
    """Leading logarithm |mu| = e N_c |Q| m |L^T| / (2 pi^2) |ln(scale^2 / m^2)|, in mu_B.

    DERIVED: the running of `nmmfit.eft.running` at fixed order, e at zero momentum transfer, constant mass and coefficient.
    Constants beside the logarithm depend on the theory above `scale_gev` and are left out.

    Args:
        fermion: gives N_c and Q.
        tensor_gev2: L^{T,RR}, GeV^-2, complex or real, any shape.
        mass_gev, scale_gev: GeV, > 0, broadcast.
    Returns: >= 0.
    Raises: UserInputError for an unknown fermion.
    """
    dipole = loop_dipole_per_tensor(fermion, mass_gev, scale_gev, electron_charge())
    return 2.0 * jnp.abs(dipole) * jnp.abs(jnp.asarray(tensor_gev2)) / bohr_magneton_per_gev()


def letter_tensor_moment_mub(coupling_gev2: ArrayLike, mass_gev: ArrayLike) -> Array:
    """arXiv:1901.00482, eq. (11): e G m / (2 pi^2) |1 + ln(m^2 G)|, in mu_B. SEEN.

    For N_c |Q| = 1 and G = L^{T,RR} it has the logarithm of `tensor_moment_mub` at scale G^{-1/2}; the 1 depends on an assumed
    cut-off, so that this is a choice of model, not of theory.

    Args:
        coupling_gev2: G, GeV^-2, >= 0.
        mass_gev: GeV, > 0; m^2 G well below 1.
    Returns: >= 0, and 0 at G = 0.
    """
    g, m = jnp.asarray(coupling_gev2, dtype=float), jnp.asarray(mass_gev, dtype=float)
    size = electron_charge() * g * m / (2.0 * jnp.pi**2)
    # G ln G vanishes with G; the logarithm alone would not.
    log = jnp.log(m**2 * jnp.where(g > 0.0, g, 1.0))
    return size * jnp.abs(1.0 + log) / bohr_magneton_per_gev()


def letter_scalar_moment_mub(coupling_gev2: ArrayLike, mass_gev: ArrayLike) -> Array:
    """arXiv:1901.00482, eq. (10): e G m / (8 pi^2), in mu_B. SEEN. An order of magnitude only.

    The contact interaction gives zero (charge conjugation); the value is that of a coupling that falls with the loop momentum. A
    moment of exactly this size with G = |L^{S,RL}| comes from mixing of W_L and W_R (`nmmfit.eft.models.left_right`).

    Args:
        coupling_gev2: G, GeV^-2.
        mass_gev: GeV.
    """
    g, m = jnp.asarray(coupling_gev2), jnp.asarray(mass_gev, dtype=float)
    return electron_charge() * jnp.abs(g) * m / (8.0 * jnp.pi**2) / bohr_magneton_per_gev()


def loop_moments(
    fermion: str,
    mass_gev: ArrayLike,
    tensor_gev2: ArrayLike = 0.0,
    scalar_gev2: ArrayLike = 0.0,
    scale_gev: ArrayLike = StandardModelInputs.m_w_gev,
    tensor: str = "eft",
    scalar: str = "none",
) -> LoopMoments:
    """Moments by the formulae named, in mu_B.

    Args:
        fermion: gives N_c and Q for "eft".
        mass_gev: GeV, > 0.
        tensor_gev2, scalar_gev2: couplings, GeV^-2, complex or real; the letter's formulae take absolute values.
        scale_gev: where the tensor lives, for "eft"; the letter's formula ends its logarithm at |G|^{-1/2}.
        tensor: "eft" or "letter".
        scalar: "none" (zero, what the effective theory gives) or "letter" (an order of magnitude).
    Raises: UserInputError for an unknown fermion or formula.
    """
    _known(fermion)
    if tensor not in TENSOR_FORMULAE:
        raise unknown("formula", tensor, TENSOR_FORMULAE, "tensor")
    if scalar not in SCALAR_FORMULAE:
        raise unknown("formula", scalar, SCALAR_FORMULAE, "scalar")
    if tensor == "eft":
        from_tensor = tensor_moment_mub(fermion, tensor_gev2, mass_gev, scale_gev)
    else:
        from_tensor = letter_tensor_moment_mub(jnp.abs(jnp.asarray(tensor_gev2)), mass_gev)
    from_scalar = letter_scalar_moment_mub(scalar_gev2, mass_gev)
    return LoopMoments(from_tensor, from_scalar if scalar == "letter" else jnp.zeros_like(from_scalar))


def charge_factor(fermion: str) -> float:
    """N_c |Q| of a fermion: 1 for charged leptons, 2 for up-type and 1 for down-type quarks."""
    _known(fermion)
    kind = FERMION_TYPE[fermion]
    return COLOURS[kind] * abs(CHARGE[kind])


def _known(fermion: str) -> None:
    if fermion not in FERMIONS:
        raise unknown("fermion", fermion, FERMIONS)
