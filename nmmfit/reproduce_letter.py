"""Figure 3 of arXiv:1901.00482: moments from tensor and scalar interactions of strength G_X, the letter's and ours.

The letter's picture: eqs. (10) and (11) with G_X = 0.1 to 1 G_F against the mass of the charged fermion. Ours: the logarithm of
the running with N_c |Q| of each fermion, and the whole program from m_W down, with confinement for u, d and s; a contact scalar
gives none. The letter's text says that formulae and bounds are those of the figure; the positions of its bounds are not
printed as numbers, so that here they carry the references' values, each with its status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
import numpy as np

from nmmfit.constants import FERMI, bohr_magneton_per_gev
from nmmfit.eft.amplitudes import linear_map
from nmmfit.eft.chiral import LIGHT_QUARKS, ChiralInputs
from nmmfit.eft.loop_moments import charge_factor, letter_scalar_moment_mub, letter_tensor_moment_mub, tensor_moment_mub
from nmmfit.inputs import StandardModelInputs

LETTER = "arXiv:1901.00482"
FIGURE = "xu-fig3"
STRENGTHS = (0.1, 1.0)
"""G_X in units of G_F at the two edges of a band."""
MASS_RANGE_GEV = (1e-4, 10.0)
# In the order of masses; the coefficient whose digits are (p, r) = (1, 1) and the fermion twice.
_TENSORS: Mapping[str, str] = MappingProxyType(
    {
        "e": "TnuNeRR_1111",
        "u": "TnuNuRR_1111",
        "d": "TnuNdRR_1111",
        "s": "TnuNdRR_1122",
        "mu": "TnuNeRR_1122",
        "c": "TnuNuRR_1122",
        "tau": "TnuNeRR_1133",
        "b": "TnuNdRR_1133",
    }
)
_LEPTON = "same logarithm; the letter's 1 is a choice of cut-off, and from m_W the logarithm starts lower"
_HEAVY = "N_c |Q|, masses and tensors run in QCD, and from m_W the logarithm starts lower"
_LIGHT = (
    "below 2 GeV quarks are confined: c_T takes the place of the logarithm, and the moment hardly depends on the quark's mass"
)


@dataclass(frozen=True)
class Bound:
    """A published bound on a moment; which moment it is differs from line to line."""

    name: str
    moment_mub: float
    kind: str
    """`experimental` or `astrophysical`."""
    quantity: str
    source: str
    status: str
    """SEEN: number read in the text, in its abstract or as quoted in another text; MEMORY: not checked against a text."""
    in_letter: bool
    """Whether the letter's figure has this line."""


BOUNDS = (
    Bound("TEXONO", 7.4e-11, "experimental", "nu_e", "hep-ex/0605006, the letter's [49]; as in arXiv:1603.00337", "SEEN", True),
    Bound("Borexino 2008", 5.4e-11, "experimental", "solar", "arXiv:0805.3843, the letter's [50]", "MEMORY", True),
    Bound("GEMMA", 2.9e-11, "experimental", "nu_e", "Beda et al. 2012, the letter's [51]; as in arXiv:2206.13122", "SEEN", True),
    Bound("Borexino Phase-II", 2.8e-11, "experimental", "solar", "arXiv:1707.09355", "SEEN", False),
    Bound("XENONnT", 6.4e-12, "experimental", "solar", "arXiv:2207.11330", "MEMORY", False),
    Bound("Astro", 3e-12, "astrophysical", "plasmon", "Raffelt, Phys. Rept. 320 (1999) 319, the letter's [48]", "MEMORY", True),
    Bound(
        "TRGB",
        1.2e-12,
        "astrophysical",
        "plasmon",
        "arXiv:2007.03694, omega Cen, 95 % CL; arXiv:2307.13050 removes it with free stellar parameters",
        "SEEN",
        False,
    ),
)
LEFT_OUT = "LZ with a 51Cr source (arXiv:1406.4914) is a proposal; its number is in no text at hand and is left out"


@dataclass(frozen=True)
class Marked:
    """A charged fermion on the figure: moments for G_X = 0.1 and 1 G_F, in mu_B."""

    fermion: str
    mass_gev: float
    """Quarks: MS-bar, u, d, s at 2 GeV, c and b at their own mass."""
    charge_factor: float
    """N_c |Q|."""
    letter_tensor_mub: tuple[float, float]
    """Eq. (11)."""
    letter_scalar_mub: tuple[float, float]
    """Eq. (10)."""
    eft_tensor_mub: tuple[float, float]
    """Leading logarithm from G_X^{-1/2} to the mass, with N_c |Q|."""
    eft_from_m_w_mub: tuple[float, float]
    """L^T = G_X at m_W through running, matching at 2 GeV and loops below."""
    eft_scalar_mub: tuple[float, float]
    """Zero: charge conjugation."""
    reason: str

    @property
    def ratio(self) -> float:
        """eft_from_m_w / letter_tensor at G_X = G_F."""
        return self.eft_from_m_w_mub[1] / self.letter_tensor_mub[1]


def couplings_gev2() -> np.ndarray:
    """G_X at the edges of a band, GeV^-2."""
    return np.asarray(STRENGTHS) * FERMI.value


def marked_fermions(inputs: StandardModelInputs | None = None, chiral: ChiralInputs | None = None) -> list[Marked]:
    """The eight charged fermions below m_W, in the order of the letter's horizontal axis.

    Args:
        inputs, chiral: Standard Model inputs and c_T; the defaults if absent.
    """
    inputs = StandardModelInputs() if inputs is None else inputs
    chiral = ChiralInputs() if chiral is None else chiral
    dipole = linear_map(tuple(_TENSORS.values()), inputs.m_w_gev, inputs).rows(chiral).dipole[:, 0, 0]
    per_tensor = 2.0 * np.abs(np.asarray(dipole)) / bohr_magneton_per_gev()
    g = couplings_gev2()
    found = []
    for fermion, whole in zip(_TENSORS, per_tensor, strict=True):
        mass = float(getattr(inputs, f"m_{fermion}_gev"))
        lepton = fermion in ("e", "mu", "tau")
        found.append(
            Marked(
                fermion=fermion,
                mass_gev=mass,
                charge_factor=charge_factor(fermion),
                letter_tensor_mub=_two(letter_tensor_moment_mub(g, mass)),
                letter_scalar_mub=_two(letter_scalar_moment_mub(g, mass)),
                eft_tensor_mub=_two(tensor_moment_mub(fermion, g, mass, g**-0.5)),
                eft_from_m_w_mub=_two(whole * g),
                eft_scalar_mub=(0.0, 0.0),
                reason=_LEPTON if lepton else _LIGHT if fermion in LIGHT_QUARKS else _HEAVY,
            )
        )
    return found


def curves(points: int = 200) -> dict[str, np.ndarray]:
    """Edges of the bands: `mass_gev` (points,), and by name (2, points) in mu_B for G_X = 0.1 and 1 G_F.

    `letter_tensor`, `letter_scalar`: eqs. (11) and (10). `eft_tensor`: the logarithm for N_c |Q| = 1, from G_X^{-1/2}.
    """
    mass = np.geomspace(*MASS_RANGE_GEV, points)
    g = couplings_gev2()[:, None]
    made = {
        "letter_tensor": letter_tensor_moment_mub(g, mass),
        "letter_scalar": letter_scalar_moment_mub(g, mass),
        "eft_tensor": tensor_moment_mub("tau", g, mass, g**-0.5),
    }
    return {"mass_gev": mass} | {name: np.asarray(value) for name, value in made.items()}


def letter_payload() -> dict[str, Any]:
    """Everything of the figure but its curves, as plain mappings."""
    rows = [asdict(row) | {"ratio": row.ratio} for row in marked_fermions()]
    return {
        "what": FIGURE,
        "paper": LETTER,
        "g_x_gev2": [float(g) for g in couplings_gev2()],
        "entries": rows,
        "bounds": [asdict(bound) for bound in BOUNDS],
        "left_out": LEFT_OUT,
    }


def _two(values: Any) -> tuple[float, float]:
    low, high = (float(x) for x in jnp.asarray(values))
    return low, high
