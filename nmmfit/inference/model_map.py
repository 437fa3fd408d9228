"""The slots of a run's models and phases: what is sampled, and how coefficients of the linear map follow from it.

A model of `nmmfit.eft.models` says what coefficients its couplings and masses make. Here it becomes a function of the parameters
that the run file names, with values where the linear map begins:

- models of the theory below m_W at `scale_gev` of the model (m_W if left out), at fixed order above it;
- models of the theory above m_W at m_W: their four-fermion coefficients are those at the mass, run down to m_W with all that
  running generates; the loop's dipole is taken at the mass as well, where it has no logarithm, so that the logarithm is that of
  the running alone;
- a matrix of moments at 2 GeV, from moments at zero momentum transfer.

Running from a mass takes too long for every point of a posterior. At fixed theory inputs its factors are Chebyshev polynomials in
the logarithm of the mass over the range of its prior, accurate to `TABLE_ACCURACY`; where an input of the running floats, they
are made anew at every point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.config import ModelSpec, ParameterSpec
from nmmfit.eft.models import MODELS as FUNCTIONS
from nmmfit.eft.models import Matching
from nmmfit.eft.qcd import REFERENCE_SCALE_GEV
from nmmfit.eft.smneft import smneft_weights
from nmmfit.eft.smneft_inputs import ElectroweakInputs
from nmmfit.eft.theories import inverse_alpha
from nmmfit.errors import NotConvergedError
from nmmfit.inference.derived import Derived, Values
from nmmfit.inference.parameters import Parameter
from nmmfit.inference.priors import to_distribution
from nmmfit.inputs import StandardModelInputs
from nmmfit.kept import digest, kept_or_made, program_digest
from nmmfit.models import CIRCLE, covers_circle
from nmmfit.numerics.chebyshev import chebyshev_nodes, chebyshev_values, coefficients_1d
from nmmfit.physics.dipole_matrix import coefficients_from_matrix, majorana_phases
from nmmfit.physics.oscillation import OscillationParameters, pmns_matrix
from nmmfit.priors import PriorSpec
from nmmfit.shapes import Array

TABLE_ACCURACY = 1e-10
"""Error of tabulated factors of the running, relative to the largest."""
_DEGREES = (16, 32, 64)
_POINTS = 3
_NEGLIGIBLE = 1e-13


@dataclass(frozen=True)
class TheoryInputs:
    """Inputs of the theories at values of a run's theory inputs, by their names."""

    standard: Callable[[Mapping[str, Any]], StandardModelInputs]
    electroweak: Callable[[Mapping[str, Any]], ElectroweakInputs]
    nominal: Mapping[str, float]
    floats_running: bool


@dataclass(frozen=True)
class ModelSlots:
    """Slots of a model and what they are: real or imaginary parts of coefficients at a scale (None: m_W of the inputs)."""

    derived: Derived
    names: tuple[str, ...]
    weights: np.ndarray
    """(slot, name): 1 or i."""
    scale_gev: float | None


def model_parameter(name: str, spec: PriorSpec, unit: str, period: float | None = None) -> Parameter:
    """A sampled parameter of kind "model"; it starts at 0 where its prior reaches over 0, so that a model starts switched off."""
    prior = to_distribution(spec)
    low, high = spec.support
    circle = period if period is not None and covers_circle(spec, period) else None
    start = 0.0 if low < 0.0 < high else spec.centre
    width = float(np.sqrt(np.asarray(prior.variance)))
    scale = width if np.isfinite(width) and width > 0.0 else spec.width
    return Parameter(name, "model", unit, prior, start, scale, circle)


def phased(specs: Mapping[str, ParameterSpec]) -> Derived | None:
    """Two slots, X cos(phase) and X sin(phase), of every parameter X with a free phase; None if there is none."""
    if not specs:
        return None
    parameters = []
    for name, spec in specs.items():
        assert spec.phase is not None
        if not spec.prior.is_fixed:
            parameters.append(model_parameter(name, spec.prior, spec.unit))
        parameters.append(model_parameter(f"{name}_phase", spec.phase, "rad", CIRCLE))
    held = {name: spec.prior.numbers[0] for name, spec in specs.items() if spec.prior.is_fixed}

    def values(model: Values, theory: Values) -> Array:
        sizes = jnp.stack([jnp.asarray(model[n] if n in model else held[n], dtype=float) for n in specs])
        angles = jnp.stack([model[f"{n}_phase"] for n in specs])
        return jnp.stack([sizes * jnp.cos(angles), sizes * jnp.sin(angles)], axis=-1).reshape(-1)

    able = not any(held.values())
    told = [(n, s.prior.is_fixed and s.prior.numbers) for n, s in specs.items()]
    zero = tuple(n for n in specs if n not in held) if able else ()
    return Derived(tuple(parameters), 2 * len(specs), values, (), zero, (), (), repr(("phases", told)))


def model_slots(spec: ModelSpec, inputs: TheoryInputs) -> ModelSlots:
    """The slots of a model.

    Args:
        spec: checked by the run file's models.
        inputs: of the theories.
    Raises: NotConvergedError if the factors of the running cannot be tabulated to `TABLE_ACCURACY`.
    """
    known = spec.known
    free = {name: prior for name, prior in spec.parameters.items() if not prior.is_fixed}
    held = {name: prior.numbers[0] for name, prior in spec.parameters.items() if prior.is_fixed}
    parameters = tuple(model_parameter(n, prior, known[n].unit, known[n].period) for n, prior in free.items())
    samples = [
        held | {p.name: float(p.prior.sample(k)) for p, k in zip(parameters, keys, strict=True)} for keys in _keys(parameters)
    ]
    told = repr((spec.model_dump(mode="json"), sorted(inputs.nominal.items())))
    scale: float | None
    if spec.description.theory == "moments":
        found, scale = _moments(spec), REFERENCE_SCALE_GEV
    elif spec.description.theory == "lneft":
        found, scale = _below(spec), spec.scale_gev
    else:
        found, scale = _above(spec, inputs, told), None

    def at(values: Mapping[str, Any], theory: Mapping[str, Any]) -> dict[str, Array]:
        return found(values, inputs.standard(theory), inputs.electroweak(theory))

    made = [{n: complex(z) for n, z in jax.jit(at)(values, dict(inputs.nominal)).items()} for values in samples]
    slots = _slots(made)

    def values(model: Values, theory: Values) -> Array:
        coefficients = at(held | dict(model), theory)
        parts = [jnp.real(coefficients[n]) if part == 1.0 else jnp.imag(coefficients[n]) for n, part in slots]
        return jnp.stack(parts) if parts else jnp.zeros(0)

    names = tuple(dict.fromkeys(name for name, _ in slots))
    weights = np.zeros((len(slots), len(names)), dtype=complex)
    for k, (name, part) in enumerate(slots):
        weights[k, names.index(name)] = part
    zero = next((together for together in spec.description.vanishing if _can_vanish(together, spec)), ())
    zero = tuple(n for n in zero if n in free)
    # Slots are linear in each set that makes the model vanish.
    unbounded = {p.name for p in parameters if p.is_unbounded}
    linear = next((together for together in spec.description.vanishing if unbounded & set(together)), ())
    factors = _factors(linear, unbounded, spec)
    derived = Derived(parameters, len(slots), values, spec.description.signs, zero, linear, factors, told)
    return ModelSlots(derived, names, weights, scale)


def _keys(parameters: tuple[Parameter, ...]) -> np.ndarray:
    return np.asarray(jax.random.split(jax.random.PRNGKey(1), _POINTS * max(len(parameters), 1))).reshape(
        _POINTS, max(len(parameters), 1), -1
    )[:, : len(parameters)]


def _can_vanish(together: tuple[str, ...], spec: ModelSpec) -> bool:
    """Whether all parameters of a set may be 0 in this run, some of them free."""
    given = [spec.parameters[n] for n in together if n in spec.parameters]
    return any(not g.is_fixed for g in given) and all(not g.is_fixed or g.numbers[0] == 0.0 for g in given)


def _factors(linear: tuple[str, ...], unbounded: set[str], spec: ModelSpec) -> tuple[str, ...]:
    """The parameter that multiplies all of `linear`, if it is a single one and free of bounds."""
    others = [t for t in spec.description.vanishing if t != linear] if linear else []
    given = [[n for n in together if n in spec.parameters] for together in others]
    return tuple(names[0] for names in given if len(names) == 1 and names[0] in unbounded)


def _slots(made: list[dict[str, complex]]) -> list[tuple[str, complex]]:
    """Real and imaginary parts of coefficients that are not zero, or rounding, in all of several points."""
    found = []
    for name in made[0]:
        sizes = np.asarray([[z.real, z.imag] for z in (values[name] for values in made)])
        largest = np.max(np.abs(sizes), initial=0.0)
        for part, column in ((1.0 + 0.0j, sizes[:, 0]), (1.0j, sizes[:, 1])):
            if np.any(np.abs(column) > _NEGLIGIBLE * largest):
                found.append((name, part))
    return found


Found = Callable[[Mapping[str, Any], StandardModelInputs, ElectroweakInputs], dict[str, Array]]


def _turned(values: Mapping[str, Any], name: str) -> Array:
    """A coupling with its phase, both 0 where left out."""
    return jnp.asarray(values.get(name, 0.0)) * jnp.exp(1j * jnp.asarray(values.get(f"{name}_phase", 0.0), dtype=float))


def _below(spec: ModelSpec) -> Found:
    """Coefficients at the model's scale, of a model of the theory below m_W."""
    lepton = spec.lepton or "tau"
    p, r = spec.neutrinos or (1, 1)

    def found(values: Mapping[str, Any], standard: StandardModelInputs, electroweak: ElectroweakInputs) -> dict[str, Array]:
        if spec.name == "left_right":
            made = FUNCTIONS["left_right"](values["mixing"], values["m_w2_gev"], spec.scale_gev, lepton=lepton, inputs=standard)
            return made.coefficients
        y_c = jnp.asarray(values["y_c"]) * jnp.exp(1j * jnp.asarray(values.get("phase", 0.0), dtype=float))
        made = FUNCTIONS["charged_scalar"](
            y_c, values["y_s"], values["m_phi_gev"], spec.scale_gev, lepton=lepton, neutrinos=(p, r), inputs=standard
        )
        return made.coefficients

    return found


def _moments(spec: ModelSpec) -> Found:
    """Dipoles at 2 GeV of a matrix of moments at zero momentum transfer."""
    majorana, by_mass = spec.kind == "majorana", spec.basis != "flavour"
    mixing = tuple(f.name for f in fields(OscillationParameters))

    def found(values: Mapping[str, Any], standard: StandardModelInputs, electroweak: ElectroweakInputs) -> dict[str, Array]:
        entries = [[_turned(values, f"mu_{p}{r}") for r in (1, 2, 3)] for p in (1, 2, 3)]
        mu = jnp.stack([jnp.stack(row) for row in entries])
        if majorana:
            mu = mu - mu.T
        if by_mass:
            u = pmns_matrix(OscillationParameters(**{n: values[n] for n in mixing if n in values}))
            u = u * majorana_phases(values.get("alpha1", 0.0), values.get("alpha2", 0.0))
            mu = u @ mu @ u.T if majorana else u @ mu
        unit = jnp.sqrt(jnp.asarray(standard.inv_alpha_0) / inverse_alpha(REFERENCE_SCALE_GEV, standard))
        kind = "majorana" if majorana else "dirac"
        return {name: unit * value for name, value in coefficients_from_matrix(mu, kind).items()}

    return found


def _above(spec: ModelSpec, inputs: TheoryInputs, told: str) -> Found:
    """Coefficients just below m_W, of a model of the theory above m_W."""

    def matched(left: Array, right: Array, mass: Any, standard: StandardModelInputs) -> Matching:
        # At the mass itself the loop's dipole has no logarithm.
        return FUNCTIONS[spec.name](left, right, mass, mass, inputs=standard)

    def couplings(values: Mapping[str, Any], side: str) -> Array:
        return jnp.stack([jnp.stack([_turned(values, f"y_{side}_{i}{j}") for j in (1, 2, 3)]) for i in (1, 2, 3)])

    nominal = inputs.standard(inputs.nominal), inputs.electroweak(inputs.nominal)
    low, high = spec.parameters["mass_gev"].support
    # Coefficients are sums of conj(y_left) y_right / mass^2 over pairs of couplings.
    active = {
        s: [(i, j) for i in range(3) for j in range(3) if f"y_{s}_{i + 1}{j + 1}" in spec.parameters] for s in ("left", "right")
    }
    pairs = [(a, b) for a in active["left"] for b in active["right"]]
    units = [jnp.stack([jnp.zeros((3, 3)).at[pair[side]].set(1.0) for pair in pairs]) for side in (0, 1)]
    unit = jax.jit(lambda left, right: matched(left, right, low, nominal[0]))(*units)

    def table_of(parts: Mapping[str, Array]) -> tuple[tuple[str, ...], Array]:
        """Names that some pair makes, and the squared mass times their coefficients, (pair, name)."""
        names = tuple(n for n, value in parts.items() if np.any(np.asarray(value)))
        return names, low**2 * jnp.stack([parts[n] for n in names], axis=-1) if names else jnp.zeros((len(pairs), 0))

    (tree, per_pair), (loops, loop_per_pair) = table_of(unit.tree), table_of(unit.threshold)
    below = _names_below(tree, low, nominal)
    names = tuple(dict.fromkeys((*below, *loops)))

    def by_name(reached: tuple[str, ...], run: Array, direct: Array) -> dict[str, Array]:
        out = dict(zip(loops, jnp.unstack(direct), strict=True)) if loops else {}
        for name, value in zip(reached, jnp.unstack(run), strict=True):
            out[name] = out.get(name, 0.0) + value
        return {name: out.get(name, jnp.zeros((), dtype=complex)) for name in names}

    def anew(values: Mapping[str, Any], standard: StandardModelInputs, electroweak: ElectroweakInputs) -> dict[str, Array]:
        here = matched(couplings(values, "left"), couplings(values, "right"), values["mass_gev"], standard)
        # A mass that is known to be m_W has no running, and reaches fewer coefficients.
        reached, weights = smneft_weights(tree, values["mass_gev"], standard, electroweak)
        direct = jnp.stack([here.threshold[n] for n in loops]) if loops else jnp.zeros(0)
        return by_name(reached, jnp.stack([here.tree[n] for n in tree]) @ weights, direct)

    if inputs.floats_running:
        return anew
    fingerprint = digest([told, repr(names), jax.default_backend(), program_digest()])
    table = _Table(lambda mass: smneft_weights(tree, mass, *nominal)[1], (low, high), fingerprint)

    def found(values: Mapping[str, Any], standard: StandardModelInputs, electroweak: ElectroweakInputs) -> dict[str, Array]:
        left, right = (jnp.stack([_turned(values, f"y_{s}_{i + 1}{j + 1}") for i, j in active[s]]) for s in ("left", "right"))
        mass = jnp.asarray(values["mass_gev"], dtype=float)
        products = (jnp.conj(left)[:, None] * right[None, :]).reshape(-1) / mass**2
        return by_name(below, products @ per_pair @ table(mass), products @ loop_per_pair)

    return found


def _names_below(
    tree: tuple[str, ...], mass_gev: float, nominal: tuple[StandardModelInputs, ElectroweakInputs]
) -> tuple[str, ...]:
    """Coefficients below m_W that any mass reaches, as `smneft_weights` lists them where the mass is traced."""
    found: list[tuple[str, ...]] = []

    def trace(mass: Array) -> Array:
        reached, weights = smneft_weights(tree, mass, *nominal)
        found.append(reached)
        return weights

    jax.eval_shape(trace, jnp.asarray(mass_gev))
    return found[0]


class _Table:
    """A smooth function of a mass as Chebyshev polynomials in its logarithm, kept between processes."""

    def __init__(self, function: Callable[[Array], Array], masses: tuple[float, float], fingerprint: str) -> None:
        """Raises: NotConvergedError if no degree reaches `TABLE_ACCURACY`."""
        low, high = math.log(masses[0]), math.log(masses[1])
        self.middle, self.half, self.masses = 0.5 * (low + high), max(0.5 * (high - low), 1e-6), masses
        self.compiled = jax.jit(function)
        self.coefficients = kept_or_made("models", fingerprint, self._make)

    def __call__(self, mass: Array) -> Array:
        x = jnp.clip((jnp.log(mass) - self.middle) / self.half, -1.0, 1.0)
        return jnp.tensordot(chebyshev_values(x, len(self.coefficients) - 1), jnp.asarray(self.coefficients), axes=1)

    def _exact(self, x: np.ndarray) -> np.ndarray:
        # At the edges of the range rounding must not lead out of it.
        masses = jnp.clip(jnp.exp(self.middle + self.half * jnp.asarray(x)), *self.masses)
        return np.stack([np.asarray(self.compiled(mass)) for mass in masses])

    def _make(self) -> np.ndarray:
        between = np.linspace(-1.0, 1.0, 7)
        wanted = self._exact(between)
        for degree in _DEGREES:
            found = coefficients_1d(self._exact(chebyshev_nodes(degree)))
            error = np.tensordot(np.asarray(chebyshev_values(jnp.asarray(between), degree - 1)), found, axes=1) - wanted
            if np.max(np.abs(error)) < TABLE_ACCURACY * np.max(np.abs(wanted)):
                return found
        raise NotConvergedError(f"running from masses between {self.masses[0]:g} and {self.masses[1]:g} GeV cannot be tabulated")
