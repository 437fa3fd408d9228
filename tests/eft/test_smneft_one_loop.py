"""Running above m_W against one-loop diagrams of fields in components, with no table of the SMEFT and no Fierz identity.

An operator is a polynomial in anticommuting components of fields. A boson of momentum k between two of its legs, external
momenta zero, and int d^4k / (2 pi)^4 k_a k_b / k^6 = i g_ab / (64 pi^2) ln(Lambda^2 / mu^2) give what the modes between mu and
Lambda add, delta ln(Lambda^2 / mu^2) / 16 pi^2, so that 16 pi^2 dC / d ln mu = -2 delta. In units of a quarter, with the two legs
multiplied by gamma^nu times the vertex and by gamma_nu times the vertex:

- gauge boson, vertices g T gamma^mu and g T gamma_mu: -1 between two psi or two psibar, +1 between psi and psibar;
- scalar, vertices of -psibar M psi: +1 and -1;
- wave functions: -1/2 g^2 T T (Feynman gauge) and -1/4 M M on each leg.

Colour singlets see g_s like one charge of square C_F = 4/3 on all quarks.
"""

from __future__ import annotations

import itertools
from collections import defaultdict

import jax
import numpy as np
import pytest
from dirac import METRIC

from nmmfit.eft.smneft_couplings import SmCouplings
from nmmfit.eft.smneft_operators import parse
from nmmfit.eft.smneft_running import slope
from nmmfit.eft.smneft_state import POSITION, component

LOOP = 16 * np.pi**2
jitted = jax.jit(slope)
PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
NIL, ONE = np.zeros((2, 2)), np.eye(2)
# The chiral representation, in which a left-handed field has the components 0 and 1, its bar 2 and 3.
GAMMA = np.array([np.block([[NIL, ONE], [ONE, NIL]])] + [np.block([[NIL, s], [-s, NIL]]) for s in PAULI])
LOWER = np.einsum("ma,aij->mij", METRIC, GAMMA)
SIGMA = np.array([[0.5j * (a @ b - b @ a) for b in GAMMA] for a in GAMMA])
SIGMA_LOWER = np.einsum("ma,nb,abij->mnij", METRIC, METRIC, SIGMA)
P_R = np.diag([0.0, 0.0, 1.0, 1.0])
P_L = np.eye(4) - P_R
EPSILON = np.array([[0.0, 1.0], [-1.0, 0.0]])
HYPERCHARGE = {"L": -1 / 2, "N": 0.0, "Q": 1 / 6, "u": 2 / 3, "d": -1 / 3, "e": -1.0}
DOUBLETS, QUARKS = ("L", "Q"), ("Q", "u", "d")

# A leg is (field, generation, member of the doublet, bar, Dirac component).


def leg(field, generation, member, bar, i):
    return (field, generation, member, bar, i)


def collected(terms):
    """{ordered legs: coefficient} of (coefficient, legs), legs anticommuting."""
    out = defaultdict(complex)
    for value, legs in terms:
        if len(set(legs)) < len(legs):
            continue
        swaps = sum(a > b for a, b in itertools.combinations(legs, 2))
        out[tuple(sorted(legs))] += (-1) ** swaps * value
    return {legs: value for legs, value in out.items() if abs(value) > 1e-13}


def bilinear(first, matrix, second):
    """(coefficient, legs) of first-bar matrix second, each (field, generation, member)."""
    return [(matrix[i, j], (leg(*first, True, i), leg(*second, False, j))) for i, j in zip(*np.nonzero(matrix), strict=True)]


def product(weight, left, right):
    return [(weight * a * b, (*x, *y)) for a, x in left for b, y in right]


def operator(name):
    """An operator of `smneft_operators` in components, from its definition."""
    c = parse(name)
    p, r, s, t = c.flavours
    n, terms = ("N", r, 0), []
    if c.operator.name == "LNuQ":
        for j in range(2):
            terms += product(1.0, bilinear(("L", p, j), P_R, n), bilinear(("u", s, 0), P_L, ("Q", t, j)))
        return collected(terms)
    doublet, singlet = ("L", "e") if c.operator.name == "LNLe" else ("Q", "d")
    pairs = [(P_R, P_R)]
    if c.operator.name == "LNQd3":
        pairs = [(SIGMA[m, n] @ P_R, SIGMA_LOWER[m, n] @ P_R) for m in range(4) for n in range(4)]
    for (j, k), (one, other) in itertools.product(((0, 1), (1, 0)), pairs):
        terms += product(EPSILON[j, k], bilinear(("L", p, j), one, n), bilinear((doublet, s, k), other, (singlet, t, 0)))
    return collected(terms)


def exchanged(poly, first, second):
    """Each pair of legs replaced: `first` and `second` map a leg to [(coefficient, leg)]; ends exchanged are another diagram."""
    terms = []
    for legs, value in poly.items():
        for a, b in itertools.combinations(range(len(legs)), 2):
            for one, other in ((first, second), (second, first)) if first is not second else ((first, first),):
                for x, new_a in one(legs[a]):
                    for y, new_b in other(legs[b]):
                        sign = -1.0 if legs[a][3] == legs[b][3] else 1.0
                        changed = (*legs[:a], new_a, *legs[a + 1 : b], new_b, *legs[b + 1 :])
                        terms.append((sign * value * x * y, changed))
    return terms


def wave(poly, matrix):
    """Each leg replaced by `matrix` of it."""
    terms = []
    for legs, value in poly.items():
        for a, old in enumerate(legs):
            terms += [(value * x, (*legs[:a], new, *legs[a + 1 :])) for x, new in matrix(old)]
    return terms


def acted(vertex, spin, old):
    """psi -> spin vertex psi, or psibar -> psibar vertex spin; vertex(field, generation, member, from_bar) -> [(value, ...)]."""
    field, generation, member, bar, i = old
    found = []
    for value, new in vertex(field, generation, member, bar):
        for k in range(4):
            x = spin[k, i] if bar else spin[i, k]
            if x != 0:
                found.append((value * x, leg(*new, bar, k)))
    return found


def gauge(poly, g1, g2, g3):
    """Gauge bosons: vertices between all pairs of legs, and wave functions."""

    def charge(function):
        def vertex(field, generation, member, bar):
            q = function(field)
            return [(q, (field, generation, member))] if q else []

        return vertex

    def weak(index):
        matrix = 0.5 * PAULI[index]

        def vertex(field, generation, member, bar):
            if field not in DOUBLETS:
                return []
            entries = matrix[:, member] if bar else matrix[member]
            return [(x, (field, generation, k)) for k, x in enumerate(entries) if x != 0]

        return vertex

    vertices = [(g1, charge(HYPERCHARGE.get)), (g3, charge(lambda f: np.sqrt(4 / 3) * (f in QUARKS)))]
    vertices += [(g2, weak(index)) for index in range(3)]
    terms = []
    for g, vertex in vertices:
        for nu, mu in itertools.product(range(4), repeat=2):

            def upper(old, v=vertex, nu=nu, mu=mu):
                return acted(v, GAMMA[mu] @ GAMMA[nu] if old[3] else GAMMA[nu] @ GAMMA[mu], old)

            # gamma_nu gamma_mu is gamma^nu gamma^mu up to a sign.
            sign = METRIC[nu, nu] * METRIC[mu, mu]
            terms += [(sign * g**2 / 4 * x, legs) for x, legs in exchanged(poly, upper, upper)]

        def square(old, v=vertex):
            return [(x * y, end) for y, middle in acted(v, np.eye(4), old) for x, end in acted(v, np.eye(4), middle)]

        terms += [(-(g**2) / 2 * x, legs) for x, legs in wave(poly, square)]
    return terms


def yukawa(poly, y_u, y_d, y_e):
    """Higgs bosons H_a: -psibar (M_a H_a + M_a^+ H_a^*) psi of -Qbar Y_d d H - Qbar Y_u u Htilde - Lbar Y_e e H - h.c."""

    def vertex(a, conjugate):
        """Entries of M_a or M_a^+ by (row, column), each (field, generation, member), with the chirality of the column."""
        entries = {}
        for s, t in itertools.product((1, 2, 3), repeat=2):
            # H contains H_a in the doublet's member a; Htilde_k = eps_kl H_l^* has H_a^* in the member k with eps_ka.
            for doublet, singlet, matrix in (("Q", "d", y_d), ("L", "e", np.diag(y_e))):
                entry = matrix[s - 1, t - 1]
                row, column = (doublet, s, a), (singlet, t, 0)
                entries[(column, row) if conjugate else (row, column)] = np.conj(entry) if conjugate else entry
            for k in range(2):
                if EPSILON[k, a] != 0:
                    entry = EPSILON[k, a] * y_u[s - 1, t - 1]
                    row, column = ("Q", s, k), ("u", t, 0)
                    entries[(row, column) if conjugate else (column, row)] = entry if conjugate else np.conj(entry)
        by_row, by_column = defaultdict(list), defaultdict(list)
        for (row, column), value in entries.items():
            if value != 0:
                by_row[row].append((value, column))
                by_column[column].append((value, row))

        def found(field, generation, member, bar):
            return (by_column if bar else by_row)[field, generation, member]

        return found

    terms = []
    for a in range(2):
        plain, conjugate = vertex(a, False), vertex(a, True)
        for nu in range(4):

            def first(old, v=plain, nu=nu):
                return acted(v, GAMMA[nu], old)

            def second(old, v=conjugate, nu=nu):
                return acted(v, GAMMA[nu], old)

            terms += [(-METRIC[nu, nu] / 4 * x, legs) for x, legs in exchanged(poly, first, second)]
        for one, other in ((plain, conjugate), (conjugate, plain)):

            def square(old, one=one, other=other):
                return [(x * y, end) for y, middle in acted(one, np.eye(4), old) for x, end in acted(other, np.eye(4), middle)]

            terms += [(-x / 4, legs) for x, legs in wave(poly, square)]
    return terms


def projected(terms, names):
    """Coefficients of operators that a sum of terms is, all of it."""
    found, basis = collected(terms), {name: operator(name) for name in names}
    legs = sorted(set(found).union(*basis.values()))
    matrix = np.array([[poly.get(x, 0.0) for poly in basis.values()] for x in legs])
    vector = np.array([found.get(x, 0.0) for x in legs])
    solution, *_ = np.linalg.lstsq(matrix, vector, rcond=None)
    np.testing.assert_allclose(matrix @ solution, vector, atol=1e-10)
    return dict(zip(names, solution, strict=True))


def entries(source, couplings, names):
    """16 pi^2 dC_name / dt per unit of the source, from the package."""
    where, r = component(parse(source))
    start = np.zeros((117, 3), dtype=complex)
    start[POSITION[where], r - 1] = 1.0
    out = np.asarray(jitted(start, couplings)) * LOOP
    return {name: out[POSITION[component(parse(name))[0]], component(parse(name))[1] - 1] for name in names}


def quark_names(p, r):
    return [f"{op}_{p}{r}{s}{t}" for op in ("LNQd", "LNQd3", "LNuQ") for s in (1, 2, 3) for t in (1, 2, 3)]


def matrix(rng):
    return rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3))


NOTHING = np.zeros((3, 3), dtype=complex)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("LNQd_1223", ["LNQd_1223", "LNQd3_1223"]),
        ("LNQd3_2131", ["LNQd_2131", "LNQd3_2131"]),
        ("LNuQ_1123", ["LNuQ_1123"]),
        ("LNLe_1123", ["LNLe_1123", "LNLe_2113"]),
        ("LNLe_2322", ["LNLe_2322"]),
    ],
)
def test_gauge_bosons(source, names):
    g = np.array([0.7, 1.1, 0.9])
    found = projected([(-2 * x, legs) for x, legs in gauge(operator(source), *g)], names)
    couplings = SmCouplings(g, NOTHING, NOTHING, np.zeros(3), np.asarray(0.0))
    for name, value in entries(source, couplings, names).items():
        assert complex(value) == pytest.approx(found[name], abs=1e-11), name


def closed_loop(source, couplings, names):
    """2 Y X[Y], which the Higgs field's equation of motion makes of a closed loop: no exchange between legs."""
    c = parse(source)
    _, _, s, t = (d - 1 for d in c.flavours)
    y_u, y_d = couplings.up, couplings.down
    x = {"LNQd": 3 * np.conj(y_d[s, t]), "LNQd3": 0.0, "LNuQ": 3 * y_u[t, s]}[c.operator.name]
    out = {}
    for name in names:
        to = parse(name)
        v, w = (d - 1 for d in to.flavours[2:])
        out[name] = 2 * x * {"LNQd": y_d[v, w], "LNQd3": 0.0, "LNuQ": np.conj(y_u[w, v])}[to.operator.name]
    return out


@pytest.mark.parametrize("source", ["LNQd_1212", "LNQd3_2131", "LNuQ_1323"])
def test_higgs_bosons_between_quarks(source):
    rng = np.random.default_rng(3)
    y_u, y_d = matrix(rng), matrix(rng)
    names = quark_names(*parse(source).flavours[:2])
    found = projected([(-2 * x, legs) for x, legs in yukawa(operator(source), y_u, y_d, np.zeros(3))], names)
    couplings = SmCouplings(np.zeros(3), y_u, y_d, np.zeros(3), np.asarray(0.0))
    # What wave functions of H do is for dipoles; four-fermion operators have none.
    closed = closed_loop(source, couplings, names)
    for name, value in entries(source, couplings, names).items():
        assert complex(value) == pytest.approx(found[name] + closed[name], abs=1e-10), name


@pytest.mark.parametrize("source", ["LNLe_1123", "LNLe_2212"])
def test_higgs_bosons_between_leptons(source):
    y_e = np.array([0.3, 0.7, 1.1])
    found = projected([(-2 * x, legs) for x, legs in yukawa(operator(source), NOTHING, NOTHING, y_e)], [source])
    couplings = SmCouplings(np.zeros(3), NOTHING, NOTHING, y_e, np.asarray(0.0))
    # s is not t, so that no loop closes on the operator itself: what is left are wave functions, and no exchange.
    assert complex(entries(source, couplings, [source])[source]) == pytest.approx(found[source], abs=1e-11)
