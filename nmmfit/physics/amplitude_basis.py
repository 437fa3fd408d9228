"""The few real amplitudes that a set of coefficients can excite, and the quadratic forms their products make.

Target couplings are a long list of complex matrices; a fit moves them in a small space only. Here that space gets a basis:
real amplitudes a_i with target couplings sum_i a_i D_i, so that every quadratic form is sum_{i<=j} a_i a_j F_ij. An experiment
sees fewer combinations still; `merged_monomials` finds them exactly (linear algebra to rounding), so that identical monomials
are computed once.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from nmmfit.physics.forms import (
    ALL_FORMS,
    N_FINAL,
    N_FLAVOUR,
    Forms,
    TargetCouplings,
    forms_to_vector,
    quadratic_forms,
    restricted,
    split_names,
    vector_to_forms,
)
from nmmfit.shapes import Array

# Units in which amplitudes are of order one; they only balance numbers of different dimension before a rank is taken.
DIPOLE_UNIT = 1e-9
CONTACT_UNIT = 1e-6
_UNITS = (DIPOLE_UNIT, *([CONTACT_UNIT] * 7))
_BLOCK = N_FLAVOUR * N_FINAL
N_COORDINATES = 2 * len(_UNITS) * _BLOCK
_RANK_TOLERANCE = 1e-9
FINAL_STATES = np.arange(N_COORDINATES) % N_FINAL
"""(288,): final state, a column of the coupling matrices, of each coordinate of `couplings_to_vector`."""


def couplings_to_vector(couplings: TargetCouplings) -> Array:
    """Real coordinates (288,) of target couplings, in units of 1e-9 GeV^-1 (dipole) and 1e-6 GeV^-2 (the rest)."""
    leaves = jax.tree_util.tree_leaves(couplings)
    flat = [jnp.reshape(leaf, (-1,)) / unit for leaf, unit in zip(leaves, _UNITS, strict=True)]
    stacked = jnp.concatenate(flat)
    return jnp.concatenate([jnp.real(stacked), jnp.imag(stacked)])


def vector_to_couplings(vector: Array) -> TargetCouplings:
    """Inverse of `couplings_to_vector`."""
    half = N_COORDINATES // 2
    flat = vector[:half] + 1j * vector[half:]
    leaves = [unit * jnp.reshape(flat[k * _BLOCK : (k + 1) * _BLOCK], (N_FLAVOUR, N_FINAL)) for k, unit in enumerate(_UNITS)]
    return TargetCouplings(*leaves)


@dataclass(frozen=True)
class AmplitudeBasis:
    """Real amplitudes a (amplitude,) and what they stand for.

    `rows` are the coordinates (of `couplings_to_vector`) that serve as amplitudes; every reachable coupling vector is
    `directions` @ a.
    """

    rows: np.ndarray
    directions: np.ndarray

    @property
    def size(self) -> int:
        """Number of real amplitudes."""
        return len(self.rows)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Index pairs i <= j of the products a_i a_j, in the order of `products`."""
        return [(i, j) for i in range(self.size) for j in range(i, self.size)]

    @property
    def is_dipole(self) -> np.ndarray:
        """(amplitude,) whether an amplitude is an entry of the dipole matrix."""
        return np.asarray(self.rows % (N_COORDINATES // 2) < _BLOCK)

    def couplings(self, amplitudes: Array) -> TargetCouplings:
        """Target couplings of the amplitudes (amplitude,)."""
        return vector_to_couplings(jnp.asarray(self.directions) @ amplitudes)

    def products(self, amplitudes: Array) -> Array:
        """All products a_i a_j, i <= j, (pair,)."""
        if self.size == 0:
            return jnp.zeros((0,))
        return jnp.concatenate([amplitudes[i] * amplitudes[i:] for i in range(self.size)])

    def form_columns(self, massive: bool = False) -> np.ndarray:
        """(1 + pair, form coordinate): forms (as `forms_to_vector` of ALL_FORMS) of the SM and of each product.

        With a massive N: the form coordinates of `split_names`.
        """
        if massive:
            return np.concatenate([self._columns(heavy=False), self._columns(heavy=True)[:, 1:]], axis=1)
        return self._columns()

    def _columns(self, heavy: bool | None = None) -> np.ndarray:
        """(1 + pair, coordinate of ALL_FORMS) of all couplings, or of those to N or to massless final states alone."""
        columns = [np.eye(1 + 9 * len(ALL_FORMS))[0]]

        def of(a: np.ndarray) -> np.ndarray:
            couplings = self.couplings(jnp.asarray(a))
            chosen = couplings if heavy is None else restricted(couplings, heavy)
            return np.asarray(forms_to_vector(quadratic_forms(chosen, sm=0.0), ALL_FORMS))

        unit = np.eye(self.size)
        square = [of(unit[i]) for i in range(self.size)]
        for i, j in self.pairs:
            columns.append(square[i] if i == j else of(unit[i] + unit[j]) - square[i] - square[j])
        return np.asarray(columns)


def independent_rows(matrix: np.ndarray, tolerance: float = _RANK_TOLERANCE) -> np.ndarray:
    """Indices of a largest well-conditioned set of independent rows (pivoted QR), sorted; empty for a zero matrix."""
    if matrix.size == 0 or not np.any(matrix):
        return np.zeros(0, dtype=int)
    _, r, pivots = scipy.linalg.qr(matrix.T, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(r))
    return np.sort(pivots[: int(np.sum(diagonal > tolerance * diagonal[0]))])


def amplitude_basis(samples: np.ndarray) -> AmplitudeBasis:
    """Basis of the space that coupling vectors (sample, 288) span.

    Args:
        samples: real coordinates of target couplings, from unit coefficients at several theory inputs.
    """
    columns = samples.T
    norms = np.abs(samples).max(axis=1, initial=0.0)
    columns = columns[:, norms > 0] / norms[norms > 0]
    rows = independent_rows(columns)
    if len(rows) == 0:
        return AmplitudeBasis(rows, np.zeros((N_COORDINATES, 0)))
    solution, *_ = np.linalg.lstsq(columns[rows].T, columns.T, rcond=None)
    return AmplitudeBasis(rows, np.where(np.abs(solution.T) > 1e-14, solution.T, 0.0))


@dataclass(frozen=True)
class MergedMonomials:
    """The independent combinations of (1, a_i a_j) that an experiment sees.

    `weights` (monomial, 1 + pair) makes the monomials, `forms` holds the forms (leading axis monomial) that each one multiplies.
    """

    weights: np.ndarray
    forms: Forms

    @property
    def size(self) -> int:
        """Number of monomials, the Standard Model's included."""
        return len(self.weights)


def merged_monomials(basis: AmplitudeBasis, relevant: np.ndarray, massive: bool = False) -> MergedMonomials:
    """Merge products of amplitudes that an experiment cannot tell apart.

    Args:
        basis: the amplitudes.
        relevant: (form coordinate,) True where the experiment's rate depends on that coordinate of ALL_FORMS, or
            of `split_names`.
        massive: whether N has a mass.
    Returns: monomials m = weights @ (1, a_i a_j) and forms with sum_m m F_m equal to the full sum on every relevant coordinate.
    """
    names = split_names() if massive else ALL_FORMS
    columns = np.where(relevant, basis.form_columns(massive), 0.0).T
    scale = np.abs(columns).max(axis=1)
    # Rows that carry interference of operators of different dimension differ by powers of 1e-3 in natural units.
    used = np.flatnonzero(scale > 0)
    scaled = columns[used] / scale[used, None]
    picked = independent_rows(scaled)
    lifted, *_ = np.linalg.lstsq(scaled[picked].T, scaled.T, rcond=None)
    vectors = np.zeros((len(picked), columns.shape[0]))
    vectors[:, used] = np.where(np.abs(lifted) > 1e-13, lifted, 0.0) * scale[used]
    forms = [vector_to_forms(jnp.asarray(v), names) for v in vectors]
    return MergedMonomials(scaled[picked], {name: jnp.stack([f[name] for f in forms]) for name in forms[0]})
