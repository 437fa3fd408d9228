"""One-loop dipoles of a heavy scalar and a fermion: loop functions, and what the tensor of the effective theory leaves over."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.constants import bohr_magneton_per_gev
from nmmfit.eft.running import MIXING
from nmmfit.eft.theories import inverse_alpha
from nmmfit.inputs import StandardModelInputs
from nmmfit.shapes import Array, ArrayLike


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LoopDipole:
    """The whole one-loop dipole at zero momentum transfer, by diagram, L_gamma in GeV^-1 (complex if couplings are)."""

    fermion_emits: Array
    """Diagram (i): the photon couples to the charged fermion."""
    boson_emits: Array
    """Diagram (ii): the photon couples to the heavy boson."""

    @property
    def total(self) -> Array:
        """Sum of both."""
        return self.fermion_emits + self.boson_emits

    @property
    def moment_mub(self) -> Array:
        """|mu| = 2 |L_gamma| in mu_B."""
        return 2.0 * jnp.abs(self.total) / bohr_magneton_per_gev()


def fermion_loop(x: ArrayLike) -> Array:
    """int_0^1 dz (1 - z)^2 / (z + (1 - z) x): a scalar and a fermion of mass ratio squared x in the loop, the fermion radiates.

    Args:
        x: m_f^2 / m_scalar^2, > 0, any shape.
    Returns: -ln x - 3/2 for small x, 1/3 at x = 1. DERIVED.
    """
    x = jnp.asarray(x, dtype=float)
    near = jnp.abs(1.0 - x) < _NEAR
    safe = jnp.where(near, 0.5, x)
    exact = -(3.0 - 4.0 * safe + safe**2 + 2.0 * jnp.log(safe)) / (2.0 * (1.0 - safe) ** 3)
    return jnp.where(near, _series(jnp.where(near, 1.0 - x, 0.0), _FERMION_SERIES), exact)


def boson_loop(x: ArrayLike) -> Array:
    """int_0^1 dz z (1 - z) / (1 - z + z x): the same loop, the scalar radiates.

    Args:
        x: m_f^2 / m_scalar^2, > 0, any shape.
    Returns: 1/2 for small x, 1/6 at x = 1. DERIVED.
    """
    x = jnp.asarray(x, dtype=float)
    near = jnp.abs(1.0 - x) < _NEAR
    safe = jnp.where(near, 0.5, x)
    exact = (1.0 - safe**2 + 2.0 * safe * jnp.log(safe)) / (2.0 * (1.0 - safe) ** 3)
    return jnp.where(near, _series(jnp.where(near, 1.0 - x, 0.0), _BOSON_SERIES), exact)


# Around x = 1, where the closed forms are 0/0: powers of 1 - x; the rest is below 1e-15.
_NEAR = 0.2
_ORDERS = np.arange(24)
_FERMION_SERIES = 1.0 / (_ORDERS + 3.0)
_BOSON_SERIES = 1.0 / ((_ORDERS + 2.0) * (_ORDERS + 3.0))


def _series(delta: Array, coefficients: np.ndarray) -> Array:
    return jnp.polyval(jnp.asarray(coefficients[::-1].copy()), delta)


def scalar_threshold(
    fermion: str, mass: ArrayLike, tensor: Array, heavy: Array, scale: ArrayLike, inputs: StandardModelInputs
) -> Array:
    """Dipole at a scale from a heavy scalar and a fermion in the loop, per its own tensor coefficient, GeV^-1.

    -e N_c Q m L^T / (4 pi^2) [1 + ln(scale^2 / M^2)]: the whole loop (`fermion_loop` + `boson_loop` = -ln x - 1) less what the
    tensor gives between scale and m. It holds whatever the charge of the scalar, which is fixed by the neutrino being neutral.
    """
    log = 1.0 + 2.0 * jnp.log(jnp.asarray(scale, dtype=float) / heavy)
    return 0.5 * MIXING[fermion] * charge_at(scale, inputs) * mass * tensor * log


def charge_at(scale: ArrayLike, inputs: StandardModelInputs) -> Array:
    """e at the scale, or at m_W if that is lower."""
    at = jnp.minimum(jnp.asarray(scale, dtype=float), inputs.m_w_gev)
    return jnp.sqrt(4.0 * jnp.pi / inverse_alpha(at, inputs))
