"""Couplings of the Standard Model above m_W at one loop: gauge, Yukawa matrices with CKM, and the Higgs self-coupling.

The Lagrangian has -Qbar Y_d d H - Qbar Y_u u Htilde - Lbar Y_e e H - h.c. and the potential lambda (H^dagger H - v^2 / 2)^2. At
m_W and in the basis of down quarks Y_d = diag, Y_u = V^dagger diag and Y_e = diag, sqrt 2 m / v each. With t = ln mu

    16 pi^2 dY_u/dt = 3/2 (Y_u Y_u^+ - Y_d Y_d^+) Y_u + (gamma_H - 17/12 g'^2 - 9/4 g^2 - 8 g_s^2) Y_u
    16 pi^2 dY_d/dt = 3/2 (Y_d Y_d^+ - Y_u Y_u^+) Y_d + (gamma_H - 5/12 g'^2 - 9/4 g^2 - 8 g_s^2) Y_d
    16 pi^2 dY_e/dt = 3/2 Y_e Y_e^+ Y_e + (gamma_H - 15/4 g'^2 - 9/4 g^2) Y_e
    16 pi^2 dlambda/dt = 24 lambda^2 - 3 (g'^2 + 3 g^2) lambda + 4 gamma_H lambda + 3/8 (g'^4 + 2 g'^2 g^2 + 3 g^4)
                           - 2 tr(3 (Y_u Y_u^+)^2 + 3 (Y_d Y_d^+)^2 + (Y_e Y_e^+)^2)
    gamma_H = tr(3 Y_u Y_u^+ + 3 Y_d Y_d^+ + Y_e Y_e^+)

and d(16 pi^2 / g_i^2)/dt = -2 b_i, b = 41/6 (g'), -19/6 (g), -7 (g_s): six quarks and the Higgs doublet from m_W on. SEEN in
beta functions of `wilson` (from arXiv:1308.2627, 1310.4838, 1312.2014). alpha_s with six flavours is put equal to that with five
at m_W (1 %). Q stays what it is at m_W: at higher scales Y_d has entries off the diagonal, 1e-3 y_b at 1 TeV.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.eft.smneft_inputs import ElectroweakInputs, ckm_matrix, vacuum_value_gev
from nmmfit.eft.theories import alpha_s_and_masses, inverse_alpha
from nmmfit.inputs import StandardModelInputs
from nmmfit.numerics.collocation import NODES, collocation_step
from nmmfit.shapes import Array

LOOP = 16.0 * math.pi**2
B_GAUGE = np.array([41.0 / 6.0, -19.0 / 6.0, -7.0])
"""dg_i/dt = b_i g_i^3 / 16 pi^2 for g', g, g_s."""


_Running = tuple[Array, Array, Array, Array]
"""Y_u, Y_d, Y_e and lambda, which have no solution in closed form."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SmCouplings:
    """Couplings of the Standard Model at one scale; leading axes batch."""

    gauge: Array
    """(..., 3): g', g, g_s."""
    up: Array
    """(..., 3, 3), complex: Y_u, (generation of Q, u c t)."""
    down: Array
    """(..., 3, 3), complex: Y_d, (generation of Q, d s b)."""
    lepton: Array
    """(..., 3): e, mu, tau."""
    higgs: Array
    """(...): lambda, m_H^2 / 2 v^2 at m_W."""


def dagger(matrix: Array) -> Array:
    """Hermitian conjugate of the last two axes."""
    return jnp.conj(jnp.swapaxes(matrix, -1, -2))


def _trace(matrix: Array) -> Array:
    return jnp.trace(matrix, axis1=-2, axis2=-1).real


def higgs_wave_function(c: SmCouplings) -> Array:
    """gamma_H = tr(3 Y_u Y_u^+ + 3 Y_d Y_d^+ + Y_e Y_e^+), shape (...)."""
    # Not jnp.abs, whose second derivative at an entry of zero is wrong.
    squares = (jnp.real(y) ** 2 + jnp.imag(y) ** 2 for y in (c.up, c.down))
    return 3.0 * jnp.sum(sum(squares), axis=(-2, -1)) + jnp.sum(c.lepton**2, axis=-1)


@jax.jit
def couplings_at_m_w(inputs: StandardModelInputs, electroweak: ElectroweakInputs) -> SmCouplings:
    """Couplings at m_W: e and alpha_s of the theory below, g = e / s_W, g' = e / c_W, Yukawas from running masses.

    Masses of u, d, s, c, b are MS-bar at m_W as in the theory below, those of charged leptons constant, and m_t(m_W) comes from
    m_t(m_t) by one-loop QCD with six flavours (electroweak corrections to it, a few per cent, are left out). lambda is
    m_H^2 / 2 v^2 of the Higgs boson's pole mass.
    """
    m_w = jnp.asarray(inputs.m_w_gev, dtype=float)
    e = jnp.sqrt(4.0 * jnp.pi / inverse_alpha(m_w, inputs))
    strong, quarks = alpha_s_and_masses(m_w, inputs)
    s2 = jnp.asarray(electroweak.sin2_theta_w, dtype=float)
    m_t = jnp.asarray(electroweak.m_t_gev, dtype=float)
    growth = 1.0 + 7.0 / (2.0 * jnp.pi) * strong * jnp.log(m_t / m_w)
    v = vacuum_value_gev(electroweak)
    up = jnp.stack([quarks["u"], quarks["c"], m_t * growth ** (4.0 / 7.0)])
    down = jnp.stack([quarks[q] for q in ("d", "s", "b")])
    lepton = jnp.stack([jnp.asarray(m, dtype=float) for m in (inputs.m_e_gev, inputs.m_mu_gev, inputs.m_tau_gev)])
    per_mass = math.sqrt(2.0) / v
    return SmCouplings(
        gauge=jnp.stack([e / jnp.sqrt(1.0 - s2), e / jnp.sqrt(s2), jnp.sqrt(4.0 * jnp.pi * strong)]),
        up=per_mass * dagger(ckm_matrix(electroweak)) * up,
        down=per_mass * jnp.diag(down).astype(complex),
        lepton=per_mass * lepton,
        higgs=0.5 * (jnp.asarray(electroweak.m_h_gev, dtype=float) / v) ** 2,
    )


def run_gauge(gauge: Array, log_ratio: Array) -> Array:
    """g', g, g_s at ln(mu / m_W) = log_ratio, shape (..., 3), from those at m_W: the one-loop solution."""
    return (gauge**-2 - 2.0 * B_GAUGE / LOOP * jnp.asarray(log_ratio)[..., None]) ** -0.5


def slopes(c: SmCouplings) -> _Running:
    """d/dt of Y_u, Y_d, Y_e and lambda; leading axes batch."""
    g1, g2, g3 = (c.gauge[..., i] ** 2 for i in range(3))
    uu, dd = c.up @ dagger(c.up), c.down @ dagger(c.down)
    gamma = higgs_wave_function(c)

    def common(hypercharge: float, strong: float) -> Array:
        return gamma - hypercharge * g1 - 2.25 * g2 - strong * g3

    up = 1.5 * (uu - dd) @ c.up + common(17.0 / 12.0, 8.0)[..., None, None] * c.up
    down = 1.5 * (dd - uu) @ c.down + common(5.0 / 12.0, 8.0)[..., None, None] * c.down
    lepton = (1.5 * c.lepton**2 + common(3.75, 0.0)[..., None]) * c.lepton
    fourth = 3.0 * _trace(uu @ uu) + 3.0 * _trace(dd @ dd) + jnp.sum(c.lepton**4, axis=-1)
    higgs = 24.0 * c.higgs**2 + (4.0 * gamma - 3.0 * (g1 + 3.0 * g2)) * c.higgs
    higgs = higgs + 0.375 * (g1**2 + 2.0 * g1 * g2 + 3.0 * g2**2) - 2.0 * fourth
    return up / LOOP, down / LOOP, lepton / LOOP, higgs / LOOP


def couplings_along(start: SmCouplings, log_ratio: Array, steps: int) -> tuple[SmCouplings, SmCouplings]:
    """Couplings from m_W to ln(mu / m_W) = log_ratio in equal steps.

    Args:
        start: at m_W.
        log_ratio: scalar.
        steps: how many, at least 1.
    Returns: those at the end; those at the nodes of collocation, with leading axes (step, node).
    """
    h = log_ratio / steps

    def at(yukawas: _Running, log: Array) -> SmCouplings:
        up, down, lepton, higgs = yukawas
        return SmCouplings(run_gauge(start.gauge, log), up, down, lepton, higgs)

    def step(state: _Running, k: Array) -> tuple[_Running, SmCouplings]:
        logs = (k + NODES) * h
        end, stages = collocation_step(lambda y: slopes(at(y, logs)), state, h)
        return end, at(stages, logs)

    first = (start.up, start.down, start.lepton, start.higgs)
    last, nodes = jax.lax.scan(step, first, jnp.arange(steps, dtype=float))
    return at(last, jnp.asarray(log_ratio)), nodes
