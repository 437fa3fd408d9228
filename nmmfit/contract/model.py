"""Checks of a built experiment by its direct evaluation: what it declares, and how its counts depend on couplings and pulls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist

from nmmfit import catalogue
from nmmfit.contract.evaluation import DIRECTIONS, Evaluation, random_couplings, random_pulls
from nmmfit.contract.result import Check, ContractError, attempt
from nmmfit.experiment import BinnedExperiment, Channel, check_counts
from nmmfit.physics.forms import TargetCouplings
from nmmfit.shapes import Array

REACH = 4.0
"""Standard deviations of the pulls within which counts must be positive."""
DRAWS = 12
STEP = 1e-3
RELATIVE, ABSOLUTE = 1e-5, 2e-4
"""Error allowed to a gradient of the log-likelihood against a five-point difference with STEP."""


def checks(experiment: BinnedExperiment) -> list[Check]:
    """All checks of this module, in order; after broken shapes nothing more is looked at."""
    found = [attempt("declared", lambda: declares(experiment)), attempt("dependences", lambda: depends_as_declared(experiment))]
    evaluation = Evaluation(experiment)
    found.append(attempt("shapes", lambda: has_shapes(evaluation)))
    if all(check.passed for check in found):
        found += [attempt(name, lambda look=look: look(evaluation)) for name, look in PARTS.items()]  # type: ignore[misc]
    return found


def declares(experiment: BinnedExperiment) -> str:
    """Whether references, status and title are there, overlaps exist, and pulls are named and centred.

    Raises: ContractError with the first thing that is missing.
    """
    if not experiment.title.strip() or not experiment.status.strip():
        raise ContractError("title and status must say what the data are and where they come from")
    if not experiment.references or not all(r.strip() for r in experiment.references):
        raise ContractError("references are empty: name the papers or the release")
    known = catalogue.names()
    absent = [name for name in experiment.overlaps if name not in known or name == experiment.name]
    if absent:
        raise ContractError(f"overlaps: no other experiment {', '.join(map(repr, absent))} (known: {', '.join(known)})")
    for name, prior in experiment.pulls.items():
        owner, dot, own = name.partition(".")
        if not (owner and dot and own) or "/" in name:
            raise ContractError(f"pull {name!r}: names are owner.name, such as {experiment.name}.background")
        if not (np.all(prior.support(0.0)) and np.isfinite(prior.log_prob(0.0))):
            raise ContractError(f"pull {name!r}: its prior has no finite density at 0, the published nominal")
    if len({c.name for c in experiment.channels}) != len(experiment.channels) or not experiment.channels:
        raise ContractError("channels must be there and have different names")
    return f"status {experiment.status!r}, {len(experiment.references)} references, overlaps with {len(experiment.overlaps)}"


class _Given(dict[str, Any]):
    """What a function may read; anything else is reported."""

    def __init__(self, kind: str, allowed: Mapping[str, Any]) -> None:
        super().__init__(allowed)
        self.kind = kind

    def __missing__(self, name: str) -> Any:
        raise ContractError(f"reads the {self.kind} {name!r}, which it does not name")

    def get(self, name: str, default: Any = None) -> Any:
        """As for a dictionary, but only a name that has a default of its own may be missing."""
        return self[name] if name in self or default is None else default


def depends_as_declared(experiment: BinnedExperiment) -> str:
    """Whether factors and scales read only the pulls and forms that they name; traced, not computed.

    Raises: ContractError with the place and the name.
    """
    forms = {**experiment.forms(TargetCouplings.zero()), "m_n_mev": jnp.asarray(0.0)}
    count = 0
    for channel in experiment.channels:
        for component in channel.components:
            for k, factor in enumerate(component.factors):
                allowed = () if factor.forms is None else ("sm", "m_n_mev", *factor.forms)
                unknown = sorted(set(allowed) - set(forms))
                if unknown:
                    raise ContractError(f"{channel.name}.{component.name}, factor {k + 1}: there are no forms {unknown}")
                named = _Given("form", {name: forms[name] for name in allowed})
                place = f"{channel.name}.{component.name}, factor {k + 1}"
                function = factor.function
                _traced(place, lambda p, function=function, named=named: function(named, p), factor.shape_pulls)  # type: ignore[misc]
                count += 1
            _traced(f"{channel.name}.{component.name}, scale", component.scale, component.scale_pulls)
    return f"{count} factors read what they name"


def _traced(place: str, function: Callable[[Any], Any], pulls: tuple[str, ...]) -> None:
    def of(values: list[Array]) -> Any:
        return function(_Given("pull", dict(zip(pulls, values, strict=True))))

    try:
        jax.eval_shape(of, [jnp.asarray(0.0)] * len(pulls))
    except ContractError as problem:
        raise ContractError(f"{place}: {problem}") from None


def is_poisson(channel: Channel) -> bool:
    """Whether a channel's data are Poisson counts."""
    return channel.statistic == "poisson" or channel.distribution is dist.Poisson


def has_shapes(evaluation: Evaluation) -> str:
    """Whether observed and expected counts, those of every component, the edges and the data's distribution agree in shape.

    Raises: ContractError with the place and both shapes.
    """
    parts = evaluation.components(evaluation.standard)
    for channel in evaluation.experiment.channels:
        bins = np.shape(channel.observed)
        if len(bins) != 1 or bins[0] == 0:
            raise ContractError(f"{channel.name}: observed counts have the shape {bins}, expected (bin,)")
        product = int(np.prod([len(edges) - 1 for edges in channel.edges.values()]))
        if product != bins[0] or not channel.edges:
            raise ContractError(f"{channel.name}: edges make {product} bins, observed counts are {bins[0]}")
        if not all(np.all(np.diff(edges) > 0) for edges in channel.edges.values()):
            raise ContractError(f"{channel.name}: edges must increase")
        for component in channel.components:
            counts = parts[channel.name][component.name]
            if counts.shape != bins:
                raise ContractError(f"{channel.name}.{component.name}: counts have the shape {counts.shape}, expected {bins}")
        if len(parts[channel.name]) != len(channel.components):
            raise ContractError(f"{channel.name}: two components bear the same name")
        if is_poisson(channel):
            check_counts(channel.observed, channel.name)
        expected = jnp.asarray(np.maximum(sum(parts[channel.name].values()), 1e-3))
        pointwise = channel.distribution(expected).log_prob(jnp.asarray(channel.observed, dtype=float))
        if pointwise.shape != bins:
            raise ContractError(f"{channel.name}: the distribution is one of shape {pointwise.shape}, expected one entry per bin")
    return f"{sum(len(c.observed) for c in evaluation.experiment.channels)} bins"


def stays_positive(evaluation: Evaluation, draws: int = DRAWS, reach: float = REACH) -> str:
    """Whether counts are finite, and positive where Poisson data are expected, for random couplings and pulls.

    Args:
        evaluation: the experiment.
        draws: random points, and as many corners of the pulls' box.
        reach: standard deviations of the pulls.
    Raises: ContractError with the channel, the bin and the pulls.
    """
    random = np.random.default_rng(5)
    vectors = [evaluation.visible(random_couplings(random, vectors=v)) for v in (False, True)]
    poisson = np.concatenate([np.full(len(c.observed), is_poisson(c)) for c in evaluation.experiment.channels])
    places = [f"{c.name}, bin {i}" for c in evaluation.experiment.channels for i in range(len(c.observed))]
    lowest = np.inf
    for k in range(2 * draws):
        pulls = random_pulls(random, evaluation, reach)
        if k % 2:
            pulls = reach * np.sign(pulls) * evaluation.widths
        # From far below what can be seen to far above.
        couplings = 10.0 ** random.uniform(-2.0, 1.0) * vectors[k // 2 % 2] if k % 3 else 0.0 * vectors[0]
        counts = evaluation.counts(evaluation.forms(couplings), pulls)
        wrong = np.flatnonzero(~np.isfinite(counts) | (poisson & ~(counts > 0.0)))
        if len(wrong):
            shown = ", ".join(f"{n}={v:.2f}" for n, v in zip(evaluation.pulls, pulls, strict=True))
            raise ContractError(f"{places[wrong[0]]}: {counts[wrong[0]]:g} counts at {shown or 'nominal'}")
        lowest = min(lowest, float(np.min(counts[poisson], initial=np.inf)))
    more = f", at least {lowest:.3g}" if np.isfinite(lowest) else ""
    return f"finite{more} at {2 * draws} points within {reach:g} sigma"


def has_standard_model(evaluation: Evaluation) -> str:
    """Whether zero couplings are the Standard Model: nothing of the signal is left without it, and no slope in any coupling
    that does not interfere with it.

    Raises: ContractError with the component or the slope.
    """
    parts = evaluation.components(np.zeros_like(evaluation.standard))
    total, observed = 0.0, 0.0
    standard = evaluation.components(evaluation.standard)
    for channel in evaluation.experiment.channels:
        for component in channel.components:
            left = float(np.abs(parts[channel.name][component.name]).max())
            if any(f.forms is not None for f in component.factors):
                if left > 1e-12 * max(1.0, float(np.abs(standard[channel.name][component.name]).max())):
                    raise ContractError(f"{channel.name}.{component.name}: {left:g} counts without couplings and Standard Model")
                total += float(np.sum(standard[channel.name][component.name]))
        observed += float(np.sum(channel.observed))
    random = np.random.default_rng(7)
    directions = np.array([random_couplings(random, vectors=False) for _ in range(DIRECTIONS)])
    slopes = evaluation.gradient(np.zeros(DIRECTIONS + len(evaluation.pulls)), directions)[:DIRECTIONS]
    wrong = slopes[~(slopes == 0.0)]
    if len(wrong):
        raise ContractError(f"the slope of the likelihood at zero couplings is {wrong[0]:g}, not 0")
    return f"{total:.4g} signal counts, {float(np.sum(evaluation.counts(evaluation.standard))):.4g} in all, {observed:g} observed"


def is_linear(evaluation: Evaluation) -> str:
    """Whether counts are linear in the quadratic forms, which templates rely on. Raises: ContractError with the difference."""
    random = np.random.default_rng(11)
    first, second = (evaluation.forms(evaluation.visible(random_couplings(random, vectors=True))) for _ in range(2))
    pulls = random_pulls(random, evaluation, 1.0)
    a, b, middle = (evaluation.counts(f, pulls) for f in (first, second, 0.25 * first + 0.75 * second))
    worst = float(np.max(np.abs(middle - 0.25 * a - 0.75 * b) / np.maximum(np.abs(a) + np.abs(b), 1e-300)))
    if not worst < 1e-9:
        raise ContractError(f"counts are not linear in the forms of couplings: relative difference {worst:.2g}")
    return f"linear in the forms to {worst:.1g}"


def ignores_signs(evaluation: Evaluation) -> str:
    """Whether the sign of all couplings that do not meet the Standard Model changes nothing. Raises: ContractError."""
    random = np.random.default_rng(13)
    couplings = evaluation.visible(random_couplings(random, vectors=False, lnv=False))
    pulls = random_pulls(random, evaluation, 1.0)
    one, other = (evaluation.counts(evaluation.forms(sign * couplings), pulls) for sign in (1.0, -1.0))
    worst = float(np.max(np.abs(one - other) / np.maximum(np.abs(one), 1e-300)))
    if not worst < 1e-12:
        raise ContractError(f"counts change by {worst:.2g} with the sign of all lepton-number-conserving couplings")
    return "the same for both signs of all couplings without vectors"


def has_gradient(evaluation: Evaluation) -> str:
    """Whether the gradient of the log-likelihood agrees with differences, for every pull and three directions of couplings.

    Raises: ContractError with the parameter and both numbers.
    """
    random = np.random.default_rng(3)
    directions = np.array([evaluation.visible(random_couplings(random, vectors=v)) for v in (False, False, True)])
    names = ("couplings 1", "couplings 2", "couplings with vectors", *evaluation.pulls)
    start = np.concatenate([[1.0, 0.5, 0.3], random_pulls(random, evaluation, 0.5)])
    gradient = evaluation.gradient(start, directions)

    def nll(x: np.ndarray) -> float:
        pulls = x[DIRECTIONS:]
        counts = evaluation.counts(evaluation.forms(x[:DIRECTIONS] @ directions), pulls)
        return float(-evaluation.log_likelihood(jnp.asarray(counts), jnp.asarray(pulls)))

    worst = 0.0
    for i, name in enumerate(names):
        values = [nll(start + k * STEP * np.eye(len(names))[i]) for k in (-2, -1, 1, 2)]
        difference = (values[0] - 8.0 * values[1] + 8.0 * values[2] - values[3]) / (12.0 * STEP)
        error = abs(gradient[i] - difference)
        if not error <= RELATIVE * abs(difference) + ABSOLUTE:
            raise ContractError(f"{name}: the gradient is {gradient[i]:.8g}, differences give {difference:.8g}")
        worst = max(worst, float(error))
    return f"{len(names)} derivatives, largest difference {worst:.1g}"


PARTS: dict[str, Callable[[Evaluation], str]] = {
    "positive": stays_positive,
    "standard_model": has_standard_model,
    "linear": is_linear,
    "signs": ignores_signs,
    "gradient": has_gradient,
}
"""Checks of counts as functions, by name; each returns what it found and raises ContractError."""
