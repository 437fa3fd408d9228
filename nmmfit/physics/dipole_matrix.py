"""Matrices of magnetic and electric dipole moments: coefficients, flavour and mass bases, effective moments.

One convention for both kinds, in Bohr magnetons; rows are the flavours (or mass states) of the neutrino that arrives:

    L = 1/2 mu_pr nubar_Lp sigma^{mu nu} X_r F_{mu nu} + h.c.,  X = N_R (Dirac, 3 x n) or nu_L^c (Majorana, 3 x 3 and half of it).

A neutrino is annihilated by the Hermitian conjugate, so that a state sum_p c_p |nu_p> has the amplitude sum_p c_p conj(mu_pr) to
scatter into r, and mu_eff^2 = Tr[rho mu mu^dagger]; an antineutrino meets mu itself, Tr[rho mu^* mu^T].

- Dirac: mu_pr = 2 L_pr with L the coefficient `nuNgamma_pr`.
- Majorana: mu = 4 L^dagger, mu_pr = -4 conj(L_pr), with L the coefficient `nugamma_pr`, whose operator nubar^c_p sigma nu_r
  annihilates neutrinos; so |mu_pr| = 4 |L_pr| (arXiv:2206.13122, eq. (3.7)). The conjugation is what lets one set of formulae
  serve both kinds; it is that of `eft.couplings` (mu = 2 d).
- Mass basis, nu_a = sum_i U_ai nu_i: mu~ = U^dagger mu U_R (Dirac), U^dagger mu U^* (Majorana).

The literature writes the matrix that acts on the amplitudes of the neutrino, (m - i eps)_jk with j final and k initial: it is
mu^dagger, so that mu = m + i eps with the Hermitian matrices m of magnetic and eps of electric moments (arXiv:1403.6344).

Coefficients are those at zero momentum transfer: L_gamma / e does not run, so that one at 2 GeV is to be multiplied by
e(0) / e(2 GeV) = 0.986 first (`nmmfit.evolve` does it all).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.constants import bohr_magneton_per_gev
from nmmfit.eft.operators import parse
from nmmfit.errors import UserInputError, unknown
from nmmfit.numerics.mixing import standard_mixing_matrix
from nmmfit.physics.forms import N_FLAVOUR, hermitian_product, trace
from nmmfit.shapes import Array

Kind = Literal["dirac", "majorana"]
KINDS: tuple[Kind, ...] = ("dirac", "majorana")
Counting = Literal["pairs", "entries"]
COUNTINGS: tuple[Counting, ...] = ("pairs", "entries")

ANTISYMMETRY_TOLERANCE = 1e-9
"""Largest symmetric part of a Majorana matrix, relative to its largest entry."""
UNITARITY_TOLERANCE = 1e-8
"""Largest entry of U U^dagger - 1."""

_EPSILON = np.zeros((3, 3, 3))
for _i, _j, _k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
    _EPSILON[_i, _j, _k], _EPSILON[_i, _k, _j] = 1.0, -1.0
_EPSILON.flags.writeable = False


def checked_kind(kind: str) -> str:
    """`kind` if it is "dirac" or "majorana". Raises: UserInputError otherwise."""
    if kind not in KINDS:
        raise unknown("kind of neutrino", kind, KINDS)
    return kind


def checked_matrix(mu: Any, kind: str, where: str = "matrix") -> Array:
    """A matrix of moments as a complex array; values that are being traced are not looked at.

    Args:
        mu: (..., 3, n) for "dirac", antisymmetric (..., 3, 3) for "majorana"; leading axes batch.
        kind: "dirac" or "majorana".
        where: what the matrix is, for the message.
    Raises: UserInputError for an unknown kind, a wrong shape, entries that are not finite, or a symmetric part.
    """
    checked_kind(kind)
    array = complex_array(mu, where)
    shape = array.shape
    if len(shape) < 2 or shape[-2] != N_FLAVOUR or shape[-1] < 1 or (kind == "majorana" and shape[-1] != N_FLAVOUR):
        wanted = "(..., 3, n)" if kind == "dirac" else "(..., 3, 3)"
        raise UserInputError(f"{where}: a {kind.capitalize()} matrix of moments has shape {wanted}, got {shape}")
    if isinstance(array, jax.core.Tracer):
        return array
    values = np.asarray(array)
    check_finite(values, where)
    if kind == "majorana" and values.size:
        symmetric = 0.5 * np.abs(values + np.swapaxes(values, -1, -2))
        size = np.max(np.abs(values), axis=(-2, -1), keepdims=True)
        if np.any(symmetric > ANTISYMMETRY_TOLERANCE * size):
            *_, p, r = np.unravel_index(np.argmax(symmetric), symmetric.shape)
            raise UserInputError(
                f"{where}: moments of Majorana neutrinos are antisymmetric, got a symmetric part of {symmetric.max():.3g} "
                f"in entry [{p}, {r}]"
            )
    return array


def checked_unitary(u: Any, where: str = "mixing matrix", size: int = N_FLAVOUR) -> Array:
    """A unitary matrix (..., size, size) as a complex array; values that are being traced are not looked at.

    Raises: UserInputError for a wrong shape, entries that are not finite, or U U^dagger that differs from 1 by more than 1e-8.
    """
    array = complex_array(u, where)
    if array.ndim < 2 or array.shape[-2:] != (size, size):
        raise UserInputError(f"{where}: expected shape (..., {size}, {size}), got {array.shape}")
    if isinstance(array, jax.core.Tracer):
        return array
    values = np.asarray(array)
    check_finite(values, where)
    off = np.max(np.abs(values @ np.conj(np.swapaxes(values, -1, -2)) - np.eye(size)), initial=0.0)
    if off > UNITARITY_TOLERANCE:
        raise UserInputError(f"{where}: not unitary, an entry of U U^dagger - 1 is {off:.3g} (allowed: {UNITARITY_TOLERANCE:g})")
    return array


def mixing_matrix(theta12: Any, theta13: Any, theta23: Any, delta: Any = 0.0, alpha1: Any = 0.0, alpha2: Any = 0.0) -> Array:
    """Mixing matrix U = R23 diag(1, 1, e^{i d}) R13 diag(1, 1, e^{-i d}) R12 diag(e^{i alpha1 / 2}, e^{i alpha2 / 2}, 1).

    The form of the PDG review, whose Majorana phases eta_1, eta_2 are alpha1 / 2, alpha2 / 2. Smooth in the angles everywhere,
    0 included (`oscillation.pmns_matrix` is the same in squared sines, without Majorana phases).

    Args: angles and phases, radians, real; they broadcast.
    Returns: (..., 3, 3), complex; rows e, mu, tau, columns 1, 2, 3.
    """
    angles = [jnp.asarray(x, dtype=jnp.float64) for x in (theta12, theta13, theta23, delta, alpha1, alpha2)]
    t12, t13, t23, d, a1, a2 = jnp.broadcast_arrays(*angles)
    (s12, c12), (s13, c13), (s23, c23) = ((jnp.sin(t), jnp.cos(t)) for t in (t12, t13, t23))
    u = standard_mixing_matrix((s12, c12), (s23, c23), (s13 * jnp.exp(1j * d), c13))
    return u * majorana_phases(a1, a2)[..., None, :]


def majorana_phases(alpha1: Any, alpha2: Any) -> Array:
    """(e^{i alpha1 / 2}, e^{i alpha2 / 2}, 1), (..., 3); phases in radians."""
    a1, a2 = jnp.broadcast_arrays(jnp.asarray(alpha1, dtype=jnp.float64), jnp.asarray(alpha2, dtype=jnp.float64))
    return jnp.exp(0.5j * jnp.stack([a1, a2, jnp.zeros_like(a1)], axis=-1))


def dirac_matrix(magnetic: Any, electric: Any = 0.0) -> Array:
    """mu = m + i eps, (..., 3, n), of magnetic and electric moments, all in mu_B, which broadcast.

    m and eps may be complex; they are Hermitian where N_r is the partner of nu_r. Up to a sign of all of mu, which no rate
    depends on, a real diagonal entry means the energy -m sigma.B - eps sigma.E of a spin in its own frame.
    Raises: UserInputError as `checked_matrix`.
    """
    m, eps = complex_array(magnetic, "magnetic moments"), complex_array(electric, "electric moments")
    try:
        shape = jnp.broadcast_shapes(m.shape, eps.shape)
    except ValueError:
        raise UserInputError(f"magnetic {m.shape} and electric {eps.shape} moments do not broadcast") from None
    return checked_matrix(jnp.broadcast_to(m, shape) + 1j * eps, "dirac")


def magnetic_and_electric(mu: Any) -> tuple[Array, Array]:
    """The Hermitian matrices m and eps of mu = m + i eps, mu_B; mu (..., 3, 3) in a basis in which N_r is the partner of nu_r.

    Raises: UserInputError as `checked_matrix`, and for a matrix that is not square.
    """
    mu = checked_matrix(mu, "dirac")
    if mu.shape[-1] != N_FLAVOUR:
        raise UserInputError(f"matrix: magnetic and electric parts need a square matrix, got {mu.shape}")
    dagger = jnp.conj(jnp.swapaxes(mu, -1, -2))
    return 0.5 * (mu + dagger), -0.5j * (mu - dagger)


def majorana_matrix(vector: Any) -> Array:
    """mu_jk = eps_jki Lambda_i, (..., 3, 3), of Lambda (..., 3). Raises: UserInputError for a wrong shape or nan."""
    vector = complex_array(vector, "Lambda")
    if vector.ndim < 1 or vector.shape[-1] != N_FLAVOUR:
        raise UserInputError(f"Lambda: expected shape (..., 3), got {vector.shape}")
    if not isinstance(vector, jax.core.Tracer):
        check_finite(np.asarray(vector), "Lambda")
    return jnp.einsum("jki,...i->...jk", jnp.asarray(_EPSILON), vector)


def majorana_vector(mu: Any) -> Array:
    """Lambda_i = 1/2 eps_ijk mu_jk, (..., 3): (mu_23, mu_31, mu_12). Raises: UserInputError as `checked_matrix`."""
    return 0.5 * jnp.einsum("ijk,...jk->...i", jnp.asarray(_EPSILON), checked_matrix(mu, "majorana"))


def matrix_from_coefficients(coefficients: Mapping[str, Any], kind: str) -> Array:
    """Matrix of moments in mu_B, flavour basis, of dipole coefficients at zero momentum transfer.

    Args:
        coefficients: `nuNgamma_pr` (Dirac) or `nugamma_pr` (Majorana) -> value, GeV^-1, complex; values broadcast, those absent
            vanish.
        kind: "dirac" or "majorana".
    Returns: (..., 3, 3): 2 L / mu_B or 4 L^dagger / mu_B; linear in L or in conj(L).
    Raises: UserInputError for another operator, one coefficient under two names, a wrong name or a value that is not finite.
    """
    operator = "nuNgamma" if checked_kind(kind) == "dirac" else "nugamma"
    seen: dict[str, str] = {}
    entries: list[list[Any]] = [[0.0] * N_FLAVOUR for _ in range(N_FLAVOUR)]
    for name, given in coefficients.items():
        c = parse(name)
        if c.operator.name != operator:
            raise UserInputError(f"coefficient {name!r} is no moment of {kind.capitalize()} neutrinos (allowed: {operator}_pr)")
        if c.name in seen:
            raise UserInputError(f"coefficients {seen[c.name]!r} and {name!r} are the same up to a sign: give one of them")
        seen[c.name] = name
        value = complex_array(given, f"coefficient {name!r}")
        if not isinstance(value, jax.core.Tracer):
            check_finite(np.asarray(value), f"coefficient {name!r}")
        p, r = (k - 1 for k in c.neutrinos)
        if kind == "dirac":
            entries[p][r] = 2.0 * value
        else:
            entries[p][r] = -4.0 * c.sign * jnp.conj(value)
            entries[r][p] = -entries[p][r]
    shape = jnp.broadcast_shapes(*(jnp.shape(x) for row in entries for x in row))
    rows = [jnp.stack([jnp.broadcast_to(jnp.asarray(x, dtype=jnp.complex128), shape) for x in row], axis=-1) for row in entries]
    return jnp.stack(rows, axis=-2) / bohr_magneton_per_gev()


def coefficients_from_matrix(mu: Any, kind: str) -> dict[str, Array]:
    """Inverse of `matrix_from_coefficients`: all nine `nuNgamma_pr` or all three `nugamma_pr`, GeV^-1, shape (...).

    Raises: UserInputError as `checked_matrix`, and for a Dirac matrix with more than the three N of the basis of operators.
    """
    mu = checked_matrix(mu, kind)
    if mu.shape[-1] > N_FLAVOUR:
        raise UserInputError(f"matrix: the basis of operators has three N, got {mu.shape[-1]} columns")
    unit = bohr_magneton_per_gev()
    if kind == "majorana":
        pairs = ((0, 1), (0, 2), (1, 2))
        return {f"nugamma_{p + 1}{r + 1}": -0.25 * unit * jnp.conj(mu[..., p, r]) for p, r in pairs}
    return {f"nuNgamma_{p + 1}{r + 1}": 0.5 * unit * mu[..., p, r] for p in range(N_FLAVOUR) for r in range(mu.shape[-1])}


def to_mass_basis(mu: Any, u: Any, kind: str, u_right: Any = None) -> Array:
    """mu~ = U^dagger mu U_R (Dirac) or U^dagger mu U^* (Majorana).

    Args:
        mu: (..., 3, n), flavour basis, any unit.
        u: (..., 3, 3), unitary, nu_a = sum_i U_ai nu_i.
        kind: "dirac" or "majorana".
        u_right: (..., n, n), unitary, the mixing of N; None for 1. No effective moment depends on it.
    Raises: UserInputError as `checked_matrix` and `checked_unitary`, and for `u_right` of Majorana neutrinos.
    """
    mu, u, right = _basis_change(mu, u, kind, u_right)
    return jnp.conj(jnp.swapaxes(u, -1, -2)) @ mu @ right


def to_flavour_basis(mu_mass: Any, u: Any, kind: str, u_right: Any = None) -> Array:
    """Inverse of `to_mass_basis`: mu = U mu~ U_R^dagger (Dirac) or U mu~ U^T (Majorana); arguments as there."""
    mu, u, right = _basis_change(mu_mass, u, kind, u_right)
    return u @ mu @ jnp.conj(jnp.swapaxes(right, -1, -2))


def _basis_change(mu: Any, u: Any, kind: str, u_right: Any) -> tuple[Array, Array, Array]:
    mu, u = checked_matrix(mu, kind), checked_unitary(u)
    if kind == "majorana":
        if u_right is not None:
            raise UserInputError("u_right: Majorana neutrinos have one mixing matrix; leave it out")
        return mu, u, jnp.conj(u)
    if u_right is None:
        return mu, u, jnp.eye(mu.shape[-1], dtype=jnp.complex128)
    return mu, u, checked_unitary(u_right, "u_right", mu.shape[-1])


def moment_squared(mu: Array, density: Array, antineutrino: bool = False) -> Array:
    """mu_eff^2 = Tr[rho mu mu^dagger], in the squared unit of mu; for antineutrinos Tr[rho (mu mu^dagger)^T].

    Args:
        mu: (..., 3, n); density: (..., 3, 3), Hermitian, in the basis of the rows of mu; leading axes broadcast.
        antineutrino: whether `density` describes antineutrinos.
    Returns: (...), >= 0 for a positive density; smooth.
    """
    return trace(density, hermitian_product(mu, mu), antineutrino)


def mass_state_moment_squared(mu_mass: Array, probabilities: Array) -> Array:
    """sum_k P_k sum_j |mu~_kj|^2 for mass states that arrive incoherently, in the squared unit of mu~.

    arXiv:2206.13122, eq. (3.2), and arXiv:1901.00482, eq. (25), averaged; their second index is the arriving one, ours the
    first (module docstring). Equal to `moment_squared` of rho = U diag(P) U^dagger, phases of U included.

    Args: mu_mass: (..., 3, n), mass basis; probabilities: (..., 3), P_e1, P_e2, P_e3. Leading axes broadcast.
    """
    return jnp.sum(probabilities * jnp.sum(jnp.real(mu_mass * jnp.conj(mu_mass)), axis=-1), axis=-1)


def majorana_mass_state_moment_squared(vector_mass: Array, probabilities: Array) -> Array:
    """|Lambda|^2 - sum_k P_k |Lambda_k|^2, the same for Majorana neutrinos; no phase enters.

    Args: vector_mass: Lambda in the mass basis, (..., 3); probabilities: (..., 3). Leading axes broadcast.
    """
    size = jnp.real(vector_mass * jnp.conj(vector_mass))
    return jnp.sum(size, axis=-1) - jnp.sum(probabilities * size, axis=-1)


def plasmon_squared(mu: Array, kind: str, counting: str = "pairs", weight: Any = 1.0) -> Array:
    """Moment of plasmon decay, sum over pairs of different final states of |mu|^2, in the squared unit of mu.

    "pairs": a Dirac entry opens nu_p Nbar_r and nubar_p N_r; a Majorana pair {p, r} opens nu_p nu_r and its conjugate, once,
    though it stands in the matrix twice: sum_pr |mu_pr|^2 / 2 = |Lambda|^2. "entries" is arXiv:1901.00482, eq. (26), taken
    literally: all entries, twice as much for Majorana neutrinos. Independent of the basis as long as all N weigh the same.

    Args:
        mu: (..., 3, n).
        kind, counting: as above.
        weight: scalar or (..., n), what a column counts (`plasmon.plasmon_mass_factor`); 1 neglects the masses of final states.
    Raises: UserInputError for an unknown kind or counting.
    """
    checked_kind(kind)
    if counting not in COUNTINGS:
        raise unknown("counting of pairs", counting, COUNTINGS)
    columns = jnp.sum(jnp.real(mu * jnp.conj(mu)), axis=-2)
    total = jnp.sum(columns * jnp.asarray(weight), axis=-1)
    return 0.5 * total if kind == "majorana" and counting == "pairs" else total


def complex_array(given: Any, where: str) -> Array:
    """What was given as a complex array. Raises: UserInputError for what is no array of numbers."""
    if isinstance(given, str | bytes):
        raise UserInputError(f"{where}: expected numbers, got {given!r}")
    try:
        return jnp.asarray(given, dtype=jnp.complex128)
    except (TypeError, ValueError):
        raise UserInputError(f"{where}: expected an array of numbers, got {type(given).__name__}") from None


def real_numbers(given: Any, where: str) -> Array:
    """What was given as an array of 64-bit numbers. Raises: UserInputError for what is none."""
    try:
        return jnp.asarray(given, dtype=jnp.float64)
    except (TypeError, ValueError):
        raise UserInputError(f"{where}: expected numbers, got {given!r}") from None


def check_finite(values: np.ndarray, where: str) -> None:
    """Raises: UserInputError unless all values are finite."""
    if not np.all(np.isfinite(values)):
        bad = np.size(values) - np.count_nonzero(np.isfinite(values))
        raise UserInputError(f"{where}: not finite" + (f" ({bad} of {np.size(values)} numbers)" if np.ndim(values) else ""))
