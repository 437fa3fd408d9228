"""Chunks of a simulation-based calibration: simulate, sample, rank.

A chunk is a pure function of the run, a `Plan` and its number, so that it is the same whenever and wherever it is computed. The
data are arguments of what is compiled: only the first simulation of a process compiles anything.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nmmfit.inference.data import Counts
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.ranks import rank
from nmmfit.inference.sampling import OfAnyData
from nmmfit.inference.settings import SamplerSettings
from nmmfit.inference.simulations import SimulatedData
from nmmfit.inference.symmetries import folded, sign_symmetries
from nmmfit.kept import digest
from nmmfit.shapes import Array

CHUNK = 4
"""Simulations of a chunk: seconds, so that little is lost."""

LOG_LIKELIHOOD = "log_likelihood"
"""Name of the test quantity that depends on the data (Modrak et al., arXiv:2211.02383)."""


@dataclass(frozen=True)
class Plan:
    """What determines all chunks beside the likelihood.

    Attributes:
        simulations, seed: how many, and the seed of all of it.
        ranked: posterior draws of every chain among which truths are ranked.
        settings: how every posterior is sampled.
        truths: (simulation, parameter) what the data are simulated from.
        with_observed: whether the observed data are data too, of every posterior.
    """

    simulations: int
    seed: int
    ranked: int
    settings: SamplerSettings
    truths: np.ndarray
    with_observed: bool = False

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return -(-self.simulations // CHUNK)

    @property
    def draws(self) -> int:
        """Draws among which each truth is ranked."""
        return self.ranked * self.settings.chains

    @property
    def determined_by(self) -> dict[str, Any]:
        """All that matters beside the likelihood, as JSON values."""
        sizes = {"simulations": self.simulations, "seed": self.seed, "ranked": self.ranked, "chunk": CHUNK}
        return {
            **sizes,
            "settings": asdict(self.settings),
            "truths": digest([self.truths.tobytes()]),
            "observed": self.with_observed,
        }


class Simulations:
    """Simulations of one likelihood."""

    def __init__(self, joint: JointLikelihood, plan: Plan) -> None:
        self.joint, self.plan = joint, plan
        self.symmetries = sign_symmetries(joint)

    @property
    def names(self) -> list[str]:
        """Ranked quantities, in the order of every array of a chunk."""
        return [*self.joint.names, *(q.name for q in self.joint.identified), LOG_LIKELIHOOD]

    @cached_property
    def _simulated(self) -> SimulatedData:
        return SimulatedData(self.joint)

    @cached_property
    def _sampler(self) -> OfAnyData:
        return OfAnyData(self.joint, self.plan.settings)

    @cached_property
    def _derived(self) -> Any:
        """Compiled (point, parameter), data -> (point, identified quantities and log likelihood)."""

        def at(x: Array, data: Counts) -> Array:
            values = self.joint.identified_vector(x)
            return jnp.stack([*(values[q.name] for q in self.joint.identified), self.joint.data_vector(x, data)])

        return jax.jit(lambda xs, data: jax.lax.map(lambda x: at(x, data), xs, batch_size=min(256, xs.shape[0])))

    def _values(self, x: np.ndarray, data: Counts) -> np.ndarray:
        """(..., quantity) at vectors (..., parameter), signs folded."""
        flat = jnp.asarray(x.reshape(-1, x.shape[-1]))
        derived = np.asarray(self._derived(flat, data)).reshape(*x.shape[:-1], -1)
        return np.concatenate([folded(x, self.symmetries), derived], axis=-1)

    def chunk(self, number: int) -> dict[str, np.ndarray]:
        """Arrays with a leading axis of simulations: "rank", "truth", "r_hat" and "ess" (simulation, quantity), "seconds" and
        "divergences" (simulation,)."""
        first = number * CHUNK
        found = [self.simulation(i) for i in range(first, min(first + CHUNK, self.plan.simulations))]
        return {name: np.stack([one[name] for one in found]) for name in found[0]}

    def simulation(self, index: int) -> dict[str, np.ndarray]:
        """One simulation, as in `chunk` without the leading axis."""
        from numpyro.diagnostics import effective_sample_size, split_gelman_rubin

        began = time.process_time()
        plan = self.plan
        key = jax.random.fold_in(jax.random.PRNGKey(plan.seed), index)
        truth = plan.truths[index]
        sets = [self._simulated(truth, key), *([self.joint.observed] if plan.with_observed else [])]
        data = Counts.of(self.joint.channels, *sets)
        seed, ties = np.random.SeedSequence([plan.seed, index]).generate_state(2)
        drawn = self._sampler(data, int(seed))
        values = self._values(drawn["x"], data)
        at_truth = self._values(np.repeat(truth[None], 2, axis=0), data)[0]
        kept = np.linspace(0, values.shape[1], plan.ranked + 1).astype(int)[1:] - 1
        thinned = values[:, kept].reshape(-1, values.shape[-1])
        with np.errstate(invalid="ignore", divide="ignore"):
            r_hat, ess = split_gelman_rubin(values), effective_sample_size(values)
        return {
            "rank": rank(at_truth, thinned, np.random.default_rng(ties)),
            "truth": at_truth,
            "r_hat": np.asarray(r_hat),
            "ess": np.asarray(ess),
            "divergences": np.asarray(int(np.sum(drawn["diverging"]))),
            "seconds": np.asarray(time.process_time() - began),
        }


@lru_cache(maxsize=1)
def _of_run_file(run_toml: str) -> JointLikelihood:
    from nmmfit.config import validate
    from nmmfit.runfile import read_toml

    return JointLikelihood.from_config(validate(read_toml(run_toml, "run file")))


def chunk_of_run_file(run_toml: str, plan: Plan, number: int) -> dict[str, np.ndarray]:
    """A chunk from what can be sent to another process: the text of a run file with every change made to it, and a plan."""
    joint = _of_run_file(run_toml)
    # What is compiled serves all chunks of a process.
    key = "simulations", digest([json.dumps(plan.determined_by, sort_keys=True)])
    simulations: Simulations = joint.compiled.setdefault(key, Simulations(joint, plan))
    return simulations.chunk(number)


def joined(chunks: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays of all simulations."""
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
