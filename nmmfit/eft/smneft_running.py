"""One-loop running above m_W of the operators of `smneft_operators`, with the couplings of the Standard Model.

With t = ln mu, Y diagonal and real in the basis of down quarks, y = hypercharge, per neutrino pair (p, r):

    16 pi^2 dC_NB/dt = (-9/4 g^2 + 91/12 g'^2) C_NB - 9/2 g g' C_NW
                          + 2 g' sum_s Y_d^s C_LNQd3^{prss} + 3/4 g' sum_t Y_e^t C_LNLe^{trpt}
    16 pi^2 dC_NW/dt = -3/2 g g' C_NB - (11/12 g^2 + 3/4 g'^2) C_NW
                          + 6 g sum_s Y_d^s C_LNQd3^{prss} + 1/4 g sum_t Y_e^t C_LNLe^{trpt}
    16 pi^2 dC_LNQd/dt = (1/3 g'^2 - 8 g_s^2) C_LNQd + (18 g^2 - 2 g'^2) C_LNQd3
    16 pi^2 dC_LNQd3/dt = (3/8 g^2 - 1/24 g'^2) C_LNQd + (8/3 g_s^2 - 3 g^2 - 10/9 g'^2) C_LNQd3
                          + delta_st Y_d^s (1/6 g' C_NB + 3/2 g C_NW)
    16 pi^2 dC_LNuQ/dt = -(2/3 g'^2 + 8 g_s^2) C_LNuQ
    16 pi^2 dC_LNLe^{prst}/dt = -3/2 (g^2 + g'^2) C_LNLe^{prst} + 3 (g^2 - g'^2) C_LNLe^{srpt}
                          + 8 delta_pt Y_e^t X^{sr} - 4 delta_st Y_e^t X^{pr},   X = 3/2 (g' C_NB + g C_NW)
    16 pi^2 dC_NH/dt = -(9/4 g'^2 + 27/4 g^2) C_NH + 3 g' (g'^2 + g^2) C_NB - 3 g (g'^2 + 3 g^2) C_NW

Status of these entries:

- SEEN: the beta functions in a public development version of `wilson` (described in arXiv:2411.07220, from arXiv:2010.12109 and
  2103.04441); gauge parts DERIVED from the generic-hypercharge formulae of arXiv:1312.2014 and, for the dipoles, hep-ph/0504134.
- DERIVED, absent in that code: C_LNQd3 Y_d -> C_NB, which equals -4 g' N_c (y_q + y_d), and C_LNLe Y_e -> C_NB,
  -4 g' (y_l + y_e) / 8.
  Without them the leading logarithm of tensor -> photon dipole jumps at m_W (8 e m_d and 8 e m_l there, as below m_W).
- DERIVED and SEEN: LNLe, from LNQd and LNQd3 with y_q -> y_l, y_d -> y_e, one colour and the Fierz identity of `smneft_matching`.
  The SEEN text has g C_NB where the derivation gives g C_NW in one of its four dipole terms; the derivation is used.

Left out, with their size from 1 TeV to m_W, are Yukawa wave functions and Yukawa-squared mixing. gamma_H = 3 y_t^2 would change
C_NB and C_NW by 4 % and C_NH by three times that, the Higgs self-coupling (24 lambda) C_NH by 5 %. y_t^2 / 2 of Q_3 is 0.7 % of
LNQd_pr3t. LNuQ_pr33 has 6 y_t^2 of its own (8 %), would feed C_NH with y_t, LNQd_pr33 with y_t y_b (0.2 %) and LNLe_pr33 with
y_t y_tau (0.1 %). Squares of y_b and y_tau stay below 1e-4, up-quark Yukawas off the diagonal of the down basis
(y_t^2 V_ts / 2) at 3e-4. Yukawa couplings of N are zero. Two loops: the g_s^4 term of a tensor, 1 to 2 %.

The Standard Model runs at one loop with six quarks and the Higgs doublet from m_W: d(16 pi^2 / g_i^2)/dt = -2 b_i with
b = 41/6 (g'), -19/6 (g), -7 (g_s), and

    16 pi^2 d ln Y_u/dt = 3/2 (Y_u^2 - Y_d^2) + T - 17/12 g'^2 - 9/4 g^2 - 8 g_s^2,     T = sum 3 Y_u^2 + 3 Y_d^2 + Y_e^2
    16 pi^2 d ln Y_d/dt = 3/2 (Y_d^2 - Y_u^2) + T - 5/12 g'^2 - 9/4 g^2 - 8 g_s^2
    16 pi^2 d ln Y_e/dt = 3/2 Y_e^2 + T - 15/4 g'^2 - 9/4 g^2

with V_CKM = 1 in these (an error of |V_cb|^2 in Y_s). The top quark enters at m_W: alpha_s with six flavours is put equal to that
with five there, an error of 1 %. Machacek, Vaughn (Nucl. Phys. B 222 (1983) 83; B 236 (1984) 221), MEMORY.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit import inputs as sm
from nmmfit.eft import smneft_inputs as electroweak_inputs
from nmmfit.eft.running import check_within
from nmmfit.eft.smneft_inputs import ElectroweakInputs, vacuum_value_gev
from nmmfit.eft.smneft_operators import HIGHEST_SCALE_GEV, SmneftCoefficient
from nmmfit.eft.theories import alpha_s_and_masses, inverse_alpha
from nmmfit.inputs import StandardModelInputs
from nmmfit.shapes import Array

LOOP = 16.0 * math.pi**2
B_GAUGE = np.array([41.0 / 6.0, -19.0 / 6.0, -7.0])
"""dg_i/dt = b_i g_i^3 / 16 pi^2 for g', g, g_s: six quarks, three leptons, one Higgs doublet."""

# Components of a state: what one neutrino pair (p, r) and one flavour class of quarks or leptons mix into each other.
NB, NW, NH = 0, 1, 2
SCALAR_D, TENSOR_D = 3, 6  # + s: LNQd_prss, LNQd3_prss
LEPTON_1, LEPTON_2 = 9, 12  # + t: LNLe_prtt, LNLe_trpt; the second does not exist for t = p
OFF_SCALAR, OFF_TENSOR = 15, 16  # LNQd_prst, LNQd3_prst with s != t
UP = 17  # LNuQ_prst
OFF_LEPTON_1, OFF_LEPTON_2 = 18, 19  # LNLe_prst, LNLe_srpt, neither p nor s equal to t
SIZE = 20

# Gauss-Legendre collocation of order 16: nodes, and integrals of the Lagrange polynomials to each node and to the end.
_STAGES, _STEPS, _SWEEPS = 8, 4, 24
_NODES = 0.5 * (np.polynomial.legendre.leggauss(_STAGES)[0] + 1.0)
_WEIGHTS = 0.5 * np.polynomial.legendre.leggauss(_STAGES)[1]


def _collocation() -> np.ndarray:
    """(stage, stage): integral of the k-th Lagrange polynomial from 0 to the i-th node."""
    p = np.polynomial.legendre.Legendre
    x = 2.0 * _NODES - 1.0
    # In Legendre polynomials, whose values at the nodes are well conditioned.
    values = np.stack([p.basis(n)(x) for n in range(_STAGES)])
    integrals = np.stack([0.5 * p.basis(n).integ(lbnd=-1)(x) for n in range(_STAGES)])
    return np.linalg.solve(values, integrals).T


_A = _collocation()


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SmCouplings:
    """Couplings of the Standard Model at one scale; leading axes batch. Yukawas are Y = sqrt(2) m / v."""

    gauge: Array
    """(..., 3): g', g, g_s."""
    up: Array
    """(..., 3): u, c, t."""
    down: Array
    """(..., 3): d, s, b."""
    lepton: Array
    """(..., 3): e, mu, tau."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SmneftEvolution:
    """Evolution between two scales above m_W.

    `matrix` is (3, 20, 20), by the flavour p of the lepton doublet: C(to)_i = sum_j matrix[p, i, j] C(from)_j over the components
    named at the top of this module. `couplings` are those at the second scale.
    """

    matrix: Array
    couplings: SmCouplings


def check_scale(scale_gev: Any, inputs: StandardModelInputs, where: str = "scale_gev") -> None:
    """Refuse a scale outside m_W .. 1e10 GeV; a scale being traced is not looked at.

    Raises: UserInputError.
    """

    def allowed(low: float, high: float) -> str:
        return f"m_W = {low:g} GeV to {high:g} GeV"

    check_within(scale_gev, (inputs.m_w_gev, HIGHEST_SCALE_GEV), "the theory above m_W", allowed, where)


def couplings_at_m_w(inputs: StandardModelInputs, electroweak: ElectroweakInputs) -> SmCouplings:
    """Couplings at m_W: e and alpha_s of the theory below, g = e / s_W, g' = e / c_W, Yukawas from running masses.

    Masses of u, d, s, c, b are MS-bar at m_W as in the theory below, those of charged leptons constant, and m_t(m_W) comes from
    m_t(m_t) by one-loop QCD with six flavours (electroweak corrections to it, a few per cent, are left out).
    """
    m_w = jnp.asarray(inputs.m_w_gev, dtype=float)
    e = jnp.sqrt(4.0 * jnp.pi / inverse_alpha(m_w, inputs))
    strong, quarks = alpha_s_and_masses(m_w, inputs)
    s2 = jnp.asarray(electroweak.sin2_theta_w, dtype=float)
    m_t = jnp.asarray(electroweak.m_t_gev, dtype=float)
    growth = 1.0 + 7.0 / (2.0 * jnp.pi) * strong * jnp.log(m_t / m_w)
    per_mass = math.sqrt(2.0) / vacuum_value_gev(electroweak)
    up = [quarks["u"], quarks["c"], m_t * growth ** (4.0 / 7.0)]
    down = [quarks[q] for q in ("d", "s", "b")]
    lepton = [jnp.asarray(m, dtype=float) for m in (inputs.m_e_gev, inputs.m_mu_gev, inputs.m_tau_gev)]
    gauge = jnp.stack([e / jnp.sqrt(1.0 - s2), e / jnp.sqrt(s2), jnp.sqrt(4.0 * jnp.pi * strong)])
    return SmCouplings(gauge, per_mass * jnp.stack(up), per_mass * jnp.stack(down), per_mass * jnp.stack(lepton))


def run_gauge(gauge: Array, log_ratio: Array) -> Array:
    """g', g, g_s at ln(mu / m_W) = log_ratio, shape (..., 3), from those at m_W: the one-loop solution."""
    return (gauge**-2 - 2.0 * B_GAUGE / LOOP * jnp.asarray(log_ratio)[..., None]) ** -0.5


def yukawa_slopes(c: SmCouplings) -> tuple[Array, Array, Array]:
    """d ln Y / dt of up quarks, down quarks and leptons; leading axes batch."""
    g1, g2, g3 = (c.gauge[..., i : i + 1] ** 2 for i in range(3))
    u, d, e = c.up**2, c.down**2, c.lepton**2
    trace = jnp.sum(3.0 * u + 3.0 * d + e, axis=-1, keepdims=True)
    up = 1.5 * (u - d) + trace - 17.0 / 12.0 * g1 - 2.25 * g2 - 8.0 * g3
    down = 1.5 * (d - u) + trace - 5.0 / 12.0 * g1 - 2.25 * g2 - 8.0 * g3
    lepton = 1.5 * e + trace - 3.75 * g1 - 2.25 * g2
    return up / LOOP, down / LOOP, lepton / LOOP


def _structures() -> dict[str, np.ndarray]:
    """Constant matrices (3, 20, 20), by p, each to be multiplied by the product of couplings in its name."""
    out = {k: np.zeros((3, SIZE, SIZE)) for k in ("g1g1", "g2g2", "g3g3", "g1g2", "g1g1g1", "g1g2g2", "g2g2g2", "g1g1g2")}
    out |= {f"{g}d{s}": np.zeros((3, SIZE, SIZE)) for g in ("g1", "g2") for s in range(3)}
    out |= {f"{g}e{t}": np.zeros((3, SIZE, SIZE)) for g in ("g1", "g2") for t in range(3)}

    def add(coupling: str, to: int, source: int, value: float, p: int | None = None) -> None:
        out[coupling][slice(None) if p is None else p, to, source] += value

    add("g2g2", NB, NB, -9.0 / 4.0)
    add("g1g1", NB, NB, 91.0 / 12.0)
    add("g1g2", NB, NW, -9.0 / 2.0)
    add("g1g2", NW, NB, -3.0 / 2.0)
    add("g2g2", NW, NW, -11.0 / 12.0)
    add("g1g1", NW, NW, -3.0 / 4.0)
    add("g1g1", NH, NH, -9.0 / 4.0)
    add("g2g2", NH, NH, -27.0 / 4.0)
    add("g1g1g1", NH, NB, 3.0)
    add("g1g2g2", NH, NB, 3.0)
    add("g1g1g2", NH, NW, -3.0)
    add("g2g2g2", NH, NW, -9.0)
    for scalar, tensor in [(SCALAR_D + s, TENSOR_D + s) for s in range(3)] + [(OFF_SCALAR, OFF_TENSOR)]:
        add("g1g1", scalar, scalar, 1.0 / 3.0)
        add("g3g3", scalar, scalar, -8.0)
        add("g1g1", scalar, tensor, -2.0)
        add("g2g2", scalar, tensor, 18.0)
        add("g1g1", tensor, scalar, -1.0 / 24.0)
        add("g2g2", tensor, scalar, 3.0 / 8.0)
        add("g1g1", tensor, tensor, -10.0 / 9.0)
        add("g2g2", tensor, tensor, -3.0)
        add("g3g3", tensor, tensor, 8.0 / 3.0)
    for s in range(3):
        add(f"g1d{s}", NB, TENSOR_D + s, 2.0)
        add(f"g2d{s}", NW, TENSOR_D + s, 6.0)
        add(f"g1d{s}", TENSOR_D + s, NB, 1.0 / 6.0)
        add(f"g2d{s}", TENSOR_D + s, NW, 3.0 / 2.0)
    add("g1g1", UP, UP, -2.0 / 3.0)
    add("g3g3", UP, UP, -8.0)

    def leptons(first: int, second: int, p: int | None) -> None:
        for i, k in ((first, second), (second, first)):
            for coupling, exchange in (("g1g1", -3.0), ("g2g2", 3.0)):
                add(coupling, i, i, -1.5, p)
                add(coupling, i, k, exchange, p)

    leptons(OFF_LEPTON_1, OFF_LEPTON_2, None)
    for p in range(3):
        for t in range(3):
            first, second = LEPTON_1 + t, LEPTON_2 + t
            if t == p:  # one coefficient, its own exchange partner
                for coupling, value in (("g1g1", -4.5), ("g2g2", 1.5)):
                    add(coupling, first, first, value, p)
            else:
                leptons(first, second, p)
            feeds = first if t == p else second
            add(f"g1e{t}", NB, feeds, 3.0 / 4.0, p)
            add(f"g2e{t}", NW, feeds, 1.0 / 4.0, p)
            for coupling, source in ((f"g1e{t}", NB), (f"g2e{t}", NW)):
                if t == p:
                    add(coupling, first, source, 1.5 * (8.0 - 4.0), p)
                else:
                    add(coupling, first, source, 1.5 * -4.0, p)
                    add(coupling, second, source, 1.5 * 8.0, p)
    return out


_NAMED = _structures()
_STRUCTURE = np.stack(list(_NAMED.values()))


def anomalous_dimension(c: SmCouplings) -> Array:
    """The matrix gamma / 16 pi^2 of dC/dt = (gamma / 16 pi^2) C, by p, shape (..., 3, 20, 20)."""
    g1, g2, g3 = (c.gauge[..., i] for i in range(3))
    products = [g1**2, g2**2, g3**2, g1 * g2, g1**3, g1 * g2**2, g2**3, g1**2 * g2]
    products += [g * c.down[..., s] for g in (g1, g2) for s in range(3)]
    products += [g * c.lepton[..., t] for g in (g1, g2) for t in range(3)]
    return jnp.einsum("...k,kpij->...pij", jnp.stack(products, axis=-1), _STRUCTURE / LOOP)


def _from_m_w(log_ratio: Array, start: SmCouplings) -> SmneftEvolution:
    """Evolution from m_W to ln(mu / m_W) = log_ratio: four steps of Gauss-Legendre collocation of order 16.

    The collocation equations are solved by Picard sweeps, which converge like those of an integral equation, (h L)^n / n!; first
    the Yukawas, then the matrix, which is linear.
    """
    h = log_ratio / _STEPS
    log_yukawa_start = jnp.zeros(9)

    def couplings(logs: Array, at: Array) -> SmCouplings:
        y = jnp.exp(logs)
        return SmCouplings(run_gauge(start.gauge, at), start.up * y[..., :3], start.down * y[..., 3:6], start.lepton * y[..., 6:])

    def step(state: tuple[Array, Array], k: Array) -> tuple[tuple[Array, Array], None]:
        logs, matrix = state
        at = (k + _NODES) * h

        def slopes(stage_logs: Array) -> Array:
            return jnp.concatenate(yukawa_slopes(couplings(stage_logs, at)), axis=-1)

        def sweep_yukawas(stage_logs: Array, _: None) -> tuple[Array, None]:
            return logs + h * jnp.asarray(_A) @ slopes(stage_logs), None

        stage_logs, _ = jax.lax.scan(sweep_yukawas, jnp.broadcast_to(logs, (_STAGES, 9)), None, length=_SWEEPS)
        gamma = anomalous_dimension(couplings(stage_logs, at))

        def sweep_matrix(stages: Array, _: None) -> tuple[Array, None]:
            return matrix + h * jnp.einsum("ik,kpab->ipab", jnp.asarray(_A), gamma @ stages), None

        stages, _ = jax.lax.scan(sweep_matrix, jnp.broadcast_to(matrix, (_STAGES, 3, SIZE, SIZE)), None, length=_SWEEPS)
        weights = h * jnp.asarray(_WEIGHTS)
        next_logs = logs + weights @ slopes(stage_logs)
        return (next_logs, matrix + jnp.tensordot(weights, gamma @ stages, axes=1)), None

    identity = jnp.broadcast_to(jnp.eye(SIZE), (3, SIZE, SIZE))
    (logs, matrix), _ = jax.lax.scan(step, (log_yukawa_start, identity), jnp.arange(_STEPS, dtype=float))
    return SmneftEvolution(matrix, couplings(logs, jnp.asarray(log_ratio)))


def smneft_evolution(
    scale_from: Array | float, scale_to: Array | float, inputs: StandardModelInputs, electroweak: ElectroweakInputs
) -> SmneftEvolution:
    """Evolution of all coefficients above m_W from one scale to another, in either direction.

    Args:
        scale_from, scale_to: GeV, scalars in [m_W, 1e10 GeV]; differentiable, as are the inputs.
        inputs, electroweak: what fixes the couplings at m_W.
    Returns: `SmneftEvolution`, in the basis of down quarks; error below 1e-12 relative to 1.
    Raises: UserInputError for a scale or an input out of range, unless it is being traced.
    """
    sm.check(inputs)
    electroweak_inputs.check(electroweak)
    check_scale(scale_from, inputs, "scale_from")
    check_scale(scale_to, inputs, "scale_to")
    scales = jnp.stack([jnp.asarray(scale_from, dtype=float), jnp.asarray(scale_to, dtype=float)])
    return _evolution(scales, inputs, electroweak)


@jax.jit
def _evolution(scales: Array, inputs: StandardModelInputs, electroweak: ElectroweakInputs) -> SmneftEvolution:
    """`smneft_evolution` without the checks, scales = (from, to): both from m_W, one after the inverse of the other."""
    start = couplings_at_m_w(inputs, electroweak)
    both = jax.vmap(_from_m_w, in_axes=(0, None))(jnp.log(scales / inputs.m_w_gev), start)
    inverse_applied = jnp.linalg.solve(jnp.swapaxes(both.matrix[0], -1, -2), jnp.swapaxes(both.matrix[1], -1, -2))
    return SmneftEvolution(jnp.swapaxes(inverse_applied, -1, -2), jax.tree.map(lambda x: x[1], both.couplings))


def column(coefficient: SmneftCoefficient) -> tuple[int, int, dict[str, int]]:
    """Where a coefficient stands, and what it can mix into.

    Returns: flavour p - 1 of its block, its component, and name -> component of everything in the block that it reaches.
    """
    op, digits = coefficient.operator.name, coefficient.flavours
    p, r = digits[0], digits[1]
    if len(digits) == 4:
        s, t = digits[2:]
        if op == "LNuQ":
            return p - 1, UP, {coefficient.name: UP}
        if op in ("LNQd", "LNQd3") and s != t:
            reached = {f"LNQd_{p}{r}{s}{t}": OFF_SCALAR, f"LNQd3_{p}{r}{s}{t}": OFF_TENSOR}
            return p - 1, OFF_SCALAR if op == "LNQd" else OFF_TENSOR, reached
        if op == "LNLe" and t not in (p, s):
            # For p = s the two orderings are one coefficient, as `evolved_from` takes into account.
            return p - 1, OFF_LEPTON_1, {coefficient.name: OFF_LEPTON_1, f"LNLe_{s}{r}{p}{t}": OFF_LEPTON_2}
    block, component = p, {"NB": NB, "NW": NW, "NH": NH}.get(op, 0)
    if op == "LNQd":
        component = SCALAR_D + digits[2] - 1
    elif op == "LNQd3":
        component = TENSOR_D + digits[2] - 1
    elif op == "LNLe" and digits[2] == digits[3]:
        component = LEPTON_1 + digits[3] - 1
    elif op == "LNLe":
        block, component = digits[2], LEPTON_2 + digits[3] - 1
    names = {f"NB_{block}{r}": NB, f"NW_{block}{r}": NW, f"NH_{block}{r}": NH}
    for k in (1, 2, 3):
        names |= {f"LNQd_{block}{r}{k}{k}": SCALAR_D + k - 1, f"LNQd3_{block}{r}{k}{k}": TENSOR_D + k - 1}
        names[f"LNLe_{block}{r}{k}{k}"] = LEPTON_1 + k - 1
        if k != block:
            names[f"LNLe_{k}{r}{block}{k}"] = LEPTON_2 + k - 1
    reached = {"NH_" + f"{block}{r}": NH} if component == NH else names
    return block - 1, component, reached


def evolved_from(coefficient: SmneftCoefficient, evolved: SmneftEvolution) -> dict[str, Array]:
    """Coefficients at the second scale per unit of one at the first, by name; real."""
    block, component, reached = column(coefficient)
    digits = coefficient.flavours
    m = evolved.matrix[block]
    if component == OFF_LEPTON_1 and digits[0] == digits[2]:
        return {coefficient.name: m[OFF_LEPTON_1, OFF_LEPTON_1] + m[OFF_LEPTON_2, OFF_LEPTON_1]}
    return {name: m[i, component] for name, i in reached.items()}
