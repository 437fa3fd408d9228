"""From coefficients in a run file to counts: scalars, tensors and their interferences, event by event with Dirac matrices.

The response of a detector, tested elsewhere, is taken as it is; everything before it is written here: sigma terms, the factors of
operators that break lepton number, explicit traces for every pair of energies, Gauss-Legendre nodes other than the code's.
"""

from __future__ import annotations

from typing import Any

import dirac
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nmmfit
from likelihoods.borexino_phase2.response import response_matrix
from likelihoods.coherent_csi_2021.model import fluence_per_cm2, nuclei_of_each_kind
from nmmfit.inference.joint import JointLikelihood
from nmmfit.physics.form_factors import helm
from nmmfit.physics.nuclei import nucleus
from nmmfit.physics.solar import solar_fluxes

# MS-bar, 2 GeV: g_S^u + g_S^d = sigma_piN / m_ud, g_S^u - g_S^d = 1.022 in the proton; sigma_s / m_s
G_SUM, G_DIFFERENCE, G_S = 59.6 / 3.410, 1.022, 41.0 / 93.44
SCALAR = {
    "p": (0.5 * (G_SUM + G_DIFFERENCE), 0.5 * (G_SUM - G_DIFFERENCE)),
    "n": (0.5 * (G_SUM - G_DIFFERENCE), 0.5 * (G_SUM + G_DIFFERENCE)),
}
TENSOR = {"p": (0.784, -0.204), "n": (-0.204, 0.784)}
PROMPT, ENDPOINT, M_MU = (139.57039**2 - 105.6583755**2) / (2 * 139.57039), 0.5 * 105.6583755, 105.6583755

# Amounts of every coefficient in one parameter: GeV^-2, at 2 GeV
LNC_S = {"SnuNuRR_2211": 3e-7 + 2e-7j, "SnuNuRL_2211": -1e-7, "SnuNdRR_2211": 2e-7j, "SnuNuRR_1111": 2e-7, "SnuNdRL_1111": 3e-7}
LNC_T = {"TnuNuRR_2211": 2e-5 - 1e-5j, "TnuNdRR_2211": 1e-5}
# one coefficient of the LNV kind leads from nu_mu to the conjugate nu_e and back
LNV_S = {"SnuuLL_1211": 2e-7 + 1e-7j, "SnuuLR_1211": 1e-7, "SnudLL_1211": -3e-7}


def joint(experiment: str, coefficients: dict[str, complex], c_t: float = 0.0) -> JointLikelihood:
    amounts = ", ".join(f"{n} = [{complex(z).real!r}, {complex(z).imag!r}]" for n, z in coefficients.items())
    text = f"""
scale_gev = 2.0
experiments = ["{experiment}"]
[parameters.x]
coefficients = {{ {amounts} }}
prior = {{ uniform = [-10.0, 10.0] }}
[theory]
c_T = {c_t}
c_T_s = {c_t}
"""
    return nmmfit.parse_run(text).joint("direct")


def excess(likelihood: JointLikelihood, channel: str) -> dict[str, np.ndarray]:
    """What the coefficients add to every component."""
    with_them, without = likelihood.components({"x": 1.0})[channel], likelihood.components({"x": 0.0})[channel]
    return {name: np.asarray(with_them[name]) - np.asarray(without[name]) for name in with_them}


def nuclear(amounts: dict[str, complex], kind: str, charges: dict[str, tuple[float, float]], f: tuple[float, float]) -> complex:
    """Z F_p C^p + N F_n C^n of caesium for amounts of u and d (both chiralities together)."""
    u = sum(z for n, z in amounts.items() if n.startswith(kind) and ("Nu" in n or "nuu" in n))
    d = sum(z for n, z in amounts.items() if n.startswith(kind) and ("Nd" in n or "nud" in n))
    (p_u, p_d), (n_u, n_d) = charges["p"], charges["n"]
    return 55 * f[0] * (u * p_u + d * p_d) + 78 * f[1] * (u * n_u + d * n_d)


def of_flavour(coefficients: dict[str, complex], digits: str) -> dict[str, complex]:
    return {n: z for n, z in coefficients.items() if n.split("_")[1].startswith(digits)}


def caesium_counts(likelihood: JointLikelihood, name: str, antineutrino: bool, couplings: Any) -> np.ndarray:
    """Counts by energy of one source on caesium; `couplings`(F_p, F_n) gives what dirac.spin_half_rate takes, per final state."""
    caesium = nucleus("Cs133")
    mass = caesium.mass_mev
    component = next(c for c in likelihood.experiments[0].channels[0].components if c.name == f"cevns_{name}_cs133")
    factor = component.factors[0]
    response = next(cell.cell_contents for cell in factor.function.__closure__ if hasattr(cell.cell_contents, "quenching"))
    pulls = likelihood.experiments[0].nominal_pulls()
    line = name.startswith("prompt")
    e_max = PROMPT if line else ENDPOINT
    t_max = 2 * e_max**2 / (mass + 2 * e_max)
    u, w = np.polynomial.legendre.leggauss(48)
    u, w = 0.5 * (u + 1), 0.5 * w
    t, weight = t_max * u**2, t_max * 2 * u * w
    x, v = np.polynomial.legendre.leggauss(6)
    recoils = np.zeros(len(t))
    for k, t_k in enumerate(t):
        q = np.sqrt(2 * mass * t_k)
        given = couplings(float(helm(q, caesium.r_p_fm)), float(helm(q, caesium.r_n_fm)))
        e_min = 0.5 * (t_k + np.sqrt(t_k**2 + 2 * mass * t_k))
        if line:
            energies, measure = [e_max], [1.0]
        else:
            energies = 0.5 * (e_max + e_min) + 0.5 * (e_max - e_min) * x
            y = energies / M_MU
            michel = 64 / M_MU * y**2 * (0.75 - y) if antineutrino else 192 / M_MU * y**2 * (0.5 - y)
            measure = 0.5 * (e_max - e_min) * v * michel
        for e, m in zip(energies, measure, strict=True):
            recoils[k] += m * sum(dirac.spin_half_rate(e, t_k, mass, 0.0, antineutrino, **one) for one in given)
    recoils *= weight * fluence_per_cm2() * nuclei_of_each_kind()
    assert factor.weighting is not None
    by_energy = factor.weighting.apply(response.smeared(jnp.asarray(recoils), t, pulls), pulls)
    times = component.factors[1].function(None, pulls)
    return np.ravel(np.asarray(by_energy)[:, None] * np.asarray(times)[None, :])


SOURCES = {"prompt_nu_mu": (False, "22"), "delayed_nu_mu_bar": (True, "22"), "delayed_nu_e": (False, "11")}


@pytest.fixture(scope="module")
def conserving() -> JointLikelihood:
    return joint("coherent_csi_2021", LNC_S | LNC_T)


@pytest.mark.parametrize("name", SOURCES)
def test_scalars_and_tensors_that_conserve_lepton_number(conserving: JointLikelihood, name: str) -> None:
    antineutrino, digits = SOURCES[name]
    scalars, tensors = of_flavour(LNC_S, digits), of_flavour(LNC_T, digits)

    def couplings(f_p: float, f_n: float) -> list[dict[str, complex]]:
        s = 0.5 * nuclear(scalars, "S", SCALAR, (f_p, f_n))
        return [{"s1": s, "s2": s, "tensor": nuclear(tensors, "T", TENSOR, (f_p, f_n))}]

    # the dipole that c and s loops make of u and d tensors: none at c_T = 0 and at 2 GeV
    got = excess(conserving, "coherent_csi_2021.coincidence")[f"cevns_{name}_cs133"]
    wanted = caesium_counts(conserving, name, antineutrino, couplings)
    assert wanted.sum() > 0.1
    np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-6 * wanted.max())


def test_the_interference_of_scalar_and_tensor_changes_sign_with_the_antineutrino(conserving: JointLikelihood) -> None:
    """nu_mu and nubar_mu have the same flavour and, by hand, opposite interference: here from the counts themselves."""
    flipped = joint("coherent_csi_2021", LNC_S | {n: -z for n, z in LNC_T.items()})
    channel = "coherent_csi_2021.coincidence"
    one, other = excess(conserving, channel), excess(flipped, channel)
    crossed = {n: float(np.sum(one[f"cevns_{n}_cs133"] - other[f"cevns_{n}_cs133"])) for n in SOURCES}
    assert crossed["prompt_nu_mu"] * crossed["delayed_nu_mu_bar"] < 0.0
    assert crossed["delayed_nu_e"] == pytest.approx(0.0, abs=1e-12)
    assert abs(crossed["prompt_nu_mu"]) > 1e-6 * float(np.sum(one["cevns_prompt_nu_mu_cs133"]))


@pytest.mark.parametrize("name", ["prompt_nu_mu", "delayed_nu_e"])
def test_scalars_that_break_lepton_number(name: str) -> None:
    """A = 2 L^dagger: nu_mu and nu_e alike turn into each other's conjugate with twice the coefficient, and S is symmetric."""
    likelihood = joint("coherent_csi_2021", LNV_S)

    def couplings(f_p: float, f_n: float) -> list[dict[str, complex]]:
        s = 2.0 * 0.5 * nuclear(LNV_S, "S", SCALAR, (f_p, f_n))
        return [{"s1": s, "s2": s}]

    got = excess(likelihood, "coherent_csi_2021.coincidence")[f"cevns_{name}_cs133"]
    wanted = caesium_counts(likelihood, name, False, couplings)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-6 * wanted.max())


def test_dipole_and_scalar_interfere_with_opposite_signs_at_the_sns() -> None:
    """Dipole and scalar couplings of nu_mu, both sources, counts by hand."""
    amounts: dict[str, complex] = {"nuNgamma_22": 3e-7, "SnuNuRR_2211": 4e-7}
    likelihood = joint("coherent_csi_2021", amounts)
    # L / e does not run: the dipole at zero momentum transfer is smaller by e(0) / e(2 GeV)
    dipole = 3e-7 * np.sqrt(133.30 / 137.035999)
    found = excess(likelihood, "coherent_csi_2021.coincidence")
    for name in ("prompt_nu_mu", "delayed_nu_mu_bar"):

        def couplings(f_p: float, f_n: float) -> list[dict[str, complex]]:
            s = 0.5 * nuclear(amounts, "S", SCALAR, (f_p, f_n))
            return [{"s1": s, "s2": s, "dipole": dipole, "charge": 55 * f_p}]

        wanted = caesium_counts(likelihood, name, name.endswith("bar"), couplings)
        np.testing.assert_allclose(found[f"cevns_{name}_cs133"], wanted, rtol=0, atol=3e-4 * wanted.max())


# -- electrons --------------------------------------------------------------------------------------------------------------

M_E = 0.51099895
EVERY = ("11", "22", "33")


def borexino_line_counts(per_final: list[dict[str, complex]]) -> np.ndarray:
    """Counts of both 7Be lines for couplings that are the same for every flavour."""
    pulls = {"borexino_phase2.light_yield": jnp.asarray(0.0), "borexino_phase2.resolution": jnp.asarray(0.0)}
    u, w = np.polynomial.legendre.leggauss(70)
    total = np.zeros(601)
    flux = solar_fluxes()["be7"][0] * 582.326 * 86400.0 * 3.307e31
    for e, branching in ((0.8618, 0.896), (0.3843, 0.104)):
        t_max = 2 * e**2 / (M_E + 2 * e)
        t = 0.5 * (t_max + 0.08) + 0.5 * (t_max - 0.08) * u
        sigma = np.array(
            [sum(dirac.spin_half_rate(e, t_k, M_E, 0.0, False, charge=-1.0, **one) for one in per_final) for t_k in t]
        )
        matrix = np.asarray(jax.jit(response_matrix)(jnp.asarray(t), pulls))
        total += matrix @ (flux * branching * 0.5 * (t_max - 0.08) * w * sigma)
    return total


def loop_dipole(tensor: complex) -> complex:
    """What an electron's tensor makes of the dipole on the way from 2 GeV to m_e: dL_gamma / dln mu = 8 e m_e L / 16 pi^2."""
    e = np.sqrt(4 * np.pi / 137.036)
    return -8 * e * M_E * 1e-3 * tensor / (16 * np.pi**2) * np.log(2.0 / (M_E * 1e-3))


def test_scalars_and_tensors_of_electrons_that_conserve_lepton_number() -> None:
    s1, s2, t = 2e-6 - 1e-6j, 1e-6 + 0j, 0.5e-6 + 1e-6j
    amounts = {f"{n}_{p}11": z for p in EVERY for n, z in (("SnuNeRR", s1), ("SnuNeRL", s2), ("TnuNeRR", t))}
    got = excess(joint("borexino_phase2", amounts), "borexino_phase2.spectrum")["be7"]
    wanted = borexino_line_counts([{"s1": s1, "s2": s2, "tensor": t, "dipole": loop_dipole(t)}])
    assert wanted.max() > 1.0
    # the loop's dipole, some per cent of the amplitude, is known to a per cent
    np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-3 * wanted.max())


def test_scalars_of_electrons_that_break_lepton_number() -> None:
    """Symmetric in flavour: the diagonal coefficient counts both fields, A = 2 conj(L)."""
    s1, s2 = 1e-6 + 0.5e-6j, -0.4e-6 + 0j
    amounts = {f"{n}_{p}11": z for p in EVERY for n, z in (("SnueLL", s1), ("SnueLR", s2))}
    got = excess(joint("borexino_phase2", amounts), "borexino_phase2.spectrum")["be7"]
    # an operator nubar^c P_L nu ebar P_L e: its conjugate has the chiralities of S_1, with 2 conj(L) in L's place
    wanted = borexino_line_counts([{"s1": 2 * np.conj(s1), "s2": 2 * np.conj(s2)}])
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-6 * wanted.max())


def test_tensors_of_electrons_that_break_lepton_number() -> None:
    """Antisymmetric in flavour: from each flavour to the two others, |A|^2 = 4 |L|^2 each where all three coefficients are equal.

    Off-diagonal terms rho_pq sum_r A_pr A*_qr of the 7Be density matrix remain and are traced with it.
    """
    t = 0.6e-6 + 0.2e-6j
    amounts = {f"TnueLL_{pair}11": t for pair in ("12", "13", "23")}
    likelihood = joint("borexino_phase2", amounts)
    got = excess(likelihood, "borexino_phase2.spectrum")["be7"]
    matrix = 2 * np.array([[0, t, t], [-t, 0, t], [-t, -t, 0]])
    from nmmfit.physics.solar import solar_sources

    source = solar_sources()["be7"]
    density = np.asarray(source.density(jnp.asarray([0.8618, 0.3843]), None))
    # of the two lines, which hardly differ in flavour; 0.8618 MeV makes nearly all counts
    strength = np.real(np.trace(density[0] @ matrix.conj().T @ matrix)) / abs(t) ** 2
    unit = borexino_line_counts([{"tensor": t, "dipole": loop_dipole(t)}])
    np.testing.assert_allclose(got, strength * unit, rtol=0, atol=5e-3 * got.max())


# -- heavy fermions, which are seen through the dipole alone ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mass_gev", "colour_and_charge", "tolerance"),
    [
        ("TnuNeRR_2222", 0.1056583755, -1.0, 0.03),
        ("TnuNeRR_2233", 1.77686, -1.0, 0.03),
        ("TnuNuRR_2222", 1.27, 2.0, 0.45),
        ("TnuNdRR_2233", 4.18, -1.0, 0.6),
    ],
)
def test_heavy_tensors_are_seen_through_the_dipole(
    name: str, mass_gev: float, colour_and_charge: float, tolerance: float
) -> None:
    """mu, tau, c, b tensors at m_W: counts are those of the dipole of one loop, -8 e N_c Q m L ln / 16 pi^2 with the sign of Q.

    The logarithm of fixed order, ending at the mass; QCD, which it leaves out, moves quarks by tens of per cent.
    """
    size = 1e-7 if mass_gev > 1.0 else 1e-6
    text = f"""
scale_gev = 80.379
experiments = ["coherent_csi_2021"]
[parameters.x]
coefficients = {{ {name} = {size} }}
prior = {{ uniform = [-10.0, 10.0] }}
[parameters.L]
coefficients = {{ nuNgamma_22 = 1e-7 }}
prior = {{ uniform = [-10.0, 10.0] }}
"""
    likelihood = nmmfit.parse_run(text).joint("direct")
    e = np.sqrt(4 * np.pi / 133.0)
    sign = -1.0 if name.startswith("TnuNe") else 1.0
    made = sign * 8 * e * abs(colour_and_charge) * mass_gev * size / (16 * np.pi**2) * np.log(80.379 / mass_gev)
    if name.startswith("TnuNd"):
        made = -made
    channel = "coherent_csi_2021.coincidence"

    def counts(**point: float) -> float:
        found = likelihood.components(point)[channel]
        return float(sum(np.sum(v) for n, v in found.items() if n.startswith("cevns_")))

    nothing = counts()
    alone, dipole = counts(x=1.0) - nothing, counts(L=1.0) - nothing
    both = counts(x=1.0, L=1.0) - nothing
    ratio = made / 1e-7
    assert alone / dipole == pytest.approx(ratio**2, rel=2 * tolerance + tolerance**2, abs=0)
    # the sign of the mixing shows in the interference, (1 + r)^2
    interference = (both - alone - dipole) / dipole
    assert interference == pytest.approx(2 * ratio, rel=tolerance, abs=0)
