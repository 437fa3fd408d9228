"""What tests of experiments at the stopped-pion source share: couplings equal for all flavours, pulls, counts by part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.experiment import BinnedExperiment
from nmmfit.physics.forms import Forms, TargetCouplings, quadratic_forms

UNIVERSAL = np.hstack([np.eye(3), np.zeros((3, 3))]).astype(complex)
Parts = Callable[..., dict[str, np.ndarray]]


def forms_of(dipole: float = 0.0, tensor_p: float = 0.0, tensor_n: float = 0.0, charge: float = 0.0, sm: float = 1.0) -> Forms:
    """Flavour-universal couplings, GeV^-1, GeV^-2 and, of the neutrino's charge, e."""
    couplings = replace(
        TargetCouplings.zero(),
        dipole=jnp.asarray(dipole * UNIVERSAL),
        tensor_p=jnp.asarray(tensor_p * UNIVERSAL),
        tensor_n=jnp.asarray(tensor_n * UNIVERSAL),
        charge=jnp.asarray(charge * UNIVERSAL),
    )
    return quadratic_forms(couplings, sm=sm)


def pulls_of(experiment: BinnedExperiment, **moved: float) -> dict[str, jax.Array]:
    """Nominal pulls with some moved; the experiment's own are named without prefix, `theory_` and `sns_` stand for their dots."""
    names = {n.removeprefix(f"{experiment.name}.").replace(".", "_"): n for n in experiment.pulls}
    return experiment.nominal_pulls() | {names[k]: jnp.asarray(v) for k, v in moved.items()}


def compiled_parts(experiment: BinnedExperiment) -> Parts:
    """Counts of each component of the first channel in the Standard Model, in the shape of its bins, at pulls that are named."""
    channel = experiment.channels[0]
    shape = [len(edges) - 1 for edges in channel.edges.values()]
    evaluate = jax.jit(lambda pulls: channel.component_counts(forms_of(), pulls))

    def at(**moved: float) -> dict[str, np.ndarray]:
        return {name: np.asarray(v).reshape(shape) for name, v in evaluate(pulls_of(experiment, **moved)).items()}

    return at


def compiled_first_axes(experiment: BinnedExperiment) -> Callable[..., dict[str, Any]]:
    """The first factor of every signal, of every source on every nucleus, at forms and pulls."""
    signal = [c for c in experiment.channels[0].components if c.name.startswith("cevns")]
    return jax.jit(lambda forms, pulls: {c.name: c.factors[0].values(forms, pulls) for c in signal})


def signal_of(parts: Parts, **moved: float) -> np.ndarray:
    """Counts of the signal, in the shape of the bins."""
    return np.sum([v for k, v in parts(**moved).items() if k.startswith("cevns")], axis=0)
