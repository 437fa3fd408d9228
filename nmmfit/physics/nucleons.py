"""Nucleon charges in the MS-bar scheme at 2 GeV, and the step from quark-level to nucleon-level couplings.

Tensor charges: <X| qbar sigma^mu_nu q |X> = delta_q^X ubar sigma^mu_nu u at zero momentum transfer; scalar charges
<X| qbar q |X> = g_S^{q,X} ubar u, with g_S^{q,X} = sigma_q / m_q. Quark order: u, d, s; the neutron follows by isospin (u <-> d).
The second and third tensor form factors F_2, F_3 are those of
    ubar' [sigma^mu_nu F_1 + i/m (gamma^mu q^nu - gamma^nu q^mu) F_2 + i/m^2 (P^mu q^nu - P^nu q^mu) F_3] u, P = p + p'
(arXiv:2007.08529, arXiv:1811.11181, with the sign convention in which F_2^u = -1.5 belongs to an anomalous tensor moment
kappa_T = -2 (F_2 + 2 F_3) > 0, as on the lattice).
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from nmmfit import precision as precision
from nmmfit.constants import Constant
from nmmfit.eft.couplings import QuarkCouplings
from nmmfit.errors import unknown
from nmmfit.physics.forms import TargetCouplings
from nmmfit.physics.mesons import OMEGA, PHI
from nmmfit.shapes import Array

QUARKS = ("u", "d", "s")
VECTOR_CHARGES = (2.0, 1.0, 0.0)
"""Vector charges of the proton at zero momentum transfer: the numbers of its valence quarks, exact."""
TENSOR_COHERENCE = ("coherent", "nonrelativistic")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class NucleonCharges:
    """Charges of the proton, each of shape (3,) for u, d, s, dimensionless; MS-bar, 2 GeV."""

    tensor: Array
    scalar: Array
    f2: Array
    f3: Array


def _c(value: float, uncertainty: float, source: str) -> Constant:
    return Constant(value, "1", uncertainty, source)


_MICROMEGAS = "arXiv:2206.13122, eq. (3.12), after micrOMEGAs"
_MICROMEGAS_SCALAR = "m_p f_q / m_q with f = 0.0153, 0.0191, 0.0447 of arXiv:1305.0237; from memory, unverified"
_FLAG_TENSOR = "FLAG 2021 (arXiv:2111.09849) = PNDME, arXiv:1808.07597, arXiv:1806.09006"
_SIGMA = (
    "sigma_piN = 59.6(7.4) MeV (arXiv:2105.12095), m_ud = 3.410(43) MeV (FLAG 2021, from memory), g_S^{u-d} = 1.02(10) (PNDME)"
)
_SIGMA_S = "sigma_s = 41.0(8.8) MeV (FLAG, N_f = 2+1+1), m_s = 93.44(68) MeV (FLAG 2021, from memory)"
_ETMC_TENSOR = "ETMC 2017, arXiv:1703.08788, abstract"
_ETMC_SCALAR = "ETMC 2017, arXiv:1703.08788, abstract, N_f = 2"
_PNDME_25 = "PNDME 2025, arXiv:2503.07100, abstract"
_TENSOR_2_3 = (
    "arXiv:1811.11181 as used in arXiv:2007.08529; central values as in MuonConverter, uncertainties from memory, unverified"
)

_F2 = (_c(-1.5, 1.0, _TENSOR_2_3), _c(0.5, 0.3, _TENSOR_2_3), _c(0.009, 0.005, _TENSOR_2_3))
_F3 = (_c(0.1, 0.2, _TENSOR_2_3), _c(-0.6, 0.3, _TENSOR_2_3), _c(-0.004, 0.003, _TENSOR_2_3))

# g_S^u + g_S^d = sigma_piN / m_ud = 17.48(2.18), g_S^u - g_S^d = 1.02(10)
_G_SUM, _G_DIFFERENCE = 59.6 / 3.410, 1.022

PRESETS: dict[str, dict[str, tuple[Constant, ...]]] = {
    "seed": {
        "tensor": (_c(0.84, 0.0, _MICROMEGAS), _c(-0.23, 0.0, _MICROMEGAS), _c(-0.046, 0.0, _MICROMEGAS)),
        "scalar": (
            _c(0.0153 * 938.272 / 2.16, 0.0, _MICROMEGAS_SCALAR),
            _c(0.0191 * 938.272 / 4.67, 0.0, _MICROMEGAS_SCALAR),
            _c(0.0447 * 938.272 / 93.0, 0.0, _MICROMEGAS_SCALAR),
        ),
        "f2": _F2,
        "f3": _F3,
    },
    "flag2021": {
        "tensor": (_c(0.784, 0.030, _FLAG_TENSOR), _c(-0.204, 0.015, _FLAG_TENSOR), _c(-0.0027, 0.0016, _FLAG_TENSOR)),
        "scalar": (
            _c(0.5 * (_G_SUM + _G_DIFFERENCE), 1.1, _SIGMA),
            _c(0.5 * (_G_SUM - _G_DIFFERENCE), 1.1, _SIGMA),
            _c(41.0 / 93.44, 0.094, _SIGMA_S),
        ),
        "f2": _F2,
        "f3": _F3,
    },
    "etmc2017": {
        "tensor": (_c(0.782, 0.021, _ETMC_TENSOR), _c(-0.219, 0.017, _ETMC_TENSOR), _c(-0.00319, 0.00072, _ETMC_TENSOR)),
        "scalar": (_c(5.20, 0.46, _ETMC_SCALAR), _c(4.27, 0.32, _ETMC_SCALAR), _c(0.33, 0.08, _ETMC_SCALAR)),
        "f2": _F2,
        "f3": _F3,
    },
    "pndme2025": {
        "tensor": (_c(0.782, 0.028, _PNDME_25), _c(-0.195, 0.010, _PNDME_25), _c(-0.0016, 0.0012, _PNDME_25)),
        "scalar": (_c(9.39, 0.88, _PNDME_25), _c(8.84, 0.93, _PNDME_25), _c(0.37, 0.14, _PNDME_25)),
        "f2": _F2,
        "f3": _F3,
    },
}
"""Every number with its uncertainty and source. "seed" is the founding paper's set; its strange tensor charge is 17 times the
lattice's. The scalar charges of "etmc2017" (N_f = 2) are half those of the others, because of its smaller sigma term."""


def charge_presets() -> tuple[str, ...]:
    """Names of the sets of nucleon charges."""
    return tuple(PRESETS)


def nucleon_charges(name: str) -> NucleonCharges:
    """A named set of nucleon charges: "flag2021" (lattice), "seed", "etmc2017" or "pndme2025".

    Raises: UserInputError for an unknown name.
    """
    if name not in PRESETS:
        raise unknown("set of nucleon charges", name, PRESETS, "nucleon_charges")
    return NucleonCharges(**{field: jnp.asarray([c.value for c in numbers]) for field, numbers in PRESETS[name].items()})


def in_neutron(charges: Array) -> Array:
    """Charges of the neutron from those of the proton by isospin: u and d exchanged; (3,) -> (3,)."""
    return charges[jnp.asarray([1, 0, 2])]


def tensor_response(charges: NucleonCharges, tensor_coherence: str = "coherent") -> Array:
    """What multiplies a quark's tensor coupling in the proton, (3,) for u, d, s.

    "coherent": delta_q = F_1. "nonrelativistic": F_1 - 2 F_2 - 4 F_3, the strength of the spin-independent part -i q^i of
    the operator's 0i component.

    Raises: UserInputError for an unknown option.
    """
    if tensor_coherence not in TENSOR_COHERENCE:
        raise unknown("tensor coherence", tensor_coherence, TENSOR_COHERENCE, "tensor_coherence")
    if tensor_coherence == "coherent":
        return charges.tensor
    return charges.tensor - 2.0 * charges.f2 - 4.0 * charges.f3


def target_couplings(quark: QuarkCouplings, charges: NucleonCharges, tensor_coherence: str = "coherent") -> TargetCouplings:
    """Couplings on protons, neutrons and electrons from those on quarks: a linear map.

    t_X = sum_q L^T_q delta_q^X (or with F_1 - 2 F_2 - 4 F_3, see `tensor_response`), s_X = C_S^X = 1/2 sum_q L^S_q g_S^{q,X} with
    L^S_q = L^{S,RR}_q + L^{S,RL}_q. The 1/2 is the projection of the two chiralities on qbar q and stands here, and only here:
    the nucleon has s_X (nubar_L N_R)(Xbar X), that is S_1 = S_2 = s_X. The tensor has no such 1/2, since the projector on the
    quark side is implied by that on the neutrino side. v_X = sum_q n_q^X (L^{V,LL}_q + L^{V,LR}_q) / 2, n_q^p = 2, 1, 0 exactly:
    only the vector part of a quark current is coherent, axial parts (spin) are left out.

    Args:
        quark: quark-level couplings at 2 GeV; leading axes batch.
        charges: nucleon charges.
        tensor_coherence: "coherent" or "nonrelativistic"; the kernels of `cevns` must be made with the same option.
    Returns: `TargetCouplings`.
    Raises: UserInputError for an unknown option.
    """
    tensor_p = tensor_response(charges, tensor_coherence)
    tensor_n, scalar_n = in_neutron(tensor_p), in_neutron(charges.scalar)
    vector_p = jnp.asarray(VECTOR_CHARGES)
    vectors = (quark.vector_u, quark.vector_d, quark.vector_s)
    tensors = (quark.tensor_u, quark.tensor_d, quark.tensor_s)
    scalars = (quark.scalar_u, quark.scalar_d, quark.scalar_s)

    def contract(weights: Array, per_quark: tuple[Array, Array, Array]) -> Array:
        return weights[0] * per_quark[0] + weights[1] * per_quark[1] + weights[2] * per_quark[2]

    return TargetCouplings(
        dipole=quark.dipole,
        tensor_p=contract(tensor_p, tensors),
        tensor_n=contract(tensor_n, tensors),
        scalar_p=0.5 * contract(charges.scalar, scalars),
        scalar_n=0.5 * contract(scalar_n, scalars),
        electron_s1=quark.electron_s1,
        electron_s2=quark.electron_s2,
        electron_tensor=quark.electron_tensor,
        omega=OMEGA.amplitude(quark),
        phi=PHI.amplitude(quark),
        vector_p=contract(vector_p, vectors),
        vector_n=contract(in_neutron(vector_p), vectors),
        electron_left=quark.electron_left,
        electron_right=quark.electron_right,
        charge=quark.charge,
    )
