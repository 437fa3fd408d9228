"""Quantiles of the chi-square and of the normal distribution, without scipy.stats, which takes half a second to import."""

from __future__ import annotations

from scipy.special import gammaincinv, ndtri


def chi_square_quantile(probability: float, degrees: float) -> float:
    """x with P(chi^2 of so many degrees of freedom <= x) = probability."""
    return 2.0 * float(gammaincinv(0.5 * degrees, probability))


def normal_quantile(probability: float) -> float:
    """z with P(unit normal <= z) = probability."""
    return float(ndtri(probability))
