"""The joint likelihood: experiments, the linear map from coefficients to couplings, and the priors.

Everything is a pure function of one real vector x = (coefficients, theory inputs, nuisances). Two evaluations of the same model:
"templates" (compressed tensors, the default) and "direct" (the quadrature, the reference).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro import distributions as dist

from nmmfit.errors import UserInputError, unknown
from nmmfit.experiment import BinnedExperiment, Channel, constraints
from nmmfit.inference.batches import over_processors, wider
from nmmfit.inference.data import Counts, log_probability, poisson_constant
from nmmfit.inference.derived import Derived
from nmmfit.inference.many import in_blocks
from nmmfit.inference.parameter_vector import ParameterVector, Point
from nmmfit.inference.parameters import Identified, Parameter, log_prior
from nmmfit.inference.priors import exact_description
from nmmfit.kept import digest, program_digest
from nmmfit.numerics.dependence import inputs_used
from nmmfit.physics.amplitude_basis import (
    N_COORDINATES,
    AmplitudeBasis,
    amplitude_basis,
    vector_to_couplings,
)
from nmmfit.physics.forms import Forms, TargetCouplings, quadratic_forms, vector_to_forms
from nmmfit.precision import require_double_precision
from nmmfit.run_once import jit_once
from nmmfit.shapes import Array
from nmmfit.templates import DEFAULT_TOLERANCE, ExperimentTemplate, build_templates
from nmmfit.templates.experiment import polynomials

if TYPE_CHECKING:
    from nmmfit.config import RunConfig

BLOCK = 128
DIRECT_BLOCK = 16
"""Points side by side in templates, and in direct evaluations, whose intermediate results are a thousand times larger."""

MASS, STRENGTH = "theory.m_N_mev", "theory.sm_strength"
"""Name of the mass of N."""


@dataclass(frozen=True)
class CouplingMap:
    """Coefficient parameters to coordinates of the target couplings, at given theory inputs.

    `coordinates(theory)` is (coefficient, coordinate), the coordinates (amplitude_basis.couplings_to_vector) that a unit of each
    coefficient parameter makes; `theory` maps the names of floated theory inputs to values. `samples` are such matrices at
    several theory inputs, enough to span what can be reached.
    """

    coordinates: Callable[[Mapping[str, Array]], Array]
    samples: tuple[np.ndarray, ...]
    finals: tuple[frozenset[int], ...]
    """For each coefficient parameter the final states (`amplitude_basis.FINAL_STATES`) that it leads to."""
    some: Callable[[Mapping[str, Array], np.ndarray], Array] | None = None
    """`coordinates` at some columns only, where that can be had for less than all of them."""
    fingerprint: str | None = None
    """Digest of all that `coordinates` depends on; None: not known."""

    def columns(self, theory: Mapping[str, Array], columns: np.ndarray) -> Array:
        """(coefficient, column): `coordinates(theory)` at the columns given."""
        return self.coordinates(theory)[:, columns] if self.some is None else self.some(theory, columns)


def _by_experiment(tolerance: float | Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """Experiment -> tolerance of its templates, in order. Raises: UserInputError for a name that is no experiment's."""
    if not isinstance(tolerance, Mapping):
        return dict.fromkeys(names, float(tolerance))
    for name in tolerance:
        if name not in names:
            raise unknown("experiment of this likelihood", name, names, "tolerance")
    return {name: float(tolerance.get(name, DEFAULT_TOLERANCE)) for name in names}


class JointLikelihood(ParameterVector):
    """Joint likelihood of several experiments as a function of coefficients, theory inputs and nuisances.

    Attributes:
        parameters: all sampled parameters, in the order of the vector.
        experiments: the experiments.
        fixed: values of pulls and theory inputs that are held.
        fixed_coefficients: values of coefficient parameters that are held; in the coupling map they follow the free ones.
        derived: coefficients that are functions of parameters of kind "model", the last ones of the coupling map; None: there
            are none.
        method: "templates" or "direct".
        amplitudes: basis of the real amplitudes that the coefficients excite.
        identified: quantities that rates depend on directly.
        tolerances: experiment -> tolerance of its templates.
        templates: compressed templates of every experiment; empty for "direct".

    `tolerance` is that of templates (`build_templates`): a number, or experiment -> number with DEFAULT_TOLERANCE for the others.
    `fingerprints` (experiment -> digest of all that its numbers depend on, nmmfit/kept.py) lets templates be kept on disk, and
    what else is made of a likelihood.
    """

    def __init__(
        self,
        experiments: Sequence[BinnedExperiment],
        parameters: Sequence[Parameter],
        couplings: CouplingMap,
        identified: Sequence[Identified] = (),
        fixed: Mapping[str, float] | None = None,
        fixed_coefficients: Mapping[str, float] | None = None,
        method: str = "templates",
        tolerance: float | Mapping[str, float] = DEFAULT_TOLERANCE,
        choices: Mapping[str, str] | None = None,
        fingerprints: Mapping[str, str] | None = None,
        derived: Derived | None = None,
    ) -> None:
        require_double_precision()
        if method not in ("templates", "direct"):
            raise unknown("method", method, ("templates", "direct"))
        self.experiments = tuple(experiments)
        super().__init__(parameters, derived)
        self.coupling_map = couplings
        self.identified = tuple(identified)
        self.fixed = dict(fixed or {})
        self.fixed_coefficients = dict(fixed_coefficients or {})
        self.method = method
        self.tolerances = _by_experiment(tolerance, [e.name for e in self.experiments])
        self.choices = dict(choices or {})
        self.fingerprints = dict(fingerprints or {})
        self.compiled: dict[Any, Any] = {}
        """Compiled functions by purpose, so that a second identical call compiles nothing."""
        self.recipe: tuple[Callable[..., JointLikelihood], tuple[Any, ...]] | None = None
        """A function of a module, which gives the same object for the same arguments within a process, and its arguments: what
        another process makes this likelihood from; None: none can."""
        reached = [m[np.any(m != 0.0, axis=1)] for m in couplings.samples]
        self.amplitudes: AmplitudeBasis = amplitude_basis(np.concatenate([np.zeros((0, N_COORDINATES)), *reached]))
        self.templates: tuple[ExperimentTemplate, ...] = ()
        # Made here, not where they are used: inside a trace numbers are not known.
        self._form_columns = [self.amplitudes.form_columns(e.is_massive) for e in self.experiments] if method == "direct" else []
        if method == "templates":
            known = self.fingerprints
            self.templates = tuple(
                build_templates(e, self.amplitudes, self.tolerances[e.name], known.get(e.name)) for e in self.experiments
            )
        self._bind()

    def _bind(self) -> None:
        """Functions of this very likelihood, compiled on their own, so that everything that uses them traces them once."""
        self._template_counts = jax.jit(self._counts_by_channel)
        self.own_constraints_vector = jax.jit(self._sum_of_constraints)
        self._data = in_blocks(self._data_of_one, self._data_of_many)

    def __reduce__(self) -> tuple[Callable[..., JointLikelihood], tuple[Any, ...]]:
        """A likelihood travels to another process as what it is made from. Raises: TypeError for one that has no recipe."""
        if self.recipe is None:
            raise TypeError("this JointLikelihood was not made by Run.joint(): no other process can make it again")
        return self.recipe

    def __copy__(self) -> JointLikelihood:
        """One that may be changed, and that no other process can therefore make, nor anything be kept of."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__, recipe=None, fingerprint=None)
        made._bind()
        return made

    @classmethod
    def from_config(cls, config: RunConfig, method: str = "templates") -> JointLikelihood:
        """The joint likelihood of a run file; see `assemble.joint_from_config`."""
        from nmmfit.inference.assemble import joint_from_config

        return joint_from_config(config, method)

    @cached_property
    def fingerprint(self) -> str | None:
        """Digest of all that the value of the likelihood and its priors depend on; None where some of it is not known."""
        experiments = [(e.name, self.fingerprints.get(e.name)) for e in self.experiments]
        priors = [exact_description(p.prior) for p in self.parameters]
        if self.coupling_map.fingerprint is None or None in priors or any(known is None for _, known in experiments):
            return None
        parameters = [(p.name, p.kind, float(p.start), float(p.scale), p.period) for p in self.parameters]
        held = list(self.fixed.items()), list(self.fixed_coefficients.items()), self.derived and self.derived.fingerprint
        samples = [part for m in self.coupling_map.samples for part in (repr(m.shape), m.tobytes())]
        how = self.method, list(self.tolerances.items()), jax.default_backend()
        told = repr((experiments, parameters, priors, held, self.choices, *how))
        return digest([told, self.coupling_map.fingerprint, program_digest(), *samples])

    # -- the model ----------------------------------------------------------------------------------------------------

    def by_kind(self, vector: Array) -> dict[str, dict[str, Array]]:
        """Parameters of models, theory inputs and pulls, kind -> name -> (*points), of a vector (parameter, *points).

        Held ones are included, without points.
        """
        # A pull may be called theory.* too (a nuclear radius that experiments share), so that the name does not tell.
        known = {name for e in self.experiments for name in e.pulls}
        theory = {name: jnp.asarray(v) for name, v in self.fixed.items() if name not in known}
        pulls = {name: jnp.asarray(v) for name, v in self.fixed.items() if name in known}
        # All entries in one operation: one by one, they would be half of all operations of the density.
        places: dict[str, dict[str, Array]] = {"model": {}, "theory": theory, "nuisance": pulls}
        for p, value in zip(self.parameters, jnp.unstack(vector), strict=True):
            if p.kind in places:
                places[p.kind][p.name] = value
        return places

    def split(self, vector: Array) -> tuple[Array, dict[str, Array], dict[str, Array]]:
        """Coefficients (coefficient,), theory inputs and pulls of a vector (parameter,); held ones included."""
        model, theory, pulls = self.by_kind(vector).values()
        parts = [vector[: self.n_coefficients]]
        if self.fixed_coefficients:
            parts.append(jnp.asarray(list(self.fixed_coefficients.values())))
        if self.derived is not None:
            parts.append(self.derived.values(model, theory))
        return jnp.concatenate(parts) if len(parts) > 1 else parts[0], theory, pulls

    def coefficients(self, vector: Array) -> Array:
        """Coefficients (coefficient,) of a vector (parameter,): free ones, held ones, then those that are computed."""
        return self.split(vector)[0]

    def linear_amplitudes(self, theory: Mapping[str, Array]) -> Array:
        """(amplitude, coefficient): amplitudes of a unit of each coefficient parameter at given theory inputs."""
        return self.coupling_map.columns(theory, self.amplitudes.rows).T

    def couplings_vector(self, vector: Array) -> TargetCouplings:
        """Target couplings at a vector (parameter,)."""
        coefficients, theory, _ = self.split(vector)
        return vector_to_couplings(coefficients @ self.coupling_map.coordinates(theory))

    @property
    def floats_mass(self) -> bool:
        """Whether the mass of N is a parameter."""
        return MASS in self.names

    def mass_vector(self, vector: Array) -> Array:
        """Mass of N in MeV at a vector (parameter,)."""
        return vector[self.names.index(MASS)] if self.floats_mass else jnp.asarray(self.fixed.get(MASS, 0.0))

    def strength_vector(self, vector: Array) -> Array | float:
        """Standard Model rates in units of their prediction, at a vector (parameter,)."""
        return vector[self.names.index(STRENGTH)] if STRENGTH in self.names else self.fixed.get(STRENGTH, 1.0)

    def forms_vector(self, vector: Array) -> list[Forms]:
        """Quadratic forms that each experiment reads, at a vector (parameter,)."""
        couplings, mass = self.couplings_vector(vector), self.mass_vector(vector)
        strength = self.strength_vector(vector)
        plain = quadratic_forms(couplings, strength)
        return [e.forms(couplings, mass, strength) if e.is_massive else plain for e in self.experiments]

    def counts_of_products(self, vector: Array, products: Array) -> Array:
        """All expected counts in one array (bin of all channels,), with the products of amplitudes (product,) given by hand.

        The coefficients in `vector` do not matter; an empty array where there is no experiment.
        """
        parts: list[Array] = [jnp.zeros(0)]
        if self.method == "templates":
            counts = self._template_counts(products, vector)
            parts += [counts[name] for name in self.channels]
        else:
            parts += [self.counts_of_experiment(k, vector, products) for k in range(len(self.experiments))]
        return jnp.concatenate(parts)

    def counts_of_experiment(self, k: int, vector: Array, products: Array) -> Array:
        """Expected counts of the k-th experiment alone (bin of its channels,), as `counts_of_products`."""
        return self.counts_of_seen(k, vector, self.seen_of_experiment(k, vector, products))

    def seen_of_experiment(self, k: int, vector: Array, products: Array) -> Array:
        """All that the k-th experiment reads of the user's parameters and theory inputs, (seen,); often fewer numbers."""
        strength = self.strength_vector(vector)
        if self.method == "templates":
            return self.templates[k].monomials_at(products, strength)
        read = [jnp.reshape(jnp.asarray(strength), (1,)), products]
        return jnp.concatenate([*read, self.mass_vector(vector)[None]] if self.floats_mass else read)

    def counts_of_seen(self, k: int, vector: Array, seen: Array) -> Array:
        """Expected counts of the k-th experiment alone, from what it sees (seen,) and the nuisances in `vector`."""
        _, _, pulls = self.split(vector)
        experiment = self.experiments[k]
        if self.method == "templates":
            counts = self.templates[k].expected_of(seen, pulls)
        else:
            columns = self._form_columns[k]
            forms = vector_to_forms(seen[: len(columns)] @ jnp.asarray(columns), experiment.form_names)
            forms["m_n_mev"] = seen[-1] if self.floats_mass else self.mass_vector(vector)
            counts = experiment.expected(forms, pulls)
        return jnp.concatenate([counts[channel.name] for channel in experiment.channels])

    def expected_vector(self, vector: Array) -> dict[str, Array]:
        """Expected counts, `experiment.channel` -> (bin,), at a vector (parameter,)."""
        if self.method == "direct":
            result: dict[str, Array] = {}
            _, _, pulls = self.split(vector)
            for experiment, forms in zip(self.experiments, self.forms_vector(vector), strict=True):
                for name, counts in experiment.expected(forms, pulls).items():
                    result[f"{experiment.name}.{name}"] = counts
            return result
        return self._from_templates(self.products_vector(vector), vector)

    def products_vector(self, vector: Array) -> Array:
        """Products of amplitudes (product,) at a vector (parameter,)."""
        coefficients, theory, _ = self.split(vector)
        return self.amplitudes.products(self.linear_amplitudes(theory) @ coefficients)

    def _from_templates(self, products: Array, vector: Array) -> dict[str, Array]:
        """Expected counts, `experiment.channel` -> (bin, *points), of products (product, *points) and (parameter, *points)."""
        counts = self._template_counts(products, vector)
        # A compiled function returns a dictionary in the order of its sorted keys.
        return {name: counts[name] for name in self.channels}

    def _counts_by_channel(self, products: Array, vector: Array) -> dict[str, Array]:
        """Expected counts from templates, `experiment.channel` -> (bin,), at products of amplitudes and the pulls of a vector.

        Of a block of points: (bin, point) from (product, point) and (parameter, point).
        """
        pulls = self.by_kind(vector)["nuisance"]
        sm, table = self.strength_vector(vector), polynomials(self.templates, pulls, vector.shape[1:])
        counts = {t.experiment.name: t.expected(products, pulls, sm, table) for t in self.templates}
        return {f"{experiment}.{name}": n for experiment, channels in counts.items() for name, n in channels.items()}

    def _sum_of_constraints(self, vector: Array) -> Array:
        """Sum of the constraints of all experiments, log densities, at a vector (parameter,)."""
        _, _, pulls = self.split(vector)
        own = [constraint(pulls) for constraint in constraints(self.experiments).values()]
        return jnp.sum(jnp.stack(own)) if own else jnp.asarray(0.0)

    @cached_property
    def channels(self) -> dict[str, Channel]:
        """Every channel, named `experiment.channel`."""
        return {f"{e.name}.{c.name}": c for e in self.experiments for c in e.channels}

    @cached_property
    def observed(self) -> dict[str, np.ndarray]:
        """Observed counts, `experiment.channel` -> (bin,)."""
        return {name: np.asarray(c.observed, dtype=float) for name, c in self.channels.items()}

    def pointwise_vector(self, vector: Array) -> dict[str, Array]:
        """Log-likelihood per bin, `experiment.channel` -> (bin,)."""
        expected = self.expected_vector(vector)
        return {n: c.distribution(expected[n]).log_prob(jnp.asarray(self.observed[n])) for n, c in self.channels.items()}

    def data_vector(self, vector: Array, data: Counts | None = None) -> Array:
        """Data log-likelihood, all channels and bins, at a vector (parameter,); `data` in place of what was observed."""
        if self.method == "direct":
            return self.data_of_counts(self.expected_vector(vector), data)
        return self._data(vector, data)

    def _data_of_one(self, vector: Array, data: Counts | None) -> Array:
        """Data log-likelihood from templates, (), at a vector (parameter,)."""
        return self.data_of_counts(self.expected_vector(vector), data)

    def _data_of_many(self, vectors: Array, data: Counts | None) -> Array:
        """The same of many points, (point,), at vectors (parameter, point) and counts (bin, point) or (bin, 1)."""
        products = jax.vmap(self.products_vector, in_axes=1, out_axes=1)(vectors)
        values = self.data_of_counts(self._from_templates(products, vectors), data)
        return jnp.broadcast_to(values, vectors.shape[1:])

    def data_of_counts(self, expected: Mapping[str, Array], data: Counts | None = None) -> Array:
        """Data log-likelihood (*points), all channels and bins, at expected counts (bin, *points)."""
        if data is not None:
            return data.log_probability(self.channels, expected)
        total = jnp.asarray(0.0)
        for name, channel in self.channels.items():
            counts = self.observed[name]
            total = total + log_probability(channel, expected[name], counts)
            if channel.distribution is dist.Poisson:
                # The constant is formed once, while tracing; only a logarithm per bin is left to evaluate.
                total = total + poisson_constant(counts)
        return total

    def constraint_vector(self, vector: Array) -> Array:
        """Constraint terms: experiments' own constraints and the priors of theory inputs and nuisances."""
        return self.other_prior_vector(vector) + self.own_constraints_vector(vector)

    def other_prior_vector(self, vector: Array) -> Array:
        """Log prior density of theory inputs and nuisances, which are independent, at a vector (parameter,)."""
        return log_prior(self.parameters[self.n_own :], vector[self.n_own :])

    @cached_property
    def constrained(self) -> np.ndarray:
        """Places in the vector of the nuisances that experiments' own constraints depend on."""
        own: set[str] = set()
        for experiment in self.experiments:
            if experiment.constraint is not None:
                own |= inputs_used(experiment.constraint, experiment.nominal_pulls())
        return np.array([i for i, p in enumerate(self.parameters) if p.name in own], dtype=int)

    def own_prior_vector(self, vector: Array) -> Array:
        """Log prior density of the user's parameters at a vector (parameter,)."""
        return log_prior(self.own, vector[: self.n_own])

    def nll_vector(self, vector: Array, data: Counts | None = None) -> Array:
        """Minus data log-likelihood and constraint terms at a vector (parameter,), without priors of the user's parameters."""
        return -(self.data_vector(vector, data) + self.constraint_vector(vector))

    def log_prob_vector(self, vector: Array, data: Counts | None = None) -> Array:
        """Log posterior density (not normalised by the evidence) at a vector (parameter,)."""
        return self.own_prior_vector(vector) - self.nll_vector(vector, data)

    def identified_vector(self, vector: Array) -> dict[str, Array]:
        """Identified quantities at a vector (parameter,)."""
        couplings = self.couplings_vector(vector)
        return {q.name: q.value(couplings) for q in self.identified}

    # -- the public, batched face -------------------------------------------------------------------------------------

    def batched(self, purpose: str, function: Callable[[Array], Any]) -> Callable[[Array], Any]:
        """`function` of one vector as a compiled function of (point, parameter), in blocks of BLOCK points, on all processors."""
        if purpose not in self.compiled:
            block = wider(DIRECT_BLOCK if self.floats_mass else BLOCK)
            whole = jax.jit(lambda xs: jax.lax.map(function, xs, batch_size=min(block, xs.shape[0])))
            self.compiled[purpose] = over_processors(whole, block)
        return self.compiled[purpose]

    def jit_once(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`jax.jit` for a function of the likelihood that is called a few times.

        Templates make such a program short, so that it is compiled with few optimisations; direct evaluation gets all of them.
        """
        return jit_once(function) if self.method == "templates" else jax.jit(function)

    def _evaluate(self, purpose: str, function: Callable[[Array], Any], point: Point) -> Any:
        require_double_precision()
        vector = self.pack(point)
        shape = vector.shape[:-1]
        result = self.batched(purpose, function)(vector.reshape(-1, len(self.names)))
        return jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), result)

    def log_likelihood(self, point: Point) -> Array:
        """Data log-likelihood of a point; leading axes batch."""
        return self._evaluate("log_likelihood", self.data_vector, point)

    def pointwise_log_likelihood(self, point: Point) -> dict[str, Array]:
        """Data log-likelihood per bin, `experiment.channel` -> (..., bin)."""
        return self._evaluate("pointwise", self.pointwise_vector, point)

    def nll(self, point: Point) -> Array:
        """Minus data log-likelihood and constraint terms; coefficient priors do not enter."""
        return self._evaluate("nll", self.nll_vector, point)

    def log_prob(self, point: Point) -> Array:
        """Log posterior density, normalised priors times likelihood."""
        return self._evaluate("log_prob", self.log_prob_vector, point)

    def expected(self, point: Point) -> dict[str, Array]:
        """Expected counts, `experiment.channel` -> (..., bin)."""
        return self._evaluate("expected", self.expected_vector, point)

    def identified_values(self, point: Point) -> dict[str, Array]:
        """Identified quantities, name -> (...), in the units of `identified`."""
        return self._evaluate("identified", self.identified_vector, point)

    def components(self, point: Point) -> dict[str, dict[str, Array]]:
        """Expected counts by component, `experiment.channel` -> component -> (bin,), by direct evaluation of one point."""
        vector = self.pack(point)
        if vector.ndim != 1:
            raise UserInputError("components: takes one point, not a batch")

        def evaluate(x: Array) -> dict[str, dict[str, Array]]:
            _, _, pulls = self.split(x)
            return {
                f"{e.name}.{c.name}": c.component_counts(forms, pulls)
                for e, forms in zip(self.experiments, self.forms_vector(x), strict=True)
                for c in e.channels
            }

        if "components" not in self.compiled:
            self.compiled["components"] = jit_once(evaluate)
        return self.compiled["components"](vector)

    def model(self) -> None:
        """The numpyro model: priors, constraints and the distribution of the data of every channel."""
        point = {p.name: numpyro.sample(p.name, p.prior) for p in self.parameters}
        vector = jnp.stack([jnp.asarray(point[name]) for name in self.names])
        expected = self.expected_vector(vector)
        _, _, pulls = self.split(vector)
        for name, constraint in constraints(self.experiments).items():
            numpyro.factor(name, constraint(pulls))
        for name, channel in self.channels.items():
            numpyro.sample(name, channel.distribution(expected[name]), obs=jnp.asarray(self.observed[name]))
