"""Vector mesons that decay into a neutrino and N, or into two neutrinos: omega and phi -> invisible.

With <0| qbar sigma^{mu nu} q |V> = i kappa_q f_T (eps^mu p^nu - eps^nu p^mu) and <0| J_em^mu |V> = c f m eps^mu the operators
(nubar_p sigma N_r)(qbar sigma q) and (nubar_p sigma N_r) F with couplings L_q and L_gamma have the common amplitude

    A_pr = f_T sum_q kappa_q L_q - (e c f / m) L_gamma,    Gamma(V -> nu_p Nbar_r and nubar_p N_r) = m^3 / (6 pi) |A_pr|^2.

The photon's part has a minus sign in the convention D = d + i e Q A of all the rest, because the current of the meson makes
A^mu = - e J^mu / m^2. f_T f > 0: with the opposite sign the meson would contribute to <qbar sigma q> in an electromagnetic field
with the sign opposite to that of c_T < 0 (at p^2 << m^2, <qbar sigma q> = e kappa_q c f_T f / m F, and the mesons' sum is
about 2 e Q_q |Lambda_1|). Couplings that break lepton number carry the factor 2 of identical fields; each pair {p, r} of
the antisymmetric matrix decays once. Standard Model decays into neutrinos (branching fractions below 1e-12) are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from nmmfit import precision as precision
from nmmfit.constants import Constant, electron_charge
from nmmfit.eft.couplings import QuarkCouplings
from nmmfit.shapes import Array

_PDG = "PDG 2024, as tabulated by scikit-hep/particle, particle2024.csv"
_F_T = "arXiv:1503.05534, table 1, run to 2 GeV (MS-bar), as quoted in flav-io/flavio"
MESON_SOURCES = (("arXiv:1503.05534", "tensor decay constants of omega and phi"),)
"""(paper, what it stands for)."""
_F = "from Gamma_ee = 4 pi alpha^2 c^2 f^2 / (3 m) with the measured {} keV"


@dataclass(frozen=True)
class VectorMeson:
    """A vector meson: mass and total width, decay constants of vector and tensor current, quark content.

    `charge` is c, `quarks` the kappa of u, d, s.
    """

    name: str
    mass_gev: Constant
    width_gev: Constant
    f_gev: Constant
    f_t_gev: Constant
    charge: float
    quarks: tuple[float, float, float]

    def amplitude(self, quark: QuarkCouplings) -> Array:
        """A_pr of the module's text, GeV^-1, (..., 3, 6): flavour p, final state r.

        The dipole is that after matching at 2 GeV, which differs from that before by 0.3 % of the tensor's own amplitude.
        """
        u, d, s = self.quarks
        tensors = u * quark.tensor_u + d * quark.tensor_d + s * quark.tensor_s
        photon = electron_charge() * self.charge * self.f_gev.value / self.mass_gev.value
        return self.f_t_gev.value * tensors - photon * quark.dipole

    def branching_fraction(self) -> float:
        """Branching fraction into invisible final states for sum_pr |A_pr|^2 = 1 GeV^-2 (each pair of final states once)."""
        return self.mass_gev.value**3 / (6.0 * math.pi * self.width_gev.value)


OMEGA = VectorMeson(
    "omega",
    Constant(0.78266, "GeV", 1.3e-4, _PDG),
    Constant(8.68e-3, "GeV", 1.3e-4, _PDG),
    Constant(0.201, "GeV", 0.0, _F.format(0.641)),
    Constant(0.135, "GeV", 0.016, _F_T),
    1.0 / (3.0 * math.sqrt(2.0)),
    (1.0 / math.sqrt(2.0), 1.0 / math.sqrt(2.0), 0.0),
)
PHI = VectorMeson(
    "phi",
    Constant(1.019461, "GeV", 1.6e-5, _PDG),
    Constant(4.249e-3, "GeV", 1.3e-5, _PDG),
    Constant(0.228, "GeV", 0.0, _F.format(1.266)),
    Constant(0.175, "GeV", 0.004, _F_T),
    -1.0 / 3.0,
    (0.0, 0.0, 1.0),
)
