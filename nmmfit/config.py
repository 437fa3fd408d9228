"""The run file as strict models: parsing, defaults, overrides and errors with the path of the key. No JAX."""

from __future__ import annotations

import cmath
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from nmmfit.constants import ELECTROWEAK_INPUTS, STANDARD_MODEL_INPUTS
from nmmfit.eft import operators, smneft_operators
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
from nmmfit.presets import C_T, C_T_S, Preset
from nmmfit.priors import FAMILIES, PriorSpec, prior_schema
from nmmfit.samplers import METHODS
from nmmfit.validation import StrictModel, refuse, user_error

LOW_SCALE_GEV = 2.0
"""Scale of the low-energy couplings; coefficients live at or above it."""
HIGH_SCALE_GEV = 80.379
"""W mass, the highest scale at which coefficients may live."""

_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def _resolve(presets: Mapping[str, Preset]) -> BeforeValidator:
    """Lets a named preset stand for its prior."""

    def resolve(given: Any) -> Any:
        if not isinstance(given, str):
            return given
        if given not in presets:
            raise refuse(str(unknown("preset", given, presets)))
        return presets[given].prior()

    return BeforeValidator(resolve)


def _input(name: str) -> Any:
    """Field of a Standard Model input: left out, it keeps its default value."""
    constant = {**STANDARD_MODEL_INPUTS, **ELECTROWEAK_INPUTS}[name]
    unit = "" if constant.unit == "1" else f" {constant.unit}"
    return Field(
        default=None,
        description=f"default {constant.value:.8g}{unit}, uncertainty {constant.uncertainty:.2g} ({constant.source})",
    )


def _charge(meaning: str) -> Any:
    """Field of a nucleon charge: left out, it keeps the value of its set."""
    return Field(default=None, description=f"{meaning}, MS-bar at 2 GeV; default that of nucleon_charges")


def _prior(given: dict[str, Any]) -> PriorSpec:
    return PriorSpec.model_validate(given)


def _to_complex(given: Any) -> complex:
    """A coefficient as TOML writes it: a real number, or [re, im]."""
    parts = list(given) if isinstance(given, list | tuple) else [given]
    if isinstance(given, complex):
        parts = [given.real, given.imag]
    numbers = [part for part in parts if isinstance(part, int | float) and not isinstance(part, bool)]
    if len(numbers) != len(parts) or len(parts) not in (1, 2):
        raise refuse(f"expected a number or [re, im], got {given!r}")
    if not all(math.isfinite(number) for number in numbers):
        raise refuse(f"a coefficient must be finite, got {given!r}")
    return complex(*numbers)


_NUMBER = {"type": "number"}
Coefficient = Annotated[
    complex,
    BeforeValidator(_to_complex),
    PlainSerializer(lambda z: z.real if z.imag == 0.0 else [z.real, z.imag]),
    WithJsonSchema({"oneOf": [_NUMBER, {"type": "array", "prefixItems": [_NUMBER, _NUMBER], "minItems": 2, "maxItems": 2}]}),
]


def _phase(given: Any) -> Any:
    return whole_circle() if given == FREE else given


def _refusing(check: Callable[[Any], Any]) -> AfterValidator:
    """A check whose UserInputError becomes the error of the key."""

    def checked(given: Any) -> Any:
        try:
            return check(given)
        except UserInputError as problem:
            raise refuse(str(problem)) from None

    return AfterValidator(checked)


_PHASE_SCHEMA = WithJsonSchema(prior_schema((FREE,)))


class ParameterSpec(StrictModel):
    """One real parameter: how much of each coefficient one unit of it is, and its prior.

    Coefficients are named `<operator>_<flavours>` (`nmmfit list coefficients`), complex, in GeV^(4-dimension), at `scale_gev`.
    With a `phase` they are multiplied by e^{i phase}: the parameter is then a modulus, and `NAME_phase` a parameter of its own.
    """

    coefficients: Annotated[
        dict[str, Coefficient], Field(description="coefficient -> amount per unit of the parameter, real or [re, im]")
    ]
    prior: Annotated[PriorSpec, Field(description="prior of the parameter; one family, or a number to fix it")]
    phase: Annotated[
        PriorSpec | None,
        BeforeValidator(_phase),
        _refusing(lambda given: given if given is None else phase_prior(given)),
        _PHASE_SCHEMA,
        Field(
            description="phase of all coefficients, radians: a number, a prior, or 'free' for the whole circle; makes NAME_phase"
        ),
    ] = None

    @model_validator(mode="after")
    def _modulus(self) -> ParameterSpec:
        if self.has_free_phase and self.prior.support[0] < 0.0:
            raise refuse(
                f"prior: with a free phase this is a modulus, whose prior must not reach below 0, got {self.prior} "
                "(half_normal, log_uniform, or uniform from 0)"
            )
        return self

    @field_validator("coefficients")
    @classmethod
    def _known_coefficients(cls, given: dict[str, complex]) -> dict[str, complex]:
        try:
            if smneft_operators.theory_of(given) == "smneft":
                smneft_operators.parse_all(given)
            else:
                operators.validate_all(given)
                operators.check_real(given)
        except UserInputError as problem:
            raise refuse(str(problem)) from None
        if not any(given.values()):
            raise refuse("a parameter needs at least one coefficient that is not zero")
        return given

    @property
    def has_free_phase(self) -> bool:
        """Whether the phase is a parameter of its own."""
        return self.phase is not None and not self.phase.is_fixed

    @property
    def weights(self) -> dict[str, complex]:
        """Coefficient -> amount per unit of the parameter, a fixed phase included."""
        turn = cmath.exp(1j * self.phase.numbers[0]) if self.phase is not None and self.phase.is_fixed else 1.0
        return {name: amount * turn for name, amount in self.coefficients.items()}

    @property
    def theory(self) -> str:
        """Theory that the coefficients belong to: "lneft" below m_W, "smneft" above."""
        return smneft_operators.theory_of(self.coefficients)

    @property
    def unit(self) -> str:
        """Unit of the parameter, such as "GeV^-2"; "mixed" where its coefficients have different units."""
        above = self.theory == "smneft"
        units = {(smneft_operators.parse(n) if above else operators.parse(n)).operator.unit for n in self.coefficients}
        return units.pop() if len(units) == 1 else "mixed"


class TheorySpec(StrictModel):
    """Choices of theory, and theory inputs as numbers, presets or priors (`nmmfit list presets`)."""

    c_T: Annotated[
        PriorSpec,
        _resolve(C_T),
        WithJsonSchema(prior_schema(tuple(C_T))),
        Field(description="low-energy constant c_T that turns tensors with u and d quarks into dipoles at 2 GeV"),
    ] = _prior(C_T["susceptibility"].prior())
    c_T_s: Annotated[
        PriorSpec,
        _resolve(C_T_S),
        WithJsonSchema(prior_schema(tuple(C_T_S))),
        Field(description="the same for the strange quark"),
    ] = _prior(C_T_S["susceptibility"].prior())
    nucleon_charges: Literal["flag2021", "seed"] = "flag2021"
    tensor_coherence: Literal["coherent", "nonrelativistic"] = "coherent"
    weak_charges: Literal["radiative", "tree"] = "radiative"
    electron_radiative: Literal["bks", "rho_kappa", "none"] = "bks"
    form_factor: Literal["helm", "klein_nystrand", "fermi"] = "helm"
    nuclear_spin: Annotated[
        Literal["half", "true"],
        Field(description="half: every nucleus as a spin-1/2 target, as in the literature; true: nuclides of spin 0 as such"),
    ] = "half"
    m_N_mev: Annotated[
        PriorSpec,
        Field(description="mass of the right-handed neutrinos N, MeV, one for the three; a prior on masses >= 0 floats it"),
    ] = _prior({"delta": 0.0})
    running: Literal["exact", "seed"] = "exact"
    alpha_s_loops: Literal[1, 2, 3, 4] = 4
    gamma_T_loops: Literal[1, 2, 3] = 3
    e_running: Literal["one_loop", "fixed"] = "one_loop"
    alpha_s_mz: PriorSpec | None = _input("alpha_s_mz")
    m_z_gev: PriorSpec | None = _input("m_z_gev")
    m_w_gev: PriorSpec | None = _input("m_w_gev")
    m_b_gev: PriorSpec | None = _input("m_b_gev")
    m_c_gev: PriorSpec | None = _input("m_c_gev")
    m_u_gev: PriorSpec | None = _input("m_u_gev")
    m_d_gev: PriorSpec | None = _input("m_d_gev")
    m_s_gev: PriorSpec | None = _input("m_s_gev")
    m_e_gev: PriorSpec | None = _input("m_e_gev")
    m_mu_gev: PriorSpec | None = _input("m_mu_gev")
    m_tau_gev: PriorSpec | None = _input("m_tau_gev")
    inv_alpha_mz: PriorSpec | None = _input("inv_alpha_mz")
    inv_alpha_0: PriorSpec | None = _input("inv_alpha_0")
    f_pi_gev: PriorSpec | None = _input("f_pi_gev")
    quark_basis: Annotated[Literal["down", "up"], Field(description="what Q is in coefficients above m_W")] = "down"
    sin2_theta_w: PriorSpec | None = _input("sin2_theta_w")
    m_t_gev: PriorSpec | None = _input("m_t_gev")
    m_h_gev: PriorSpec | None = _input("m_h_gev")
    wolfenstein_lambda: PriorSpec | None = _input("wolfenstein_lambda")
    wolfenstein_a: PriorSpec | None = _input("wolfenstein_a")
    wolfenstein_rhobar: PriorSpec | None = _input("wolfenstein_rhobar")
    wolfenstein_etabar: PriorSpec | None = _input("wolfenstein_etabar")
    nucleon_charges_float: Annotated[
        bool, Field(description="float the nucleon charges that matter with the uncertainties of their set")
    ] = False
    delta_u: PriorSpec | None = _charge("tensor charge F_1 of u in the proton")
    delta_d: PriorSpec | None = _charge("tensor charge F_1 of d in the proton")
    delta_s: PriorSpec | None = _charge("tensor charge F_1 of s in the nucleon")
    g_s_u: PriorSpec | None = _charge("scalar charge of u in the proton")
    g_s_d: PriorSpec | None = _charge("scalar charge of d in the proton")
    g_s_s: PriorSpec | None = _charge("scalar charge of s in the nucleon")
    f2_u: PriorSpec | None = _charge("tensor form factor F_2 of u in the proton (nonrelativistic)")
    f2_d: PriorSpec | None = _charge("tensor form factor F_2 of d in the proton (nonrelativistic)")
    f2_s: PriorSpec | None = _charge("tensor form factor F_2 of s in the nucleon (nonrelativistic)")
    f3_u: PriorSpec | None = _charge("tensor form factor F_3 of u in the proton (nonrelativistic)")
    f3_d: PriorSpec | None = _charge("tensor form factor F_3 of d in the proton (nonrelativistic)")
    f3_s: PriorSpec | None = _charge("tensor form factor F_3 of s in the nucleon (nonrelativistic)")

    @model_validator(mode="after")
    def _used(self) -> TheorySpec:
        if self.tensor_coherence == "coherent":
            for name in (f"{f}_{q}" for f in ("f2", "f3") for q in ("u", "d", "s")):
                if getattr(self, name) is not None:
                    raise refuse(f"{name}: only tensor_coherence = 'nonrelativistic' has it, this run's is 'coherent'")
        return self

    @field_validator("m_N_mev")
    @classmethod
    def _is_a_mass(cls, given: PriorSpec) -> PriorSpec:
        if given.support[0] < 0.0:
            raise refuse(f"a mass is not negative, and {given} allows it (a number >= 0, uniform, log_uniform, half_normal, ...)")
        return given

    def inputs(self) -> dict[str, PriorSpec]:
        """Numerical theory inputs that this run sets or floats, by name; those not named keep their default value."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in given.items() if isinstance(value, PriorSpec)}

    def choices(self) -> dict[str, str | int]:
        """Named choices of theory and orders of the running, key -> value."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in given.items() if isinstance(value, str | int) and not isinstance(value, bool)}


class ModelSpec(StrictModel):
    """A model above the theory of coefficients: its parameters are sampled, and say what the coefficients are."""

    name: Annotated[
        str,
        _refusing(lambda given: model_named(given).name),
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


def _by_method(name: str) -> Callable[[dict[str, Any]], Any]:
    """Default of a sampler's key, which depends on the method."""
    # A method that is refused is not among the checked values.
    return lambda checked: getattr(METHODS[checked.get("method", "nuts")], name)


def _defaults(name: str, what: str = "") -> str:
    """What is written about such a key."""
    values = ", ".join(f"{getattr(defaults, name)} with {method}" for method, defaults in METHODS.items())
    return f"{what}default {values}"


class SamplerSpec(StrictModel):
    """How the posterior is sampled."""

    method: Annotated[
        Literal["nuts", "ensemble"], Field(description="few chains that choose their trajectories, or many in lock-step")
    ] = "nuts"
    coordinates: Annotated[Literal["amplitudes", "natural"], Field(description="what the sampler moves in")] = "amplitudes"
    chains: int = Field(default_factory=_by_method("chains"), ge=1, le=4096, description=_defaults("chains"))
    warmup: int = Field(default_factory=_by_method("warmup"), ge=1, description=_defaults("warmup"))
    draws: int = Field(
        default_factory=_by_method("draws"), ge=1, description=_defaults("draws", "draws per chain after warm-up; ")
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 20220613
    target_accept: float = Field(
        default_factory=_by_method("target_accept"),
        gt=0.0,
        lt=1.0,
        description=_defaults("target_accept", "acceptance that the step size is adapted to; "),
    )
    max_tree_depth: Annotated[int, Field(ge=1, le=15, description="a trajectory has at most 2^max_tree_depth - 1 steps")] = 10


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


class RunConfig(StrictModel):
    """A run: what the data are, which coefficients are fitted, and with which theory and priors."""

    scale_gev: Annotated[
        float,
        Field(description=f"scale of the coefficients, GeV, {LOW_SCALE_GEV:g} to {HIGH_SCALE_GEV:g} (m_W); above for SMNEFT"),
    ] = HIGH_SCALE_GEV
    experiments: Annotated[
        list[str], Field(description="names of experiments (`nmmfit list experiments`); none: the priors alone")
    ]
    parameters: dict[str, ParameterSpec] = Field(default_factory=dict)
    model: Annotated[
        ModelSpec | None, Field(description="a model whose parameters are sampled, beside or instead of coefficients")
    ] = None
    theory: TheorySpec = TheorySpec()
    pulls: Annotated[
        dict[str, PriorSpec],
        BeforeValidator(_flat_pulls),
        Field(description="other priors for nuisances, in their own sigmas; a number fixes"),
    ] = Field(default_factory=dict)
    options: Annotated[dict[str, dict[str, Any]], Field(description="experiment -> its own options")] = Field(
        default_factory=dict
    )
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

    @model_validator(mode="after")
    def _consistent(self) -> RunConfig:
        twice = [name for name in self.experiments if self.experiments.count(name) > 1]
        if twice:
            raise refuse(f"experiments: {twice[0]!r} is named twice")
        for name in self.options:
            if name not in self.experiments:
                raise refuse(f"options: {unknown('experiment of this run', name, self.experiments)}")
        self._check_theory()
        self._check_model()
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
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def check_scale(scale_gev: float, where: str = "") -> None:
    """Refuse a scale of coefficients outside what is implemented, 2 GeV to m_W.

    Raises: pydantic's validation error inside a model; where `where` names a place, UserInputError.
    """
    if math.isfinite(scale_gev) and LOW_SCALE_GEV <= scale_gev <= HIGH_SCALE_GEV:
        return
    side = "above m_W" if scale_gev > HIGH_SCALE_GEV else "below 2 GeV" if scale_gev < LOW_SCALE_GEV else "no number"
    message = f"{scale_gev:g} GeV is {side}; coefficients are implemented from {LOW_SCALE_GEV:g} to {HIGH_SCALE_GEV:g} GeV"
    if where:
        raise UserInputError(f"{where}: {message}")
    raise refuse(message)


def validate(table: Mapping[str, Any]) -> RunConfig:
    """A parsed run file as a RunConfig.

    Raises: UserInputError with the path of the first key that is wrong.
    """
    try:
        return RunConfig.model_validate(dict(table))
    except ValidationError as problem:
        raise user_error(problem, model=RunConfig) from None
