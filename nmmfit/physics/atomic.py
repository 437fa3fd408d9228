"""Electrons bound in atoms as targets: the stepping approximation.

An electron of a shell with binding energy B takes part as if it were free once the deposited energy T exceeds B:

    d sigma / dT (atom) = N(T) d sigma / dT (free electron at rest),   N(T) = sum_i n_i theta(T - B_i),

with n_i electrons in shell i; T is the energy that the detector sees, that of the electron and what the atom releases. It is the
convention of most fits of xenon data (arXiv:2207.05036, arXiv:2208.06415). Calculations of the bound states (relativistic
random-phase approximation, arXiv:1610.04177) find fewer Standard Model recoils at a few keV. They are not here: no published
table of them was at hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike

from nmmfit.errors import unknown
from nmmfit.tables import read_table
from nmmfit.units import AVOGADRO_PER_MOL

BINDINGS = ("stepping", "free")
STEPPING_SOURCES = tuple(
    (paper, "stepping approximation of bound electrons") for paper in ("arXiv:2207.05036", "arXiv:2208.06415")
)
"""(paper, what it stands for)."""
ELEMENTS = ("xenon",)
# Standard atomic weight of xenon, IUPAC.
MOLAR_MASS_G_MOL = {"xenon": 131.293}
GRAMS_PER_TONNE = 1e6


@dataclass(frozen=True)
class Shells:
    """Shells of an atom, from the outside in: `binding_mev` (shell,), increasing, and `electrons` (shell,)."""

    binding_mev: np.ndarray
    electrons: np.ndarray

    @property
    def total(self) -> float:
        """Electrons of the atom, all shells."""
        return float(self.electrons.sum())

    def active(self, t_mev: ArrayLike) -> np.ndarray:
        """Electrons that a deposited energy T, MeV, any shape, is enough for: sum_i n_i theta(T - B_i); 0 at T = B_i."""
        t = np.asarray(t_mev, dtype=float)
        return np.sum(self.electrons * (t[..., None] > self.binding_mev), axis=-1)


@lru_cache(maxsize=4)
def shells(element: str = "xenon") -> Shells:
    """Shells of an element. Raises: UserInputError for one that is not tabulated."""
    if element not in ELEMENTS:
        raise unknown("element", element, ELEMENTS)
    table = read_table(files("nmmfit.physics") / "data" / f"{element}_shells.csv", ("binding_ev", "electrons"), text=("shell",))
    return Shells(table["binding_ev"] * 1e-6, table["electrons"])


def electrons_per_tonne(t_mev: ArrayLike, binding: str = "stepping", element: str = "xenon") -> np.ndarray:
    """Electrons in a tonne that take part at a deposited energy T, MeV, shape of `t_mev`.

    Args:
        t_mev: deposited energy, > 0.
        binding: "stepping", or "free": all electrons at every energy.
        element: the target.
    Raises: UserInputError for an unknown option.
    """
    if binding not in BINDINGS:
        raise unknown("binding", binding, BINDINGS, "binding")
    atom = shells(element)
    atoms = AVOGADRO_PER_MOL * GRAMS_PER_TONNE / MOLAR_MASS_G_MOL[element]
    t = np.asarray(t_mev, dtype=float)
    return atoms * (atom.active(t) if binding == "stepping" else np.full(t.shape, atom.total))


def steps_mev(binding: str = "stepping", element: str = "xenon") -> tuple[float, ...]:
    """Energies, MeV, increasing, at which `electrons_per_tonne` steps. Raises: UserInputError for an unknown option."""
    if binding not in BINDINGS:
        raise unknown("binding", binding, BINDINGS, "binding")
    return tuple(float(b) for b in shells(element).binding_mev) if binding == "stepping" else ()
