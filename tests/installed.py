"""Packages of experiments as if they were installed: on the path, with the metadata that an installation would leave."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import nmmfit

EXAMPLE = Path(nmmfit.__file__).resolve().parent.parent / "examples" / "my_experiment"


def install(project: Path, place: Path) -> Path:
    """Copy a project's packages into `place`, and write the dist-info that its pyproject.toml makes. Returns: `place`."""
    told = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    name, version = told["project"]["name"], told["project"]["version"]
    for package in told["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        shutil.copytree(project / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
    write_metadata(place, name, version, told["project"]["entry-points"])
    return place


def write_metadata(place: Path, name: str, version: str, entry_points: dict[str, dict[str, str]]) -> None:
    """The two files of a dist-info folder that tell what is installed, and what it registers."""
    info = place / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [
        line for group, points in entry_points.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def register(place: Path, experiment: str, source: str, distribution: str = "their-package") -> Path:
    """A package of one module that registers an experiment of the same name. Returns: `place`."""
    place.mkdir(exist_ok=True)
    (place / f"{experiment}_module.py").write_text(source)
    write_metadata(place, distribution, "1.2", {"nmmfit.likelihoods": {experiment: f"{experiment}_module"}})
    return place
