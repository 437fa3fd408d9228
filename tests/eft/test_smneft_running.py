"""Running above m_W against equations written flavour by flavour, an adaptive integrator, closed forms, and what always holds."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_checks import assert_derivatives
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from nmmfit.eft.qcd import alpha_s
from nmmfit.eft.running import MIXING, evolution
from nmmfit.eft.smneft import run_smneft, smneft_to_lneft, smneft_weights
from nmmfit.eft.smneft_couplings import SmCouplings, couplings_at_m_w
from nmmfit.eft.smneft_inputs import ElectroweakInputs, ckm_matrix, vacuum_value_gev
from nmmfit.eft.smneft_operators import HIGHEST_SCALE_GEV, coefficient_names, parse
from nmmfit.eft.smneft_running import check_scale, couplings_at, evolution_matrix, run, slope
from nmmfit.eft.smneft_state import COMPONENTS, POSITION, component, reached_by_running
from nmmfit.eft.theories import inverse_alpha, quark_mass
from nmmfit.errors import UserInputError
from nmmfit.inputs import StandardModelInputs

M_W = 80.379
LOOP = 16 * np.pi**2
INPUTS, ELECTROWEAK = StandardModelInputs(), ElectroweakInputs()
START = jax.tree.map(np.asarray, couplings_at_m_w(INPUTS, ELECTROWEAK))
HYPERCHARGE = {"l": -0.5, "q": 1 / 6, "d": -1 / 3, "u": 2 / 3, "e": -1.0, "N": 0.0}
RUNNING = tuple(name for name in coefficient_names() if parse(name).operator.conserves_lepton_number)
FLAVOURS = range(3)
RNG = np.random.default_rng(1)
VECTOR = jnp.asarray(RNG.normal(size=(117, 1)) + 1j * RNG.normal(size=(117, 1)))
WEIGHTS = jnp.asarray(RNG.normal(size=(117, 1)) + 1j * RNG.normal(size=(117, 1)))


def beta(c, k):
    """16 pi^2 dC/dt by name, flavour by flavour, in the conventions of the SMEFT with hypercharges spelled out; complex values.

    Gauge parts as published (arXiv:2010.12109, 2103.04441). Yukawa parts are those of C_eB, C_eW, C_eH, C_lequ1, C_lequ3, C_ledq
    in arXiv:1308.2627 and 1310.4838 with Y_e = 0, for the theory in which H' = Htilde, e' = N, u' = d and d' = u: as
    Htilde' = -H, its Yukawa matrices are Y'_d = Y_u and Y'_u = -Y_d.
    """
    g1, g2, g3, higgs = *k.gauge, float(k.higgs)
    y, y_e = HYPERCHARGE, k.lepton
    prime_d, prime_u = np.asarray(k.up), -np.asarray(k.down)  # d' = u and u' = d
    trace_h = (3 * np.trace(prime_d @ prime_d.conj().T + prime_u @ prime_u.conj().T)).real + np.sum(y_e**2)
    wave = {
        "q": 0.5 * (prime_u @ prime_u.conj().T + prime_d @ prime_d.conj().T),
        "u": prime_d.conj().T @ prime_d,
        "d": prime_u.conj().T @ prime_u,
    }

    def at(op, *digits):
        return c[op + "_" + "".join(str(d + 1) for d in digits)]

    out = {}
    for p, r in itertools.product(FLAVOURS, repeat=2):
        n_b, n_w, n_h = (at(op, p, r) for op in ("NB", "NW", "NH"))

        def xi(up, down, lepton, p=p, r=r):
            """Xi'_e of arXiv:1310.4838, 3 C_lequ1 Y'_u^* - 3 C_ledq Y'_d; leptons as quarks of one colour, in both orderings."""
            quarks = sum(
                3 * at("LNQd", p, r, s, t) * np.conj(up[s, t]) - 3 * at("LNuQ", p, r, s, t) * down[t, s]
                for s, t in itertools.product(FLAVOURS, repeat=2)
            )
            return quarks - sum((at("LNLe", p, r, s, s) + at("LNLe", s, r, p, s) / 2) * lepton[s] for s in FLAVOURS)

        first = xi(prime_u, prime_d, y_e)
        third = xi(prime_u @ prime_u.conj().T @ prime_u, prime_d @ prime_d.conj().T @ prime_d, y_e**3)
        # hep-ph/0504134, generic with c_F = 3/4, b_01 = -41/6, b_02 = 19/6; -2 and +2 y_p^2 as in C_uB, C_uW with Y_d.
        field = trace_h + y_e[p] ** 2 / 2
        b = (-9 / 4 * g2**2 + (3 * y["l"] ** 2 + 41 / 6) * g1**2 + field - 2 * y_e[p] ** 2) * n_b + 9 * y["l"] * g1 * g2 * n_w
        w = ((9 / 4 - 19 / 6) * g2**2 - 3 * y["l"] ** 2 * g1**2 + field + 2 * y_e[p] ** 2) * n_w + 3 * y["l"] * g1 * g2 * n_b
        for s, t in itertools.product(FLAVOURS, repeat=2):
            closed = 3 * at("LNQd3", p, r, s, t) * np.conj(prime_u[s, t])
            b += 4 * g1 * (y["q"] + y["d"]) * closed
            w += -2 * g2 * closed
        for t in FLAVOURS:
            b += -4 * g1 * (y["l"] + y["e"]) * y_e[t] * at("LNLe", t, r, p, t) / 8
            w += 2 * g2 * y_e[t] * at("LNLe", t, r, p, t) / 8
        out["NB", p, r], out["NW", p, r] = b, w
        h = (-9 * y["l"] ** 2 * g1**2 - 27 / 4 * g2**2 + 24 * higgs + 3 * trace_h + y_e[p] ** 2 / 2 - 2 * y_e[p] ** 2) * n_h
        out["NH", p, r] = h + 3 * g1 * (g1**2 + g2**2) * n_b - 3 * g2 * (g1**2 + 3 * g2**2) * n_w - 4 * higgs * first + 4 * third
        for s, t in itertools.product(FLAVOURS, repeat=2):
            scalar, tensor = at("LNQd", p, r, s, t), at("LNQd3", p, r, s, t)
            a, x = y["q"] * y["d"], y["d"] ** 2 - y["q"] ** 2
            waves = {op: at(op, p, r, s, t) * y_e[p] ** 2 / 2 for op in ("LNQd", "LNQd3", "LNuQ")}
            for v in FLAVOURS:
                for op in ("LNQd", "LNQd3"):
                    waves[op] += wave["q"][s, v] * at(op, p, r, v, t) + at(op, p, r, s, v) * wave["d"][v, t]
                waves["LNuQ"] += wave["u"][s, v] * at("LNuQ", p, r, v, t) + at("LNuQ", p, r, s, v) * wave["q"][v, t]
            to_scalar = to_up = 0.0
            for v, w in itertools.product(FLAVOURS, repeat=2):
                to_scalar += 2 * prime_d[s, v] * prime_u[w, t] * at("LNuQ", p, r, v, w)
                to_up += 2 * np.conj(prime_d[v, s]) * np.conj(prime_u[t, w]) * at("LNQd", p, r, v, w)
            out["LNQd", p, r, s, t] = (
                (-6 * a * g1**2 - 8 * g3**2) * scalar + (-24 * x * g1**2 + 18 * g2**2) * tensor
                + waves["LNQd"] + 2 * prime_u[s, t] * first + to_scalar
            )  # fmt: skip
            diagonal = 2 * (5 * a - 2 * y["q"] ** 2 - 2 * y["d"] ** 2) * g1**2 - 3 * g2**2 + 8 / 3 * g3**2
            source = ((y["q"] + y["d"]) * g1 * n_b - 3 / 2 * g2 * n_w) * prime_u[s, t]
            back = (-x / 2 * g1**2 + 3 / 8 * g2**2) * scalar
            out["LNQd3", p, r, s, t] = diagonal * tensor + back + waves["LNQd3"] + source
            out["LNuQ", p, r, s, t] = (
                (-6 * y["q"] * y["u"] * g1**2 - 8 * g3**2) * at("LNuQ", p, r, s, t)
                + waves["LNuQ"] - 2 * np.conj(prime_d[t, s]) * first + to_up
            )  # fmt: skip
            e = (y["e"] ** 2 - 8 * y["e"] * y["l"] + 6 * y["l"] ** 2) * g1**2 - 3 / 2 * g2**2
            e += y_e[p] ** 2 / 2 + y_e[s] ** 2 / 2 + y_e[t] ** 2
            swapped = -(4 * y["l"] * (y["e"] + y["l"]) * g1**2 - 3 * g2**2) * at("LNLe", s, r, p, t)
            here = -(y["l"] + y["e"]) * g1 * n_b + 3 / 2 * g2 * n_w if s == t else 0.0
            there = -(y["l"] + y["e"]) * g1 * at("NB", s, r) + 3 / 2 * g2 * at("NW", s, r) if p == t else 0.0
            dipoles = y_e[t] * (8 * there - 4 * here)
            closed = -2 * y_e[t] * first if s == t else 0.0
            out["LNLe", p, r, s, t] = e * at("LNLe", p, r, s, t) + swapped + dipoles + closed
    return {f"{op}_{''.join(str(d + 1) for d in digits)}": value for (op, *digits), value in out.items()}


def as_vector(values):
    out = np.zeros((117, 3), dtype=complex)
    for name, value in values.items():
        where, r = component(parse(name))
        out[POSITION[where], r - 1] = value
    return out


def random_couplings(rng):
    def matrix():
        return rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3))

    return SmCouplings(np.array([0.36, 0.65, 1.2]), matrix(), matrix(), rng.uniform(0.1, 1.0, 3), np.asarray(0.13))


def test_slope_is_the_published_one_for_every_flavour():
    rng = np.random.default_rng(0)
    couplings = random_couplings(rng)
    values = {name: complex(*rng.normal(size=2)) for name in RUNNING}
    found = np.asarray(jax.jit(slope)(as_vector(values), couplings)) * LOOP
    expected = beta(values, couplings)
    assert set(expected) == set(RUNNING)
    np.testing.assert_allclose(found, as_vector(expected), rtol=1e-12, atol=1e-12)


def test_quark_flavour_is_a_choice_of_fields():
    """Rotations of Q, u and d, of Yukawa matrices and coefficients alike, change nothing: indices stand where they must."""
    rng = np.random.default_rng(5)
    couplings = random_couplings(rng)
    q, u, d = (np.linalg.qr(rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)))[0] for _ in range(3))
    values = rng.normal(size=(117, 1)) + 1j * rng.normal(size=(117, 1))

    def rotated(vector):
        out = np.array(vector)
        for op, left, right in (("LNQd", q, d), ("LNQd3", q, d), ("LNuQ", u, q)):
            at = [POSITION[c] for c in COMPONENTS if c.operator == op]
            out[at, 0] = np.einsum("sv,pvw,tw->pst", left, vector[at, 0].reshape(3, 3, 3), right.conj()).ravel()
        return out

    turned = SmCouplings(
        couplings.gauge, q @ couplings.up @ u.conj().T, q @ couplings.down @ d.conj().T, couplings.lepton, couplings.higgs
    )
    np.testing.assert_allclose(slope(rotated(values), turned), rotated(np.asarray(slope(values, couplings))), atol=1e-12)


def test_effective_potential_fixes_the_self_coupling_and_the_cubic_yukawas():
    """C_NH from the one-loop potential of the Higgs field and a constant Lbar N, independent of any table of the SMEFT.

    mu dV/dmu = Str M^4 / 32 pi^2 of the tree potential, with -V containing J^j Htilde_j |H|^2 C_NH + h.c. for Lbar N = J. Quarks
    have the masses Y H less C_LNuQ J^j ubar Q_j and C_LNQd J^j eps_jk Qbar^k d.
    """
    rng = np.random.default_rng(2)
    phi, source = rng.normal(size=4), rng.normal(size=2) + 1j * rng.normal(size=2)
    y_u, y_d, self_coupling = 0.9, 0.4, 0.13

    def doublets(x):
        h = jnp.array([x[0] + 1j * x[1], x[2] + 1j * x[3]]) / jnp.sqrt(2)
        return h, jnp.array([jnp.conj(h[1]), -jnp.conj(h[0])])

    def structure(x):
        h, tilde = doublets(x)
        return 2 * jnp.real(jnp.dot(source, tilde)) * jnp.real(jnp.vdot(h, h))

    def scalars(c_nh):
        def potential(x):
            h, _ = doublets(x)
            return self_coupling * jnp.real(jnp.vdot(h, h)) ** 2 - c_nh * structure(x)

        masses = np.asarray(jax.hessian(potential)(jnp.asarray(phi)))
        return np.trace(masses @ masses)

    def quarks(c_up, c_down):
        h, tilde = (np.asarray(x) for x in doublets(phi))
        up = y_u * tilde - np.conj(c_up * source)
        down = y_d * h - c_down * np.array([-source[1], source[0]])
        squared = np.stack([up, down]).conj() @ np.stack([up, down]).T
        return -4 * 3 * np.trace(squared @ squared).real

    def per_coefficient(supertrace):
        """Linear part in the coefficient, an odd polynomial's slope at zero by five points, exact up to fourth order."""
        change = (8 * (supertrace(1.0) - supertrace(-1.0)) - (supertrace(2.0) - supertrace(-2.0))) / 12
        return -change / (32 * np.pi**2) / float(structure(phi))

    def found(name, up=0.0, down=0.0, higgs=0.0):
        yukawas = [np.diag([0.0, 0.0, x]).astype(complex) for x in (up, down)]
        couplings = SmCouplings(np.zeros(3), *yukawas, np.zeros(3), np.asarray(higgs))
        return np.asarray(slope(as_vector({name: 1.0}), couplings))[POSITION[component(parse("NH_11"))[0]], 0]

    assert found("NH_11", higgs=self_coupling) == pytest.approx(per_coefficient(scalars), rel=1e-10)
    assert found("LNuQ_1133", y_u, y_d) == pytest.approx(per_coefficient(lambda c: quarks(c, 0.0)), rel=1e-10)
    assert found("LNQd_1133", y_u, y_d) == pytest.approx(per_coefficient(lambda c: quarks(0.0, c)), rel=1e-10)


def _reference(scale, vector):
    """All equations together by DOP853 at rtol 1e-12, those of the Standard Model in numpy, from m_W up."""
    right = jax.jit(slope)

    def derivative(t, state):
        y_u, y_d = state[:9].reshape(3, 3), state[9:18].reshape(3, 3)
        y_e, higgs = state[18:21].real, state[21].real
        g1, g2, g3 = g = 1 / np.sqrt(START.gauge**-2 - 2 * np.array([41 / 6, -19 / 6, -7]) * t / LOOP)
        uu, dd = y_u @ y_u.conj().T, y_d @ y_d.conj().T
        trace = np.trace(3 * uu + 3 * dd).real + np.sum(y_e**2)
        fourth = np.trace(3 * uu @ uu + 3 * dd @ dd).real + np.sum(y_e**4)
        d_u = 1.5 * (uu - dd) @ y_u + (trace - 17 / 12 * g1**2 - 9 / 4 * g2**2 - 8 * g3**2) * y_u
        d_d = 1.5 * (dd - uu) @ y_d + (trace - 5 / 12 * g1**2 - 9 / 4 * g2**2 - 8 * g3**2) * y_d
        d_e = (1.5 * y_e**2 + trace - 15 / 4 * g1**2 - 9 / 4 * g2**2) * y_e
        gauge = 3 / 8 * (2 * g2**4 + (g1**2 + g2**2) ** 2)
        d_h = 24 * higgs**2 + 4 * trace * higgs - 3 * (g1**2 + 3 * g2**2) * higgs + gauge - 2 * fourth
        d_c = right(state[22:].reshape(vector.shape), SmCouplings(g, y_u, y_d, y_e, jnp.asarray(higgs)))
        return np.concatenate([np.concatenate([d_u.ravel(), d_d.ravel(), d_e, [d_h]]) / LOOP, np.asarray(d_c).ravel()])

    first = np.concatenate([x.ravel() for x in (START.up, START.down, START.lepton, START.higgs, vector)]).astype(complex)
    solution = solve_ivp(derivative, (0, np.log(scale / M_W)), first, method="DOP853", rtol=1e-12, atol=1e-16)
    return solution.y[:22, -1], solution.y[22:, -1].reshape(vector.shape)


@pytest.mark.parametrize("scale", [300.0, 1e3, HIGHEST_SCALE_GEV])
def test_evolution_agrees_with_an_adaptive_integrator(scale):
    vector = np.asarray(VECTOR) / 3
    couplings, expected = _reference(scale, vector)
    np.testing.assert_allclose(run(vector, M_W, scale, INPUTS, ELECTROWEAK), expected, rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(run(expected, scale, M_W, INPUTS, ELECTROWEAK), vector, rtol=0.0, atol=1e-12)
    found = couplings_at(scale, INPUTS, ELECTROWEAK)
    found = np.concatenate([np.ravel(x) for x in (found.up, found.down, found.lepton, found.higgs)])
    np.testing.assert_allclose(found, couplings, rtol=3e-12, atol=1e-16)


SCALES = st.floats(M_W, 1e5)
# Scales that are traced need one compilation for all of them.
between = jax.jit(lambda vector, scale_from, scale_to: run(vector, scale_from, scale_to, INPUTS, ELECTROWEAK))


@settings(max_examples=15, deadline=None)
@given(SCALES, SCALES, SCALES)
def test_running_in_two_steps_is_running_in_one(a, b, c):
    np.testing.assert_allclose(between(between(VECTOR, a, b), b, c), between(VECTOR, a, c), rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(between(VECTOR, a, a), VECTOR, rtol=0.0, atol=1e-12)


def test_running_reaches_what_symmetries_allow():
    """Zeros of the matrix: lepton flavour, H^dagger H, which keeps C_NH by itself, and quark flavour, which CKM alone changes."""
    matrix = np.asarray(evolution_matrix(1e3, M_W, INPUTS, ELECTROWEAK))
    unmixed = np.asarray(evolution_matrix(1e3, M_W, INPUTS, ElectroweakInputs(wolfenstein_lambda=0.0)))
    quarks = ("LNQd", "LNQd3", "LNuQ")
    for j, c in enumerate(COMPONENTS):
        reached = {POSITION[other] for other in reached_by_running(c)}
        assert {int(i) for i in np.flatnonzero(matrix[:, j])} == reached or c.operator not in quarks
        assert {int(i) for i in np.flatnonzero(matrix[:, j])} <= reached
        if c.operator in quarks and c.flavours[1] != c.flavours[2]:
            p, s, t = c.flavours
            found = {COMPONENTS[i] for i in np.flatnonzero(unmixed[:, j])}
            assert {x.operator for x in found} <= set(quarks)
            assert {x.flavours for x in found} <= {(p, s, t), (p, t, s)}


def test_entries_of_the_top_quark_by_hand():
    """What the pages quote, from 1 TeV to m_W in the leading logarithm: wave functions of H and Q_3, LNuQ into NH and LNQd."""
    y_t, y_b, higgs = abs(START.up[2, 2]), START.down[2, 2].real, float(START.higgs)
    gauge = {"NB_11": -9 / 4 * START.gauge[1] ** 2 + 91 / 12 * START.gauge[0] ** 2}
    assert _entries("NB_11", "NB_11") - gauge["NB_11"] == pytest.approx(3 * y_t**2, rel=4e-3)
    nh = _entries("NH_11", "NH_11") + 9 / 4 * START.gauge[0] ** 2 + 27 / 4 * START.gauge[1] ** 2
    assert nh == pytest.approx(24 * higgs + 9 * y_t**2, rel=4e-3)
    assert abs(_entries("NH_11", "LNuQ_1133")) == pytest.approx(12 * y_t * abs(higgs - y_t**2), rel=5e-3)
    third = _entries("LNQd3_1131", "LNQd3_1131") - _entries("LNQd3_1121", "LNQd3_1121")
    assert third == pytest.approx(y_t**2 / 2, rel=5e-3)
    # 6 - 2 from X and the exchange between t and b.
    assert _entries("LNQd_1133", "LNuQ_1133").real == pytest.approx(4 * y_t * y_b, rel=5e-3)
    v = np.asarray(ckm_matrix(ELECTROWEAK))
    off_diagonal = _entries("LNQd_1121", "LNQd_1131")
    assert off_diagonal == pytest.approx(y_t**2 / 2 * np.conj(v[2, 1]) * v[2, 2], rel=5e-3)
    assert higgs == pytest.approx(125.10**2 / 2 / 246.2197**2, rel=1e-6)


@pytest.mark.parametrize("basis", ["down", "up"])
def test_up_and_down_is_the_identity(basis):
    electroweak = ElectroweakInputs(quark_basis=basis)
    start = {"NB_11": 1e-9, "LNQd3_1122": 1e-8j, "LNuQ_2113": 2e-8, "LNLe_1222": 1e-8, "LNLe_1211": -1e-8, "NH_21": 3e-9}
    there = run_smneft(start, 800.0, 90.0, INPUTS, electroweak)
    back = run_smneft(there, 90.0, 800.0, INPUTS, electroweak)
    for name, value in back.items():
        assert complex(value) == pytest.approx(start.get(name, 0.0), rel=1e-11, abs=1e-20)
    assert set(start) <= set(back)


def test_the_basis_of_quarks_is_a_choice_of_words():
    """Up-basis coefficients run as their rotation in the down basis does."""
    v = np.asarray(ckm_matrix(ELECTROWEAK))
    up = smneft_to_lneft({"LNQd_1123": 1.0}, 1e3, INPUTS, ElectroweakInputs(quark_basis="up"))[1]
    down = smneft_to_lneft({f"LNQd_11{k + 1}3": np.conj(v[1, k]) for k in range(3)}, 1e3, INPUTS, ELECTROWEAK)[1]
    assert set(up) == set(down)
    for name, value in up.items():
        assert complex(value) == pytest.approx(complex(down[name]), abs=1e-14)


def test_no_running_at_m_w():
    assert np.array_equal(evolution_matrix(M_W, M_W, INPUTS, ELECTROWEAK), np.eye(117))


def _entries(to, source, couplings=START):
    """Entry of the slope's matrix, without the loop factor."""
    column = np.asarray(slope(as_vector({source: 1.0}), couplings))
    where, r = component(parse(to))
    return column[POSITION[where], r - 1] * LOOP


def test_gauge_block_of_bell_et_al():
    # hep-ph/0504134: with O_1 = g' O_NB, O_2 = g O_NW, i.e. C_NB = g' C_1 and C_NW = g C_2, the block is
    # (1 / 16 pi) ((3 (a_1 - 3 a_2), -18 a_2), (-6 a_1, -3 (a_1 - 3 a_2))), a = g^2 / 4 pi, up to their signs of operators.
    gauge_only = SmCouplings(START.gauge, *(np.zeros((3, 3), dtype=complex),) * 2, np.zeros(3), np.asarray(0.0))
    g1, g2 = START.gauge[:2]
    names = ("NB_11", "NW_11")
    block = np.array([[_entries(to, source, gauge_only) for source in names] for to in names])
    scale = np.array([g1, g2])
    running = np.diag([41 / 6 * g1**2, -19 / 6 * g2**2])
    rotated = (block * scale[None, :] / scale[:, None] - running) / LOOP
    a_1, a_2 = g1**2 / (4 * np.pi), g2**2 / (4 * np.pi)
    bell = np.array([[3 * (a_1 - 3 * a_2), -18 * a_2], [-6 * a_1, -3 * (a_1 - 3 * a_2)]]) / (16 * np.pi)
    np.testing.assert_allclose(rotated, bell, rtol=1e-12)


def test_photon_projection_of_the_tensor_is_that_of_the_theory_below():
    # v / sqrt 2 (2 g' c_W + 6 g s_W) Y_d = 8 e m_d, and 8 e m_l for charged leptons with 1/8 from the Fierz identity.
    v = float(vacuum_value_gev(ELECTROWEAK))
    s = np.sqrt(0.23121)
    c = np.sqrt(1 - s**2)
    g1, g2 = START.gauge[:2]
    e = np.sqrt(4 * np.pi / float(inverse_alpha(M_W, INPUTS)))
    for k, quark in enumerate(("d", "s", "b")):
        mass = float(quark_mass(quark, M_W, INPUTS))
        assert v / np.sqrt(2) * (2 * g1 * c + 6 * g2 * s) * START.down[k, k].real == pytest.approx(8 * e * mass, rel=1e-13)
        nb, nw = (_entries(f"{op}_11", f"LNQd3_11{k + 1}{k + 1}") for op in ("NB", "NW"))
        assert v / np.sqrt(2) * (c * nb + s * nw) == pytest.approx(8 * e * mass, rel=1e-13)
    for k, mass in enumerate((0.51099895069e-3, 0.1056583755, 1.77686)):
        p = (k + 1) % 3 + 1
        nb, nw = (_entries(f"{op}_{p}1", f"LNLe_{k + 1}1{p}{k + 1}") for op in ("NB", "NW"))
        assert 8 * v / np.sqrt(2) * (c * nb + s * nw) == pytest.approx(8 * e * mass, rel=1e-9)


@pytest.mark.parametrize(
    ("above", "below", "fermion", "weight"),
    [
        ("LNQd3_1111", "TnuNdRR_1111", "d", 1.0),
        ("LNQd3_2322", "TnuNdRR_2322", "s", 1.0),
        ("LNQd3_1133", "TnuNdRR_1133", "b", 1.0),
        ("LNLe_1111", "TnuNeRR_1111", "e", 0.125),
        ("LNLe_2112", "TnuNeRR_1122", "mu", 0.125),
        ("LNLe_3213", "TnuNeRR_1233", "tau", 0.125),
    ],
)
def test_leading_logarithm_is_continuous_at_m_w(above, below, fermion, weight):
    """The slope of the photon dipole just above m_W, from finite scales, equals that just below."""
    step = 1e-4
    dipole = "nuNgamma_" + below.split("_")[1][:2]

    def from_above(scale):
        return float(smneft_to_lneft({above: 1.0}, scale, INPUTS, ELECTROWEAK)[1][dipole].real) / np.log(scale / M_W)

    def from_below(scale):
        return float(evolution(M_W, scale, INPUTS).mixing[fermion]) / np.log(M_W / scale)

    up = 2 * from_above(M_W * np.exp(step)) - from_above(M_W * np.exp(2 * step))
    down = 2 * from_below(M_W * np.exp(-step)) - from_below(M_W * np.exp(-2 * step))
    assert up == pytest.approx(weight * down, rel=1e-6)
    e = np.sqrt(4 * np.pi / float(inverse_alpha(M_W, INPUTS)))
    mass = (
        float(quark_mass(fermion, M_W, INPUTS))
        if fermion in "dsb"
        else {"e": INPUTS.m_e_gev, "mu": INPUTS.m_mu_gev}.get(fermion, INPUTS.m_tau_gev)
    )
    assert down == pytest.approx(-MIXING[fermion] * e * mass, rel=1e-6)


def test_a_tensor_makes_a_scalar_of_an_eighth_of_its_size():
    scalar = complex(smneft_to_lneft({"LNQd3_1122": 1.0}, 1e3, INPUTS, ELECTROWEAK)[0]["LNQd_1122"]).real
    g2 = START.gauge[1]
    assert -scalar == pytest.approx(0.12, abs=0.005)
    # The leading logarithm, 18 g^2 ln(Lambda / m_W) / 16 pi^2, up to the running of everything.
    assert -scalar == pytest.approx(18 * g2**2 * np.log(1e3 / M_W) / LOOP, rel=0.1)


def test_couplings_at_m_w():
    assert START.gauge[2] ** 2 == pytest.approx(4 * np.pi * float(alpha_s(M_W, INPUTS)), rel=1e-13)
    e = np.sqrt(4 * np.pi / float(inverse_alpha(M_W, INPUTS)))
    assert START.gauge[0] * START.gauge[1] / np.hypot(START.gauge[0], START.gauge[1]) == pytest.approx(e, rel=1e-13)
    assert START.down[2, 2] * 246.2197 / np.sqrt(2) == pytest.approx(float(quark_mass("b", M_W, INPUTS)), rel=1e-6)
    # y_t(m_t) near 0.94 from m_t(m_t) = 162.5 GeV and v; one-loop QCD raises it by 5 % down to m_W.
    values = np.linalg.svd(START.up, compute_uv=False)
    assert values[0] == pytest.approx(162.5 * np.sqrt(2) / 246.22 * 1.052, rel=2e-3)
    # Qbar_t Y_u u with Q = V^dagger u: V Y_u is diagonal.
    np.testing.assert_allclose(np.asarray(ckm_matrix(ELECTROWEAK)) @ START.up, np.diag(values[::-1]), atol=1e-15)


def test_self_coupling_and_top_yukawa_at_a_high_scale():
    """At one loop lambda turns negative below 1e10 GeV, as it is known to do: between 1e5 and 1e8 GeV in this approximation."""
    values = [float(couplings_at(scale, INPUTS, ELECTROWEAK).higgs) for scale in (M_W, 1e3, 1e5, 1e8)]
    assert all(a > b for a, b in itertools.pairwise(values))
    assert values[2] > 0.0 > values[3]


def _point(x):
    """Inputs relative to ordinary values: alpha_s, m_b, 1/alpha, sin^2, G_F, m_t, m_H, Wolfenstein's lambda and A."""
    inputs = StandardModelInputs(alpha_s_mz=0.1179 * x[0], m_b_gev=4.18 * x[1], inv_alpha_mz=127.952 * x[2])
    electroweak = ElectroweakInputs(
        sin2_theta_w=0.23121 * x[3], fermi_gev2=1.1663787e-5 * x[4], m_t_gev=162.5 * x[5], m_h_gev=125.1 * x[6],
        wolfenstein_lambda=0.2265 * x[7], wolfenstein_a=0.79 * x[8],
    )  # fmt: skip
    return inputs, electroweak


@pytest.mark.slow
def test_derivatives_with_respect_to_scales_and_inputs():
    """First and second, of a sum of everything; both scales are traced, also at m_W, where nothing runs."""

    def combination(x):
        inputs, electroweak = _point(x[2:])
        return jnp.real(jnp.sum(WEIGHTS * run(VECTOR, 1e3 * x[0], M_W * x[1], inputs, electroweak)))

    assert_derivatives(combination, np.ones(11), np.array([0.5, 4.0, *np.ones(9)]), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_derivatives_with_respect_to_coefficients_at_zero():
    """A quadratic form of what comes out below m_W, in real and imaginary parts of coefficients: value zero, Hessian not."""
    names = ("LNQd3_1122", "LNuQ_1233", "LNLe_1221", "NB_11")

    def quadratic(x):
        values = x[:4] + 1j * x[4:]
        below = smneft_to_lneft(dict(zip(names, values, strict=True)), 1e3, INPUTS, ELECTROWEAK)[1]
        return sum(jnp.real(z * jnp.conj(z)) for z in below.values())

    assert_derivatives(quadratic, np.zeros(8), np.linspace(-1, 1, 8), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_batched_running_is_the_single_one():
    scales = jnp.array([100.0, 1e3, 1e4])
    batched = jax.jit(jax.vmap(lambda x: run(VECTOR, x, M_W, INPUTS, ELECTROWEAK)))(scales)
    for one, scale in zip(batched, scales, strict=True):
        np.testing.assert_allclose(one, between(VECTOR, scale, M_W), rtol=0.0, atol=1e-13)
    # Known scales take fewer steps than traced ones, for the same answer.
    np.testing.assert_allclose(batched[1], run(VECTOR, 1e3, M_W, INPUTS, ELECTROWEAK), rtol=0.0, atol=1e-12)


def test_weights_are_what_single_coefficients_give():
    names = ("NB_21", "LNuQ_1133", "LNLe_1222", "LNLe_1221", "NH_11", "LNQd_3312")
    for basis in ("down", "up"):
        electroweak = ElectroweakInputs(quark_basis=basis)
        reached, weights = smneft_weights(names, 1e3, INPUTS, electroweak)
        assert weights.shape == (len(names), len(reached))
        for name, row in zip(names, np.asarray(weights), strict=True):
            below = smneft_to_lneft({name: 1.0}, 1e3, INPUTS, electroweak)[1]
            np.testing.assert_allclose(row, [complex(below.get(other, 0.0)) for other in reached], atol=1e-12)


@pytest.mark.parametrize("scale", [80.0, 2e10, float("nan"), "high"])
def test_scales_out_of_range(scale):
    with pytest.raises(UserInputError, match=r"scale_from: .* GeV") as caught:
        run(VECTOR, scale, M_W, INPUTS, ELECTROWEAK)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserInputError, match="where"):
        check_scale(scale, INPUTS, "where")
