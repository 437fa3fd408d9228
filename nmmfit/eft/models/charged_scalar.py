"""The charged scalar of arXiv:1901.00482, eqs. (17)-(22)."""

from __future__ import annotations

import jax.numpy as jnp

from nmmfit.checks import broadcasting
from nmmfit.constants import electron_charge
from nmmfit.eft.models.arguments import LEPTONS, check_couplings, check_masses, check_threshold, lepton_mass, neutrino_pair
from nmmfit.eft.models.loops import LoopDipole, boson_loop, fermion_loop, scalar_threshold
from nmmfit.eft.models.matching import Matching
from nmmfit.errors import unknown
from nmmfit.inputs import StandardModelInputs
from nmmfit.shapes import ArrayLike

PREFACTORS = ("derived", "printed")


def charged_scalar_dipole(
    y_c: ArrayLike,
    y_s: ArrayLike,
    m_phi_gev: ArrayLike,
    lepton: str = "tau",
    inputs: StandardModelInputs | None = None,
    prefactor: str = "derived",
) -> LoopDipole:
    """The whole one-loop dipole of the charged scalar of arXiv:1901.00482, eqs. (17)-(22), for any mass.

    L = y_c nubar_L phi^+ l_R + y_s lbar_L phi^- N_R + h.c. gives L_gamma = e m y_c y_s / (32 pi^2 m_phi^2) (F + B), where F and B
    are `fermion_loop` and `boson_loop` of m^2 / m_phi^2, so that for a heavy scalar

        |mu| = e m |y_c y_s| / (16 pi^2 m_phi^2) |1 + ln(m^2 / m_phi^2)|.

    DERIVED. Eqs. (20)-(22) as printed have 1/64 pi^2, 1/64 pi^2, 1/32 pi^2: half of it (SEEN), against that paper's own eq. (11)
    and against the running.

    Args:
        y_c, y_s: Yukawa couplings, complex or real, any shape.
        m_phi_gev: mass of the scalar, GeV, > 0.
        lepton: e, mu or tau.
        inputs: lepton masses; the defaults if absent.
        prefactor: "derived", or "printed" for the letter's factor of one half.
    Raises: UserInputError for an unknown lepton or prefactor, couplings that are not finite, a mass <= 0 or not finite.
    """
    check_couplings("charged_scalar", y_c=y_c, y_s=y_s)
    check_masses("charged_scalar", m_phi_gev=m_phi_gev)
    broadcasting({"y_c": y_c, "y_s": y_s, "m_phi_gev": m_phi_gev}, "charged_scalar")
    if prefactor not in PREFACTORS:
        raise unknown("prefactor", prefactor, PREFACTORS, "charged_scalar")
    m = lepton_mass("charged_scalar", lepton, inputs)
    m_phi = jnp.asarray(m_phi_gev, dtype=float)
    size = electron_charge() * m * jnp.asarray(y_c) * jnp.asarray(y_s) / (32.0 * jnp.pi**2 * m_phi**2)
    size = size * (0.5 if prefactor == "printed" else 1.0)
    x = (m / m_phi) ** 2
    return LoopDipole(size * fermion_loop(x), size * boson_loop(x))


def charged_scalar(
    y_c: ArrayLike,
    y_s: ArrayLike,
    m_phi_gev: ArrayLike,
    scale_gev: ArrayLike | None = None,
    lepton: str = "tau",
    neutrinos: tuple[int, int] = (1, 1),
    inputs: StandardModelInputs | None = None,
) -> Matching:
    """A charged scalar coupled to both chiralities: L = y_c nubar_L phi^+ l_R + y_s lbar_L phi^- N_R + h.c.

    L^{S,RR} = -y_c y_s / 2 m_phi^2 and L^{T,RR} = -y_c y_s / 8 m_phi^2 after Fierz (arXiv:1901.00482, eqs. (18)-(19); SEEN and
    DERIVED), and the dipole e m_l y_c y_s / (32 pi^2 m_phi^2) [-1 - ln(scale^2 / m_phi^2)] at the scale (DERIVED; m_l << m_phi).

    Args:
        y_c, y_s: Yukawa couplings, any shape.
        m_phi_gev: GeV, > 0.
        scale_gev: GeV, > 0, at most m_phi; m_W if absent.
        lepton: e, mu or tau.
        neutrinos: generations of nu and N.
        inputs: masses, m_W and alpha; the defaults if absent.
    Returns: LNEFT coefficients `SnuNeRR`, `TnuNeRR` and `nuNgamma`.
    Raises: UserInputError for anything out of range.
    """
    where = "charged_scalar"
    inputs = StandardModelInputs() if inputs is None else inputs
    scale = inputs.m_w_gev if scale_gev is None else scale_gev
    check_couplings(where, y_c=y_c, y_s=y_s)
    check_masses(where, m_phi_gev=m_phi_gev, scale_gev=scale)
    broadcasting({"y_c": y_c, "y_s": y_s, "m_phi_gev": m_phi_gev, "scale_gev": scale}, where)
    check_threshold(where, "m_phi_gev", m_phi_gev, scale)
    m = lepton_mass(where, lepton, inputs)
    p, r = neutrino_pair(where, neutrinos)
    k = LEPTONS.index(lepton) + 1
    m_phi = jnp.asarray(m_phi_gev, dtype=float)
    product = jnp.asarray(y_c, dtype=complex) * jnp.asarray(y_s, dtype=complex) / m_phi**2
    tensor = -product / 8.0
    return Matching(
        scale_gev=jnp.asarray(scale, dtype=float),
        tree={f"SnuNeRR_{p}{r}{k}{k}": -product / 2.0, f"TnuNeRR_{p}{r}{k}{k}": tensor},
        threshold={f"nuNgamma_{p}{r}": scalar_threshold(lepton, m, tensor, m_phi, scale, inputs)},
        theory="LNEFT",
    )
