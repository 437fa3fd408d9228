"""Dipoles above m_W: entries that tie them to tensors, to Yukawa couplings and to the mass operator, from one-loop diagrams.

With D = d + i g' Y B + i g tau/2 W vertices are -i g T gamma^mu and -i Y, propagators i kslash / k^2, i / k^2 and -i g / k^2. A
logarithmic integral int d^4k / (2 pi)^4 f(k) is i ln(Lambda^2 / mu^2) / 16 pi^2 times the mean of k^4 f over directions of the
Euclidean k (24 of them, exact up to the fifth power of k). What the modes between mu and Lambda add, delta ln(Lambda^2 / mu^2) /
16 pi^2, is -1/2 of 16 pi^2 dC / d ln mu. Of g' and g^I every entry needs what stands at the neutrino's end in SU(2): H^* follows
the matrix X = epsilon for B, tau^I epsilon for W^I.
"""

from __future__ import annotations

import itertools

import jax
import numpy as np
import pytest
from dirac import GAMMA, GAMMA_LOWER, METRIC, P_L, P_R, SIGMA, SIGMA_LOWER, slash

from nmmfit.eft.smneft_couplings import SmCouplings
from nmmfit.eft.smneft_operators import parse
from nmmfit.eft.smneft_running import slope
from nmmfit.eft.smneft_state import POSITION, component

EPSILON = np.array([[0.0, 1.0], [-1.0, 0.0]])
TAU = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
Y_L, Y_E, Y_Q, Y_D = -1 / 2, -1.0, 1 / 6, -1 / 3
NOTHING = np.zeros((3, 3), dtype=complex)
G1, G2 = 0.7, 1.3
jitted = jax.jit(slope)


def directions():
    """Unit vectors of the Euclidean loop momentum as Minkowski momenta, k^2 = -1: the corners of the 24-cell."""
    for (i, j), a, b in itertools.product(itertools.combinations(range(4), 2), (1, -1), (1, -1)):
        n = np.zeros(4, dtype=complex)
        n[i], n[j] = a / np.sqrt(2), b / np.sqrt(2)
        yield n * np.array([1j, 1, 1, 1])


def logarithm(integrand):
    """int d^4k / (2 pi)^4 of something of degree -4, in units of i ln(Lambda^2 / mu^2) / 16 pi^2."""
    return np.mean([integrand(k) for k in directions()], axis=0)


def fermion(k):
    return 1j * slash(k) / (k @ METRIC @ k)


def entry(to, source, up=NOTHING, down=NOTHING, lepton=(0.0, 0.0, 0.0), gauge=(G1, G2, 0.0), higgs=0.0):
    """16 pi^2 dC_to / dt per unit of the source, from the package."""
    couplings = SmCouplings(np.array(gauge), up, down, np.array(lepton), np.asarray(higgs))
    where, r = component(parse(source))
    start = np.zeros((117, 3), dtype=complex)
    start[POSITION[where], r - 1] = 1.0
    target, column = component(parse(to))
    return complex(np.asarray(jitted(start, couplings))[POSITION[target], column - 1] * 16 * np.pi**2)


def overlap(weak, x):
    """How much of X a matrix in SU(2) is; all of it."""
    size = np.trace(weak @ x.conj().T) / np.trace(x @ x.conj().T)
    np.testing.assert_allclose(weak, size * x, atol=1e-12)
    return size


def closed_loop(charge_doublet, charge_singlet):
    """delta of (Lbar sigma N) F per unit of C3 Y^* g N_c, where the doublet has the first charge and the singlet the second.

    <psi psibar> of the loop in a field F with momentum q, to first order in q; it closes on sigma_mu_nu P_R of the operator.
    """
    q, field = np.array([0.3, -0.2, 0.5, 0.7]), np.array([0.4, 0.9, -0.3, 0.2])
    vertex = -1j * slash(field)
    yukawa = -1j

    def at(k, h):
        shifted = k + h * q
        on_doublet = fermion(shifted) * yukawa @ fermion(shifted) @ vertex @ fermion(k)
        on_singlet = fermion(shifted) @ vertex @ fermion(k) * yukawa @ fermion(k)
        return charge_doublet * on_doublet + charge_singlet * on_singlet

    step = 1e-3
    loop = logarithm(lambda k: (at(k, step) - at(k, -step)) / (2 * step)) * 1j
    # The operator acts as i C sigma, the loop of fermions as -1; what it makes is i delta sigma F.
    made = sum(-np.trace(SIGMA_LOWER[m, n] @ P_R @ loop) * SIGMA[m, n] @ P_R for m in range(4) for n in range(4))
    strength = [[-1j * (q[m] * field[n] - q[n] * field[m]) for n in range(4)] for m in range(4)]
    wanted = sum(strength[m][n] * SIGMA_LOWER[m, n] @ P_R for m in range(4) for n in range(4))
    return overlap(made, wanted)


@pytest.mark.parametrize(
    ("source", "colours", "charges", "yukawa", "to"),
    [("LNQd3_1123", 3, (Y_Q, Y_D), 0.8 - 0.3j, "11"), ("LNLe_2112", 1, (Y_L, Y_E), 0.6, "11")],
)
def test_a_tensor_closes_to_a_dipole(source, colours, charges, yukawa, to):
    down, lepton, weight = NOTHING.copy(), np.zeros(3), 1.0
    if colours == 3:
        down[1, 2] = yukawa
    else:
        # (Lbar_2^j N) eps_jk (Lbar_1^k e_2) is +1/8 (Lbar_1^j sigma N) eps_jk (Lbar_2^k sigma e_2) and a scalar.
        lepton[1], weight = yukawa, 1 / 8
    common = -2 * colours * np.conj(yukawa) * weight
    assert entry(f"NB_{to}", source, down=down, lepton=lepton) == pytest.approx(common * G1 * closed_loop(*charges), rel=1e-6)
    # (Q^k created at the operator meets tau^I/2, then H^*): eps_jk (tau^I/2)_mk H_m^*
    weak = overlap(EPSILON @ (TAU[0] / 2).T, TAU[0] @ EPSILON)
    assert entry(f"NW_{to}", source, down=down, lepton=lepton) == pytest.approx(
        common * G2 * (weak * closed_loop(1.0, 0.0)).real, rel=1e-6
    )


def triangle(before, after):
    """delta of (Lbar sigma N)(psibar sigma psi) per unit of C g Y: field strength and H of a dipole end on one line.

    2 sigma^mn d_m B_n: a boson that leaves the line at y brings e^{-ik (x - y)}, d_m -> -i k_m, H brings -k. `before`: the charge
    of the right-handed field, which meets the boson first; `after`: of the doublet.
    """
    made = np.zeros((4, 4, 4, 4), dtype=complex)
    for m, n in itertools.product(range(4), repeat=2):

        def line(k, m=m, n=n):
            boson, higgs = -1j / (k @ METRIC @ k), 1j / (k @ METRIC @ k)
            vertex = -1j * GAMMA_LOWER[n]
            first = -1j * fermion(-k) @ vertex * before
            second = vertex @ (fermion(k) * -1j) * after
            return -1j * (METRIC @ k)[m] * boson * higgs * (first + second) @ P_R

        made += 2 * np.einsum("ab,cd->abcd", SIGMA[m, n] @ P_R, 1j * logarithm(line))
    tensor = sum(
        np.einsum("ab,cd->abcd", SIGMA[m, n] @ P_R, SIGMA_LOWER[m, n] @ P_R) for m, n in itertools.product(range(4), repeat=2)
    )
    return overlap(made.reshape(16, 16), tensor.reshape(16, 16))


def test_a_dipole_makes_a_tensor():
    down = NOTHING.copy()
    down[1, 2] = 0.8 - 0.3j
    # Htilde_j = eps_jk H_k^* meets -Y Qbar^k d H_k.
    assert entry("LNQd3_1123", "NB_11", down=down) == pytest.approx(-2 * G1 * down[1, 2] * triangle(Y_D, Y_Q), rel=1e-9)
    weak = sum(tau @ EPSILON @ (tau / 2).T for tau in TAU)
    made = overlap(weak, EPSILON) * triangle(0.0, 1.0)
    assert entry("LNQd3_1123", "NW_11", down=down) == pytest.approx(-2 * G2 * down[1, 2] * made, rel=1e-9)


def test_dipoles_make_four_leptons():
    """The same tensor of two doublets in both orders: sigma sigma = -4 (Lbar N)(Lbar e) - 8 (exchanged), eps_jk = -eps_kj."""
    lepton = (0.2, 0.6, 0.9)
    for dipole, g, made in (
        ("NB", G1, triangle(Y_E, Y_L)),
        ("NW", G2, triangle(0.0, 1.0) * overlap(sum(tau @ EPSILON @ (tau / 2).T for tau in TAU), EPSILON)),
    ):
        tensor = -2 * g * lepton[1] * made
        assert entry("LNLe_1122", f"{dipole}_11", lepton=lepton) == pytest.approx(-4 * tensor, rel=1e-9)
        assert entry("LNLe_2112", f"{dipole}_11", lepton=lepton) == pytest.approx(8 * tensor, rel=1e-9)
        assert entry("LNLe_2122", f"{dipole}_21", lepton=lepton) == pytest.approx((8 - 4) * tensor, rel=1e-9)


def test_higgs_boson_between_the_doublet_and_the_dipole():
    """Lbar^j Y H_j e, e Y^* H_k^+ L^k, then the operator Lbar^k X_kl H_l^* with H_j, H_l^* contracted; wave functions apart."""
    y = 0.7

    def line(k):
        return (-1j * y) * fermion(k) @ ((-1j * y) * fermion(k)) * (1j / (k @ METRIC @ k)) @ P_L

    size = np.trace(1j * logarithm(line)).real / 2
    free = {op: entry(f"{op}_22", f"{op}_22") for op in ("NB", "NW", "NH")}
    for op, x in (("NB", EPSILON), ("NW", TAU[1] @ EPSILON), ("NH", EPSILON)):
        waves = {"NB": 1, "NW": 1, "NH": 3}[op] * y**2 + y**2 / 2  # H, and L
        found = entry(f"{op}_22", f"{op}_22", lepton=(0.0, y, 0.0)) - free[op]
        assert found == pytest.approx(waves - 2 * size * overlap(x.T, x).real, rel=1e-9), op


def test_gauge_bosons_make_a_neutrino_mass_of_a_dipole():
    """In a constant field H, where only |D H|^2 with two bosons counts (Landau gauge): from the dipole to it, and on to Lbar."""
    h = np.array([0.3 - 0.4j, 0.8 + 0.1j])
    size = np.vdot(h, h).real
    tilde = EPSILON @ h.conj()
    charges = np.array([G1 * Y_L * np.eye(2), *(G2 * tau / 2 for tau in TAU)])  # of Lbar, for B and W^I
    on_h = np.array([G1 / 2 * np.eye(2), *(G2 * tau / 2 for tau in TAU)])
    mass = np.array([[(h.conj() @ (a @ b + b @ a) @ h).real for b in on_h] for a in on_h])

    def line(k):
        # psibar leaves with +k, as the boson comes in with it: e^{-ikx} of d_m -> -i k_m.
        boson = -1j / (k @ METRIC @ k)
        legs = [(-1j * GAMMA_LOWER[n]) @ fermion(k) @ SIGMA[m, n] * (METRIC @ k)[m] for m in range(4) for n in range(4)]
        return 2 * -1j * boson * (1j * boson) * sum(legs) @ P_R

    loop = np.trace(1j * logarithm(line)) / 2
    for op, starts in (("NB", [0]), ("NW", [1, 2, 3])):
        sigma = {0: np.eye(2), **{i + 1: TAU[i] for i in range(3)}}
        made = sum(mass[a, b] * charges[b] @ sigma[a] @ tilde for a in starts for b in range(4))
        ratio = made / (tilde * size)
        assert ratio[0] == pytest.approx(ratio[1], rel=1e-12)
        assert entry("NH_11", f"{op}_11") == pytest.approx(-2 * loop * ratio[0], rel=1e-9)


def test_the_directions_average_as_they_must():
    moments = logarithm(lambda k: np.einsum("a,b,c,d->abcd", k, k, k, k) / 1.0)
    g = METRIC
    expected = (np.einsum("ab,cd->abcd", g, g) + np.einsum("ac,bd->abcd", g, g) + np.einsum("ad,bc->abcd", g, g)) / 24
    np.testing.assert_allclose(moments, expected, atol=1e-14)
    assert GAMMA.shape == (4, 4, 4)


def test_a_closed_loop_and_the_higgs_fields_equation_of_motion():
    """J (Qbar d) with a loop of Q and d that ends on -Y^* dbar Q H^+ is z Y^* J D^2 H^+, as p^2 -> -D^2; then
    D^2 H_k^+ = -2 lambda |H|^2 H_k^+ - Y_d Qbar^k d - Y_u^* eps_kj ubar Q^j; with J (ubar Q) all the same for Htilde.
    """
    p, step, colours = np.array([0.3, -0.2, 0.5, 0.7]), 1e-2, 3

    def loop(k, h):
        return -colours * np.trace(1j * P_R @ fermion(k) @ (-1j * P_L) @ fermion(k + h * p))

    second = logarithm(lambda k: (loop(k, step) - 2 * loop(k, 0.0) + loop(k, -step)) / step**2 / 2)
    z = -second / (p @ METRIC @ p)
    up, down, higgs = NOTHING.copy(), NOTHING.copy(), 0.17
    up[1, 2], down[0, 1] = 0.9 + 0.2j, 0.4 - 0.5j
    nothing = (0.0, 0.0, 0.0)
    for source, loop_yukawa in (("LNQd_1112", np.conj(down[0, 1])), ("LNuQ_1132", up[1, 2])):
        made = -2 * z * loop_yukawa
        # Different flavours of up and down quarks leave no exchange between legs, and wave functions change no flavour.
        other = {"LNQd_1112": ("LNuQ_1132", -np.conj(up[1, 2])), "LNuQ_1132": ("LNQd_1112", -down[0, 1])}[source]
        assert entry(other[0], source, up=up, down=down, gauge=nothing) == pytest.approx(made * other[1], rel=1e-3)
        cubic = entry("NH_11", source, up=up, down=down, gauge=nothing)
        assert entry("NH_11", source, up=up, down=down, gauge=nothing, higgs=higgs) - cubic == pytest.approx(
            made * -2 * higgs, rel=1e-3
        )


def test_gauge_entries_of_dipoles_belong_to_one_theory_of_any_group():
    """Signs and sizes of NB <-> NW from their diagonal entries, for a neutral N, so that L and Htilde have one charge T.

    A boson within Lbar, N and H leaves the dipole's own boson alone: alpha T^B T^B. One that is exchanged for it gives
    kappa T^A T^B with the external boson A, whichever of the two is the dipole's. With one U(1) both are y^2.
    """
    g1, g2 = G1, G2
    casimir = 3 / 4
    alpha = entry("NB_11", "NB_11", gauge=(0.0, g2, 0.0)) / (casimir * g2**2)
    assert entry("NW_11", "NW_11", gauge=(g1, 0.0, 0.0)) == pytest.approx(alpha * Y_L**2 * g1**2, rel=1e-12)
    own = 41 / 6 * g1**2  # of the B boson's wave function
    kappa = (entry("NB_11", "NB_11", gauge=(g1, 0.0, 0.0)) - own) / (Y_L * g1) ** 2 - alpha
    # A B boson in the operator, W^A outside: y tau^A / 2; W^I in the operator: y sum (tau^I / 2) tau^I.
    assert entry("NW_11", "NB_11") == pytest.approx(kappa * Y_L * g1 * g2 / 2, rel=1e-12)
    assert entry("NB_11", "NW_11") == pytest.approx(kappa * Y_L * g1 * g2 * 2 * casimir, rel=1e-12)
    # In Landau gauge, at zero momenta of L and H, nothing but the wave function of H is left.
    assert alpha == pytest.approx(-3.0, rel=1e-12)
