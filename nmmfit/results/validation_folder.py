"""A folder that `nmmfit validate` writes: one JSON object, a page and pictures; experiments can be done anew in it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nmmfit.atomic import failing_on
from nmmfit.errors import UserInputError
from nmmfit.inference.validate import Validation
from nmmfit.results.figure import save
from nmmfit.results.files import write_text
from nmmfit.results.jsonable import plain
from nmmfit.results.validation import figures, page

OBJECT, PAGE = "validate.json", "validation.md"
PICTURES = (".png", ".svg")


@dataclass(frozen=True)
class Settings:
    """What a validation was made with, the same for all experiments of a folder; names are those of the command line."""

    cl: float
    toys: int
    seed: int
    options: bool
    plots: tuple[str, ...]

    def command(self, experiments: Iterable[str] = (), place: str = "") -> str:
        """The command line in full; `place` is what follows: where it writes."""
        words = ["nmmfit", "validate", *experiments, "--cl", f"{self.cl:g}", "--toys", str(self.toys), "--seed", str(self.seed)]
        words += [] if self.options else ["--no-options"]
        words += [part for suffix in self.plots for part in ("--plot-format", suffix)] if self.plots else ["--no-plots"]
        return shlex.join(words) + place


def payload(found: Iterable[Validation], settings: Settings) -> dict[str, Any]:
    """What `--json` prints and a folder holds."""
    return {"settings": asdict(settings), "experiments": {v.name: v.to_json() for v in found}}


def experiments_in(folder: Path) -> list[str]:
    """Names of the experiments in a folder that this version wrote."""
    return list(json.loads((folder / OBJECT).read_text(encoding="utf-8"))["experiments"])


def stems_of(folder: Path, name: str, names: Iterable[str]) -> list[str]:
    """Pictures of an experiment among those of `names`: a file is of the experiment with the longest name that it begins with."""
    stems = sorted({p.stem for p in folder.iterdir() if p.suffix in PICTURES})
    known = tuple(names)
    return [s for s in stems if max((n for n in known if s.startswith(f"{n}_")), key=len, default=None) == name]


def read_folder(folder: Path, settings: Settings, where: str) -> dict[str, Validation]:
    """What a folder holds, by experiment.

    Args:
        folder: one that `nmmfit validate` wrote.
        settings: those with which an experiment of it is to be done anew, which must be the folder's.
        where: what names the folder, for the error message.
    Raises: UserInputError, one line: no such folder, a broken file, or other settings.
    """
    place = folder / OBJECT
    try:
        given = json.loads(place.read_text(encoding="utf-8"))
    except OSError:
        raise UserInputError(f"{where} {folder}: no {OBJECT} in it; name a folder that nmmfit validate --out wrote") from None
    except ValueError as problem:
        raise UserInputError(f"{where} {folder}: {OBJECT} is broken ({problem})") from None
    try:
        found = {name: Validation.from_json(one) for name, one in given["experiments"].items()}
        known = {f.name: given["settings"][f.name] for f in fields(Settings)}
    except (TypeError, KeyError, AttributeError, ValueError) as problem:
        raise UserInputError(f"{where} {folder}: {OBJECT} was not written by this version ({problem})") from None
    for key, value in asdict(settings).items():
        theirs = tuple(known[key]) if isinstance(known[key], list) else known[key]
        if theirs != value:
            raise UserInputError(f"{where} {folder}: made with {key} = {_said(theirs)}, got {_said(value)}; both must be equal")
    return found


def _said(value: object) -> str:
    return " ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def draw(folder: Path, found: Iterable[Validation], formats: Sequence[str]) -> None:
    """Spectra of experiments, `<experiment>_<channel>`."""
    for v in found if formats else ():
        for name, figure in figures(v).items():
            save(figure, folder / name.replace(".", "_"), formats)


def write_folder(folder: Path, found: Mapping[str, Validation], settings: Settings, names: Sequence[str], made_by: str) -> None:
    """Write the JSON object and the page, with the pictures that are there.

    Args:
        folder: where to; it must exist.
        found: experiments, by name. `names`: all that there are, in the order of the page; others come last.
        settings: what they were made with.
        made_by: how the page was made, in Markdown.
    """
    order = [n for n in names if n in found] + [n for n in found if n not in names]
    all_of_them = [found[n] for n in order]
    suffix = settings.plots[0] if settings.plots else ""
    pictures = {n: [f"{stem}.{suffix}" for stem in stems_of(folder, n, order)] if suffix else [] for n in order}
    text = json.dumps(plain(payload(all_of_them, settings)), indent=1, allow_nan=False)
    write_text(folder / OBJECT, text + "\n")
    write_text(folder / PAGE, page(all_of_them, pictures, made_by).rstrip("\n") + "\n")


def renew(folder: Path, made: Sequence[Validation], settings: Settings, names: Sequence[str], where: str) -> None:
    """Put experiments that were done anew into a folder beside those that it holds; its page says how to do so again.

    Raises: UserInputError as `read_folder`; OutputError if something cannot be written.
    """
    found = read_folder(folder, settings, where) | {v.name: v for v in made}
    for v in made:
        for stem in stems_of(folder, v.name, found):
            for suffix in PICTURES:
                with failing_on(folder / stem):
                    (folder / f"{stem}{suffix}").unlink(missing_ok=True)
    draw(folder, made, settings.plots)
    write_folder(folder, found, settings, names, said_by(settings, found, names))


def said_by(settings: Settings, found: Iterable[str], names: Sequence[str]) -> str:
    """How a page was made, in Markdown: the command, and that for one experiment anew."""
    listed = set(found)
    given = () if listed == set(names) else tuple(n for n in (*names, *sorted(listed - set(names))) if n in listed)
    one = settings.command(("NAME",), " --update DIR")
    return f"Made by `{settings.command(given, ' --out DIR')}`, and one experiment of it anew by `{one}`."
