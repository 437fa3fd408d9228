"""What an experiment is: channels of binned counts, made of components, with pulls and their priors.

Expected counts of a channel are a sum over components; a component is a positive scale (any smooth function of pulls:
fluxes, normalisations) times the outer product of factors (energy times arrival time, say). A factor is a function of
the quadratic forms of the couplings (linear in them) and of those pulls that bend its shape. This is all the structure that
the template builder needs; an author writes the direct evaluation only.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist

from nmmfit import precision as precision
from nmmfit.errors import DataError
from nmmfit.physics.forms import ALL_FORMS, Forms, TargetCouplings, quadratic_forms, split_forms, split_names
from nmmfit.shapes import Array

Pulls = Mapping[str, Array]


@dataclass(frozen=True)
class TheoryChoices:
    """Choices of theory that experiments are built with; the run file's [theory] sets them.

    `m_n_mev` is the mass of the right-handed neutrinos N, MeV, 0 for massless ones; a range (low, high), with low < high, where a
    fit floats it.
    """

    tensor_coherence: str = "coherent"
    weak_charges: str = "radiative"
    electron_radiative: str = "bks"
    form_factor: str = "helm"
    nuclear_spin: str = "half"
    m_n_mev: float | tuple[float, float] = 0.0


@dataclass(frozen=True)
class Weighting:
    """What follows a factor's function: counts = matrix @ (weight(at, pulls) * fine values).

    An efficiency, say: a weight at fine nodes of reconstructed energy, then their sum into bins. Kept apart from the function
    because it is cheap at every point, however its pulls bend it; the function depends on none of `pulls`.
    """

    weight: Callable[[Array, Pulls], Array]
    """(places, pulls) -> weight at each place on its own, (place,), positive."""
    at: np.ndarray
    """(fine,) the places of the fine values."""
    matrix: np.ndarray
    """(bin, fine), not negative."""
    pulls: tuple[str, ...] = ()

    def apply(self, fine: Array, pulls: Pulls) -> Array:
        """Counts (bin,) from fine values (fine,)."""
        return jnp.asarray(self.matrix) @ (self.weight(jnp.asarray(self.at), pulls) * fine)


@dataclass(frozen=True)
class Factor:
    """One factor of a component: counts (or a distribution) along one or several axes.

    `function(forms, pulls)` returns (n,); it must be pure and traceable, linear in the forms named in `forms`, and depend on no
    pull but `shape_pulls`, smoothly. `forms` names the flavour matrices it reads beside `sm`; None: it reads no forms at all
    (a background). Traced under jit and vmap. With a `weighting`, `function` returns the fine values that it turns into counts.
    `light_pulls`: those of `shape_pulls` that move what is cheap to compute only (flavours, say, and no response of a detector);
    templates take several values of them for each of the others. They change what building costs, not what comes out.
    """

    function: Callable[[Forms, Pulls], Array]
    shape_pulls: tuple[str, ...] = ()
    forms: tuple[str, ...] | None = None
    weighting: Weighting | None = None
    light_pulls: tuple[str, ...] = ()

    def values(self, forms: Forms, pulls: Pulls) -> Array:
        """The factor (n,) at a point, by direct evaluation."""
        direct = self.function(forms, pulls)
        return direct if self.weighting is None else self.weighting.apply(direct, pulls)

    @property
    def all_pulls(self) -> tuple[str, ...]:
        """Every pull that the factor depends on."""
        return self.shape_pulls + (self.weighting.pulls if self.weighting is not None else ())


def unit_scale(pulls: Pulls) -> Array:
    """Scale of a component without normalisation pulls: 1."""
    return jnp.asarray(1.0)


@dataclass(frozen=True)
class Component:
    """A named part of a channel's expected counts: scale(pulls) times the outer product of its factors (C order).

    At most one factor reads forms. `scale` must be positive.
    """

    name: str
    factors: tuple[Factor, ...]
    scale: Callable[[Pulls], Array] = unit_scale
    scale_pulls: tuple[str, ...] = ()

    def counts(self, forms: Forms, pulls: Pulls) -> Array:
        """Expected counts per bin, (bin,), by direct evaluation."""
        product = self.factors[0].values(forms, pulls)
        for factor in self.factors[1:]:
            product = jnp.ravel(product[:, None] * factor.values(forms, pulls)[None, :])
        return self.scale(pulls) * product


@dataclass(frozen=True)
class Channel:
    """Binned data of one sample: observed counts, components, bin edges and the distribution of the data.

    `edges` maps an axis name that carries its unit (such as "energy_pe") to its edges; bins are raveled in C order of the axes.
    `distribution(expected)` is the numpyro distribution of the data, Poisson unless stated. `statistic` names it.
    """

    name: str
    observed: np.ndarray
    components: tuple[Component, ...]
    edges: Mapping[str, np.ndarray]
    distribution: Callable[[Array], Any] = dist.Poisson
    statistic: str = "poisson"

    def component_counts(self, forms: Forms, pulls: Pulls) -> dict[str, Array]:
        """Expected counts of each component, name -> (bin,), by direct evaluation."""
        return {c.name: c.counts(forms, pulls) for c in self.components}

    def expected(self, forms: Forms, pulls: Pulls) -> Array:
        """Expected counts per bin, (bin,), by direct evaluation."""
        parts = list(self.component_counts(forms, pulls).values())
        return functools.reduce(operator.add, parts)


@dataclass(frozen=True)
class Published:
    """A published number that `nmmfit validate` sets ours beside.

    Attributes:
        quantity: "sm_counts" (events that the Standard Model predicts), "fitted_counts" (signal events of the fit), "deviance"
            (of the data at the best fit, or a chi-square), or a limit: "mu_eff_<source>", an identified quantity, in its unit.
        value: the published number. `minus`, `plus`: its errors, None where none is given; a limit has none.
        source: paper and place. `status`: "read", or how far it can be trusted ("from memory, to be verified").
        note: what is different there, which explains a difference.
        cl: confidence level of a limit. `component`: of "sm_counts": components whose names begin with this; "": every signal.
        options: options of the experiment with which ours is compared besides, because they bring it closer to what was done
            there. `one_sided`: the same for a limit whose one-sided value at `cl` is to be compared.
        only_switched: whether it is compared with these alone, being of another selection or analysis than the default.
    """

    quantity: str
    value: float
    source: str
    minus: float | None = None
    plus: float | None = None
    status: str = "read"
    note: str = ""
    cl: float = 0.90
    component: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    one_sided: bool = False
    only_switched: bool = False


@dataclass(frozen=True)
class BinnedExperiment:
    """An experiment: channels, pulls with their priors, and constraints that are no pull's own.

    `pulls` maps every nuisance's name to its prior (centred at 0, unit width, 0 = published nominal); names shared with other
    experiments (`solar.be7`, `sns.flux`) have the same prior everywhere. `pull_meanings` says in words what a unit of a pull is
    where that depends on choices of an experiment; experiments that are fitted together must agree in it. `constraint(pulls)` is
    a log density added to the likelihood, for example a sum rule; constraints of one `constraint_name` are the same and are
    added once. `references`: papers and records of its data, each with an arXiv number ("arXiv:2110.07730", "hep-ex/0101039") or
    a DOI ("doi:10.5281/zenodo.3903810"). `formulae`: (paper, what it stands for) of the formulae and inputs of its model beside
    the theory's own. `nuclei` names the nuclides whose tensor charges it sees. `effective_moments` maps a name such as "solar"
    to (density (3, 3), antineutrino): the moment that this experiment constrains is sqrt(Tr[rho 4 d d^dagger]) / mu_B.
    `published`: numbers for `nmmfit validate`. `largest_m_n_mev`: of an experiment built with a massive N, whose rates read the
    forms as `forms.split_forms` names them, the mass above which no N is made; None for massless N and plain names.
    """

    name: str
    title: str
    channels: tuple[Channel, ...]
    pulls: Mapping[str, Any]
    references: tuple[str, ...] = ()
    formulae: tuple[tuple[str, str], ...] = ()
    constraint: Callable[[Pulls], Array] | None = None
    overlaps: tuple[str, ...] = ()
    status: str = "data release"
    choices: Mapping[str, str] = field(default_factory=dict)
    nuclei: tuple[str, ...] = ()
    effective_moments: Mapping[str, tuple[np.ndarray, bool]] = field(default_factory=dict)
    largest_m_n_mev: float | None = None
    published: tuple[Published, ...] = ()
    constraint_name: str | None = None
    pull_meanings: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_massive(self) -> bool:
        """Whether its rates take a massive N apart from massless final states."""
        return self.largest_m_n_mev is not None

    @property
    def form_names(self) -> tuple[str, ...]:
        """Names of the forms that its rates may read, beside `sm`."""
        return split_names() if self.is_massive else ALL_FORMS

    def forms(self, couplings: TargetCouplings, m_n_mev: Array | float = 0.0, sm: Array | float = 1.0) -> Forms:
        """The quadratic forms that its rates read; the mass matters only where the experiment is built for a range of them."""
        return split_forms(couplings, m_n_mev, sm) if self.is_massive else quadratic_forms(couplings, sm)

    def forms_read(self) -> frozenset[str]:
        """Names of the forms that its factors name, beside `sm`."""
        factors = [f for channel in self.channels for component in channel.components for f in component.factors]
        return frozenset(name for factor in factors for name in factor.forms or ())

    def __post_init__(self) -> None:
        for channel in self.channels:
            if channel.statistic == "poisson" or channel.distribution is dist.Poisson:
                check_counts(channel.observed, f"{self.name}.{channel.name}")
            for component in channel.components:
                named = set(component.scale_pulls).union(*(f.all_pulls for f in component.factors))
                missing = named - set(self.pulls)
                if missing:
                    raise DataError(f"{self.name}.{channel.name}.{component.name}: pulls without a prior: {sorted(missing)}")

    def nominal_pulls(self) -> dict[str, Array]:
        """Every pull at 0, the published nominal."""
        return {name: jnp.asarray(0.0) for name in self.pulls}

    def expected(self, forms: Forms, pulls: Pulls) -> dict[str, Array]:
        """Expected counts, channel name -> (bin,), by direct evaluation."""
        return {c.name: c.expected(forms, pulls) for c in self.channels}


def constraints(experiments: Iterable[BinnedExperiment]) -> dict[str, Callable[[Pulls], Array]]:
    """Constraints of several experiments by name, those that share a name once; one without a name has its experiment's."""
    found: dict[str, Callable[[Pulls], Array]] = {}
    for experiment in experiments:
        if experiment.constraint is not None:
            found.setdefault(experiment.constraint_name or f"{experiment.name}.constraint", experiment.constraint)
    return found


def mass_choice(theory: TheoryChoices, largest_mev: float | None) -> dict[str, str]:
    """The mass of N as a named choice of an experiment, with what it means; nothing for massless N."""
    if largest_mev is None:
        return {}
    if isinstance(theory.m_n_mev, tuple):
        low, high = theory.m_n_mev
        text, lowest = f"floated from {low:g} to {high:g} MeV", low
    else:
        text, lowest = f"{theory.m_n_mev:g} MeV", theory.m_n_mev
    if lowest >= largest_mev:
        text += f", above every threshold here ({largest_mev:.4g} MeV): no N is made, which leaves the Standard Model"
        text += " and operators that lead to massless neutrinos"
    return {"m_N": text}


def nuclear_choices(theory: TheoryChoices, own: Mapping[str, str], largest_mev: float | None = None) -> dict[str, str]:
    """Choices of an experiment on nuclei: those of theory that it depends on, and its `own`; see also `mass_choice`."""
    return {
        "tensor_coherence": theory.tensor_coherence,
        "weak_charges": theory.weak_charges,
        "form_factor": theory.form_factor,
        **own,
        **({} if theory.nuclear_spin == "half" else {"nuclear_spin": theory.nuclear_spin}),
        **mass_choice(theory, largest_mev),
    }


def check_counts(counts: np.ndarray, where: str) -> None:
    """Refuse observed counts that are not finite, negative or fractional.

    Raises: DataError with the place, the first offending bin and its value.
    """
    values = np.asarray(counts, dtype=float)
    for reason, bad in (
        ("not finite", ~np.isfinite(values)),
        ("negative", values < 0),
        ("not a whole number", values != np.round(values)),
    ):
        if np.any(bad):
            first = int(np.flatnonzero(bad)[0])
            raise DataError(
                f"{where}: observed counts must be whole numbers >= 0; bin {first} is {reason} ({values.flat[first]})"
            )
