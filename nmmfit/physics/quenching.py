"""Quenching: how much of a nuclear recoil's energy becomes ionisation (or light), as models that can be exchanged.

Lindhard's model in the usual parametrisation (J. Lindhard et al., Mat. Fys. Medd. Dan. Vid. Selsk. 33, 10 (1963); J. D. Lewin and
P. F. Smith, Astropart. Phys. 6, 87 (1996)):

    E_ee = Q T,  Q = k g / (1 + k g),  g = 3 eps^0.15 + 0.7 eps^0.6 + eps,  eps = 11.5 Z^(-7/3) T / keV.

It was made for recoils of some keV and more; for germanium below 1 keV measurements disagree (arXiv:2202.03754: k = 0.162 from
0.4 keV; arXiv:2405.10405: 25 % instead of 14 % at 254 eV), which is why the model is a named choice wherever it matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import jax.numpy as jnp
import numpy as np

from nmmfit import precision as precision
from nmmfit.constants import Constant
from nmmfit.errors import UserInputError, unknown
from nmmfit.shapes import Array, ArrayLike
from nmmfit.units import KEV_PER_MEV

GERMANIUM_Z = 32
LINDHARD_SOURCES = (("doi:10.1016/S0927-6505(96)00047-3", "parametrisation of Lindhard's quenching"),)
"""(paper, what it stands for)."""


class Quenching(Protocol):
    """A quenching model: electron-equivalent energy in MeV of a recoil in MeV, for a pull in standard deviations.

    Increasing in the recoil energy, 0 at 0, smooth in the pull. `describe()` names it with its numbers.
    """

    def __call__(self, t_mev: ArrayLike, pull: ArrayLike = 0.0) -> Array: ...

    def describe(self) -> str: ...


def lindhard_k(z: int, a: float) -> float:
    """Lindhard's own strength of electronic stopping, k = 0.133 Z^(2/3) A^(-1/2): 0.157 for germanium (A = 72.6)."""
    return 0.133 * z ** (2.0 / 3.0) / a**0.5


def lindhard_factor(t_mev: ArrayLike, z: int, k: ArrayLike) -> Array:
    """Quenching factor Q of Lindhard's model (module's text).

    Args:
        t_mev: recoil energy, MeV, any shape, >= 0.
        z: atomic number.
        k: strength of electronic stopping, > 0, broadcasts.
    Returns: 0 <= Q < 1; 0 with gradient 0 at T = 0, where Q begins like T^0.15.
    """
    t = jnp.asarray(t_mev, dtype=float)
    present = t > 0.0
    eps = 11.5 * z ** (-7.0 / 3.0) * KEV_PER_MEV * jnp.where(present, t, 1.0)
    kg = jnp.asarray(k) * (3.0 * eps**0.15 + 0.7 * eps**0.6 + eps)
    return jnp.where(present, kg / (1.0 + kg), 0.0)


@dataclass(frozen=True)
class Lindhard:
    """Lindhard's model with a strength k of given relative precision: k exp(pull log(1 + k_uncertainty / k)), always positive."""

    z: int
    k: float
    k_uncertainty: float = 0.0
    source: str = "given by the user"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.k) and self.k > 0.0 and np.isfinite(self.k_uncertainty) and self.k_uncertainty >= 0.0):
            raise UserInputError(
                f"Lindhard's k must be positive and its error not negative, got {self.k} +- {self.k_uncertainty}"
            )

    def __call__(self, t_mev: ArrayLike, pull: ArrayLike = 0.0) -> Array:
        """Electron-equivalent energy, MeV, in the broadcast shape of `t_mev` (MeV) and `pull` (standard deviations of k)."""
        k = self.k * jnp.exp(jnp.asarray(pull) * np.log1p(self.k_uncertainty / self.k))
        return jnp.asarray(t_mev) * lindhard_factor(t_mev, self.z, k)

    def describe(self) -> str:
        """Name with numbers and source."""
        return f"Lindhard, k = {self.k:g} +- {self.k_uncertainty:g} ({self.source})"


@dataclass(frozen=True)
class ConstantFactor:
    """The same fraction at every recoil energy, with a relative error: factor exp(pull log(1 + uncertainty / factor))."""

    factor: float
    uncertainty: float = 0.0
    source: str = "given by the user"

    def __post_init__(self) -> None:
        if not (0.0 < self.factor <= 1.0 and np.isfinite(self.uncertainty) and self.uncertainty >= 0.0):
            raise UserInputError(f"a quenching factor lies in (0, 1], its error is >= 0, got {self.factor} +- {self.uncertainty}")

    def __call__(self, t_mev: ArrayLike, pull: ArrayLike = 0.0) -> Array:
        """Electron-equivalent energy, MeV; arguments as for `Lindhard`."""
        return jnp.asarray(t_mev) * self.factor * jnp.exp(jnp.asarray(pull) * np.log1p(self.uncertainty / self.factor))

    def describe(self) -> str:
        """Name with numbers and source."""
        return f"constant factor {self.factor:g} +- {self.uncertainty:g} ({self.source})"


LINDHARD_GERMANIUM: Mapping[str, Constant] = MappingProxyType(
    {
        "bonhomme2022": Constant(0.162, "1", 0.004, "arXiv:2202.03754, abstract: 0.4 to 6.3 keV"),
        "lindhard": Constant(0.157, "1", 0.0, "0.133 Z^(2/3) A^(-1/2) with Z = 32, A = 72.63"),
        "scholz2016": Constant(
            0.1789, "1", 0.001, "arXiv:1608.03588, abstract: 0.3 to 8.5 keV; without its adiabatic correction"
        ),
    }
)
"""Strengths k for germanium, by the name that an experiment's option gives."""


def germanium_quenching(name: str = "bonhomme2022", k: float | None = None) -> Lindhard:
    """A quenching model of germanium by name, or Lindhard's with any other strength `k`, whose error is then taken as 0.

    Raises: UserInputError for an unknown name or a k that is not positive.
    """
    if k is not None:
        return Lindhard(GERMANIUM_Z, k)
    if name not in LINDHARD_GERMANIUM:
        raise unknown("quenching model", name, LINDHARD_GERMANIUM, "quenching")
    preset = LINDHARD_GERMANIUM[name]
    return Lindhard(GERMANIUM_Z, preset.value, preset.uncertainty, preset.source)


def recoil_energy_mev(quenching: Quenching, ionisation_mev: ArrayLike, largest_mev: float = 1.0) -> np.ndarray:
    """Recoil energy that gives an electron-equivalent energy at pull 0: the inverse of a model, by bisection.

    Args:
        quenching: the model.
        ionisation_mev: electron-equivalent energies, MeV, any shape, numbers, >= 0.
        largest_mev: recoil energy up to which to look, MeV.
    Returns: recoil energies, MeV, to a relative 1e-14.
    Raises: UserInputError for an energy that is negative or needs a larger recoil.
    """
    wanted = np.asarray(ionisation_mev, dtype=float)
    most = float(quenching(largest_mev))
    if not np.all((wanted >= 0.0) & (wanted <= most)):
        raise UserInputError(f"electron-equivalent energies must lie between 0 and {most:g} MeV, got {wanted.tolist()}")
    low, high = np.zeros_like(wanted), np.full_like(wanted, largest_mev)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        above = np.asarray(quenching(middle)) > wanted
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return 0.5 * (low + high)


_BISECTIONS = 70
