"""Polynomials in the coefficients of a run: monomials as tuples of indices, and their keys in POPxf (arXiv:2511.17348).

A monomial is a sorted tuple of parameter indices: () is 1, (0,) the first parameter, (0, 0) its square, (0, 1) the product of the
first two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement

import numpy as np

Monomial = tuple[int, ...]
Polynomial = dict[Monomial, float]


def quadratic(n: int) -> tuple[Monomial, ...]:
    """All monomials of degree 0, 1 and 2 in n parameters: 1, then c_i, then c_i c_j with i <= j."""
    return ((), *((i,) for i in range(n)), *combinations_with_replacement(range(n), 2))


def multiplied(a: Monomial, b: Monomial) -> Monomial:
    """The product of two monomials."""
    return tuple(sorted((*a, *b)))


def evaluated(polynomial: Mapping[Monomial, float], points: np.ndarray) -> np.ndarray:
    """A polynomial at points (..., parameter): (...)."""
    points = np.asarray(points, dtype=float)
    total = np.zeros(points.shape[:-1])
    for monomial, value in polynomial.items():
        total = total + value * np.prod(points[..., list(monomial)], axis=-1)
    return total


def squared_form(monomials: Sequence[Monomial], constant: float, slope: np.ndarray, curvature: np.ndarray) -> Polynomial:
    """constant + slope . m + m^T curvature m / 2 as a polynomial in the parameters, m being the vector of monomials."""
    found: Polynomial = {(): constant}
    for k, monomial in enumerate(monomials):
        found[monomial] = found.get(monomial, 0.0) + float(slope[k])
    for k, a in enumerate(monomials):
        for n, b in enumerate(monomials):
            product = multiplied(a, b)
            found[product] = found.get(product, 0.0) + 0.5 * float(curvature[k, n])
    return {m: v for m, v in sorted(found.items(), key=lambda entry: (len(entry[0]), entry[0])) if v != 0.0 or not m}


def popxf_key(monomial: Monomial, names: Sequence[str], degree: int) -> str:
    """Key of a monomial in POPxf: sorted names, empty ones in front up to the degree, as a tuple written out."""
    named = sorted(names[i] for i in monomial)
    return "(" + ", ".join(f"'{name}'" for name in [""] * (degree - len(named)) + named) + ")"
