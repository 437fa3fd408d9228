"""COHERENT CsI 2017, as the two published numbers of arXiv:2206.13122, eq. (3.13): A_M^2 and xi_T^2."""

from __future__ import annotations

from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from nmmfit.constants import FERMI
from nmmfit.errors import UserInputError
from nmmfit.experiment import BinnedExperiment, Pulls, TheoryChoices
from nmmfit.limit_experiment import LimitOptions, PublishedLimit, limit_experiment
from nmmfit.listing import Listing
from nmmfit.physics.forms import Forms, trace
from nmmfit.shapes import Array

LISTING = Listing(
    kind="published limit",
    status="seen in arXiv:2206.13122, eq. (3.13), which takes the numbers from other analyses of the data of 2017",
    overlaps=("coherent_csi_2017", "coherent_csi_2021"),
    in_all=False,
)

# arXiv:2206.13122, eq. (3.13) and the text around it.
A_M_LIMIT = 7.2e-8
XI_T_LIMIT = 0.591**2
V_GEV = 246.0
PROTONS = (55.0, 53.0)
NEUTRONS = (78.0, 74.0)
# The paper's effective numbers; whole numbers are what the nuclides have.
SEED_NEUTRONS = (77.9, 73.9)
SEED_MEAN_NEUTRONS = 75.9
# nu_mu, nubar_mu and nu_e arrive in equal numbers; the published numbers were made with couplings that do not depend on flavour,
# so that the flavours are weighted by flux. Diagonal: the same for neutrinos and antineutrinos.
SNS_DENSITY = np.diag([1.0, 2.0, 0.0]) / 3.0


class Options(LimitOptions):
    """Options of `build`: those of every published limit, and

    convention: what xi_T^2 / N^2 of two nuclei means. "consistent" sums over caesium and iodine above and below the line, with
        78 and 74 neutrons; "seed_faithful" has the 77.9 and 73.9 of arXiv:2206.13122, sums above the line only and divides by the
        square of the average N, as that paper did, which makes the limits on tensor coefficients stronger by sqrt(2).
    """

    convention: Literal["consistent", "seed_faithful"] = "consistent"


def build(theory: TheoryChoices | None = None, **options: Any) -> BinnedExperiment:
    """The two published numbers as Gaussians in A_M^2 / (2 v^2 Z^2 F^2) and xi_T^2 / (N^2 F^2).

    With Q the quadratic forms and rho = diag(1, 2, 0) / 3 the flavour of the source, eqs. (3.10) and (3.11) read
    A_M^2 / (2 v^2 Z^2 F^2) = 2 Tr[rho Q_dipole] / (G_F v)^2 and
    xi_T^2 / F^2 = 16 / G_F^2 sum_j Tr[rho (Z_j^2 Q_pp + 2 Z_j N_j Q_pn + N_j^2 Q_nn)]; form factors cancel.

    Raises: UserInputError for theory.tensor_coherence other than "coherent", in which the numbers were made.
    """
    chosen = Options(**options)
    if theory is not None and theory.tensor_coherence != "coherent":
        raise UserInputError(
            f"coherent_csi_2017_limit: published for tensor_coherence = 'coherent', got {theory.tensor_coherence!r}; "
            "take the experiment out, or use coherent_csi_2021"
        )
    faithful = chosen.convention == "seed_faithful"
    z, n = np.array(PROTONS), np.array(SEED_NEUTRONS if faithful else NEUTRONS)
    norm = SEED_MEAN_NEUTRONS**2 if faithful else np.sum(n**2)
    weights = {"tensor_pp": np.sum(z**2) / norm, "tensor_pn": 2.0 * np.sum(z * n) / norm, "tensor_nn": np.sum(n**2) / norm}
    density = jnp.asarray(SNS_DENSITY)

    def dipole(forms: Forms, pulls: Pulls) -> Array:
        return 2.0 / (FERMI.value * V_GEV) ** 2 * trace(density, forms["dipole"], False)

    def tensor(forms: Forms, pulls: Pulls) -> Array:
        total = sum(weight * trace(density, forms[name], False) for name, weight in weights.items())
        return jnp.asarray(16.0 / FERMI.value**2 * total)

    return limit_experiment(
        "coherent_csi_2017_limit",
        "COHERENT CsI 2017: published limits on the dipole and tensor parameters",
        (
            PublishedLimit(
                "dipole", "a_m_sq_over_2_v_sq_z_sq", dipole, ("dipole",), A_M_LIMIT, convention=chosen.limit_convention
            ),
            PublishedLimit("tensor", "xi_t_sq_over_n_sq", tensor, tuple(weights), XI_T_LIMIT, convention=chosen.limit_convention),
        ),
        references=("arXiv:2206.13122, eq. (3.13)", "arXiv:1708.01294", "arXiv:1711.09773"),
        overlaps=LISTING.overlaps,
        status=LISTING.status,
        choices={"nuclei": chosen.convention, "tensor_coherence": "coherent", "flavour": "equal fluxes of nu_mu, nubar_mu, nu_e"},
    )
