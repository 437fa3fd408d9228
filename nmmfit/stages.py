"""Nested sets of experiments: what `nmmfit tighten` adds step by step, and what it does without being told. No JAX."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from nmmfit import catalogue
from nmmfit.errors import UserInputError

LIMITS = "published limit"

DEFAULT = (
    ("Borexino and COHERENT", ("borexino_phase2", "coherent_*")),
    ("+ xenon", ("xenonnt_*", "lz_*", "pandax4t_*")),
    ("+ reactors", ("conus_plus",)),
)
"""Stages of the experiments that have data of their own, by patterns of names; published limits and all else follow."""


@dataclass(frozen=True)
class Stage:
    """A set of experiments: how it is called, all of them, and those that the stage before did not have."""

    label: str
    experiments: tuple[str, ...]
    added: tuple[str, ...]


def default_stages(names: Collection[str]) -> tuple[Stage, ...]:
    """Borexino and COHERENT, then xenon, reactors, published limits, and at last what is none of these.

    Args:
        names: experiments that may be used, "all" of a listing; a stage without any is left out.
    """
    limits = {entry.name for entry in catalogue.entries() if entry.listing is not None and entry.listing.kind == LIMITS}
    left = [name for name in names if name not in limits]
    groups: list[tuple[str, list[str]]] = []
    for label, patterns in DEFAULT:
        mine = [name for name in left if any(fnmatchcase(name, pattern) for pattern in patterns)]
        left = [name for name in left if name not in mine]
        groups.append((label, mine))
    groups += [("+ published limits", [name for name in names if name in limits]), ("+ all others", left)]
    made: list[Stage] = []
    for label, mine in groups:
        if mine:
            before = made[-1].experiments if made else ()
            made.append(Stage(label if made else label.removeprefix("+ "), (*before, *mine), tuple(mine)))
    return tuple(made)


def read_stages(given: Sequence[str]) -> tuple[Stage, ...]:
    """Stages as the command line has them: names with commas between; "+NAMES" stands for the stage before and NAMES.

    Raises: UserInputError for fewer than two stages, an unknown name, one that is named twice, a stage that lacks an experiment
        of the stage before, or that adds none.
    """
    if len(given) < 2:
        raise UserInputError(f"--stage: takes at least two stages, got {len(given)}: repeat it, such as --stage A,B --stage +C")
    known = catalogue.names()
    made: list[Stage] = []
    for number, text in enumerate(given, 1):
        where = f"--stage {text!r} (stage {number})"
        plus = text.strip().startswith("+")
        names = [name.strip() for name in text.strip().removeprefix("+").split(",") if name.strip()]
        if plus and not made:
            raise UserInputError(f"{where}: there is no stage before the first to add to")
        if not names:
            raise UserInputError(f"{where}: names no experiment")
        for name in names:
            if name not in known:
                raise catalogue.no_such_experiment(name, where)
        before = made[-1].experiments if made else ()
        every = [*before, *names] if plus else names
        twice = next((name for name in every if every.count(name) > 1), None)
        if twice is not None:
            raise UserInputError(f"{where}: {twice!r} is named twice")
        missing = [name for name in before if name not in every]
        if missing:
            raise UserInputError(
                f"{where}: lacks {', '.join(map(repr, missing))} of the stage before; every stage holds the one before it "
                "(write +NAMES to add to it)"
            )
        added = tuple(name for name in every if name not in before)
        if not added:
            raise UserInputError(f"{where}: adds no experiment to the stage before")
        label = ", ".join(added)
        made.append(Stage(f"+ {label}" if before else label, tuple(every), added))
    return tuple(made)


def refuse_overlaps(stages: Sequence[Stage]) -> None:
    """Refuse stages whose experiments share data, as their listings say.

    Raises: UserInputError naming both and the stage.
    """
    shares = {entry.name: entry.listing.overlaps for entry in catalogue.entries() if entry.listing is not None}
    for number, stage in enumerate(stages, 1):
        for one in stage.experiments:
            for other in shares.get(one, ()):
                if other in stage.experiments:
                    first, second = sorted((one, other), key=stage.experiments.index)
                    raise UserInputError(
                        f"stage {number}: {first!r} and {second!r} share data and cannot be combined; name one, or set "
                        "allow_overlaps = true"
                    )
