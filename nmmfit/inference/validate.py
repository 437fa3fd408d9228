"""What an experiment says by itself, beside what was published: prediction, signal strength, goodness of fit, limits, choices."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from nmmfit import catalogue
from nmmfit.config import RunConfig, validate
from nmmfit.experiment import BinnedExperiment, Published
from nmmfit.inference.fit import FitResult, fit
from nmmfit.inference.goodness import Goodness, goodness
from nmmfit.inference.joint import STRENGTH, JointLikelihood
from nmmfit.inference.limits import limits

STRENGTH_RANGE = (0.0, 20.0)
SCALE_GEV = 2.0
"""Where the coefficients of the limits live: below it nothing runs, so that an operator is what its name says."""
_DIAGONAL = ("11", "22", "33")
_DIPOLE = {"L_dipole": ("nuNgamma_{nu}", 1e-7)}
_QUARKS = {
    "L_T_u": ("TnuNuRR_{nu}11", 1e-4),
    "L_T_d": ("TnuNdRR_{nu}11", 1e-4),
    "L_S_u": ("SnuNuRR_{nu}11", 1e-5),
    "L_S_d": ("SnuNdRR_{nu}11", 1e-5),
}
_NO_CHIRAL = {"c_T": 0.0, "c_T_s": 0.0}
"""What a tensor does to the dipole at 2 GeV would hide its own limit."""
DIFFERENCE_STEP = 0.05
"""Step of differences in units of a parameter's natural size."""


@dataclass(frozen=True)
class Comparison:
    """A published number, ours, and how far apart they are.

    `agrees`: within the published error where there is one (half of it for fitted counts), else within 5 % for predictions and
    25 % for limits; None where ours does not exist.
    """

    published: Published
    ours: float | None
    ours_error: float | None
    relative: float | None
    agrees: bool | None


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
    say("prediction")
    plain = joint_of(name)
    experiment = plain.experiments[0]
    # A published limit sees the combination that it limits, to which the Standard Model contributes nothing.
    sm = _signal_counts(plain, {}) or None
    say("Standard Model")
    best = fit(plain, seed=seed) if plain.names else None
    point = best.point if best is not None else {}
    quality, strength, fitted, good = None, None, None, best is None or best.converged
    say("goodness of fit")
    if sm is not None:
        quality = goodness(plain, point, toys=toys, seed=seed)
    say("signal strength")
    if sm is not None:
        strength, fitted, good_strength = _strength(name, seed)
        good = good and good_strength
    say("limits")
    found, units, good_limits = _limits(name, {}, experiment, cl, seed)
    others = []
    if choices:
        for option, value, keys in alternatives(name):
            say(f"{option} = {value}")
            changed = joint_of(name, keys)
            moments, _, _ = _limits(name, keys, changed.experiments[0], cl, seed, quarks=False)
            others.append(Choice(option, value, _signal_counts(changed, {}) or None, moments))
    made = Validation(
        name=name,
        title=experiment.title,
        status=experiment.status,
        references=experiment.references,
        theory=dict(plain.choices),
        built_with=dict(experiment.choices),
        cl=cl,
        sm_counts=sm,
        strength=strength,
        fitted_counts=fitted,
        goodness=quality,
        limits=found,
        units=units,
        comparisons=(),
        choices=tuple(others),
        converged=good and good_limits,
        point=point,
    )
    return replace(made, comparisons=tuple(_comparison(p, made, plain) for p in experiment.published))


def config_of(
    name: str, options: Mapping[str, Any] | None = None, theory: Mapping[str, Any] | None = None, **keys: Any
) -> RunConfig:
    """A run of one experiment, without coefficients unless `keys` name some."""
    run = {"experiments": [name], "options": {name: dict(options)} if options else {}, "scale_gev": SCALE_GEV}
    return validate({**run, "theory": {**_NO_CHIRAL, **(theory or {})}, **keys})


def joint_of(name: str, options: Mapping[str, Any] | None = None, **keys: Any) -> JointLikelihood:
    """The joint likelihood of `config_of`."""
    return JointLikelihood.from_config(config_of(name, options, **keys))


def dipole_run(name: str) -> RunConfig:
    """A run of one experiment with a dipole that is equal for all flavours, `L_dipole`."""
    return config_of(name, parameters=_specs(_DIPOLE))


def _specs(wanted: Mapping[str, tuple[str, float]]) -> dict[str, Any]:
    """Parameters of a run file: name -> (coefficient with the neutrino flavours left open, width of the prior)."""
    return {
        parameter: {
            "coefficients": {pattern.format(nu=nu): 1.0 for nu in _DIAGONAL},
            "prior": {"normal": [0.0, width]},
        }
        for parameter, (pattern, width) in wanted.items()
    }


def alternatives(name: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every other value of every option of an experiment that is a choice: option, value, the keys to build it with."""
    model = getattr(catalogue.load(name), "Options", None)
    for option, info in (model.model_fields if model is not None else {}).items():
        annotation = info.annotation
        values: tuple[Any, ...] = ()
        if annotation is bool:
            values = (True, False)
        elif typing.get_origin(annotation) is Literal:
            values = typing.get_args(annotation)
        for value in values:
            if value != info.default:
                yield option, str(value), {option: value}


def _is_signal(experiment: BinnedExperiment) -> dict[str, set[str]]:
    """`experiment.channel` -> names of the components that depend on couplings."""
    return {
        f"{experiment.name}.{c.name}": {p.name for p in c.components if any(f.forms is not None for f in p.factors)}
        for c in experiment.channels
    }


def _signal_counts(joint: JointLikelihood, point: Mapping[str, float], component: str = "") -> float:
    """Signal events at a point; with `component` the events of components whose names begin with it, signal or not."""
    signals = _is_signal(joint.experiments[0])
    return float(
        sum(
            np.sum(counts)
            for channel, parts in joint.components(point).items()
            for part, counts in parts.items()
            if (part.startswith(component) if component else part in signals[channel])
        )
    )


def _strength(name: str, seed: int) -> tuple[tuple[float, float | None], tuple[float, float], bool]:
    """Strength of the signal with its error, fitted signal events with theirs, and whether the fit converged."""
    joint = joint_of(name, theory={"sm_strength": {"uniform": list(STRENGTH_RANGE)}})
    best: FitResult = fit(joint, seed=seed)
    counts = _signal_counts(joint, best.point)
    slopes = []
    for p in joint.parameters:
        h = DIFFERENCE_STEP * p.scale
        up, down = (_signal_counts(joint, {**best.point, p.name: best.point[p.name] + s * h}) for s in (1.0, -1.0))
        slopes.append((up - down) / (2.0 * h))
    error = float(np.sqrt(np.asarray(slopes) @ best.covariance @ np.asarray(slopes)))
    return (best.point[STRENGTH], best.errors[STRENGTH]), (counts, error), best.converged


def _limits(
    name: str, options: Mapping[str, Any], experiment: BinnedExperiment, cl: float, seed: int, quarks: bool = True
) -> tuple[dict[str, float | None], dict[str, str], bool]:
    """One-at-a-time upper limits on the effective moments that an experiment sees and, of nuclei, on tensors and scalars."""
    wanted = {**_DIPOLE, **(_QUARKS if quarks and experiment.nuclei else {})}
    parameters = _specs(wanted)
    joint = joint_of(name, options, parameters=parameters)
    moments = [q.name for q in joint.identified if q.name.startswith("mu_eff")]
    if not joint.amplitudes.size:
        return {}, {}, True
    names = [*moments, *(p for p in parameters if p != "L_dipole" or not moments)]
    result = limits(joint, cl, parameters=names, presets={}, profiled=False, seed=seed)
    found: dict[str, float | None] = {}
    for key, limit in (*result.identified.items(), *result.parameters.items()):
        interval = limit.one_at_a_time
        if interval is None:
            found[key] = None
        elif key in result.identified:
            found[key] = interval.upper
        else:
            ends = [abs(e) for e in (interval.lower, interval.upper) if e is not None]
            found[key] = max(ends) if len(ends) == 2 else None
    units = {q.name: q.unit for q in joint.identified} | {p.name: p.unit for p in joint.own}
    return found, {key: units[key] for key in found}, not result.failed


def _comparison(published: Published, made: Validation, plain: JointLikelihood) -> Comparison:
    ours, error, allowed = None, None, 0.25 * published.value
    own_errors = [e for e in (published.minus, published.plus) if e is not None]
    if published.quantity == "sm_counts":
        ours = _signal_counts(plain, {}, published.component)
        allowed = 0.05 * published.value
    elif published.quantity == "fitted_counts" and made.fitted_counts is not None and not published.component:
        ours, error = made.fitted_counts
        allowed = 0.5 * min(own_errors) if own_errors else 0.05 * published.value
    elif published.quantity == "deviance" and made.goodness is not None:
        ours, allowed = made.goodness.deviance, 0.05 * published.value
    elif published.quantity in made.limits:
        ours = made.limits[published.quantity]
    if ours is None:
        return Comparison(published, None, None, None, None)
    return Comparison(published, ours, error, ours / published.value - 1.0, abs(ours - published.value) <= allowed)
