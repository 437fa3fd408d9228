"""Fits of `leave-one-out` as chunks: the files of each, which any process can make."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from nmmfit.config import validate
from nmmfit.durable.arrays import Arrays
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.sampling import sample
from nmmfit.inference.settings import SamplerSettings
from nmmfit.memory import forget_programs
from nmmfit.results.files import SUMMARY, RunFolder
from nmmfit.results.fit_output import write_sampled
from nmmfit.runfile import read_toml

_ABOUT, _FILE = "about", "file/"

Pulls = Mapping[str, Sequence[str]]
"""Experiment -> names of its pulls."""


@dataclass(frozen=True)
class FitFiles:
    """Fits by their number, each from nothing to its files.

    Attributes:
        runs: of every fit the text of its run file, with every change made to it, and the folder that its files are for.
        plots: whether plots are among the files.
    """

    runs: tuple[tuple[str, str], ...]
    plots: bool

    def __call__(self, number: int) -> dict[str, np.ndarray]:
        run_toml, final = self.runs[number]
        config = validate(read_toml(run_toml, "run file"))
        joint = JointLikelihood.from_config(config)
        result = sample(joint, SamplerSettings(**config.sampler.model_dump()))
        with TemporaryDirectory() as place, RunFolder(Path(place) / "fit") as folder:
            # What is written names the folder where it will be.
            folder.final = Path(final)
            write_sampled(folder, joint, result, run_toml, plots=self.plots, directions=config.directions)
            made = as_chunk(folder.path, result.labels, pulls_of(joint))
        # Nothing of one likelihood serves another, and all programs together are more than a process can hold.
        forget_programs()
        return made


def pulls_of(joint: JointLikelihood) -> dict[str, tuple[str, ...]]:
    """Names of the pulls of every experiment."""
    return {e.name: tuple(e.pulls) for e in joint.experiments}


def as_chunk(folder: Path, labels: Mapping[str, str], pulls: Pulls) -> dict[str, np.ndarray]:
    """What is kept of a fit: its files, labels of its quantities, and pulls of its experiments."""
    about = {"labels": dict(labels), "pulls": {name: list(given) for name, given in pulls.items()}}
    files = {f"{_FILE}{p.name}": np.frombuffer(p.read_bytes(), np.uint8) for p in sorted(folder.iterdir()) if p.is_file()}
    return {_ABOUT: np.asarray(json.dumps(about)), **files}


def from_chunk(chunk: Arrays, folder: RunFolder) -> tuple[dict[str, Any], dict[str, str], dict[str, list[str]]]:
    """Write the files of a fit that was kept into its folder.

    Returns: the object in its summary.json, labels, pulls. Raises: OutputError if a file cannot be written.
    """
    files = {name.removeprefix(_FILE): content.tobytes() for name, content in chunk.items() if name.startswith(_FILE)}
    for name, content in files.items():
        folder.write_bytes(name, content)
    about = json.loads(str(chunk[_ABOUT]))
    return json.loads(files[SUMMARY]), about["labels"], about["pulls"]
