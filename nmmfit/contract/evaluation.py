"""An experiment as a compiled function of couplings and pulls, and points at which to look at it."""

from __future__ import annotations

from dataclasses import fields, replace

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.experiment import BinnedExperiment
from nmmfit.physics.amplitude_basis import couplings_to_vector, vector_to_couplings
from nmmfit.physics.forms import N_FLAVOUR, VECTORS, TargetCouplings, forms_to_vector, vector_to_forms
from nmmfit.shapes import Array

WIDEST = 3.0
"""Pulls with wide priors, which data decide, are moved as if this were their width."""

DIRECTIONS = 3
"""Directions in the space of couplings that one gradient is taken along."""

Counts = dict[str, dict[str, np.ndarray]]
"""Channel -> component -> counts (bin,)."""


class Evaluation:
    """Counts of an experiment by direct evaluation, compiled once; for massless N.

    Attributes:
        experiment: what is evaluated.
        pulls: names of its pulls, in the order of pull vectors.
        widths: (pull,) their standard deviations, at most WIDEST.
    """

    def __init__(self, experiment: BinnedExperiment) -> None:
        self.experiment = experiment
        self.pulls = tuple(experiment.pulls)
        self.widths = np.array([_width(prior) for prior in experiment.pulls.values()])
        self._components = jax.jit(self._component_counts)
        self._forms = jax.jit(self._forms_of)
        self._gradient = jax.jit(jax.grad(self._nll))

    def _forms_of(self, couplings: Array) -> Array:
        return forms_to_vector(self.experiment.forms(vector_to_couplings(couplings)), self.experiment.form_names)

    def _component_counts(self, forms: Array, pulls: Array) -> dict[str, dict[str, Array]]:
        named = vector_to_forms(forms, self.experiment.form_names)
        moved = {name: pulls[k] for k, name in enumerate(self.pulls)}
        return {c.name: c.component_counts(named, moved) for c in self.experiment.channels}

    def _nll(self, x: Array, directions: Array) -> Array:
        experiment, pulls = self.experiment, x[DIRECTIONS:]
        moved = {name: pulls[k] for k, name in enumerate(self.pulls)}
        expected = experiment.expected(experiment.forms(vector_to_couplings(x[:DIRECTIONS] @ directions)), moved)
        return -self.log_likelihood(jnp.concatenate([expected[c.name] for c in experiment.channels]), pulls)

    def gradient(self, x: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Gradient of minus the log-likelihood.

        Args:
            x: amounts of the directions, then pulls, (DIRECTIONS + pull,).
            directions: coordinates of couplings, (DIRECTIONS, coordinate).
        """
        return np.asarray(self._gradient(jnp.asarray(x), jnp.asarray(directions)))

    def forms(self, couplings: np.ndarray) -> np.ndarray:
        """Coordinates of the forms, the Standard Model's strength first, of coordinates of couplings."""
        return np.asarray(self._forms(jnp.asarray(couplings)))

    def components(self, forms: np.ndarray, pulls: np.ndarray | None = None) -> Counts:
        """Counts by component, at coordinates of forms and pulls (pull,); None: nominal ones."""
        found = self._components(jnp.asarray(forms), jnp.asarray(self.nominal if pulls is None else pulls))
        return {ch: {name: np.asarray(n) for name, n in parts.items()} for ch, parts in found.items()}

    def counts(self, forms: np.ndarray, pulls: np.ndarray | None = None) -> np.ndarray:
        """Counts of all channels in one array (bin of all channels,)."""
        found = self.components(forms, pulls)
        # A compiled function returns a dictionary in the order of its sorted keys.
        return np.concatenate([sum(found[c.name].values(), np.zeros(len(c.observed))) for c in self.experiment.channels])

    def deviations(self, expected: np.ndarray) -> np.ndarray:
        """Standard deviations of the data (bin of all channels,) where `expected` is expected."""
        parts = np.split(expected, np.cumsum([len(c.observed) for c in self.experiment.channels])[:-1])
        pairs = zip(self.experiment.channels, parts, strict=True)
        return np.concatenate([np.sqrt(np.broadcast_to(c.distribution(jnp.asarray(n)).variance, n.shape)) for c, n in pairs])

    @property
    def nominal(self) -> np.ndarray:
        """(pull,) zeros."""
        return np.zeros(len(self.pulls))

    @property
    def standard(self) -> np.ndarray:
        """Coordinates of the forms of the Standard Model."""
        return self.forms(np.asarray(couplings_to_vector(TargetCouplings.zero())))

    def log_likelihood(self, counts: Array, pulls: Array) -> Array:
        """Log-likelihood of the counts of all channels (bin of all channels,), with the experiment's constraint at (pull,)."""
        constraint = self.experiment.constraint
        moved = {name: pulls[k] for k, name in enumerate(self.pulls)}
        total, first = jnp.asarray(0.0) if constraint is None else constraint(moved), 0
        for channel in self.experiment.channels:
            part = counts[first : first + len(channel.observed)]
            total = total + jnp.sum(channel.distribution(part).log_prob(jnp.asarray(channel.observed, dtype=float)))
            first += len(channel.observed)
        return total

    def visible(self, couplings: np.ndarray) -> np.ndarray:
        """Couplings scaled so that some bin moves by about one standard deviation; as they are where no bin moves at all."""
        base = self.counts(self.standard)
        sigma = np.maximum(self.deviations(base), 1e-300)
        scale = 1.0
        for _ in range(30):
            moved = float(np.max(np.abs(self.counts(self.forms(scale * couplings)) - base) / sigma))
            if moved == 0.0 or not np.isfinite(moved) or 0.5 < moved < 2.0:
                break
            scale *= float(np.clip(moved**-0.5, 1e-2, 1e2))
        return scale * couplings


def _width(prior: object) -> float:
    """Standard deviation of a pull's prior, at most WIDEST; 1 where it is not known."""
    try:
        width = float(np.sqrt(np.asarray(prior.variance)))  # type: ignore[attr-defined]
    except (AttributeError, NotImplementedError, TypeError):
        return 1.0
    return min(width, WIDEST) if np.isfinite(width) and width > 0.0 else 1.0


def random_couplings(random: np.random.Generator, vectors: bool, lnv: bool = True) -> np.ndarray:
    """Coordinates of random complex couplings, of order 1e-9 GeV^-1 (dipole) and 1e-6 GeV^-2 (the rest).

    Args:
        random: random numbers.
        vectors: whether vector couplings are among them; those that meet the Standard Model are Hermitian, as they must be.
        lnv: whether couplings that break lepton number are.
    """
    size = len(np.asarray(couplings_to_vector(TargetCouplings.zero())))
    couplings = vector_to_couplings(jnp.asarray(random.normal(size=size)))
    changed = {}
    for name in (f.name for f in fields(TargetCouplings)):
        matrix = np.array(getattr(couplings, name))
        if name in VECTORS:
            square = matrix[:, :N_FLAVOUR]
            matrix[:, :N_FLAVOUR] = 0.5 * (square + square.conj().T)
            matrix *= float(vectors)
        if not lnv:
            matrix[:, N_FLAVOUR:] = 0.0
        changed[name] = jnp.asarray(matrix)
    return np.asarray(couplings_to_vector(replace(couplings, **changed)))


def random_pulls(random: np.random.Generator, evaluation: Evaluation, reach: float) -> np.ndarray:
    """(pull,) within `reach` standard deviations of 0."""
    return random.uniform(-reach, reach, len(evaluation.pulls)) * evaluation.widths
