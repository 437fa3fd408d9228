"""Experiments known by published limits only: a Gaussian in a quantity that is quadratic in the couplings.

A limit x < x_limit at confidence level CL on a quantity x >= 0 (a squared magnetic moment, say) becomes

    chi2(x) = ((x - x_best) / sigma)^2,   sigma = (x_limit - x_best) / z,

with x_best = 0 unless the paper gives one. z is the Gaussian quantile of the convention: "two_sided" takes the limit as the
point where chi2 has risen by the two-sided quantile (Delta chi2 = 2.706, z = 1.645 at 90 % CL), "one_sided" as the one-sided
upper limit (z = 1.282 at 90 % CL). Most papers do not say; two-sided is the default here, and every output names the choice.
It is an approximation: one number cannot tell the shape of the likelihood, nor where its minimum was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist
from pydantic import BaseModel, ConfigDict

from nmmfit import precision as precision
from nmmfit.constants import bohr_magneton_per_gev
from nmmfit.errors import UserInputError
from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor, Published, Pulls
from nmmfit.listing import Listing
from nmmfit.numerics.quantiles import normal_quantile
from nmmfit.physics.forms import Forms, trace
from nmmfit.physics.sources import flavour_projector
from nmmfit.shapes import Array
from nmmfit.units import MOMENT_UNIT_MUB

Convention = Literal["two_sided", "one_sided"]
CONVENTIONS: tuple[Convention, ...] = ("two_sided", "one_sided")


class LimitOptions(BaseModel):
    """Options that every experiment made of published limits takes.

    limit_convention: "two_sided" (Delta chi2 = 2.71 at a number published at 90 % CL) or "one_sided" (1.64).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    limit_convention: Convention = "two_sided"


@dataclass(frozen=True)
class PublishedLimit:
    """One published number: `quantity(forms, pulls)`, scalar, linear in the forms named in `forms`, is below `limit`.

    `axis` names the quantity with its unit (such as "mu_eff_sq_1e_22_mub2"), `limit` and `best_fit` are in that unit;
    `moment_mub` is the limit on the moment itself, in Bohr magnetons, where it is one.
    """

    name: str
    axis: str
    quantity: Callable[[Forms, Pulls], Array]
    forms: tuple[str, ...]
    limit: float
    cl: float = 0.90
    convention: Convention = "two_sided"
    best_fit: float = 0.0
    shape_pulls: tuple[str, ...] = field(default=())
    moment_mub: float | None = None

    @property
    def sigma(self) -> float:
        """Width of the Gaussian, in the unit of the quantity."""
        return (self.limit - self.best_fit) / gaussian_quantile(self.cl, self.convention)


def gaussian_quantile(cl: float, convention: Convention) -> float:
    """Number of standard deviations of a limit: 1.645 ("two_sided") or 1.282 ("one_sided") at 90 % CL.

    Raises: UserInputError for a level outside (0, 1) or an unknown convention.
    """
    if not 0.0 < cl < 1.0:
        raise UserInputError(f"confidence level must lie between 0 and 1, got {cl}")
    if convention not in CONVENTIONS:
        raise UserInputError(f"convention of a limit must be one of {', '.join(CONVENTIONS)}, got {convention!r}")
    return normal_quantile(0.5 * (1.0 + cl) if convention == "two_sided" else cl)


@dataclass(frozen=True)
class MomentSource:
    """Whose moment is limited: flavour density matrix (3, 3) of what arrives, trace 1, and whether antineutrinos arrive.

    The effective moment is mu_eff^2 = Tr[rho mu mu^dagger], mu = 2 d. `moment` is its name in results ("reactor_e", say);
    `flavour` says in words what the density is. `form` is the quadratic form that takes the place of d d^dagger, where it is
    another: with "plasmon" and the unit matrix for rho all decays are counted.
    """

    density: np.ndarray
    antineutrino: bool
    flavour: str
    moment: str | None = None
    form: str = "dipole"


def reactor_moment() -> MomentSource:
    """That of reactor experiments at tens of metres: antinu_e, not oscillated."""
    return MomentSource(
        flavour_projector("e"), True, "antinu_e of a reactor, no oscillation at this distance", moment="reactor_e"
    )


def moment_limit(
    source: MomentSource,
    limit_mub: float,
    unit_mub: float,
    *,
    cl: float = 0.90,
    convention: Convention = "two_sided",
    name: str = "moment",
) -> PublishedLimit:
    """A published limit on the effective moment of one source, as one on its square.

    Args:
        source: the source.
        limit_mub: mu_eff is below it, in Bohr magnetons.
        unit_mub: power of ten in Bohr magnetons; the quantity is mu_eff^2 in its square.
        cl, convention, name: as in PublishedLimit.
    """
    density = jnp.asarray(source.density)
    per_form = 4.0 / (unit_mub * bohr_magneton_per_gev()) ** 2

    def moment_squared(forms: Forms, pulls: Pulls) -> Array:
        return per_form * trace(density, forms[source.form], source.antineutrino)

    exponent = round(-2.0 * np.log10(unit_mub))
    return PublishedLimit(
        name,
        f"mu_eff_sq_1e_{exponent}_mub2",
        moment_squared,
        (source.form,),
        (limit_mub / unit_mub) ** 2,
        cl,
        convention,
        moment_mub=limit_mub,
    )


def moment_experiment(
    name: str,
    title: str,
    source: MomentSource,
    limit: PublishedLimit,
    listing: Listing,
    references: tuple[str, ...],
    choices: Mapping[str, str] | None = None,
) -> BinnedExperiment:
    """Experiment known by one published limit on the effective moment of one source.

    Args: those of `limit_experiment`; `listing`: what the experiment's module says of itself; `limit`: made by `moment_limit`.
    """
    made_of: tuple[Published, ...] = ()
    if source.moment is not None and limit.moment_mub is not None:
        value = limit.moment_mub / MOMENT_UNIT_MUB
        note = "what the likelihood is made of"
        made_of = (Published(f"mu_eff_{source.moment}", value, references[0], status=listing.status, note=note, cl=limit.cl),)
    return limit_experiment(
        name,
        title,
        (limit,),
        published=made_of,
        references=references,
        overlaps=listing.overlaps,
        status=listing.status,
        choices={"flavour": source.flavour, **(choices or {})},
        effective_moments={source.moment: (np.asarray(source.density), source.antineutrino)} if source.moment else {},
    )


def limit_experiment(
    name: str,
    title: str,
    limits: tuple[PublishedLimit, ...],
    *,
    pulls: Mapping[str, Any] | None = None,
    references: tuple[str, ...] = (),
    formulae: tuple[tuple[str, str], ...] = (),
    overlaps: tuple[str, ...] = (),
    status: str = "published limit",
    choices: Mapping[str, str] | None = None,
    effective_moments: Mapping[str, tuple[np.ndarray, bool]] | None = None,
    published: tuple[Published, ...] = (),
) -> BinnedExperiment:
    """Experiment with one channel of one Gaussian bin for each published limit.

    Args:
        name, title, references, formulae, overlaps, status, effective_moments, published: as in BinnedExperiment.
        limits: the published numbers, taken as independent.
        pulls: priors of the pulls that the quantities use.
        choices: further named choices; each limit adds its confidence level, convention and width.
    Raises: UserInputError for a limit that is not above its best fit, or a bad level or convention.
    """
    named = dict(choices or {})
    for limit in limits:
        if not np.isfinite(limit.limit) or limit.limit <= limit.best_fit:
            raise UserInputError(f"{name}.{limit.name}: a limit must be finite and above the best fit, got {limit.limit}")
        named[limit.name] = (
            f"{limit.axis} < {limit.limit:.6g} at {100 * limit.cl:g} % CL, {limit.convention}: Gaussian around "
            f"{limit.best_fit:g} with sigma {limit.sigma:.6g}"
        )
    return BinnedExperiment(
        name=name,
        title=title,
        channels=tuple(_channel(limit) for limit in limits),
        pulls=dict(pulls or {}),
        references=references,
        formulae=formulae,
        overlaps=overlaps,
        status=status,
        choices=named,
        effective_moments=dict(effective_moments or {}),
        published=published,
    )


def _channel(limit: PublishedLimit) -> Channel:
    sigma = limit.sigma

    def counts(forms: Forms, pulls: Pulls) -> Array:
        return jnp.reshape(limit.quantity(forms, pulls), (1,))

    def distribution(expected: Array) -> Any:
        return dist.Normal(expected, sigma)

    return Channel(
        name=limit.name,
        observed=np.array([limit.best_fit]),
        components=(Component(limit.name, (Factor(counts, limit.shape_pulls, limit.forms),)),),
        edges={limit.axis: np.array([limit.best_fit, limit.limit])},
        distribution=distribution,
        statistic="normal",
    )
