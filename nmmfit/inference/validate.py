"""What an experiment says by itself, beside what was published: prediction, signal strength, goodness of fit, limits, choices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from nmmfit.experiment import Published
from nmmfit.inference.alone import Alone, Strength, UpperLimits, alternatives
from nmmfit.inference.goodness import Goodness, goodness

PREDICTION, YIELD, LIMIT = 0.05, 0.5, 0.25
"""What agrees: predictions, relative; fitted counts, in units of the published error; limits, relative."""


@dataclass(frozen=True)
class Comparison:
    """A published number, ours, and how far apart they are.

    `agrees`: within half the published error for fitted counts, within 5 % for predictions, 25 % for limits; None where ours does
    not exist. `switch` says in words which options (and convention) bring ours closer to what was done there; `switched` is ours
    with them, with its difference and whether that agrees. None, and an empty text, where nothing is to be switched. A number
    that is compared in no other way (`Published.only_switched`) has `switch` and None for `switched`: `ours` is with the switch.
    """

    published: Published
    ours: float | None
    ours_error: float | None
    relative: float | None
    agrees: bool | None
    switch: str = ""
    switched: float | None = None
    switched_error: float | None = None
    switched_relative: float | None = None
    switched_agrees: bool | None = None


@dataclass(frozen=True)
class Choice:
    """What another value of an option does: signal events of the Standard Model, and the limits on effective moments."""

    option: str
    value: str
    sm_counts: float | None
    limits: dict[str, float | None]


@dataclass(frozen=True)
class Validation:
    """Everything that `nmmfit validate` says about one experiment.

    Attributes:
        sm_counts: signal events that the Standard Model predicts at nominal nuisances; None where all there is is a limit.
        strength: fitted strength of the signal in units of the prediction, with its error; None where it has none.
        fitted_counts: signal events at that fit, with the error that all fitted parameters give.
        goodness: of the fit of the Standard Model with all nuisances free; None as for `sm_counts`.
        limits: one-at-a-time upper limits at `cl`, name -> value (None: there is none), in `units`.
        comparisons: with published numbers. `choices`: other options.
        converged: whether every fit did.
    """

    name: str
    title: str
    status: str
    references: tuple[str, ...]
    theory: dict[str, str]
    built_with: dict[str, str]
    cl: float
    sm_counts: float | None
    strength: tuple[float, float | None] | None
    fitted_counts: tuple[float, float] | None
    goodness: Goodness | None
    limits: dict[str, float | None]
    units: dict[str, str]
    comparisons: tuple[Comparison, ...]
    choices: tuple[Choice, ...]
    converged: bool
    point: dict[str, float] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and strings, for `json.dumps`."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Validation:
        """What `to_json` made, read back. Raises: TypeError or KeyError for anything else."""
        for key in ("references", "comparisons", "choices"):
            if not isinstance(given[key], list):
                raise TypeError(f"{key!r} is {type(given[key]).__name__}")
        found = given["goodness"]
        pairs = {name: None if given[name] is None else tuple(given[name]) for name in ("strength", "fitted_counts")}
        return _made(
            cls,
            given,
            references=tuple(map(str, given["references"])),
            goodness=None if found is None else _made(Goodness, found),
            comparisons=tuple(_made(Comparison, c, published=_made(Published, c["published"])) for c in given["comparisons"]),
            choices=tuple(_made(Choice, c) for c in given["choices"]),
            **pairs,
        )


def _made(kind: type, given: Mapping[str, Any], **parts: Any) -> Any:
    """An object of a dataclass from the fields that a JSON object has of it."""
    return kind(**{f.name: parts.get(f.name, given[f.name]) for f in fields(kind) if f.name in given})


Step = Callable[[str], None]


def validate_experiment(
    name: str, *, cl: float = 0.90, toys: int = 200, choices: bool = True, seed: int = 0, step: Step | None = None
) -> Validation:
    """Validate one experiment.

    Args:
        name: of an experiment of the catalogue.
        cl: confidence level of the limits.
        toys: toy experiments behind the p-value.
        choices: whether to go through the other values of its options.
        seed: of all random numbers.
        step: called with the name of every step before it begins.
    Raises: UserInputError for an unknown experiment.
    """
    say = step or (lambda _: None)
    ours = Alone(name, seed)
    say("prediction")
    plain = ours.joint()
    experiment = plain.experiments[0]
    sm = ours.predicted()
    say("Standard Model")
    point, fitted = ours.standard_model() if sm is not None else ({}, True)
    say("goodness of fit")
    quality = goodness(plain, point, toys=toys, seed=seed) if sm is not None else None
    say("signal strength")
    strength = ours.strength() if sm is not None else None
    say("limits")
    found = ours.limits(cl, quarks=True)
    others = []
    if choices:
        for option, value, keys in alternatives(name):
            say(f"{option} = {value}")
            others.append(Choice(option, value, ours.predicted(**keys), ours.limits(cl, **keys).values))
    return Validation(
        name=name,
        title=experiment.title,
        status=experiment.status,
        references=experiment.references,
        theory=dict(plain.choices),
        built_with=dict(experiment.choices),
        cl=cl,
        sm_counts=sm,
        strength=None if strength is None else (strength.value, strength.error),
        fitted_counts=None if strength is None else (strength.counts, strength.counts_error),
        goodness=quality,
        limits=found.values,
        units=found.units,
        comparisons=tuple(compared(p, ours, found, cl, quality, choices) for p in experiment.published),
        choices=tuple(others),
        converged=fitted and (strength is None or strength.converged) and found.converged,
        point=point,
    )


def compared(
    published: Published, ours: Alone, limits: UpperLimits, cl: float, quality: Goodness | None, switch: bool = True
) -> Comparison:
    """A published number beside ours, and beside ours with the choices that were made there.

    Args:
        published: the number.
        ours: where ours come from. `limits`, `quality`: those of the experiment as it is, the limits at `cl`.
        switch: whether to compare with the other choices, too.
    """
    allowed = _allowed(published)
    made = Comparison(published, None, None, None, None)
    if not published.only_switched:
        value, error = _ours(published, ours, {}, published.cl, limits if published.cl == cl else None, quality)
        relative, agrees = _apart(published, value, allowed)
        made = Comparison(published, value, error, relative, agrees)
    if not (published.options or published.one_sided):
        return made
    chosen = (f"{k} = {x:g}" if isinstance(x, float) else f"{k} = {x}" for k, x in published.options.items())
    said = ", ".join([*chosen, *["one-sided"] * published.one_sided])
    if not switch:
        return replace(made, switch=said if published.only_switched else "")
    level = 2.0 * published.cl - 1.0 if published.one_sided else published.cl
    value, error = _ours(published, ours, published.options, level, None, None)
    relative, agrees = _apart(published, value, allowed)
    if published.only_switched:
        return Comparison(published, value, error, relative, agrees, said)
    return replace(made, switch=said, switched=value, switched_error=error, switched_relative=relative, switched_agrees=agrees)


def _allowed(published: Published) -> float:
    """How far ours may be from the published number."""
    errors = [e for e in (published.minus, published.plus) if e is not None]
    if published.quantity == "fitted_counts" and errors:
        return YIELD * min(errors)
    return (PREDICTION if published.quantity in ("sm_counts", "fitted_counts", "deviance") else LIMIT) * published.value


def _ours(
    published: Published,
    ours: Alone,
    options: Mapping[str, Any],
    cl: float,
    limits: UpperLimits | None,
    quality: Goodness | None,
) -> tuple[float | None, float | None]:
    """Our number with some options, and its error."""
    if published.quantity == "sm_counts":
        return ours.predicted(published.component, **options), None
    if published.quantity == "fitted_counts":
        if published.component or ours.predicted(**options) is None:
            return None, None
        found: Strength = ours.strength(**options)
        return found.counts, found.counts_error
    if published.quantity == "deviance":
        return None if quality is None else quality.deviance, None
    known = limits if limits is not None else ours.limits(cl, quarks=not published.quantity.startswith("mu_eff"), **options)
    return known.values.get(published.quantity), None


def _apart(published: Published, value: float | None, allowed: float) -> tuple[float | None, bool | None]:
    """Relative difference, and whether it is allowed."""
    if value is None:
        return None, None
    return value / published.value - 1.0, abs(value - published.value) <= allowed
