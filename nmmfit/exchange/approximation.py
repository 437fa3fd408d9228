"""delta chi2 of a run as a polynomial in its coefficients, nuisances profiled: Gaussian or quartic.

delta chi2(c) = 2 [min over eta of nll(c, eta) - min over c, eta of nll], without the priors of coefficients.

Quartic, around c = 0. Counts are linear in the monomials m(c) = (c_i, c_i c_j) (`rates`). To second order in m and in the
nuisances around their best fit at c = 0, nll = const + G m + m^T H_mm m / 2 + m^T H_me x + x^T H_ee x / 2; the minimum over x
leaves

    delta chi2 = const + 2 G m + m^T S m,    S = H_mm - H_me H_ee^-1 H_em    (Schur complement),

a quartic polynomial in c.

Gaussian, around the best fit c_0: delta chi2 = (c - c_0)^T S (c - c_0) with the Schur complement of the Hessian in (c, eta). It
knows one optimum; mirror images under a sign symmetry are further ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.errors import NotConvergedError, UserInputError, unknown
from nmmfit.exchange.monomials import Monomial, Polynomial, evaluated, squared_form
from nmmfit.exchange.rates import channel_slices, monomials_of, product_columns
from nmmfit.inference.fit import fit, scaled_hessian
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.profiling import Profiler
from nmmfit.inference.space import Space, space_of
from nmmfit.precision import require_double_precision
from nmmfit.shapes import Array

ORDERS = ("gaussian", "quartic")
LEAST_INFORMATION = 1e-3
"""Eigenvalue of the information below which a direction has none, in steps that change amplitudes by their sensitivity."""


@dataclass(frozen=True)
class Approximation:
    """A polynomial for delta chi2.

    Attributes:
        order: "gaussian" or "quartic".
        names, units: of the coefficients that monomials index.
        polynomial: monomial -> coefficient; delta chi2 is 0 at the best fit of the exact likelihood.
        center: coefficients around which it was made: 0, or the best fit.
        best: the best fit of the exact likelihood; along exactly flat directions the smallest coefficients.
        best_nll: minus log likelihood with constraints there.
        nuisances: nuisances at the center, name -> value.
        blind: directions in which a Gaussian has no information though the likelihood is not flat, name -> component.
    """

    order: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    polynomial: Polynomial
    center: dict[str, float]
    best: dict[str, float]
    best_nll: float
    nuisances: dict[str, float]
    blind: tuple[dict[str, float], ...] = field(default=())

    @property
    def degree(self) -> int:
        """2 or 4."""
        return 2 if self.order == "gaussian" else 4

    def delta_chi2(self, points: np.ndarray) -> np.ndarray:
        """The polynomial at coefficients (..., parameter): (...)."""
        return evaluated(self.polynomial, points)


def approximate(joint: JointLikelihood, order: str = "quartic", *, starts: int = 8, seed: int = 0) -> Approximation:
    """Approximate delta chi2 of a joint likelihood.

    Args:
        joint: the joint likelihood.
        order: "gaussian" or "quartic".
        starts, seed: of the search for the best fit.
    Raises: UserInputError for an unknown order, a likelihood without free coefficients, and a Gaussian where the best fit has no
        information on any of them; NotConvergedError if a fit did not converge.
    """
    require_double_precision()
    if order not in ORDERS:
        raise unknown("order", order, ORDERS, "approximate")
    space = space_of(joint)
    if not len(space.coefficients):
        raise UserInputError("approximate: no coefficient is free, so that there is nothing to approximate")
    best = fit(joint, starts=starts, seed=seed)
    if not best.converged:
        raise NotConvergedError("approximate: the best fit did not converge")
    made = _gaussian if order == "gaussian" else _quartic
    return made(space, best.point, best.value)


def conditional_fit(space: Space, coefficients: np.ndarray, start: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """The vector (n,) with nuisances and theory inputs at their best for given coefficients, and minus log likelihood there.

    Raises: NotConvergedError.
    """
    free = np.setdiff1d(np.arange(space.n), space.coefficients)
    x = np.array(space.start if start is None else start, dtype=float)
    x[space.coefficients] = coefficients
    if not len(free):
        return x, space.nll_at(x)
    profiler = Profiler(space)
    found = profiler.minimise([profiler.job(None, start=x, free=free)], x[None])
    if not found.converged[0]:
        raise NotConvergedError("approximate: the fit of the nuisances did not converge")
    return np.asarray(found.x[0]), float(found.value[0])


def schur(matrix: np.ndarray, kept: int) -> np.ndarray:
    """Schur complement of a symmetric matrix onto its first `kept` rows: what is left when the others are minimised over."""
    outer, mixed, inner = matrix[:kept, :kept], matrix[:kept, kept:], matrix[kept:, kept:]
    left = outer - mixed @ np.linalg.solve(inner, mixed.T) if len(inner) else outer
    return np.asarray(0.5 * (left + left.T))


def _quartic(space: Space, best: dict[str, float], best_nll: float) -> Approximation:
    joint, n = space.joint, len(space.coefficients)
    x, value = conditional_fit(space, np.zeros(n))
    monomials = monomials_of(joint)[1:]
    steps = space.scale[space.coefficients]
    sizes = np.array([np.prod(steps[list(m)]) for m in monomials])
    gradient, hessian = _in_monomials(space, x, sizes)
    k = len(monomials)
    curvature = schur(hessian, k)
    polynomial = squared_form(
        monomials, 2.0 * (value - best_nll), 2.0 * gradient[:k] / sizes, 2.0 * curvature / np.outer(sizes, sizes)
    )
    return _made(space, "quartic", polynomial, x, best, best_nll)


def _in_monomials(space: Space, x: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and Hessian of nll in (monomials / sizes, nuisances / scales), at vanishing coefficients and nuisances of x."""
    joint, n = space.joint, len(space.coefficients)
    places, k = channel_slices(joint), len(sizes)
    scale = space.scale[n:]

    def nll(y: Array) -> Array:
        vector = space.ranges.to_parameters(jnp.concatenate([jnp.zeros(n), x[n:] + scale * y[k:]]))
        columns = product_columns(joint, vector)
        counts = joint.counts_of_products(vector, columns[:, 0] + columns[:, 1:] @ (sizes * y[:k]))
        terms = [
            jnp.sum(channel.distribution(counts[places[name]]).log_prob(jnp.asarray(joint.observed[name]).ravel()))
            for name, channel in joint.channels.items()
        ]
        return -(sum(terms, jnp.asarray(0.0)) + joint.constraint_vector(vector))

    def both(y: Array) -> tuple[Array, Array]:
        gradient, push = jax.linearize(jax.grad(nll), y)
        # in blocks: every direction at once would hold all template tables as often
        return gradient, jax.lax.map(push, jnp.eye(len(y)), batch_size=8)

    gradient, hessian = jax.jit(both)(jnp.zeros(k + len(scale)))
    return np.asarray(gradient), np.asarray(hessian)


def _gaussian(space: Space, best: dict[str, float], best_nll: float) -> Approximation:
    n = len(space.coefficients)
    x = space.vector(best)
    basis = space.basis(x)
    inverse = np.linalg.inv(basis)
    information = schur(inverse.T @ scaled_hessian(space.nll, x, basis) @ inverse, n)
    inner = basis[:n, :n]
    values, vectors = np.linalg.eigh(inner.T @ information @ inner)
    flat = space.flat_directions(x)[:, :n]
    names = space.names[:n]
    blind = []
    for value, direction in zip(values, (inner @ vectors).T, strict=True):
        if value < LEAST_INFORMATION and not _spanned(direction / space.scale[:n], flat / space.scale[:n]):
            blind.append(dict(zip(names, map(float, direction), strict=True)))
    if not np.any(values >= LEAST_INFORMATION):
        raise UserInputError(
            "approximate: the best fit has no information on any coefficient (delta chi2 starts with a fourth power there); "
            "take the quartic approximation"
        )
    kept = np.where(values >= LEAST_INFORMATION, values, 0.0)
    outer = np.linalg.inv(inner)
    information = outer.T @ (vectors * kept) @ vectors.T @ outer
    center = x[:n]
    monomials: tuple[Monomial, ...] = tuple((i,) for i in range(n))
    polynomial = squared_form(monomials, float(center @ information @ center), -2.0 * information @ center, 2.0 * information)
    return _made(space, "gaussian", polynomial, x, best, best_nll, tuple(blind))


def _spanned(direction: np.ndarray, flat: np.ndarray) -> bool:
    """Whether a direction lies in the span of orthonormal rows."""
    size = np.linalg.norm(direction)
    return bool(np.linalg.norm(direction - flat.T @ (flat @ direction)) < 1e-6 * size)


def _made(
    space: Space,
    order: str,
    polynomial: Polynomial,
    x: np.ndarray,
    best: dict[str, float],
    best_nll: float,
    blind: tuple[dict[str, float], ...] = (),
) -> Approximation:
    names = space.names[: len(space.coefficients)]
    point = space.point(x)
    return Approximation(
        order,
        names,
        tuple(space.units[name] for name in names),
        polynomial,
        {name: point[name] for name in names},
        {name: best[name] for name in names},
        best_nll,
        {name: value for name, value in point.items() if name not in names},
        blind,
    )
