"""The theories with five and with four quark flavours, which meet at m_b(m_b): couplings, masses and their integrals.

Everything is a function of ln(mu / m_b) and normalised at m_b(m_b), so that factors between any two scales are ratios.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from nmmfit.eft.qcd import (
    REFERENCE_SCALE_GEV,
    anomalous_exponent,
    beta_series,
    decouple_mass,
    log_scale_ratio,
    mass_series,
    run_coupling,
    tensor_series,
    threshold_couplings,
)
from nmmfit.inputs import StandardModelInputs
from nmmfit.numerics.rational import polynomial
from nmmfit.numerics.special import log1p_small
from nmmfit.shapes import Array

FERMIONS = ("u", "c", "d", "s", "b", "e", "mu", "tau")
"""The fermions whose tensors mix into the dipole."""
FERMION_TYPE: Mapping[str, str] = {"u": "u", "c": "u", "d": "d", "s": "d", "b": "d", "e": "e", "mu": "e", "tau": "e"}
CHARGE: Mapping[str, float] = {"u": 2.0 / 3.0, "d": -1.0 / 3.0, "e": -1.0}
COLOURS: Mapping[str, int] = {"u": 3, "d": 3, "e": 1}

B_0E: Mapping[int, float] = {n: -4.0 / 3.0 * (3.0 + (n - 2.0) / 3.0 + 8.0 / 3.0) for n in (5, 4)}
"""-4/3 (n_e + n_d / 3 + 4 n_u / 3): leading coefficient of the running of e by the number of quark flavours."""

_NODES, _WEIGHTS = (0.5 * (x + s) for x, s in zip(np.polynomial.legendre.leggauss(8), (1.0, 0.0), strict=True))


@dataclass(frozen=True)
class Theory:
    """The theory with `n_f` quark flavours. Logarithms are ln(mu / m_b(m_b)), all factors 1 at m_b(m_b); functions broadcast."""

    n_f: int
    a_b: Array
    """alpha_s / 4 pi at m_b(m_b)."""
    inv_alpha_b: Array
    """1/alpha at m_b(m_b)."""
    inputs: StandardModelInputs

    @property
    def b_0e(self) -> float:
        """Leading coefficient of the running of e."""
        return B_0E[self.n_f]

    @property
    def beta(self) -> np.ndarray:
        """`qcd.beta_series` to the order chosen, as the next two."""
        return beta_series(self.n_f, self.inputs.alpha_s_loops)

    @property
    def mass_gamma(self) -> np.ndarray:
        """`qcd.mass_series`."""
        return mass_series(self.n_f, self.inputs.alpha_s_loops)

    @property
    def tensor_gamma(self) -> np.ndarray:
        """`qcd.tensor_series`."""
        return tensor_series(self.n_f, self.inputs.gamma_T_loops)

    def coupling(self, log_scale: Array) -> Array:
        """alpha_s / 4 pi at each scale."""
        return run_coupling(self.a_b, log_scale, self.beta)

    def exponent(self, a: Array, gamma: np.ndarray) -> Array:
        """Integral of an anomalous dimension over ln mu from m_b to where the coupling is a."""
        return anomalous_exponent(a, self.a_b, self.beta, gamma)

    def qed_integral(self, log_scale: Array) -> Array:
        """Integral of e^2 / 16 pi^2 over ln mu from m_b to the scale."""
        if self.inputs.e_running == "fixed":
            return log_scale / (4.0 * jnp.pi * self.inv_alpha_b)
        return log1p_small(self.b_0e / (2.0 * jnp.pi) * log_scale / self.inv_alpha_b) / (2.0 * self.b_0e)

    def source_integrals(self, a: Array) -> dict[str, Array]:
        """Integrals of (e / D) t_f m_f / m_f(m_b) over ln mu between two couplings, for `u`, `d` and `e` (where m is constant).

        t_f and D = exp(-b_0e int e^2/16 pi^2) are the factors of the tensor and of the dipole; e is in units of e(m_b).

        Args:
            a: (2,), alpha_s / 4 pi at the two scales.
        Returns: by fermion type.
        """
        # Nodes in ln(a_b / a), in which the integrand is nearly a polynomial.
        end = jnp.log(self.a_b / a)
        width = end[1] - end[0]
        log_ratio = end[0] + width * _NODES
        u = jnp.exp(log_ratio) / self.a_b
        node = 1.0 / u
        strong = anomalous_exponent(node, self.a_b, self.beta, self.tensor_gamma + self.mass_gamma, -log_ratio)
        qed = self.qed_integral(log_scale_ratio(node, self.a_b, self.beta, -log_ratio))
        # e / D = 1 where e runs, as D runs like e.
        power = self.b_0e if self.inputs.e_running == "fixed" else 0.0
        lepton = u / (2.0 * polynomial(self.beta, node))
        quark = lepton * jnp.exp(strong)
        factors = {f: quark * jnp.exp((power - 4.0 * CHARGE[f] ** 2) * qed) for f in ("u", "d")}
        factors["e"] = lepton * jnp.exp((power + 2.0) * qed)
        return {f: width * jnp.dot(factor, _WEIGHTS) for f, factor in factors.items()}


def theories(inputs: StandardModelInputs) -> tuple[Theory, Theory]:
    """The theories with five and with four flavours."""
    if inputs.e_running == "fixed":
        inv_alpha_b = jnp.asarray(inputs.inv_alpha_0, dtype=float)
    else:
        log_ratio = jnp.log(jnp.asarray(inputs.m_b_gev) / inputs.m_z_gev)
        inv_alpha_b = inputs.inv_alpha_mz + B_0E[5] / (2.0 * jnp.pi) * log_ratio
    a_5, a_4 = threshold_couplings(inputs)
    return Theory(5, a_5, inv_alpha_b, inputs), Theory(4, a_4, inv_alpha_b, inputs)


def reference_logs(inputs: StandardModelInputs) -> Array:
    """ln(2 GeV / m_b) and ln(m_c / m_b), where light-quark and charm masses are given."""
    return jnp.log(jnp.stack([jnp.asarray(REFERENCE_SCALE_GEV), jnp.asarray(inputs.m_c_gev, dtype=float)]) / inputs.m_b_gev)


def masses_at_threshold(
    strong: Array, qed: Array, a_5: Array, inputs: StandardModelInputs
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Masses at m_b(m_b) in GeV, in the theories with five and with four flavours.

    Args:
        strong: mass exponents of the four-flavour theory at `reference_logs`.
        qed: `Theories.qed_integral` there.
        a_5: alpha_s / 4 pi at m_b(m_b) with five flavours.
        inputs: the masses.
    """
    given = {"u": (0, inputs.m_u_gev), "d": (0, inputs.m_d_gev), "s": (0, inputs.m_s_gev), "c": (1, inputs.m_c_gev)}
    four = {f: m * jnp.exp(-strong[k] + 6.0 * CHARGE[FERMION_TYPE[f]] ** 2 * qed[k]) for f, (k, m) in given.items()}
    leptons = {"e": jnp.asarray(inputs.m_e_gev), "mu": jnp.asarray(inputs.m_mu_gev), "tau": jnp.asarray(inputs.m_tau_gev)}
    ratio = decouple_mass(a_5, inputs.alpha_s_loops)
    five = {f: m / ratio for f, m in four.items()} | {"b": jnp.asarray(inputs.m_b_gev, dtype=float)}
    return five | leptons, four | {"b": jnp.zeros(())} | leptons


def split_logs(log_scale: Array) -> Array:
    """(2, scale): the part of ln(mu / m_b) above the threshold and the part below."""
    return jnp.stack([jnp.maximum(log_scale, 0.0), jnp.minimum(log_scale, 0.0)])


def inverse_alpha(scale_gev: Array | float, inputs: StandardModelInputs) -> Array:
    """1/alpha(mu): one loop from m_Z (three charged leptons, u, d, s, c and, above m_b, b), or fixed at 1/alpha(0).

    Args:
        scale_gev: any shape, GeV.
        inputs: 1/alpha(m_Z), m_Z, m_b and the option `e_running`.
    """
    scale = jnp.asarray(scale_gev, dtype=float)
    if inputs.e_running == "fixed":
        return jnp.broadcast_to(jnp.asarray(inputs.inv_alpha_0, dtype=float), scale.shape)
    above, below = split_logs(jnp.log(scale / inputs.m_b_gev))
    from_mz = jnp.log(jnp.asarray(inputs.m_b_gev) / inputs.m_z_gev) + above
    return inputs.inv_alpha_mz + (B_0E[5] * from_mz + B_0E[4] * below) / (2.0 * jnp.pi)


def quark_mass(flavour: str, scale_gev: Array | float, inputs: StandardModelInputs) -> Array:
    """MS-bar mass of a quark at a scale, in GeV: five flavours from m_b(m_b) upwards, four below.

    Args:
        flavour: u, d, s, c or b.
        scale_gev: scalar, GeV.
        inputs: masses, alpha_s and orders.
    Returns: scalar, GeV; 0 for b below its threshold.
    """
    return alpha_s_and_masses(scale_gev, inputs)[1][flavour]


def alpha_s_and_masses(scale_gev: Array | float, inputs: StandardModelInputs) -> tuple[Array, dict[str, Array]]:
    """alpha_s and the masses of u, d, s, c and b in GeV at one scale, as `qcd.alpha_s` and `quark_mass`, but run together."""
    five, four = theories(inputs)
    log_scale = jnp.log(jnp.asarray(scale_gev, dtype=float) / inputs.m_b_gev)
    above, below = split_logs(log_scale)
    logs = jnp.concatenate([below[None], reference_logs(inputs)])
    a_5, a_4 = five.coupling(above), four.coupling(logs)
    strong_5, strong_4 = five.exponent(a_5, five.mass_gamma), four.exponent(a_4, four.mass_gamma)
    qed_5, qed_4 = five.qed_integral(above), four.qed_integral(logs)
    start_5, start_4 = masses_at_threshold(strong_4[1:], qed_4[1:], five.a_b, inputs)
    masses = {}
    for flavour in ("u", "d", "s", "c", "b"):
        power = 6.0 * CHARGE[FERMION_TYPE[flavour]] ** 2
        masses[flavour] = jnp.where(
            log_scale >= 0.0,
            start_5[flavour] * jnp.exp(strong_5 - power * qed_5),
            start_4[flavour] * jnp.exp(strong_4[0] - power * qed_4[0]),
        )
    return 4.0 * jnp.pi * jnp.where(log_scale >= 0.0, a_5, a_4[0]), masses
