"""Whether experiments can be fitted together: no data twice, and shared pulls that mean the same with the same prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nmmfit.errors import UserInputError
from nmmfit.experiment import BinnedExperiment
from nmmfit.inference.priors import exact_description


def overlapping(experiments: Sequence[BinnedExperiment]) -> list[tuple[str, str]]:
    """Pairs of experiments that share data, each once, in the order of the experiments."""
    order = [e.name for e in experiments]
    pairs = {(e.name, other) for e in experiments for other in e.overlaps if other in order}
    return sorted(
        {(one, other) if order.index(one) < order.index(other) else (other, one) for one, other in pairs},
        key=lambda pair: tuple(map(order.index, pair)),
    )


def refuse_overlaps(experiments: Sequence[BinnedExperiment]) -> None:
    """Refuse two experiments that share data.

    Raises: UserInputError naming both.
    """
    for one, other in overlapping(experiments):
        raise UserInputError(
            f"experiments: {one!r} and {other!r} share data and cannot be combined; name one, or set allow_overlaps = true"
        )


def refuse_different_priors(experiments: Sequence[BinnedExperiment]) -> None:
    """Refuse two experiments that share a pull and disagree about its prior, of which one would silently count.

    Raises: UserInputError naming both, the pull and its priors.
    """
    known: dict[str, tuple[str, Any]] = {}
    for experiment in experiments:
        for name, prior in experiment.pulls.items():
            first, before = known.setdefault(name, (experiment.name, prior))
            one, other = exact_description(before), exact_description(prior)
            if one is not None and other is not None and one != other:
                raise UserInputError(
                    f"experiments: {first!r} and {experiment.name!r} share the pull {name!r} and give it different priors, "
                    f"{one} and {other}"
                )


def refuse_different_meanings(experiments: Sequence[BinnedExperiment]) -> None:
    """Refuse two experiments that share a pull but mean different things by it, by choices of their options.

    Raises: UserInputError naming both, the pull, and what each means.
    """
    known: dict[str, tuple[str, str]] = {}
    for experiment in experiments:
        for pull, meaning in experiment.pull_meanings.items():
            first, before = known.setdefault(pull, (experiment.name, meaning))
            if meaning != before:
                raise UserInputError(
                    f"options: {first!r} and {experiment.name!r} share the pull {pull!r}, a unit of which is {before} in one and "
                    f"{meaning} in the other; give both the same options (solar_flux_constraint, ssm)"
                )
