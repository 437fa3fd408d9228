"""The run file as a whole."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from nmmfit.config.model import ModelSpec
from nmmfit.config.parameter import ParameterSpec
from nmmfit.config.sampler import SamplerSpec
from nmmfit.config.scales import HIGH_SCALE_GEV, LOW_SCALE_GEV, check_scale
from nmmfit.config.templates import TemplateSpec
from nmmfit.config.theory import TheorySpec
from nmmfit.eft import smneft_operators
from nmmfit.errors import UserInputError, unknown
from nmmfit.priors import FAMILIES, PriorSpec
from nmmfit.validation import StrictModel, refuse, user_error

_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def _flat_pulls(given: Any) -> Any:
    """Pulls under their full names: TOML reads `sns.flux = 0` as a table `sns` that holds `flux`."""
    if not isinstance(given, dict):
        return given
    flat: dict[str, Any] = {}
    for name, value in given.items():
        if "." in name:
            flat[name] = value
        elif isinstance(value, dict) and not set(value) <= set(FAMILIES):
            flat.update({f"{name}.{rest}": inner for rest, inner in value.items()})
        else:
            raise refuse(f"{name!r} is no name of a pull; they read owner.parameter, such as sns.flux")
    for name in flat:
        # Nuclear radii and the like are pulls, although several experiments share them as theory.NAME.
        if name.removeprefix("theory.") in TheorySpec.model_fields:
            raise refuse(f"{name!r} belongs under [theory]")
    return flat


class DirectionSpec(StrictModel):
    """A direction among the coefficients, in units of their prior widths, as `fisher` finds it."""

    components: Annotated[dict[str, float], Field(description="parameter -> component in prior widths")]
    blind: Annotated[bool, Field(description="whether no data that it was made from depend on it")] = False
    note: Annotated[str, Field(description="how well it is constrained, or why it is blind, in words")] = ""


class RunConfig(StrictModel):
    """A run: what the data are, which coefficients are fitted, and with which theory and priors."""

    scale_gev: Annotated[
        float,
        Field(description=f"scale of the coefficients, GeV, {LOW_SCALE_GEV:g} to {HIGH_SCALE_GEV:g} (m_W); above for SMNEFT"),
    ] = HIGH_SCALE_GEV
    experiments: Annotated[
        list[str], Field(description="names of experiments (`nmmfit list experiments`); none: the priors alone")
    ]
    allow_overlaps: Annotated[
        bool, Field(description="combine experiments that share data, which counts these data twice; a message says so")
    ] = False
    parameters: dict[str, ParameterSpec] = Field(default_factory=dict)
    model: Annotated[
        ModelSpec | None, Field(description="a model whose parameters are sampled, beside or instead of coefficients")
    ] = None
    combinations: Annotated[
        dict[str, dict[str, float]],
        Field(description="linear combinations that `limits` limits besides: name -> parameter -> weight"),
    ] = Field(default_factory=dict)
    directions: Annotated[
        dict[str, DirectionSpec],
        Field(description="directions in prior widths that are reported besides; `--reparametrise DIR` writes them"),
    ] = Field(default_factory=dict)
    theory: TheorySpec = TheorySpec()
    pulls: Annotated[
        dict[str, PriorSpec],
        BeforeValidator(_flat_pulls),
        Field(description="other priors for nuisances, in their own sigmas; a number fixes"),
    ] = Field(default_factory=dict)
    options: Annotated[dict[str, dict[str, Any]], Field(description="experiment -> its own options")] = Field(
        default_factory=dict
    )
    templates: TemplateSpec = TemplateSpec()
    sampler: SamplerSpec = SamplerSpec()

    @field_validator("scale_gev")
    @classmethod
    def _implemented_scale(cls, given: float) -> float:
        # Above m_W it depends on the coefficients, which come later.
        if not HIGH_SCALE_GEV < given <= smneft_operators.HIGHEST_SCALE_GEV:
            check_scale(given)
        return given

    @field_validator("parameters")
    @classmethod
    def _storable_names(cls, given: dict[str, ParameterSpec]) -> dict[str, ParameterSpec]:
        for name in given:
            if not _PLAIN_NAME.fullmatch(name):
                raise refuse(f"{name!r} is no name of a parameter: a letter, then letters, digits and underscores")
        return given

    def _check_combinations(self) -> None:
        """Combinations and directions are told apart from parameters, which they consist of."""
        directions = [(f"directions.{name}", name, spec.components) for name, spec in self.directions.items()]
        combinations = [(f"combinations.{name}", name, weights) for name, weights in self.combinations.items()]
        for where, name, weights in [*combinations, *directions]:
            taken = name in self.parameters or (name in self.combinations and name in self.directions)
            if not _PLAIN_NAME.fullmatch(name) or taken:
                raise refuse(f"{where}: a name of its own is needed: a letter, then letters, digits and underscores")
            for part, weight in weights.items():
                if part not in self.parameters:
                    raise refuse(f"{where}: {unknown('parameter of this run', part, self.parameters)}")
                if not math.isfinite(weight):
                    raise refuse(f"{where}.{part}: a weight must be finite, got {weight}")
            if not any(weights.values()):
                raise refuse(f"{where}: a combination needs a parameter with a weight that is not zero")

    @model_validator(mode="after")
    def _consistent(self) -> RunConfig:
        twice = [name for name in self.experiments if self.experiments.count(name) > 1]
        if twice:
            raise refuse(f"experiments: {twice[0]!r} is named twice")
        for where, named in (("options", self.options), ("templates.tolerances", self.templates.tolerances)):
            for name in named:
                if name not in self.experiments:
                    raise refuse(f"{where}: {unknown('experiment of this run', name, self.experiments)}")
        self._check_theory()
        self._check_model()
        self._check_combinations()
        return self

    def _check_model(self) -> None:
        """Names of parameters are told apart, and coefficients do not live above the mass of the model."""
        phases = {f"{name}_phase": name for name, spec in self.parameters.items() if spec.has_free_phase}
        for name, owner in phases.items():
            if name in self.parameters:
                raise refuse(f"parameters.{name}: this is the name of the phase of {owner}; choose another one")
        if self.model is None:
            return
        for name in self.model.parameters:
            if name in self.parameters or name in phases:
                raise refuse(f"parameters.{name}: this is the name of a parameter of the model; choose another one")
        if self.theory.running != "exact" and self.model.description.theory != "moments":
            raise refuse(f"theory.running: {self.theory.running!r} cannot run {self.model.name} (allowed: 'exact')")
        mass = self.model.lowest_mass_gev
        if mass is not None and self.parameters and self.scale_gev > mass:
            raise refuse(
                f"scale_gev: coefficients at {self.scale_gev:g} GeV lie above {mass:g} GeV, the lowest mass of "
                f"{self.model.name}, which is not integrated out there"
            )

    def _check_theory(self) -> None:
        """All coefficients belong to one theory, and the scale and the method to that theory."""
        every = [name for spec in self.parameters.values() for name in spec.coefficients]
        try:
            theory = smneft_operators.theory_of(every)
        except UserInputError as problem:
            raise refuse(f"parameters: {problem}") from None
        if theory == "lneft":
            try:
                check_scale(self.scale_gev, "scale_gev")
            except UserInputError as problem:
                raise refuse(str(problem)) from None
        elif self.scale_gev < HIGH_SCALE_GEV:
            raise refuse(f"scale_gev: {every[0]!r} does not exist at {self.scale_gev:g} GeV, below m_W = {HIGH_SCALE_GEV:g} GeV")
        elif self.theory.running != "exact":
            raise refuse(
                f"theory.running: {self.theory.running!r} has no theory above m_W, where {every[0]!r} lives (allowed: 'exact')"
            )
        else:
            try:
                smneft_operators.check_runs(every, self.scale_gev, HIGH_SCALE_GEV)
            except UserInputError as problem:
                raise refuse(str(problem)) from None

    @property
    def hash(self) -> str:
        """SHA-256 of everything the run depends on; equal for files that mean the same."""
        content = self.model_dump(mode="json")
        # A run without directions, or with templates of the default tolerance, is what it was before there were any.
        plain = {"directions": {}, "templates": TemplateSpec().model_dump(mode="json")}
        content = {key: value for key, value in content.items() if key not in plain or value != plain[key]}
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def validate(table: Mapping[str, Any]) -> RunConfig:
    """A parsed run file as a RunConfig.

    Raises: UserInputError with the path of the first key that is wrong.
    """
    try:
        return RunConfig.model_validate(dict(table))
    except ValidationError as problem:
        raise user_error(problem, model=RunConfig) from None
