"""One experiment by itself: its likelihoods, prediction of the Standard Model, strength of its signal, limits; each made once."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nmmfit import catalogue
from nmmfit.config import RunConfig, validate
from nmmfit.experiment import BinnedExperiment
from nmmfit.inference.fit import FitResult, fit
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


def config_of(
    name: str, options: Mapping[str, Any] | None = None, theory: Mapping[str, Any] | None = None, **keys: Any
) -> RunConfig:
    """A run of one experiment, without coefficients unless `keys` name some."""
    run = {"experiments": [name], "options": {name: dict(options)} if options else {}, "scale_gev": SCALE_GEV}
    return validate({**run, "theory": {**_NO_CHIRAL, **(theory or {})}, **keys})


def joint_of(name: str, options: Mapping[str, Any] | None = None, method: str = "templates", **keys: Any) -> JointLikelihood:
    """The joint likelihood of `config_of`."""
    return JointLikelihood.from_config(config_of(name, options, **keys), method)


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


def sees_nuclei(experiment: BinnedExperiment) -> bool:
    """Whether tensors and scalars of quarks change what it expects: rates on nuclei."""
    factors = (f for channel in experiment.channels for part in channel.components for f in part.factors)
    return any("tensor_pp" in (f.forms or ()) for f in factors)


def _is_signal(experiment: BinnedExperiment) -> dict[str, set[str]]:
    """`experiment.channel` -> names of the components that depend on couplings."""
    return {
        f"{experiment.name}.{c.name}": {p.name for p in c.components if any(f.forms is not None for f in p.factors)}
        for c in experiment.channels
    }


def signal_counts(joint: JointLikelihood, point: Mapping[str, float], component: str = "") -> float:
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


@dataclass(frozen=True)
class Strength:
    """Fitted strength of the signal in units of the prediction, signal events at that fit, each with its error."""

    value: float
    error: float | None
    counts: float
    counts_error: float
    converged: bool


@dataclass(frozen=True)
class UpperLimits:
    """One-at-a-time upper limits, name -> value (None: there is none), their units, and whether everything converged."""

    values: dict[str, float | None]
    units: dict[str, str]
    converged: bool


class Alone:
    """Our numbers of one experiment with any of its options; what was asked for once is not computed again.

    Args:
        name: of an experiment of the catalogue.
        seed: of all random numbers.
    """

    def __init__(self, name: str, seed: int = 0) -> None:
        self.name, self.seed = name, seed
        self._made: dict[Any, Any] = {}

    def _once(self, make: Callable[[], Any], what: str, options: Mapping[str, Any], *more: Any) -> Any:
        key = (what, tuple(sorted(options.items())), *more)
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def joint(self) -> JointLikelihood:
        """The likelihood without coefficients and other options."""
        return self._once(lambda: joint_of(self.name), "joint", {})

    def experiment(self, **options: Any) -> BinnedExperiment:
        """What it is made of."""
        return self._direct(options).experiments[0]

    def _direct(self, options: Mapping[str, Any]) -> JointLikelihood:
        """The likelihood without coefficients and without templates, whose making takes longer than all that is asked of it."""
        return self._once(lambda: joint_of(self.name, options, "direct"), "direct", options)

    def predicted(self, component: str = "", **options: Any) -> float | None:
        """Signal events of the Standard Model, or events of a component; None where a limit is all there is."""
        # A published limit sees the combination that it limits, to which the Standard Model contributes nothing.
        return self._once(lambda: signal_counts(self._direct(options), {}, component), "sm", options, component) or None

    def standard_model(self) -> tuple[dict[str, float], bool]:
        """Where the Standard Model fits best, all nuisances free, and whether that fit converged."""
        # In the likelihood with the strength, whose compiled minimiser serves both fits.
        return self._once(lambda: _at_best(self._with_strength({}), {STRENGTH: 1.0}, self.seed), "standard model", {})

    def strength(self, **options: Any) -> Strength:
        """A fit of the strength of the signal beside all nuisances."""
        return self._once(lambda: self._strength(options), "strength", options)

    def _with_strength(self, options: Mapping[str, Any]) -> JointLikelihood:
        theory = {"sm_strength": {"uniform": list(STRENGTH_RANGE)}}
        return self._once(lambda: joint_of(self.name, options, theory=theory), "with strength", options)

    def _strength(self, options: Mapping[str, Any]) -> Strength:
        joint = self._with_strength(options)
        best: FitResult = fit(joint, seed=self.seed)
        strength = best.point[STRENGTH]

        def predicted(point: Mapping[str, float]) -> float:
            return signal_counts(self._direct(options), {n: x for n, x in point.items() if n != STRENGTH})

        # The signal is the strength times the prediction, at the same nuisances.
        counts = predicted(best.point)
        slopes = []
        for p in joint.parameters:
            if p.name == STRENGTH:
                slopes.append(counts)
                continue
            h = DIFFERENCE_STEP * p.scale
            up, down = (predicted({**best.point, p.name: best.point[p.name] + sign * h}) for sign in (1.0, -1.0))
            slopes.append(strength * (up - down) / (2.0 * h))
        error = float(np.sqrt(np.asarray(slopes) @ best.covariance @ np.asarray(slopes)))
        return Strength(strength, best.errors[STRENGTH], strength * counts, error, best.converged)

    def limits(self, cl: float, quarks: bool = False, **options: Any) -> UpperLimits:
        """Upper limits on the effective moments that it sees and, with `quarks`, of nuclei on tensors and scalars."""
        quarks = quarks and sees_nuclei(self.experiment(**options))
        return self._once(lambda: _limits(self.name, options, cl, quarks, self.seed), "limits", options, cl, quarks)


def _at_best(joint: JointLikelihood, fixed: Mapping[str, float], seed: int) -> tuple[dict[str, float], bool]:
    """Parameters that are not held at the best fit, and whether it converged; nothing to do where none is free."""
    if set(joint.names) == set(fixed):
        return {}, True
    best = fit(joint, fixed=fixed, seed=seed)
    return {name: value for name, value in best.point.items() if name not in fixed}, best.converged


def _limits(name: str, options: Mapping[str, Any], cl: float, quarks: bool, seed: int) -> UpperLimits:
    parameters = _specs({**_DIPOLE, **(_QUARKS if quarks else {})})
    joint = joint_of(name, options, parameters=parameters)
    moments = [q.name for q in joint.identified if q.name.startswith("mu_eff")]
    if not joint.amplitudes.size:
        return UpperLimits({}, {}, True)
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
    return UpperLimits(found, {key: units[key] for key in found}, not result.failed)
