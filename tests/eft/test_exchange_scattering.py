"""Scattering off a free fermion through one heavy scalar, without Fierz identities: signs of matching and interference together.

A scalar with product c of couplings over M^2 has |M|^2 = |c|^2 (2 k.p)(2 k'.p') where it is made by the incoming pair, and
|c|^2 (2 k.p')(2 k'.p) where it is exchanged in the u channel; k, p come in, k', p' go out, and chirality leaves no mass terms.
With p at rest: k.p = M E, k'.p' = M E - m^2 / 2, k'.p = M (E - T), k.p' = M (E - T) - m^2 / 2. The package has to find this as
scalar + tensor + their interference, whose coefficients come from matching.
"""

from __future__ import annotations

import jax
import numpy as np
import pytest

from nmmfit.eft import models
from nmmfit.eft.amplitudes import quark_couplings
from nmmfit.eft.chiral import ChiralInputs
from nmmfit.eft.smneft_inputs import ElectroweakInputs
from nmmfit.eft.smneft_matching import match_at_m_w
from nmmfit.inputs import StandardModelInputs
from nmmfit.physics import spin_half
from nmmfit.physics.kinematics import recoil_limits

CM2_PER_MEV = 0.3893793721e-27 * 1e-3  # of GeV^-3
kernels = jax.jit(spin_half.kernels, static_argnames="antineutrino")


def made_by_the_pair(e, t, mass, m):
    return mass * e * (mass * e - m**2 / 2)


def in_the_u_channel(e, t, mass, m):
    return mass * (e - t) * (mass * (e - t) - m**2 / 2)


def expected(products, c, e_mev, t_mev, mass_mev, m_mev):
    """d sigma / dT = |M|^2 / 32 pi M E^2, the mean over two spins of the target, in cm^2/MeV."""
    e, t, mass, m = (x * 1e-3 for x in (e_mev, t_mev, mass_mev, m_mev))
    return abs(c) ** 2 * 4 * products(e, t, mass, m) / 2 / (32 * np.pi * mass * e**2) * CM2_PER_MEV


def found(scalar, tensor, e, t, mass, m, antineutrino):
    k = kernels(e, t, mass, m, antineutrino=antineutrino)
    return float(k.s_s * abs(scalar) ** 2 + k.tensor * abs(tensor) ** 2 + k.s1_tensor * (scalar * np.conj(tensor)).real)


@pytest.fixture(scope="module")
def matched():
    """(S_1, t) of nu_2, N_3 and a fermion, and y y' / M^2, by model."""
    y, z, left, right = 0.3 + 0.4j, 0.2 - 0.7j, np.zeros((3, 3), dtype=complex), np.zeros((3, 3), dtype=complex)
    tree = models.charged_scalar(y, z, 400.0, lepton="mu", neutrinos=(2, 3)).tree
    out = {"charged_scalar": (complex(tree["SnuNeRR_2322"]), complex(tree["TnuNeRR_2322"]), y * z / 400.0**2)}
    left[1, 1], right[1, 2] = y, z  # generation of quark, of lepton
    for name, function in (("s1", models.leptoquark_s1), ("r2_tilde", models.leptoquark_r2_tilde)):
        # eps_12 = +1: for the neutrino and the d quark these are the scalar and the tensor
        one = jax.jit(lambda x, w, f=function: [f(x, w, 900.0).tree[n] for n in ("LNQd_2322", "LNQd3_2322")])(left, right)
        out[name] = (*(complex(c) for c in one), y * z / 900.0**2)
    return out


@pytest.mark.parametrize(
    ("model", "of_neutrinos", "of_antineutrinos"),
    [
        # S_1 carries the charges of nu d, and is made of them; R~_2 those of nubar d; the charged scalar takes nu to l^-.
        ("s1", made_by_the_pair, in_the_u_channel),
        ("r2_tilde", in_the_u_channel, made_by_the_pair),
        ("charged_scalar", in_the_u_channel, made_by_the_pair),
    ],
)
@pytest.mark.parametrize("m", [0.0, 60.0])
@pytest.mark.parametrize("fraction", [0.05, 0.6, 0.97])
def test_one_scalar_scatters_as_it_must(matched, model, of_neutrinos, of_antineutrinos, m, fraction):
    e, mass = 240.0, 105.0
    lowest, highest = (float(x) for x in recoil_limits(e, mass, m))
    t = lowest + fraction * (highest - lowest)
    scalar, tensor, c = matched[model]
    for antineutrino, products in ((False, of_neutrinos), (True, of_antineutrinos)):
        assert found(scalar, tensor, e, t, mass, m, antineutrino) == pytest.approx(
            expected(products, c, e, t, mass, m), rel=1e-10
        )


def through_the_neutrino_line(e, t, mass, m):
    """(2 k.k')(2 p.p') / 4, of a scalar in the t channel, massless."""
    return mass * t * mass * (mass + t)


@pytest.fixture(scope="module")
def violating():
    """Couplings at 2 GeV of (dbar L)(Q C L) H and (Qbar u)(L C L) H, in GeV^-2 per field, and v / sqrt 2; without CKM mixing."""
    electroweak = ElectroweakInputs(wolfenstein_lambda=0.0)
    given = {"dLQLH1_1112": 3e-9 - 2e-9j, "dLQLH1_1313": 1e-9j, "QuLLH_1123": 2e-9 + 1e-9j}
    below = {name: complex(x) for name, x in match_at_m_w(given, electroweak).items() if abs(complex(x)) > 0.0}
    assert set(below) == {"SnudLL_1211", "TnudLL_1211", "SnudLL_3311", "SnuuLR_2311"}
    couplings = quark_couplings(below, 2.0, StandardModelInputs(), ChiralInputs(), "seed")
    return couplings, given, 246.2197 / np.sqrt(2)


@pytest.mark.parametrize("antineutrino", [False, True])
def test_lepton_number_violation_scatters_as_it_must(violating, antineutrino):
    """(dbar nu_1)(d^T C nu_2): nu_2 and d annihilate together, nu_1 and the outgoing d belong together; no factor 2 to spare.

    (dbar nu_3)(d^T C nu_3) has both amplitudes, and twice -1/2 of a scalar in the t channel; (ubar u)(nu_2^T C nu_3) is one. For
    antineutrinos, which meet the Hermitian conjugate, the field with nu_2 creates the outgoing d: pairs change places.
    """
    couplings, given, h = violating
    e, mass = 240.0, 105.0
    together, apart = (in_the_u_channel, made_by_the_pair) if antineutrino else (made_by_the_pair, in_the_u_channel)
    for fraction in (0.1, 0.8):
        t = fraction * 2 * e**2 / (mass + 2 * e)
        cases = [
            ("d", 1, 0, "dLQLH1_1112", together),
            ("d", 0, 1, "dLQLH1_1112", apart),
            ("d", 2, 2, "dLQLH1_1313", through_the_neutrino_line),
            ("u", 1, 2, "QuLLH_1123", through_the_neutrino_line),
            ("u", 2, 1, "QuLLH_1123", through_the_neutrino_line),
        ]
        for quark, incoming, outgoing, name, products in cases:
            scalar, tensor = (complex(getattr(couplings, f"{x}_{quark}")[incoming, 3 + outgoing]) for x in ("scalar", "tensor"))
            rate = expected(products, given[name] * h, e, t, mass, 0.0)
            assert found(scalar, tensor, e, t, mass, 0.0, antineutrino) == pytest.approx(rate, rel=1e-6), (name, incoming)
