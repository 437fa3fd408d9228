"""The few real amplitudes that a set of coefficients can excite, and the quadratic forms their products make.

Target couplings are a long list of complex matrices; a fit moves them in a small space only. Here that space gets a basis:
real amplitudes a_i with target couplings sum_i a_i D_i, so that every quadratic form is sum_{i<=j} a_i a_j F_ij. Amplitudes that
interfere with the Standard Model also enter linearly, with forms of their own. An experiment
sees fewer combinations still; `merged_monomials` finds them exactly (linear algebra to rounding), so that identical monomials
are computed once.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from nmmfit.physics.forms import (
    ALL_FORMS,
    N_FINAL,
    N_FLAVOUR,
    SM_FORMS,
    VECTORS,
    Forms,
    TargetCouplings,
    forms_to_vector,
    quadratic_forms,
    restricted,
    split_names,
    vector_to_forms,
)
from nmmfit.run_once import jit_once
from nmmfit.shapes import Array

# Units in which amplitudes are of order one; they only balance numbers of different dimension before a rank is taken.
DIPOLE_UNIT = 1e-9
CONTACT_UNIT = 1e-6
CHARGE_UNIT = 1e-10
_FIELDS = tuple(f.name for f in fields(TargetCouplings))
_UNITS = tuple({"dipole": DIPOLE_UNIT, "charge": CHARGE_UNIT}.get(name, CONTACT_UNIT) for name in _FIELDS)
_BLOCK = N_FLAVOUR * N_FINAL
N_COORDINATES = 2 * len(_UNITS) * _BLOCK
_RANK_TOLERANCE = 1e-9
_IS_VECTOR = np.tile(np.repeat([name in VECTORS for name in _FIELDS], _BLOCK), 2)
FINAL_STATES = np.arange(N_COORDINATES) % N_FINAL + N_FINAL * _IS_VECTOR
"""(coordinate,): final state of each coordinate of `couplings_to_vector`: columns of the coupling matrices, those of vectors
(6-8: nu_e, nu_mu, nu_tau, 9-11: conjugates of N_1, N_2, N_3) after the six of the others."""
SM_FINAL_STATES = frozenset(range(N_FINAL, N_FINAL + N_FLAVOUR))
"""Final states that the Standard Model leads to as well."""
_INTERFERES = np.isin(FINAL_STATES, list(SM_FINAL_STATES))


def couplings_to_vector(couplings: TargetCouplings) -> Array:
    """Real coordinates (coordinate,) of target couplings, in units of 1e-9 GeV^-1 (dipole), 1e-10 (charge) and 1e-6 GeV^-2."""
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
    def linear(self) -> list[int]:
        """Amplitudes that interfere with the Standard Model, in the order of the last of `products`."""
        return [int(i) for i in np.flatnonzero(np.any(self.directions[_INTERFERES] != 0.0, axis=0))]

    @property
    def n_products(self) -> int:
        """Number of `products`."""
        return self.size * (self.size + 1) // 2 + len(self.linear)

    @property
    def is_dipole(self) -> np.ndarray:
        """(amplitude,) whether an amplitude is an entry of the dipole matrix."""
        return np.asarray(self.rows % (N_COORDINATES // 2) < _BLOCK)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of each amplitude the coupling of `TargetCouplings` that it is an entry of."""
        return tuple(_FIELDS[int(row) % (N_COORDINATES // 2) // _BLOCK] for row in self.rows)

    def couplings(self, amplitudes: Array) -> TargetCouplings:
        """Target couplings of the amplitudes (amplitude,)."""
        return vector_to_couplings(jnp.asarray(self.directions) @ amplitudes)

    def products(self, amplitudes: Array) -> Array:
        """All products a_i a_j, i <= j, then those a_i that interfere with the Standard Model, (product,)."""
        if self.size == 0:
            return jnp.zeros((0,))
        alone = [amplitudes[np.asarray(self.linear)]] if self.linear else []
        return jnp.concatenate([*(amplitudes[i] * amplitudes[i:] for i in range(self.size)), *alone])

    def form_columns(self, massive: bool = False) -> np.ndarray:
        """(1 + product, form coordinate): forms (as `forms_to_vector` of ALL_FORMS) of the SM and of each product.

        With a massive N: the form coordinates of `split_names`.
        """
        return self._massive_columns if massive else self._massless_columns

    # Kept: every experiment of a fit asks for them.
    @functools.cached_property
    def _massless_columns(self) -> np.ndarray:
        return self._columns()

    @functools.cached_property
    def _massive_columns(self) -> np.ndarray:
        return np.concatenate([self._columns(heavy=False), self._columns(heavy=True)[:, 1:]], axis=1)

    def _columns(self, heavy: bool | None = None) -> np.ndarray:
        """(1 + product, coordinate of ALL_FORMS) of all couplings, or of those to N or to massless final states alone."""
        alone = np.eye(self.size)
        crossed = [(i, j) for i, j in self.pairs if i != j]
        first, second = np.array(crossed, dtype=int).reshape(-1, 2).T
        points = np.concatenate([alone, alone[first] + alone[second], alone[self.linear]])
        strengths = np.repeat([0.0, 0.0, 1.0], [self.size, len(crossed), len(self.linear)])
        of_points = jit_once(functools.partial(_form_coordinates, heavy=heavy))
        values = np.asarray(of_points(points @ self.directions.T, strengths))
        square, sums, interfering = np.split(values, [self.size, self.size + len(crossed)])
        cross = {pair: value - square[pair[0]] - square[pair[1]] for pair, value in zip(crossed, sums, strict=True)}
        products = [square[i] if i == j else cross[i, j] for i, j in self.pairs]
        linear = np.concatenate([[False], np.asarray([name in SM_FORMS for name in ALL_FORMS]).repeat(9)])
        return np.asarray([np.eye(1 + 9 * len(ALL_FORMS))[0], *products, *np.where(linear, interfering, 0.0)])


def _form_coordinates(vectors: Array, strengths: Array, heavy: bool | None) -> Array:
    """(point, form coordinate) of coupling vectors (point, coordinate) and strengths (point,) of the Standard Model.

    One program for all points: thousands of small operations one by one would take seconds.
    """

    def of(vector: Array, sm: Array) -> Array:
        couplings = vector_to_couplings(vector)
        chosen = couplings if heavy is None else restricted(couplings, heavy)
        return forms_to_vector(quadratic_forms(chosen, sm=sm), ALL_FORMS)

    return jax.vmap(of)(vectors, strengths)


def independent_rows(matrix: np.ndarray, tolerance: float = _RANK_TOLERANCE) -> np.ndarray:
    """Indices of a largest well-conditioned set of independent rows (pivoted QR), sorted; empty for a zero matrix."""
    if matrix.size == 0 or not np.any(matrix):
        return np.zeros(0, dtype=int)
    _, r, pivots = scipy.linalg.qr(matrix.T, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(r))
    return np.sort(pivots[: int(np.sum(diagonal > tolerance * diagonal[0]))])


def amplitude_basis(samples: np.ndarray) -> AmplitudeBasis:
    """Basis of the space that coupling vectors (sample, coordinate) span.

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
    """The independent combinations of (1, a_i a_j, a_i) that an experiment sees.

    `weights` (monomial, 1 + product) makes the monomials, `forms` holds the forms (leading axis monomial) that each one
    multiplies.
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
        relevant: (form coordinate,) True where the experiment's rate depends on that coordinate of ALL_FORMS, or of
            `split_names`.
        massive: whether N has a mass.
    Returns: monomials m = weights @ (1, products) and forms with sum_m m F_m equal to the full sum on every relevant coordinate.
    """
    names = split_names() if massive else ALL_FORMS
    columns = np.where(relevant, basis.form_columns(massive), 0.0).T
    scale = np.abs(columns).max(axis=1)
    # Rows that carry interference of operators of different dimension differ by powers of 1e-3 in natural units.
    used = np.flatnonzero(scale > 0)
    if len(used) == 0:
        # An experiment that none of the amplitudes reaches, nor the Standard Model: a constant.
        alone = vector_to_forms(jnp.zeros(columns.shape[0]).at[0].set(1.0), names)
        return MergedMonomials(np.eye(1, columns.shape[1]), {name: form[None] for name, form in alone.items()})
    scaled = columns[used] / scale[used, None]
    picked = independent_rows(scaled)
    lifted, *_ = np.linalg.lstsq(scaled[picked].T, scaled.T, rcond=None)
    vectors = np.zeros((len(picked), columns.shape[0]))
    vectors[:, used] = np.where(np.abs(lifted) > 1e-13, lifted, 0.0) * scale[used]
    forms = jit_once(jax.vmap(lambda v: vector_to_forms(v, names)))(jnp.asarray(vectors))
    return MergedMonomials(scaled[picked], forms)
