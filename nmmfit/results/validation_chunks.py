"""Validations of experiments as chunks that any process can make."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from nmmfit.inference import validate
from nmmfit.inference.validate import Step, Validation
from nmmfit.memory import forget_programs
from nmmfit.results.jsonable import plain


@dataclass(frozen=True)
class ValidationChunks:
    """The validation of each of some experiments, by its number; arguments are those of `validate_experiment`."""

    names: tuple[str, ...]
    cl: float
    toys: int
    choices: bool
    seed: int

    def made(self, number: int, step: Step | None = None) -> Validation:
        """Validate an experiment, and forget what was compiled for it: nothing of one experiment serves another, and all programs
        together are more than a process can hold."""
        name = self.names[number]
        found = validate.validate_experiment(name, cl=self.cl, toys=self.toys, choices=self.choices, seed=self.seed, step=step)
        forget_programs()
        return found

    def __call__(self, number: int) -> dict[str, np.ndarray]:
        return as_chunk(self.made(number))


def as_chunk(found: Validation) -> dict[str, np.ndarray]:
    """What is kept of a validation."""
    return {"validation": np.asarray(json.dumps(plain(found.to_json()), allow_nan=False))}


def from_chunk(chunk: dict[str, np.ndarray]) -> Validation:
    """The validation that was kept."""
    return Validation.from_json(json.loads(str(chunk["validation"])))
