"""Finds experiments by name: the folders of the `likelihoods` package beside nmmfit, then entry points `nmmfit.likelihoods`.

An experiment is a module with `build(theory=..., **options)` that returns a BinnedExperiment, and a pydantic model `Options`
of the options that `build` takes. In the `likelihoods` folder every package whose name does not begin with an underscore is one.
Listing names and summaries imports none of them. An installed package that cannot be imported, or whose `build` raises, concerns
those only who name its experiment: they get one line that names it and its distribution.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nmmfit.errors import NmmfitError, UserInputError, unknown

if TYPE_CHECKING:
    from nmmfit.experiment import BinnedExperiment, TheoryChoices

PACKAGE = "likelihoods"
GROUP = "nmmfit.likelihoods"


@dataclass(frozen=True)
class Entry:
    """An experiment as it is listed: its name, one line of what it is, and the distribution it comes from."""

    name: str
    summary: str
    origin: str


def names() -> tuple[str, ...]:
    """Names of all experiments, our own first, each part sorted."""
    own = _own_names()
    return own + tuple(sorted(set(_registered()) - set(own)))


def entries() -> tuple[Entry, ...]:
    """What can be said about every experiment without importing it."""
    own = _own_names()
    listed = [Entry(name, _first_line(_own_folder() / name / "__init__.py"), "nmmfit") for name in own]
    for name, point in sorted(_registered().items()):
        if name not in own:
            path = _source(point.module)
            listed.append(Entry(name, _first_line(path) if path is not None else "", _distribution(point)))
    return tuple(listed)


def problems() -> dict[str, str]:
    """Installed experiments that cannot be used, name -> why. Imports every installed experiment, none of ours."""
    own = _own_names()
    found = {}
    for name, point in sorted(_registered().items()):
        if name in own:
            found[name] = f"{_described(point)} bears the name of an experiment of nmmfit, which is used"
            continue
        try:
            load(name)
        except UserInputError as problem:
            found[name] = str(problem)
    return found


def load(name: str, where: str = "") -> ModuleType:
    """Import the module of an experiment.

    Args:
        name: one of `names()`.
        where: the place that names it, for the error message.
    Raises: UserInputError if there is no such experiment, or it cannot be imported.
    """
    if name in _own_names():
        with _own_package():
            return importlib.import_module(f"{PACKAGE}.{name}")
    registered = _registered()
    if name not in registered:
        raise unknown("experiment", name, names(), where)
    # What a package prints while it is imported must not get between what a verb prints.
    with _reported(registered[name], "imported", where), contextlib.redirect_stdout(sys.stderr):
        module: ModuleType = registered[name].load()
    if not callable(getattr(module, "build", None)):
        raise UserInputError(f"{_at(where)}{_described(registered[name])} has no function build")
    return module


def build(
    name: str, theory: TheoryChoices | None = None, options: Mapping[str, Any] | None = None, where: str = ""
) -> BinnedExperiment:
    """Build an experiment: read its tables and fold its kernels.

    Args:
        name: one of `names()`.
        theory: the named choices of theory; None: their defaults.
        options: the experiment's own options, a run file's [options.NAME].
        where: the place that names the experiment, for error messages.
    Raises: UserInputError for an unknown experiment or option, with the place, and for an installed one that cannot be built.
    """
    module = load(name, where)
    given = dict(options or {})
    _check_options(module, given, f"options.{name}")
    chosen = {} if theory is None else {"theory": theory}
    if name in _own_names():
        with _own_package():
            return module.build(**chosen, **given)
    point = _registered()[name]
    with _reported(point, "built", where):
        built = module.build(**chosen, **given)
    _check_built(built, name, f"{_at(where)}{_described(point)}")
    return built


def distribution_of(name: str) -> str:
    """Name of the distribution that an experiment comes from. Raises: UserInputError if there is no such experiment."""
    if name in _own_names():
        return "nmmfit"
    registered = _registered()
    if name not in registered:
        raise unknown("experiment", name, names())
    return _distribution(registered[name])


def folder_of(name: str) -> Path | None:
    """The folder that holds the code and tables of an experiment; None for one that is registered by another distribution.

    Raises: UserInputError if there is no such experiment.
    """
    if name in _own_names():
        return _own_folder() / name
    load(name)
    return None


def _check_options(module: ModuleType, given: dict[str, Any], where: str) -> None:
    from pydantic import ValidationError

    from nmmfit.validation import user_error

    model = getattr(module, "Options", None)
    if model is None:
        if given:
            raise UserInputError(f"{where}: this experiment takes no options, got {', '.join(sorted(given))}")
        return
    if "theory" in given:
        raise unknown("key", "theory", model.model_fields, where)
    try:
        model.model_validate(given)
    except ValidationError as problem:
        raise user_error(problem, where, model) from None


def _own_folder() -> Path:
    return Path(__file__).resolve().parent.parent / PACKAGE


def _own_names() -> tuple[str, ...]:
    found = (path.parent.name for path in _own_folder().glob("*/__init__.py"))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def _registered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module


def _described(point: EntryPoint) -> str:
    """An installed experiment in words: its name, the module and the distribution that it comes from."""
    return f"experiment {point.name!r} ({point.value}, distribution {_distribution(point)!r})"


def _at(where: str) -> str:
    return f"{where}: " if where else ""


@contextmanager
def _reported(point: EntryPoint, done: str, where: str) -> Iterator[None]:
    """Turn whatever somebody else's code raises into one line that names the experiment and its distribution."""
    try:
        yield
    except NmmfitError as problem:
        raise type(problem)(f"{_at(where)}{_described(point)}: {problem}") from problem
    except (Exception, SystemExit) as problem:
        text = " ".join(str(problem).split())
        said = f"{type(problem).__name__}: {text}" if text else type(problem).__name__
        raise UserInputError(f"{_at(where)}{_described(point)} cannot be {done}: {said}") from problem


def _check_built(built: Any, name: str, described: str) -> None:
    """Refuse what is not an experiment of that name. Raises: UserInputError."""
    from nmmfit.experiment import BinnedExperiment

    if not isinstance(built, BinnedExperiment):
        raise UserInputError(f"{described}: build() returned {type(built).__name__}, expected BinnedExperiment")
    if built.name != name:
        raise UserInputError(f"{described}: build() made an experiment named {built.name!r}; both names must be the same")


def _source(module: str) -> Path | None:
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


def _first_line(path: Path) -> str:
    """First line of a module's docstring, read without running the module; empty for a module that is no Python."""
    try:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    except (SyntaxError, ValueError):
        return ""
    return text.partition("\n")[0]


@contextmanager
def _own_package() -> Iterator[None]:
    """Have `likelihoods` in sys.modules mean the folder beside nmmfit, whatever else bears that name.

    A folder of the user's in the working directory comes first on the path, and may even be imported already; in that case
    it is put back afterwards.
    """
    folder = str(_own_folder())
    current = sys.modules.get(PACKAGE)
    if current is not None and folder in [str(Path(p).resolve()) for p in getattr(current, "__path__", [])]:
        yield
        return
    foreign = _take_out()
    spec = PathFinder.find_spec(PACKAGE, [str(_own_folder().parent)])
    if spec is None or spec.loader is None:
        raise UserInputError(f"this installation has no {PACKAGE!r} package beside nmmfit ({folder})")
    package = module_from_spec(spec)
    sys.modules[PACKAGE] = package
    try:
        spec.loader.exec_module(package)
        yield
    finally:
        if foreign:
            _take_out()
            sys.modules.update(foreign)


def _take_out() -> dict[str, ModuleType]:
    """Remove `likelihoods` and its submodules from sys.modules; what was removed."""
    found = [name for name in sys.modules if name == PACKAGE or name.startswith(f"{PACKAGE}.")]
    return {name: sys.modules.pop(name) for name in found}
