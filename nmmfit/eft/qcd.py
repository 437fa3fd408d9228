"""QCD coupling and quark masses in MS-bar: the exact solution of the truncated renormalisation-group equations.

With a = alpha_s / 4 pi and u = 1/a the truncated equation du / d ln mu = 2 (beta_0 + beta_1 a + ...) has the exact, implicit
solution

    ln(mu / mu_0) = [u - u_0 - c_1 ln(u / u_0) + int_a^a0 r(a') da'] / (2 beta_0),   c_i = beta_i / beta_0,

where r is a rational function without poles near the interval: its integral is a polynomial in a to machine precision
(`numerics.rational`), and a few steps of third order invert the relation. Anomalous dimensions are integrated in the same way.
Nothing is expanded again in alpha_s, and there is no step size. Derivatives follow from the equations themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.inputs import StandardModelInputs
from nmmfit.numerics.rational import polynomial, ratio_integral
from nmmfit.shapes import Array

REFERENCE_SCALE_GEV = 2.0
"""Scale at which the light-quark masses are given and at which the theory is matched onto mesons and nucleons."""

_ZETA3 = 1.2020569031595942
_ZETA4 = math.pi**4 / 90.0
_ZETA5 = 1.0369277551433699
_B4 = -1.762800087073769  # 16 Li4(1/2) - 13/2 zeta_4 - 4 zeta_2 ln^2 2 + 2/3 ln^4 2
LARGEST_COUPLING = 0.09
"""Of alpha_s / 4 pi, alpha_s = 1.1: what is allowed (`inputs.check`) stays below, 0.073, down to the charm mass."""
_STEPS = 3

Series = np.ndarray
"""Four coefficients in the last axis, zero beyond the order chosen."""


def _series(coefficients: tuple[float, ...], loops: int) -> Series:
    out = np.zeros(4)
    out[:loops] = coefficients[:loops]
    return out


def beta_series(n_f: int, loops: int) -> Series:
    """Coefficients beta_i of d alpha_s / d ln mu = -2 alpha_s sum_i beta_i a^(i+1).

    Source: van Ritbergen, Vermaseren, Larin, hep-ph/9701390, eq. (8).
    """
    n = float(n_f)
    full = (
        11.0 - 2.0 / 3.0 * n,
        102.0 - 38.0 / 3.0 * n,
        2857.0 / 2.0 - 5033.0 / 18.0 * n + 325.0 / 54.0 * n**2,
        149753.0 / 6.0
        + 3564.0 * _ZETA3
        - (1078361.0 / 162.0 + 6508.0 / 27.0 * _ZETA3) * n
        + (50065.0 / 162.0 + 6472.0 / 81.0 * _ZETA3) * n**2
        + 1093.0 / 729.0 * n**3,
    )
    return _series(full, loops)


def mass_series(n_f: int, loops: int) -> Series:
    """Coefficients of d ln m / d ln mu = sum_i gamma_i a^(i+1) in QCD; a scalar current's coefficient runs likewise.

    Source: Chetyrkin, hep-ph/9703278; Vermaseren, Larin, van Ritbergen, hep-ph/9703284.
    """
    n = float(n_f)
    g = (
        1.0,
        (202.0 / 3.0 - 20.0 / 9.0 * n) / 16.0,
        (1249.0 - (2216.0 / 27.0 + 160.0 / 3.0 * _ZETA3) * n - 140.0 / 81.0 * n**2) / 64.0,
        (
            4603055.0 / 162.0
            + 135680.0 / 27.0 * _ZETA3
            - 8800.0 * _ZETA5
            - (91723.0 / 27.0 + 34192.0 / 9.0 * _ZETA3 - 880.0 * _ZETA4 - 18400.0 / 9.0 * _ZETA5) * n
            + (5242.0 / 243.0 + 800.0 / 9.0 * _ZETA3 - 160.0 / 3.0 * _ZETA4) * n**2
            - (332.0 / 243.0 - 64.0 / 27.0 * _ZETA3) * n**3
        )
        / 256.0,
    )
    return _series(tuple(-2.0 * g_i * 4.0 ** (i + 1) for i, g_i in enumerate(g)), loops)


def tensor_series(n_f: int, loops: int) -> Series:
    """Coefficients of d ln L^T / d ln mu = sum_i gamma_i a^(i+1) in QCD.

    Source: Broadhurst, Grozin, hep-ph/9410240 (two loops); Gracey, hep-ph/0007171 (three loops); coefficients from memory of
    the papers, unverified beyond the agreement of the general-colour form with the one for three colours.
    """
    n = float(n_f)
    full = (
        8.0 / 3.0,
        4.0 / 27.0 * (543.0 - 26.0 * n),
        2.0 / 81.0 * (52555.0 - 2784.0 * _ZETA3 - (5240.0 + 1440.0 * _ZETA3) * n - 36.0 * n**2),
    )
    return _series(full, loops)


@dataclass(frozen=True)
class _Primitive:
    """Indefinite integral over ln mu of n(a) = sum_i n_i a^i: (pole u - logarithm ln a - rest(u)) / 2 with u = 1/a, by

    n / beta = pole + logarithm a + a^2 r(a), d ln mu = -da / (2 a^2 beta), rest = int_0^a r(a') da'.
    """

    beta: Series
    n: np.ndarray
    pole: np.ndarray
    logarithm: np.ndarray
    rest: Callable[[Array], Array]

    @staticmethod
    def of(n: np.ndarray, beta: Series) -> _Primitive:
        """Five coefficients n_i, four of beta, in the last axis; the other axes broadcast against a."""
        pole = n[..., 0] / beta[..., 0]
        logarithm = (n[..., 1] - pole * beta[..., 1]) / beta[..., 0]
        beyond = n[..., 2:] - logarithm[..., None] * beta[..., 1:]
        beyond[..., :-1] -= pole[..., None] * beta[..., 2:]
        return _Primitive(beta, n, pole, logarithm, ratio_integral(beyond, beta, LARGEST_COUPLING))

    def slope(self, a: Array) -> Array:
        """Derivative in a."""
        return polynomial(self.n, a) / (-2.0 * a**2 * polynomial(self.beta, a))

    def __call__(self, u: Array) -> Array:
        """At 1/a = u."""
        return 0.5 * (self.pole * u + self.logarithm * jnp.log(u) - self.rest(u))

    def between(self, a_ref: Array, a: Array, log_ratio: Array | None) -> Array:
        """Definite integral; ln(a / a_ref) where it is known."""
        given = (a_ref, a) if log_ratio is None else (a_ref, a, log_ratio)

        @jax.custom_jvp
        def integral(a_ref: Array, a: Array, log_ratio: Array | None = None) -> Array:
            u_ref, u = 1.0 / a_ref, 1.0 / a
            log_ratio = jnp.log(a / a_ref) if log_ratio is None else log_ratio
            return 0.5 * (self.pole * (u - u_ref) - self.logarithm * log_ratio - (self.rest(u) - self.rest(u_ref)))

        @integral.defjvp
        def _(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
            return integral(*primals), self.slope(primals[1]) * tangents[1] - self.slope(primals[0]) * tangents[0]

        return integral(*given)


def log_scale_ratio(a: Array, a_ref: Array, beta: Series, log_ratio: Array | None = None) -> Array:
    """ln(mu / mu_ref) at which the coupling has run from a_ref to a; broadcasts.

    Args:
        a: alpha_s / 4 pi at mu, > 0.
        a_ref: alpha_s / 4 pi at mu_ref.
        beta: from `beta_series`; leading axes broadcast against a.
        log_ratio: ln(a / a_ref), where it is known.
    """
    return _log_scale(beta).between(a_ref, a, log_ratio)


def _log_scale(beta: Series) -> _Primitive:
    return _Primitive.of(np.concatenate([np.ones_like(beta[..., :1]), np.zeros_like(beta)], -1), beta)


def anomalous_exponent(a: Array, a_ref: Array, beta: Series, gamma: Series, log_ratio: Array | None = None) -> Array:
    """Integral of sum_i gamma_i a^(i+1) over ln mu, from the scale of a_ref to that of a; broadcasts.

    Args:
        a, a_ref, beta, log_ratio: as for `log_scale_ratio`.
        gamma: of the anomalous dimension, with the axes of `beta`.
    """
    return _Primitive.of(np.concatenate([np.zeros_like(gamma[..., :1]), gamma], -1), beta).between(a_ref, a, log_ratio)


def run_coupling(a_ref: Array, log_ratio: Array, beta: Series) -> Array:
    """a = alpha_s / 4 pi at ln(mu / mu_ref) = log_ratio, to machine precision; broadcasts.

    ln mu is nearly linear in u = 1/a, du / d ln mu = s(u) = 2 beta(1/u), so that steps of third order,
    u + s dx + s s' dx^2 / 2 for ln mu off by dx, from the one-loop solution converge in three. Derivatives are those of the
    solution, not of the steps: da / d ln mu = -2 a^2 beta(a), and da / da_ref is the ratio of this at the two scales.
    """
    a_ref, log_ratio = jnp.broadcast_arrays(jnp.asarray(a_ref, dtype=float), jnp.asarray(log_ratio, dtype=float))
    log_scale = _log_scale(beta)
    steepness = beta[..., 1:] * np.arange(1.0, 4.0)

    @jax.custom_jvp
    def solved(a_ref: Array, log_ratio: Array) -> Array:
        target = log_scale(1.0 / a_ref) + log_ratio

        def step(_: int, u: Array) -> Array:
            a = 1.0 / u
            slope, off = 2.0 * polynomial(beta, a), target - log_scale(u)
            return u + off * slope * (1.0 - off * a**2 * polynomial(steepness, a))

        u = jnp.maximum(1.0 / a_ref + 2.0 * beta[..., 0] * log_ratio, 1.0 / LARGEST_COUPLING)
        return 1.0 / jax.lax.fori_loop(0, _STEPS, step, u)

    @solved.defjvp
    def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
        a = solved(*primals)
        return a, (tangents[1] + log_scale.slope(primals[0]) * tangents[0]) / log_scale.slope(a)

    return solved(a_ref, log_ratio)


def decouple_coupling(a_5: Array, loops: int) -> Array:
    """a^(4) from a^(5) at mu = m_b(m_b), one order below the running.

    Source: Chetyrkin, Kniehl, Steinhauser, hep-ph/9708255.
    """
    x = 4.0 * a_5
    terms = (0.0, 0.0, 11.0 / 72.0, 564731.0 / 124416.0 - 82043.0 / 27648.0 * _ZETA3 - 2633.0 / 31104.0 * 4.0)
    return a_5 * (1.0 + sum(t * x**i for i, t in enumerate(terms[:loops]) if t))


def decouple_mass(a_5: Array, loops: int) -> Array:
    """Ratio m_q^(4) / m_q^(5) of a lighter quark's mass at mu = m_b(m_b), one order below the running.

    Source: Chetyrkin, Kniehl, Steinhauser, hep-ph/9708255.
    """
    x = 4.0 * a_5
    third = 2951.0 / 2916.0 - 407.0 / 864.0 * _ZETA3 + 5.0 / 4.0 * _ZETA4 - _B4 / 36.0
    third += 4.0 * (1327.0 / 11664.0 - 2.0 / 27.0 * _ZETA3)
    terms = (0.0, 0.0, 89.0 / 432.0, third)
    return jnp.asarray(1.0 + sum(t * x**i for i, t in enumerate(terms[:loops]) if t))


def threshold_couplings(inputs: StandardModelInputs) -> tuple[Array, Array]:
    """alpha_s / 4 pi at m_b(m_b) with five and with four flavours."""
    loops = inputs.alpha_s_loops
    log_ratio = jnp.log(jnp.asarray(inputs.m_b_gev) / inputs.m_z_gev)
    a_5 = run_coupling(jnp.asarray(inputs.alpha_s_mz) / (4.0 * jnp.pi), log_ratio, beta_series(5, loops))
    return a_5, decouple_coupling(a_5, loops)


def alpha_s(scale_gev: Array | float, inputs: StandardModelInputs, n_f: int | None = None) -> Array:
    """Strong coupling in MS-bar.

    Args:
        scale_gev: renormalisation scale, GeV, any shape.
        inputs: alpha_s(m_Z), m_b and the number of loops.
        n_f: number of flavours, 4 or 5; by default 5 from m_b(m_b) upwards and 4 below.
    Returns: alpha_s, shape of `scale_gev`.
    """
    scale = jnp.asarray(scale_gev, dtype=float)
    a_5, a_4 = threshold_couplings(inputs)
    log_ratio = jnp.log(scale / inputs.m_b_gev)
    above = log_ratio >= 0.0

    def branch(a_b: Array, flavours: int, chosen: Array) -> Array:
        return run_coupling(a_b, jnp.where(chosen, log_ratio, 0.0), beta_series(flavours, inputs.alpha_s_loops))

    if n_f is None:
        a = jnp.where(above, branch(a_5, 5, above), branch(a_4, 4, ~above))
    else:
        a = branch(a_5 if n_f == 5 else a_4, n_f, jnp.ones_like(above))
    return 4.0 * jnp.pi * a
