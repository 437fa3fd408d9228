"""Parametrisations of matrices of moments in which no direction is flat by symmetry.

Rates know a Dirac matrix through mu mu^dagger, nine real numbers of the 18 of a 3 x 3 matrix, and the three moments Lambda of
Majorana neutrinos up to one common phase, five real numbers of six. Matrices, kinds and units: `physics.dipole_matrix`.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.errors import UserInputError
from nmmfit.physics.dipole_matrix import check_finite, checked_matrix
from nmmfit.physics.forms import N_FLAVOUR
from nmmfit.shapes import Array

TRIANGULAR_COEFFICIENTS: tuple[tuple[str, complex], ...] = (
    ("nuNgamma_11", 1.0),
    ("nuNgamma_22", 1.0),
    ("nuNgamma_33", 1.0),
    ("nuNgamma_21", 1.0),
    ("nuNgamma_21", 1.0j),
    ("nuNgamma_31", 1.0),
    ("nuNgamma_31", 1.0j),
    ("nuNgamma_32", 1.0),
    ("nuNgamma_32", 1.0j),
)
"""Coefficient and amount of each of the nine real parameters of `triangular_matrix`, as a run file writes them."""
_TRIANGULAR_ENTRIES = tuple((int(name[-2]) - 1, int(name[-1]) - 1, amount) for name, amount in TRIANGULAR_COEFFICIENTS)

MAJORANA_COEFFICIENTS: tuple[tuple[str, complex], ...] = (
    ("nugamma_12", 1.0),
    ("nugamma_13", 1.0),
    ("nugamma_13", 1.0j),
    ("nugamma_23", 1.0),
    ("nugamma_23", 1.0j),
)
"""Coefficient and amount of each of the five real parameters of `phase_free_majorana`, as a run file writes them."""
_MAJORANA_ENTRIES = tuple((int(name[-2]) - 1, int(name[-1]) - 1, amount) for name, amount in MAJORANA_COEFFICIENTS)


def _of_entries(parameters: Any, entries: tuple[tuple[int, int, complex], ...], what: str, antisymmetric: bool = False) -> Array:
    """The matrix (..., 3, 3) in which number k of the last axis multiplies `amount` at (p, r), entries[k] = (p, r, amount).

    Raises: UserInputError for a wrong shape or nan.
    """
    x = jnp.asarray(parameters, dtype=jnp.float64)
    if x.ndim < 1 or x.shape[-1] != len(entries):
        raise UserInputError(f"{what}: expected shape (..., {len(entries)}), got {x.shape}")
    if not isinstance(x, jax.core.Tracer):
        check_finite(np.asarray(x), what)
    weights = np.zeros((len(entries), 3, 3), dtype=complex)
    for k, (p, r, amount) in enumerate(entries):
        weights[k, p, r] = amount
        if antisymmetric:
            weights[k, r, p] = -amount
    return jnp.einsum("...k,kpr->...pr", x.astype(jnp.complex128), jnp.asarray(weights))


def triangular_matrix(parameters: Any) -> Array:
    """Lower-triangular T with real diagonal, (..., 3, 3), of nine real numbers (..., 9) in the order of TRIANGULAR_COEFFICIENTS.

    mu mu^dagger = T T^dagger is all that rates know of a Dirac matrix; every such matrix has exactly one T with a positive
    diagonal. With a diagonal of any sign, the signs of the three columns are free: eight equivalent points. A flat density in
    mu mu^dagger, which for n = 3 is a flat density in all 18 numbers of mu, is |T_11|^5 |T_22|^3 |T_33| in T
    (`log_triangular_jacobian`). Where T_11 or T_22 vanishes (mu mu^dagger singular) the phase of that column becomes free.

    Raises: UserInputError for a wrong shape or nan.
    """
    return _of_entries(parameters, _TRIANGULAR_ENTRIES, "parameters of a triangular matrix")


def triangular_parameters(matrix: Any) -> Array:
    """The nine numbers, (..., 9), of the T with a diagonal >= 0 that has the rates of a Dirac matrix (..., 3, n).

    From the QR decomposition of mu^dagger: T = mu V, V unitary. Differentiable where mu has rank 3.
    Raises: UserInputError as `checked_matrix`.
    """
    mu = checked_matrix(matrix, "dirac")
    missing = max(N_FLAVOUR - mu.shape[-1], 0)
    padded = jnp.pad(mu, [(0, 0)] * (mu.ndim - 1) + [(0, missing)])
    upper = jnp.linalg.qr(jnp.conj(jnp.swapaxes(padded, -1, -2)))[1]
    lower = jnp.conj(jnp.swapaxes(upper, -1, -2))
    diagonal = jnp.diagonal(lower, axis1=-2, axis2=-1)
    zero = diagonal == 0.0
    safe = jnp.where(zero, 1.0, diagonal)
    lower = lower * jnp.conj(safe / jnp.abs(safe))[..., None, :]
    parts = [
        jnp.imag(lower[..., p, r]) if isinstance(amount, complex) else jnp.real(lower[..., p, r])
        for p, r, amount in _TRIANGULAR_ENTRIES
    ]
    return jnp.stack(parts, axis=-1)


def log_triangular_jacobian(parameters: Any, n_sterile: int | None = None) -> Array:
    """ln |d(mu mu^dagger) / dT| = 3 ln 2 + 5 ln |T_11| + 3 ln |T_22| + ln |T_33|, shape (...).

    The measure of mu mu^dagger is that of its three diagonal entries and the real and imaginary parts above the diagonal. Added
    to a log density in T it makes a flat prior in mu mu^dagger. A flat prior in the entries of a 3 x n matrix mu has
    (n - 3) ln det(mu mu^dagger) = 2 (n - 3) sum_k ln |T_kk| besides: nothing for n = 3.

    Args: parameters: (..., 9); n_sterile: n >= 3 for the second prior, None for the first (the same as 3).
    Raises: UserInputError for a wrong shape, or n below 3 (mu mu^dagger is singular, and its density no function).
    """
    diagonal = jnp.log(jnp.abs(jnp.real(jnp.diagonal(triangular_matrix(parameters), axis1=-2, axis2=-1))))
    powers = np.array([5.0, 3.0, 1.0])
    if n_sterile is not None:
        if n_sterile < N_FLAVOUR:
            raise UserInputError(f"n_sterile: {n_sterile} is out of range (allowed: at least 3)")
        powers = powers + 2.0 * (n_sterile - N_FLAVOUR)
    return 3.0 * math.log(2.0) + diagonal @ powers


def phase_free_majorana(parameters: Any) -> Array:
    """Antisymmetric A with real A_12, (..., 3, 3), of five real numbers (..., 5) in the order of MAJORANA_COEFFICIENTS.

    A stands for the coefficients L or for the moments mu = 4 L^dagger alike. A common phase of the three entries changes no rate:
    scattering knows Lambda Lambda^dagger. For every A exactly one with A_12 > 0 differs from it by such a phase; with A_12 of any
    sign the points x and -x are equivalent. A flat density in all six numbers is |A_12| in the five. Where A_12
    vanishes, the phase that the other two have in common becomes free.

    Raises: UserInputError for a wrong shape or nan.
    """
    return _of_entries(parameters, _MAJORANA_ENTRIES, "parameters of a Majorana matrix", antisymmetric=True)


def phase_free_parameters(matrix: Any) -> Array:
    """The five numbers, (..., 5), of the A with A_12 >= 0 that has the rates of an antisymmetric matrix (..., 3, 3).

    Differentiable where A_12 is not zero. Raises: UserInputError as `checked_matrix`.
    """
    a = checked_matrix(matrix, "majorana")
    first = a[..., 0, 1]
    safe = jnp.where(first == 0.0, 1.0, first)
    turned = a * jnp.conj(safe / jnp.abs(safe))[..., None, None]
    parts = [
        jnp.imag(turned[..., p, r]) if isinstance(amount, complex) else jnp.real(turned[..., p, r])
        for p, r, amount in _MAJORANA_ENTRIES
    ]
    return jnp.stack(parts, axis=-1)
