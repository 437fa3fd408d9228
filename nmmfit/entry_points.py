"""Experiments of other distributions: how they are called in messages, where their source is, and what their code may raise."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from nmmfit.errors import NmmfitError, UserInputError


def distribution(point: EntryPoint) -> str:
    """Name of the distribution that registers an experiment."""
    return point.dist.name if point.dist is not None else point.module


def described(point: EntryPoint) -> str:
    """An installed experiment in words: its name, the module and the distribution that it comes from."""
    return f"experiment {point.name!r} ({point.value}, distribution {distribution(point)!r})"


def at(where: str) -> str:
    """The beginning of a message about a place; empty if there is none."""
    return f"{where}: " if where else ""


@contextmanager
def reported(point: EntryPoint, done: str, where: str) -> Iterator[None]:
    """Turn whatever somebody else's code raises into one line that names the experiment and its distribution.

    Args:
        point: the experiment.
        done: what is being done to it, "imported" or "built".
        where: the place that names it.
    Raises: UserInputError, or the class of nmmfit's errors that was raised.
    """
    try:
        yield
    except NmmfitError as problem:
        raise type(problem)(f"{at(where)}{described(point)}: {problem}") from problem
    except (Exception, SystemExit) as problem:
        text = " ".join(str(problem).split())
        said = f"{type(problem).__name__}: {text}" if text else type(problem).__name__
        raise UserInputError(f"{at(where)}{described(point)} cannot be {done}: {said}") from problem


def check_built(built: Any, name: str, what: str) -> None:
    """Refuse what is not an experiment of that name; `what` begins the message. Raises: UserInputError."""
    from nmmfit.experiment import BinnedExperiment

    if not isinstance(built, BinnedExperiment):
        raise UserInputError(f"{what}: build() returned {type(built).__name__}, expected BinnedExperiment")
    if built.name != name:
        raise UserInputError(f"{what}: build() made an experiment named {built.name!r}; both names must be the same")


def source_of(module: str) -> Path | None:
    """File of a module, found without importing it or the packages it is in; None where there is none to be read."""
    first, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(first)
        for depth in range(len(rest)):
            places = None if spec is None else spec.submodule_search_locations
            spec = PathFinder.find_spec(".".join([first, *rest[: depth + 1]]), places) if places is not None else None
    except (ImportError, ValueError):
        return None
    path = Path(spec.origin) if spec is not None and spec.origin is not None else None
    return path if path is not None and path.suffix == ".py" and path.is_file() else None
