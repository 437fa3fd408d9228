"""From a checked run file to a joint likelihood: experiments, the linear map to couplings, parameters and their priors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist

from nmmfit import catalogue, compilation_cache
from nmmfit.config import ParameterSpec, RunConfig
from nmmfit.constants import ELECTROWEAK_INPUTS, STANDARD_MODEL_INPUTS
from nmmfit.eft.amplitudes import LinearMap, linear_map
from nmmfit.eft.chiral import ChiralInputs
from nmmfit.eft.couplings import QuarkCouplings
from nmmfit.eft.smneft_inputs import ElectroweakInputs
from nmmfit.eft.smneft_operators import is_smneft
from nmmfit.errors import UserInputError, unknown
from nmmfit.experiment import BinnedExperiment, TheoryChoices
from nmmfit.inference.compatibility import overlapping, refuse_different_meanings, refuse_different_priors, refuse_overlaps
from nmmfit.inference.derived import together
from nmmfit.inference.identified import identified_quantities
from nmmfit.inference.joint import MASS, STRENGTH, CouplingMap, JointLikelihood
from nmmfit.inference.model_map import TheoryInputs, model_slots, phased
from nmmfit.inference.parameters import Identified, Parameter
from nmmfit.inference.priors import to_distribution
from nmmfit.inputs import StandardModelInputs, check
from nmmfit.kept import digest, experiment_fingerprint, kept_or_made, program_digest
from nmmfit.physics.amplitude_basis import FINAL_STATES, N_COORDINATES, SM_FINAL_STATES, couplings_to_vector, vector_to_couplings
from nmmfit.physics.forms import MESONS
from nmmfit.physics.nucleons import PRESETS, QUARKS, NucleonCharges, nucleon_charges, target_couplings
from nmmfit.run_once import jit_once
from nmmfit.shapes import Array

_log = logging.getLogger(__name__)

_CHIRAL = ("theory.c_T", "theory.c_T_s")
_CHARGES: Mapping[str, tuple[str, int]] = {
    f"{prefix}_{q}": (field, k)
    for prefix, field in (("delta", "tensor"), ("g_s", "scalar"), ("f2", "f2"), ("f3", "f3"))
    for k, q in enumerate(QUARKS)
}
"""Keys of nucleon charges: field and place in `NucleonCharges`."""
_AFFINE = (*_CHIRAL, *(f"theory.{name}" for name in _CHARGES))
"""Theory inputs in which the coupling map is affine, with no products of two of them."""
_OF_RATES = (MASS, STRENGTH)
"""Theory inputs that the coupling map does not know: rates depend on them."""
_SAMPLES = 6


@dataclass(frozen=True)
class _Theory:
    """Theory inputs of a run: floated ones as parameters, fixed ones as values, both under `theory.<name>`."""

    parameters: tuple[Parameter, ...]
    fixed: dict[str, float]
    orders: dict[str, Any]
    quark_basis: str
    charges: str

    def inputs(self, values: Mapping[str, Any]) -> StandardModelInputs:
        """Standard Model inputs with this run's changes, at `values` of the theory inputs."""
        return StandardModelInputs(**_named(values, STANDARD_MODEL_INPUTS), **self.orders)

    def electroweak(self, values: Mapping[str, Any]) -> ElectroweakInputs:
        """Inputs of the theory above m_W, at `values` of the theory inputs."""
        return ElectroweakInputs(**_named(values, ELECTROWEAK_INPUTS), quark_basis=self.quark_basis)

    def nucleon_charges(self, values: Mapping[str, Any]) -> NucleonCharges:
        """Charges of the proton: those of the set, some replaced by `values` of the theory inputs."""
        charges = nucleon_charges(self.charges)
        for name, value in _named(values, _CHARGES).items():
            field, k = _CHARGES[name]
            charges = replace(charges, **{field: getattr(charges, field).at[k].set(value)})
        return charges

    def as_inputs(self) -> TheoryInputs:
        """What models need of the theories."""
        return TheoryInputs(self.inputs, self.electroweak, self.nominal, self.floats_running)

    @property
    def nominal(self) -> dict[str, float]:
        """All theory inputs that are given, floated ones at their start."""
        return dict(self.fixed) | {p.name: p.start for p in self.parameters}

    @property
    def floats_running(self) -> bool:
        """Whether an input of the running is floated, so that the map has to be made anew at every point."""
        return any(p.name not in (*_AFFINE, *_OF_RATES) for p in self.parameters)

    def draws(self) -> list[dict[str, float]]:
        """Values of the theory inputs spread over their priors, the nominal ones first."""
        spread = [dict(self.fixed) | {p.name: p.start for p in self.parameters}]
        random = np.random.default_rng(0)
        for _ in range(_SAMPLES if self.parameters else 0):
            spread.append(dict(self.fixed) | {p.name: p.start + p.scale * random.uniform(-1, 1) for p in self.parameters})
        return spread


def joint_from_config(config: RunConfig, method: str = "templates") -> JointLikelihood:
    """The joint likelihood of a run.

    Args:
        config: a checked run file.
        method: "templates" or "direct"; a floated mass of N makes it "direct", with a message.
    Raises: UserInputError if experiments overlap or disagree about a prior, an experiment cannot do with the mass of N, or an
        option, a pull or a preset does not exist.

    Switches JAX's persistent compilation cache on where the user has set none and the folder can be written.
    """
    compilation_cache.enable()
    choices = TheoryChoices(
        tensor_coherence=config.theory.tensor_coherence,
        weak_charges=config.theory.weak_charges,
        electron_radiative=config.theory.electron_radiative,
        form_factor=config.theory.form_factor,
        nuclear_spin=config.theory.nuclear_spin,
        m_n_mev=_mass(config),
    )
    experiments = [
        catalogue.build(name, choices, config.options.get(name), f"experiments[{i}]") for i, name in enumerate(config.experiments)
    ]
    if config.allow_overlaps:
        for one, other in overlapping(experiments):
            _log.warning("%s and %s share data, which this run counts twice (allow_overlaps)", one, other)
    else:
        refuse_overlaps(experiments)
    refuse_different_meanings(experiments)
    refuse_different_priors(experiments)
    _check_mass(experiments, choices.m_n_mev)
    if isinstance(choices.m_n_mev, tuple) and method == "templates":
        method = "direct"
        _log.warning("theory.m_N_mev floats: rates are no polynomials of a mass, so that they are evaluated directly (slower)")
    fingerprints = {}
    for name in config.experiments:
        folder = catalogue.folder_of(name)
        if folder is not None:
            fingerprints[name] = experiment_fingerprint(folder, name, choices, config.options.get(name, {}))
    theory = _theory(config)
    # Also where no coefficient runs with them.
    check(theory.inputs(theory.nominal))
    nuisances, held = _nuisances(experiments, config)
    straight = {name: spec for name, spec in config.parameters.items() if not spec.has_free_phase}
    free = {name: spec for name, spec in straight.items() if not spec.prior.is_fixed}
    constant = {n: s.prior.numbers[0] for n, s in straight.items() if s.prior.is_fixed and s.prior.numbers[0] != 0.0}
    turning = {n: s for n, s in config.parameters.items() if s.has_free_phase}
    linear = [_directions(config, [*free.values(), *(config.parameters[name] for name in constant)], turning.values())]
    parts = [phased(turning)]
    if config.model is not None:
        model = model_slots(config.model, theory.as_inputs())
        linear.append(_Directions(model.names, model.weights, model.scale_gev))
        parts.append(model.derived)
    _refuse_unused(config, linear)
    if config.theory.nucleon_charges_float:
        theory = _with_charges(config, linear, theory)
    derived = together([part for part in parts if part is not None])
    couplings = _coupling_map(config, linear, theory, any(name in e.forms_read() for e in experiments for name in MESONS))
    _refuse_strength_of_interference(config, couplings)
    return JointLikelihood(
        experiments,
        [*_coefficients(free), *(derived.parameters if derived is not None else ()), *theory.parameters, *nuisances],
        couplings,
        _reached(identified_quantities(experiments), couplings),
        fixed={**theory.fixed, **held},
        fixed_coefficients=constant,
        method=method,
        tolerance={name: config.templates.of(name) for name in config.experiments},
        choices={k: str(v) for k, v in config.theory.choices().items()},
        fingerprints=fingerprints,
        derived=derived,
    )


def _mass(config: RunConfig) -> float | tuple[float, float]:
    """The mass of N in MeV, or the range in which it floats."""
    spec = config.theory.m_N_mev
    return spec.numbers[0] if spec.is_fixed else spec.support


def _check_mass(experiments: Sequence[BinnedExperiment], m_n_mev: float | tuple[float, float]) -> None:
    """Refuse experiments that know massless N only, and say where no N can be made.

    Raises: UserInputError that names the experiment.
    """
    if m_n_mev == 0.0:
        return
    for experiment in experiments:
        reads = any(f.forms is not None for channel in experiment.channels for c in channel.components for f in c.factors)
        if not experiment.is_massive and reads:
            raise UserInputError(
                f"theory.m_N_mev: {experiment.name!r} is made for massless right-handed neutrinos; set m_N_mev = 0, or take the "
                "experiment out"
            )
        if experiment.largest_m_n_mev is not None and np.min(m_n_mev) >= experiment.largest_m_n_mev:
            _log.warning("%s: m_N = %s", experiment.name, experiment.choices["m_N"])


def _refuse_unused(config: RunConfig, linear: Sequence[_Directions]) -> None:
    """Refuse inputs of the theory above m_W where nothing lives there.

    Raises: UserInputError naming the first.
    """
    names = [name for directions in linear for name in directions.names]
    above = any(map(is_smneft, names))
    if not above and config.theory.quark_basis != "down":
        raise UserInputError("theory.quark_basis: no coefficient of this run lives above m_W; leave it out")
    if not above and (config.model is None or config.model.description.theory != "smneft"):
        for name in ELECTROWEAK_INPUTS:
            if name in config.theory.inputs():
                raise UserInputError(f"theory.{name}: nothing in this run lives above m_W, where it matters; leave it out")


def _refuse_strength_of_interference(config: RunConfig, couplings: CouplingMap) -> None:
    """Refuse a strength of the Standard Model other than 1 beside couplings that interfere with it.

    The strength scales rates; what scales the amplitude of the Standard Model is a weak charge, which a vector coupling moves.

    Raises: UserInputError.
    """
    spec = config.theory.sm_strength
    if spec.is_fixed and spec.numbers[0] == 1.0:
        return
    if any(_finals(row) & SM_FINAL_STATES for rows in couplings.samples for row in rows):
        raise UserInputError(
            "theory.sm_strength: some coefficient of this run interferes with the Standard Model, whose strength must then be 1; "
            "leave one of them out"
        )


def _natural_scale(prior: Any, fallback: float) -> float:
    width = float(np.sqrt(np.asarray(prior.variance)))
    return width if np.isfinite(width) and width > 0.0 else fallback


def _coefficients(specs: Mapping[str, ParameterSpec]) -> list[Parameter]:
    found = []
    for name, spec in specs.items():
        prior = to_distribution(spec.prior)
        low, high = spec.prior.support
        start = 0.0 if low < 0.0 < high else spec.prior.centre
        found.append(Parameter(name, "coefficient", spec.unit, prior, start, _natural_scale(prior, spec.prior.width)))
    return found


def _theory(config: RunConfig) -> _Theory:
    parameters, fixed = [], {}
    for name, spec in config.theory.inputs().items():
        if spec.is_fixed:
            fixed[f"theory.{name}"] = spec.numbers[0]
        else:
            prior = to_distribution(spec)
            scale = _natural_scale(prior, spec.width)
            parameters.append(Parameter(f"theory.{name}", "theory", _unit(name), prior, spec.centre, scale))
    orders = {k: getattr(config.theory, k) for k in ("alpha_s_loops", "gamma_T_loops", "e_running")}
    return _Theory(tuple(parameters), fixed, orders, config.theory.quark_basis, config.theory.nucleon_charges)


def _named(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Those of the theory inputs that are named, without their prefix."""
    return {name: values[f"theory.{name}"] for name in names if f"theory.{name}" in values}


def _with_charges(config: RunConfig, linear: Sequence[_Directions], theory: _Theory) -> _Theory:
    """The theory inputs with all nucleon charges floated that have an uncertainty, are not given, and move a coupling."""
    given = {*theory.fixed, *(p.name for p in theory.parameters)}
    known = PRESETS[config.theory.nucleon_charges]
    wider = []
    for name, (field, k) in _CHARGES.items():
        constant = known[field][k]
        used = field in ("tensor", "scalar") or config.theory.tensor_coherence == "nonrelativistic"
        if f"theory.{name}" not in given and constant.uncertainty > 0.0 and used:
            prior = dist.Normal(constant.value, constant.uncertainty)
            wider.append(Parameter(f"theory.{name}", "theory", "1", prior, constant.value, constant.uncertainty))
    whole = replace(theory, parameters=(*theory.parameters, *wider))
    values = whole.nominal
    mappings = [_mapped(d, whole, config.theory.running, values) for d in linear if len(d.weights)]
    nominal = _rows(mappings, whole, config.theory.tensor_coherence, values) if mappings else jnp.zeros(0)

    def moves(p: Parameter) -> bool:
        changed = (
            _rows(mappings, whole, config.theory.tensor_coherence, values | {p.name: p.start + p.scale}) if mappings else nominal
        )
        return bool(jnp.any(changed != nominal))

    return replace(theory, parameters=(*theory.parameters, *(p for p in wider if moves(p))))


def _unit(name: str) -> str:
    return "GeV" if name.endswith("_gev") else "MeV" if name.endswith("_mev") else "1"


def _nuisances(experiments: Sequence[BinnedExperiment], config: RunConfig) -> tuple[list[Parameter], dict[str, float]]:
    """Pulls of all experiments, shared ones once, with the run file's changes; free ones and values of held ones."""
    priors: dict[str, Any] = {}
    for experiment in experiments:
        priors.update(experiment.pulls)
    for name in config.pulls:
        if name not in priors:
            raise unknown("pull", name, priors, "pulls")
    parameters, held = [], {}
    for name, prior in priors.items():
        spec = config.pulls.get(name)
        if spec is not None and spec.is_fixed:
            held[name] = spec.numbers[0]
            continue
        chosen = to_distribution(spec) if spec is not None else prior
        start = 0.0 if spec is None else spec.centre
        # Pulls are made so that one unit matters, however wide a prior leaves them free.
        parameters.append(Parameter(name, "nuisance", "1", chosen, start, min(1.0, _natural_scale(chosen, 1.0))))
    return parameters, held


@dataclass(frozen=True)
class _Directions:
    """Directions in the space of coefficients at a scale (None: m_W of the inputs): complex weights (direction, name)."""

    names: tuple[str, ...]
    weights: np.ndarray
    scale_gev: float | None


def _directions(config: RunConfig, linear: Sequence[ParameterSpec], turning: Iterable[ParameterSpec]) -> _Directions:
    """Those of a run's parameters: one of each that is linear, two, real and imaginary, of each with a free phase."""
    amounts = [spec.weights for spec in linear]
    for spec in turning:
        amounts += [spec.coefficients, {name: 1j * amount for name, amount in spec.coefficients.items()}]
    names = sorted({name for amount in amounts for name in amount})
    weights = np.asarray([[amount.get(name, 0.0) for name in names] for amount in amounts], dtype=complex)
    return _Directions(tuple(names), weights.reshape(len(amounts), len(names)), config.scale_gev)


def _mapped(directions: _Directions, theory: _Theory, running: str, values: Mapping[str, Any]) -> LinearMap:
    """Quark couplings per unit of each direction, at `values` of the theory inputs."""
    inputs = theory.inputs(values)
    scale = inputs.m_w_gev if directions.scale_gev is None else directions.scale_gev
    mapping = linear_map(directions.names, scale, inputs, running, theory.electroweak(values))
    return mapping.for_parameters([str(k) for k in range(len(directions.weights))], directions.weights)


def _rows(
    mappings: Sequence[LinearMap], theory: _Theory, coherence: str, values: Mapping[str, Any], mesons: bool = False
) -> Array:
    """Coordinates of target couplings (direction, coordinate) at `values` of c_T and of the nucleon charges.

    Amplitudes of mesons' decays are 0 where no experiment of the run reads them: they would be amplitudes of their own.
    """
    chiral, charges = ChiralInputs(values["theory.c_T"], values["theory.c_T_s"]), theory.nucleon_charges(values)

    def coordinates(quark: QuarkCouplings) -> Array:
        target = target_couplings(quark, charges, coherence)
        return couplings_to_vector(target if mesons else replace(target, **{m: 0.0 * target.dipole for m in MESONS}))

    to_vector = jax.vmap(coordinates)
    return jnp.concatenate([to_vector(mapping.rows(chiral)) for mapping in mappings])


def _coupling_map(config: RunConfig, linear: Sequence[_Directions], theory: _Theory, mesons: bool) -> CouplingMap:
    """Coordinates of target couplings per unit of each direction, as a function of the theory inputs; `mesons` as in `_rows`."""
    linear = [directions for directions in linear if len(directions.weights)]
    coherence, running = config.theory.tensor_coherence, config.theory.running

    def mapped(values: Mapping[str, Any]) -> list[LinearMap]:
        return [_mapped(directions, theory, running, values) for directions in linear]

    def rows(mappings: Sequence[LinearMap], values: Mapping[str, Any]) -> Array:
        return _rows(mappings, theory, coherence, values, mesons)

    # All that `coordinates` closes over, its arguments' names included.
    told = [
        [(d.names, d.weights.tolist(), d.scale_gev) for d in linear],
        (running, theory.quark_basis, theory.charges, coherence, mesons),
        (
            {n: v for n, v in theory.fixed.items() if n not in _OF_RATES},
            theory.orders,
            [p.name for p in theory.parameters if p.name not in _OF_RATES],
        ),
    ]
    fingerprint = digest([repr(told), jax.default_backend(), program_digest()])
    if not linear:
        return CouplingMap(lambda values: jnp.zeros((0, N_COORDINATES)), (), (), fingerprint=fingerprint)
    restricted: Callable[[Mapping[str, Any], np.ndarray], Array] | None = None
    if theory.floats_running:

        def coordinates(values: Mapping[str, Any]) -> Array:
            return rows(mapped(values), values)

    else:
        # c_T and charges enter linearly, and never two in one coupling: one evaluation each, and one more, say it all.
        affine = (*_CHIRAL, *(p.name for p in theory.parameters if p.name not in (*_CHIRAL, *_OF_RATES)))
        origin = dict(theory.fixed) | dict.fromkeys(affine, 0.0)

        def probe() -> list[Array]:
            fixed = mapped(theory.fixed)
            return [rows(fixed, origin), *(rows(fixed, origin | {name: 1.0}) for name in affine)]

        constant, *moved = kept_or_made("couplings", fingerprint, lambda: [np.asarray(value) for value in jit_once(probe)()])
        slopes = {name: value - constant for name, value in zip(affine, moved, strict=True)}

        def some(values: Mapping[str, Any], columns: np.ndarray) -> Array:
            total = jnp.asarray(constant[:, columns])
            for name, slope in slopes.items():
                total = total + values[name] * slope[:, columns]
            return total

        def coordinates(values: Mapping[str, Any]) -> Array:
            return some(values, np.arange(constant.shape[1]))

        restricted = some

    samples = tuple(np.asarray(coordinates(values)) for values in theory.draws())
    finals = tuple(_finals(row) for row in np.max(np.abs(samples), axis=0))
    return CouplingMap(coordinates, samples, finals, restricted, fingerprint)


def _finals(coordinates: np.ndarray) -> frozenset[int]:
    """Final states that a row of coordinates leads to."""
    return frozenset(int(final) for final in np.unique(FINAL_STATES[coordinates != 0.0]))


def _reached(quantities: Sequence[Identified], couplings: CouplingMap) -> list[Identified]:
    """Those that some coefficient of this run moves: one that is always zero says nothing."""
    samples = [sample for sample in couplings.samples if len(sample)]
    if not quantities or not samples:
        return []

    def vectors(coordinates: Array) -> list[Array]:
        return [q.vector(vector_to_couplings(coordinates)) for q in quantities]

    moved = jit_once(jax.vmap(vectors))(jnp.concatenate(samples))
    return [q for q, values in zip(quantities, moved, strict=True) if np.any(values)]


__all__ = ["joint_from_config"]
