"""One-loop running above m_W of the operators of dimension six in `smneft_operators`, with the couplings of the Standard Model.

With t = ln mu, Yukawa matrices as in `smneft_couplings`, Y_N = 0, and per flavour r of N:

    16 pi^2 dC_NB/dt   = (-9/4 g^2 + 91/12 g'^2 + gamma_H + gamma_L - 2 y_p^2) C_NB - 9/2 g g' C_NW
                           + 2 g' sum Y_d*^st C_LNQd3^{prst} + 3/4 g' sum_t y_t C_LNLe^{trpt}
    16 pi^2 dC_NW/dt   = -3/2 g g' C_NB + (-11/12 g^2 - 3/4 g'^2 + gamma_H + gamma_L + 2 y_p^2) C_NW
                           + 6 g sum Y_d*^st C_LNQd3^{prst} + 1/4 g sum_t y_t C_LNLe^{trpt}
    16 pi^2 dC_NH/dt   = (-9/4 g'^2 - 27/4 g^2 + 24 lambda + 3 gamma_H + gamma_L - 2 y_p^2) C_NH
                           + 3 g' (g'^2 + g^2) C_NB - 3 g (g'^2 + 3 g^2) C_NW + 4 lambda X[Y] - 4 X[Y Y^+ Y]
    16 pi^2 dC_LNQd/dt = (1/3 g'^2 - 8 g_s^2) C_LNQd + (18 g^2 - 2 g'^2) C_LNQd3 + waves
                           + 2 Y_d^st X[Y] - 2 Y_u^sv C_LNuQ^{prvw} Y_d^wt
    16 pi^2 dC_LNQd3/dt = (3/8 g^2 - 1/24 g'^2) C_LNQd + (8/3 g_s^2 - 3 g^2 - 10/9 g'^2) C_LNQd3 + waves
                           + Y_d^st (1/6 g' C_NB + 3/2 g C_NW)
    16 pi^2 dC_LNuQ/dt = -(2/3 g'^2 + 8 g_s^2) C_LNuQ + waves + 2 Y_u^+^st X[Y] - 2 Y_u^+^sv C_LNQd^{prvw} Y_d^+^wt
    16 pi^2 dC_LNLe^{prst}/dt = -3/2 (g^2 + g'^2) C_LNLe^{prst} + 3 (g^2 - g'^2) C_LNLe^{srpt} + waves
                           + 2 delta_st y_t X[Y] + 8 delta_pt y_t D^{sr} - 4 delta_st y_t D^{pr},  D = 3/2 (g' C_NB + g C_NW)

    X[Z]^{pr} = 3 sum (Z_d*^st C_LNQd^{prst} + Z_u^ts C_LNuQ^{prst}) + sum_t z_t (C_LNLe^{prtt} + 1/2 C_LNLe^{trpt})

y_t being those of charged leptons where t is theirs. `waves` are the fields' wave functions: a matrix on each index, with
gamma_Q = (Y_u Y_u^+ + Y_d Y_d^+) / 2, gamma_u = Y_u^+ Y_u, gamma_d = Y_d^+ Y_d, gamma_L = Y_e Y_e^+ / 2 and gamma_e = Y_e^+ Y_e.

Status of these entries:

- Gauge parts and dipoles: SEEN in the beta functions of a public development version of `wilson` (described in arXiv:2411.07220,
  from 2010.12109 and 2103.04441), gauge parts DERIVED from the generic-hypercharge formulae of arXiv:1312.2014 and, for the
  dipoles, hep-ph/0504134. C_LNQd3 Y_d -> C_NB, -4 g' N_c (y_q + y_d), and C_LNLe Y_e -> C_NB, -4 g' (y_l + y_e) / 8, are DERIVED
  and absent there; without them the leading logarithm of tensor -> photon dipole jumps at m_W. Its LNLe has C_NB where the
  derivation gives C_NW, in one of four dipole terms.
- Quark Yukawas and lambda: DERIVED from the SMEFT (C_eB, C_eW, C_eH, C_lequ1, C_lequ3, C_ledq, SEEN in the same code, from
  arXiv:1308.2627 and 1310.4838) by exchanging the members of doublets, H -> Htilde, e -> N, d <-> u, which sends Y_d -> Y_u,
  Y_u -> -Y_d, Y_e -> 0. DERIVED a second time: 24 lambda and -4 X[Y Y^+ Y] from the one-loop effective potential (a test), the
  other X from the Higgs field's equation of motion, C_LNuQ <-> C_LNQd from one diagram. That code has X, the exchange (with a
  conjugate that N's number forbids in one direction) and wave functions of four-fermion operators; it has none of the others.
- LNLe: DERIVED from LNQd with one colour and the Fierz identity of `smneft_matching`; that code lacks the exchange in X.
- y^2 of charged leptons in dipoles and NH: DERIVED from those of C_uB, C_uW, C_uH with Y_d Y_d^+; diagrams know no colour.

Once more DERIVED from one-loop diagrams in components of fields, without tables or Fierz identities, but for gamma_H and 41/6,
-19/6 of the bosons' own wave functions (tests/eft/test_smneft_one_loop.py, test_smneft_loop_dipoles.py).

Left out: terms g Y_e^2 of dipoles in C_NH (1e-5), and two operators with one N that have charged currents only,
(Htilde^+ i D H)(Nbar gamma e) and (Nbar gamma e)(dbar gamma u), which come back with (y_tau y_t)^2 (1e-8). Two loops: the g_s^4
term of a tensor, 1 to 2 %.

Q is a basis of fields, fixed at m_W, and does not run.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from nmmfit import inputs as sm
from nmmfit.eft import smneft_inputs as electroweak_inputs
from nmmfit.eft.running import check_within
from nmmfit.eft.smneft_couplings import (
    LOOP,
    SmCouplings,
    couplings_along,
    couplings_at_m_w,
    dagger,
    higgs_wave_function,
)
from nmmfit.eft.smneft_inputs import ElectroweakInputs
from nmmfit.eft.smneft_operators import HIGHEST_SCALE_GEV
from nmmfit.eft.smneft_state import COMPONENTS, join, split
from nmmfit.inputs import StandardModelInputs
from nmmfit.numerics.collocation import collocation_step
from nmmfit.shapes import Array

LONGEST_STEP = 2.7
"""In ln mu: the error of one step stays below 1e-13."""
LOWEST_M_W_GEV = 70.0
"""Lower end of the range of `StandardModelInputs.m_w_gev`, for m_W that is being traced."""


def check_scale(scale_gev: Any, inputs: StandardModelInputs, where: str = "scale_gev") -> None:
    """Refuse a scale outside m_W .. 1e10 GeV; a scale being traced is not looked at.

    Raises: UserInputError.
    """

    def allowed(low: float, high: float) -> str:
        return f"m_W = {low:g} GeV to {high:g} GeV"

    check_within(scale_gev, (inputs.m_w_gev, HIGHEST_SCALE_GEV), "the theory above m_W", allowed, where)


def slope(vector: Array, c: SmCouplings) -> Array:
    """dC/dt of a vector (component, ...) of coefficients, all entries above; couplings at one scale."""
    x = split(vector)
    nb, nw, nh = x["NB"], x["NW"], x["NH"]  # (p, ...)
    scalar, tensor, up, lepton = x["LNQd"], x["LNQd3"], x["LNuQ"], x["LNLe"]  # (p, s, t, ...)
    g1, g2, g3 = c.gauge
    g11, g22, g33 = g1**2, g2**2, g3**2
    y_u, y_d, y_e = c.up, c.down, c.lepton
    uu, dd = y_u @ dagger(y_u), y_d @ dagger(y_d)
    wave_q, wave_u, wave_d = 0.5 * (uu + dd), dagger(y_u) @ y_u, dagger(y_d) @ y_d
    wave_h = higgs_wave_function(c)
    extra = (1,) * (vector.ndim - 1)  # axes of a batch, behind those of flavour
    square = (y_e**2).reshape(3, *extra)

    diagonal = jnp.einsum("pss...->ps...", lepton)  # LNLe_prss
    crossed = jnp.einsum("sps...->ps...", lepton)  # LNLe_srps

    def closed(z_u: Array, z_d: Array, z_e: Array) -> Array:
        """X[Z]."""
        quarks = jnp.einsum("st,pst...->p...", jnp.conj(z_d), scalar) + jnp.einsum("ts,pst...->p...", z_u, up)
        return 3.0 * quarks + jnp.einsum("s,ps...->p...", z_e, diagonal + 0.5 * crossed)

    first = closed(y_u, y_d, y_e)
    third = closed(uu @ y_u, dd @ y_d, y_e**3)
    loop_d = jnp.einsum("st,pst...->p...", jnp.conj(y_d), tensor)
    loop_e = jnp.einsum("s,ps...->p...", y_e, crossed)

    out_nb = (-2.25 * g22 + 91.0 / 12.0 * g11 + wave_h - 1.5 * square) * nb - 4.5 * g1 * g2 * nw
    out_nb = out_nb + g1 * (2.0 * loop_d + 0.75 * loop_e)
    out_nw = (-11.0 / 12.0 * g22 - 0.75 * g11 + wave_h + 2.5 * square) * nw - 1.5 * g1 * g2 * nb
    out_nw = out_nw + g2 * (6.0 * loop_d + 0.25 * loop_e)
    out_nh = (-2.25 * g11 - 6.75 * g22 + 24.0 * c.higgs + 3.0 * wave_h - 1.5 * square) * nh
    out_nh = out_nh + 3.0 * g1 * (g11 + g22) * nb - 3.0 * g2 * (g11 + 3.0 * g22) * nw + 4.0 * (c.higgs * first - third)

    wave_l = 0.5 * square[:, None, None]

    def on_s(matrix: Array, four: Array) -> Array:
        return jnp.einsum("sv,pvt...->pst...", matrix, four)

    def on_t(four: Array, matrix: Array) -> Array:
        return jnp.einsum("psv...,vt->pst...", four, matrix)

    def outer(pair: Array, matrix: Array) -> Array:
        return pair[:, None, None] * matrix.reshape(3, 3, *extra)

    out_scalar = (g11 / 3.0 - 8.0 * g33 + wave_l) * scalar + (18.0 * g22 - 2.0 * g11) * tensor
    out_scalar = out_scalar + on_s(wave_q, scalar) + on_t(scalar, wave_d)
    out_scalar = out_scalar + 2.0 * (outer(first, y_d) - on_t(on_s(y_u, up), y_d))
    out_tensor = (8.0 / 3.0 * g33 - 3.0 * g22 - 10.0 / 9.0 * g11 + wave_l) * tensor + (0.375 * g22 - g11 / 24.0) * scalar
    out_tensor = out_tensor + on_s(wave_q, tensor) + on_t(tensor, wave_d) + outer(g1 / 6.0 * nb + 1.5 * g2 * nw, y_d)
    out_up = (-2.0 / 3.0 * g11 - 8.0 * g33 + wave_l) * up + on_s(wave_u, up) + on_t(up, wave_q)
    out_up = out_up + 2.0 * (outer(first, dagger(y_u)) - on_t(on_s(dagger(y_u), scalar), dagger(y_d)))

    waves = wave_l + 0.5 * square[None, :, None] + square[None, None, :]
    dipole = 1.5 * (g1 * nb + g2 * nw)
    on_diagonal = jnp.diag(y_e)
    out_lepton = (-1.5 * (g11 + g22) + waves) * lepton + 3.0 * (g22 - g11) * jnp.swapaxes(lepton, 0, 1)
    out_lepton = out_lepton + outer(2.0 * first - 4.0 * dipole, on_diagonal)
    out_lepton = out_lepton + 8.0 * jnp.swapaxes(outer(dipole, on_diagonal), 0, 1)

    parts = {
        "NB": out_nb,
        "NW": out_nw,
        "NH": out_nh,
        "LNQd": out_scalar,
        "LNQd3": out_tensor,
        "LNuQ": out_up,
        "LNLe": out_lepton,
    }
    return join(parts) / LOOP


def steps_to_m_w(scale_gev: Any, inputs: StandardModelInputs) -> int:
    """Number of steps between m_W and a scale: none if it is m_W, what it needs if it is known, else what the highest needs."""
    if scale_gev is inputs.m_w_gev:
        return 0
    scale = HIGHEST_SCALE_GEV if isinstance(scale_gev, jax.core.Tracer) else float(scale_gev)
    m_w = LOWEST_M_W_GEV if isinstance(inputs.m_w_gev, jax.core.Tracer) else float(inputs.m_w_gev)
    if scale == m_w:
        return 0
    needed = math.ceil(math.log(scale / m_w) / LONGEST_STEP)
    return next(n for n in (1, 2, 4, 9) if n >= needed)


def _along(vector: Array, nodes: SmCouplings, step: Array) -> Array:
    """Integrate through couplings at the nodes of steps, (step, node, ...), one after the other."""
    slopes = jax.vmap(slope)

    def one(state: Array, c: SmCouplings) -> tuple[Array, None]:
        return collocation_step(lambda stages: slopes(stages, c), state, step)[0], None

    return jax.lax.scan(one, vector, nodes)[0]


def run(vector: Array, scale_from: Any, scale_to: Any, inputs: StandardModelInputs, electroweak: ElectroweakInputs) -> Array:
    """A vector of coefficients at a second scale, in the basis of down quarks.

    Steps of Gauss-Legendre collocation from each scale to m_W, where couplings are known: down from the first, up to the second.

    Args:
        vector: (117, ...) as in `smneft_state`, complex, at `scale_from`.
        scale_from, scale_to: GeV, scalars in [m_W, 1e10 GeV]; differentiable, as are the inputs. Known scales take as many steps
            as they need; scales that are traced take those of the highest.
        inputs, electroweak: what fixes the couplings at m_W.
    Returns: (117, ...); error below 1e-12 relative to the largest.
    Raises: UserInputError for a scale or an input out of range, unless it is being traced.
    """
    sm.check(inputs)
    electroweak_inputs.check(electroweak)
    check_scale(scale_from, inputs, "scale_from")
    check_scale(scale_to, inputs, "scale_to")
    steps = (steps_to_m_w(scale_from, inputs), steps_to_m_w(scale_to, inputs))
    scales = jnp.stack([jnp.asarray(scale_from, dtype=float), jnp.asarray(scale_to, dtype=float)])
    return run_unchecked(jnp.asarray(vector, dtype=complex), scales, inputs, electroweak, steps)


@partial(jax.jit, static_argnames="steps")
def run_unchecked(
    vector: Array, scales: Array, inputs: StandardModelInputs, electroweak: ElectroweakInputs, steps: tuple[int, int]
) -> Array:
    """`run` without the checks, for scales = (from, to) with as many steps (`steps_to_m_w`); no step stands for m_W itself."""
    start = couplings_at_m_w(inputs, electroweak)
    down, up = jnp.log(scales / inputs.m_w_gev)
    if steps[0]:
        nodes = couplings_along(start, down, steps[0])[1]
        backwards = jax.tree.map(lambda x: jnp.flip(x, (0, 1)), nodes)
        vector = _along(vector, backwards, -down / steps[0])
    if steps[1]:
        vector = _along(vector, couplings_along(start, up, steps[1])[1], up / steps[1])
    return vector


def evolution_matrix(scale_from: Any, scale_to: Any, inputs: StandardModelInputs, electroweak: ElectroweakInputs) -> Array:
    """The matrix (117, 117) of `run`, C(to) = matrix C(from), for every flavour of N. Arguments and errors as there."""
    return run(jnp.eye(len(COMPONENTS), dtype=complex), scale_from, scale_to, inputs, electroweak)


def couplings_at(scale_gev: Any, inputs: StandardModelInputs, electroweak: ElectroweakInputs) -> SmCouplings:
    """Couplings of the Standard Model at a scale. Arguments and errors as of `run`."""
    sm.check(inputs)
    electroweak_inputs.check(electroweak)
    check_scale(scale_gev, inputs)
    start = couplings_at_m_w(inputs, electroweak)
    steps = steps_to_m_w(scale_gev, inputs)
    return couplings_along(start, jnp.log(jnp.asarray(scale_gev, dtype=float) / inputs.m_w_gev), steps)[0] if steps else start
