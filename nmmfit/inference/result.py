"""What a sampler hands over to `nmmfit.results`: draws, how they were made, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Draws = dict[str, np.ndarray]
"""Name -> draws, shape (chain, draw)."""


@dataclass(frozen=True)
class Evidence:
    """Log evidence ln p(data) of a model, its prior normalised, from independent runs.

    Attributes:
        runs: of every run, each the log of an unbiased estimate of the evidence. `powers`: powers of the likelihood in each.
    """

    runs: tuple[float, ...]
    powers: tuple[int, ...]

    @property
    def value(self) -> float:
        """Log of the mean of all estimates."""
        most = max(self.runs)
        return most + float(np.log(np.mean(np.exp(np.asarray(self.runs) - most))))

    @property
    def error(self) -> float:
        """Standard error from the spread of the runs; nan of a single one."""
        n = len(self.runs)
        return float(np.std(self.runs, ddof=1)) / n**0.5 if n > 1 else float("nan")

    def to_json(self) -> dict[str, Any]:
        """As values for JSON; nan where undefined."""
        return {"value": self.value, "error": self.error, "runs": list(self.runs), "powers": list(self.powers)}


@dataclass(frozen=True)
class SampleResult:
    """Draws of a joint posterior with the statistics of the sampler.

    Every array of `draws`, `folded`, `identified`, `identified_folded` and `sample_stats` has shape (chain, draw).

    Attributes:
        draws: every sampled parameter (coefficients, theory inputs, nuisances), signs symmetrised; units in `units`.
        folded: the same names in a representation that the sign symmetries leave unchanged, before symmetrisation; r_hat and
            ESS come from here. A name missing here has no sign ambiguity: `draws` serves.
        identified: quantities that the data really constrain (effective moments, nuclear tensor charges), symmetrised.
        identified_units: unit of each identified quantity, such as "1e-11 mu_B".
        sample_stats: "diverging" (bool), "energy", "num_steps", "accept_prob", "step_size", "lp" (log posterior density).
        seed: seed of the pseudo-random numbers.
        chains, warmup, draws_per_chain: how much was sampled; `draws_per_chain` is what was done if interrupted.
        wall_s: seconds of the whole sampling, `warmup_s` of its warm-up part, both with the compilation that a first call needs.
        interrupted: whether the user stopped it; the draws are those made until then.
        symmetries: the sign symmetries used, in words; empty if none holds.
        units: unit of each parameter, "1" for pulls.
        labels: name for plots and tables where it differs from the parameter's name; may hold mathtext.
        prior_sd: standard deviation of each parameter's prior; nan or missing where it has none (infinite).
        coefficients: names of `draws` that are the user's parameters; empty: those without a dot.
        identified_folded: `identified` before symmetrisation, sign-invariant; missing names: `identified` serves.
        signs: of the parameters that a sign symmetry reverses, as they were sampled, +1 or -1, (chain, draw).
        evidence: of methods that give it; chains then are independent runs, draws their particles.
    """

    draws: Draws
    folded: Draws
    identified: Draws
    identified_units: Mapping[str, str]
    sample_stats: Mapping[str, np.ndarray]
    seed: int
    chains: int
    warmup: int
    draws_per_chain: int
    wall_s: float
    warmup_s: float
    interrupted: bool = False
    symmetries: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    prior_sd: Mapping[str, float] = field(default_factory=dict)
    coefficients: tuple[str, ...] = ()
    identified_folded: Draws = field(default_factory=dict)
    signs: Draws = field(default_factory=dict)
    evidence: Evidence | None = None

    def coefficient_names(self) -> tuple[str, ...]:
        """The user's parameters, in their order."""
        return self.coefficients or tuple(name for name in self.draws if "." not in name)

    def nuisance_names(self) -> tuple[str, ...]:
        """Theory inputs and pulls: every sampled name that is no coefficient."""
        mine = set(self.coefficient_names())
        return tuple(name for name in self.draws if name not in mine)

    def for_diagnostics(self) -> Draws:
        """Parameters as r_hat and ESS must see them: folded where a sign symmetry holds."""
        return {name: self.folded.get(name, values) for name, values in self.draws.items()}

    def identified_for_diagnostics(self) -> Draws:
        """Identified quantities as r_hat and ESS must see them."""
        return {name: self.identified_folded.get(name, values) for name, values in self.identified.items()}

    def unit(self, name: str) -> str:
        """Unit of a parameter or identified quantity; "1" if dimensionless."""
        return self.identified_units.get(name, self.units.get(name, "1"))

    def label(self, name: str) -> str:
        """How plots and tables write `name`."""
        return self.labels.get(name, name)

    def divergences(self) -> int:
        """Number of draws after warm-up that diverged."""
        return int(np.sum(self.sample_stats["diverging"])) if "diverging" in self.sample_stats else 0
