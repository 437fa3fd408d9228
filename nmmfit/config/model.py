"""A model of a run file, whose parameters say what coefficients are."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from nmmfit.config.refusing import refusing
from nmmfit.config.scales import HIGH_SCALE_GEV, LOW_SCALE_GEV
from nmmfit.eft import smneft_operators
from nmmfit.errors import UserInputError, unknown
from nmmfit.models import (
    CIRCLE,
    FREE,
    MODELS,
    ModelDescription,
    ModelParameter,
    allowed_parameters,
    is_phase,
    model_named,
    phase_prior,
    whole_circle,
)
from nmmfit.priors import PriorSpec
from nmmfit.validation import StrictModel, refuse


class ModelSpec(StrictModel):
    """A model above the theory of coefficients: its parameters are sampled, and say what the coefficients are."""

    name: Annotated[
        str,
        refusing(lambda given: model_named(given).name),
        WithJsonSchema({"type": "string", "enum": list(MODELS)}),
        Field(description="which model (`nmmfit list models`)"),
    ]
    scale_gev: Annotated[
        float | None,
        Field(
            description=f"models of the theory below m_W: where they are matched onto it, GeV, {LOW_SCALE_GEV:g} to "
            f"{HIGH_SCALE_GEV:g}; default m_W",
            ge=LOW_SCALE_GEV,
            le=HIGH_SCALE_GEV,
        ),
    ] = None
    lepton: Annotated[Literal["tau", "mu", "e"] | None, Field(description="charged lepton of the model; default tau")] = None
    neutrinos: Annotated[
        list[Annotated[int, Field(ge=1, le=3)]] | None,
        Field(description="generations of nu and N; default [1, 1]", min_length=2, max_length=2),
    ] = None
    kind: Annotated[Literal["dirac", "majorana"] | None, Field(description="of a matrix of moments; default dirac")] = None
    basis: Annotated[Literal["mass", "flavour"] | None, Field(description="of a matrix of moments; default mass")] = None
    parameters: Annotated[
        dict[str, PriorSpec], Field(description="parameter of the model -> prior or number; a phase may be 'free'")
    ] = Field(default_factory=dict)

    @field_validator("parameters", mode="before")
    @classmethod
    def _free_phases(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        for name, value in given.items():
            if value == FREE and not is_phase(name):
                raise refuse(f"{name}: only a phase can be {FREE!r}; give a prior or a number")
        circles = {n: whole_circle(period=2.0 * CIRCLE if n in ("alpha1", "alpha2") else CIRCLE) for n in given if is_phase(n)}
        return {name: circles[name] if value == FREE else value for name, value in given.items()}

    @model_validator(mode="after")
    def _of_this_model(self) -> ModelSpec:
        try:
            checked = self._checked()
        except UserInputError as problem:
            raise refuse(str(problem)) from None
        # A frozen model: phases get their exact circle here.
        object.__setattr__(self, "parameters", checked)
        return self

    @property
    def description(self) -> ModelDescription:
        """What the model is."""
        return model_named(self.name)

    @property
    def known(self) -> dict[str, ModelParameter]:
        """Parameters that the model takes with these options."""
        return allowed_parameters(self.description, self.kind, self.basis)

    @property
    def lowest_mass_gev(self) -> float | None:
        """Lowest mass that the priors allow; None for a model without one."""
        lowest = [self.parameters[p.name].support[0] for p in self.known.values() if p.kind == "mass"]
        return min(lowest, default=None)

    def _checked(self) -> dict[str, PriorSpec]:
        """The parameters, all of them there and in their ranges. Raises: UserInputError."""
        model, known = self.description, self.known
        for option in ("lepton", "neutrinos", "kind", "basis"):
            if getattr(self, option) is not None and option not in model.options:
                raise unknown(f"option of {model.name}", option, model.options)
        if self.scale_gev is not None and model.theory != "lneft":
            where = "runs from its mass to m_W" if model.theory == "smneft" else "is that at zero momentum transfer"
            raise UserInputError(f"scale_gev: {model.name} {where} and has no other scale; leave it out")
        for name in self.parameters:
            if name not in known:
                raise unknown(f"parameter of {model.name}", name, known, "parameters")
        for p in known.values():
            if p.required and p.name not in self.parameters:
                raise UserInputError(f"parameters: {model.name} needs {p.name} ({p.meaning})")
        for together in model.vanishing:
            given = [self.parameters[n] for n in together if n in self.parameters]
            if all(g.is_fixed and g.numbers[0] == 0.0 for g in given):
                shown = f"{together[0]} = 0" if len(together) == 1 else f"{together[0]} ... {together[-1]} all 0"
                raise UserInputError(f"parameters: with {shown} {model.name} does nothing")
        return {name: self._in_range(known[name], prior) for name, prior in self.parameters.items()}

    def _in_range(self, parameter: ModelParameter, prior: PriorSpec) -> PriorSpec:
        where = f"parameters.{parameter.name}"
        if parameter.period is not None:
            try:
                return phase_prior(prior, parameter.period)
            except UserInputError as problem:
                raise UserInputError(f"{where}: {problem}") from None
        low, high = -math.inf, math.inf
        if parameter.kind == "mass":
            low = HIGH_SCALE_GEV if self.scale_gev is None or self.name == "left_right" else self.scale_gev
            high = smneft_operators.HIGHEST_SCALE_GEV
        elif parameter.kind == "squared_sine":
            low, high = 0.0, 1.0
        reach = prior.support
        if reach[0] < low or reach[1] > high:
            got = f"{prior.numbers[0]:g}" if prior.is_fixed else f"{prior} reaches from {reach[0]:g} to {reach[1]:g}"
            unit = "" if parameter.unit == "1" else f" {parameter.unit}"
            limits = f"{low:g} to {high:g}{unit}"
            if parameter.kind == "mass":
                limits += ": at the scale of matching and above" if self.scale_gev is not None else ": m_W and above"
            raise UserInputError(f"{where}: {got} (allowed: {limits})")
        return prior
