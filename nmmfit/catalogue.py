"""Finds experiments by name: the folders of the `likelihoods` package beside nmmfit, then entry points `nmmfit.likelihoods`.

An experiment is a module with `build(theory=..., **options)` that returns a BinnedExperiment, a pydantic model `Options`
of the options that `build` takes, and `LISTING`, what a listing says about it (`nmmfit.listing`). In the `likelihoods` folder
every package whose name does not begin with an underscore is one; `LEFT_OUT` there names experiments that were meant to be and
why they are not. Listing names and summaries imports none of them. An installed package that cannot be imported, or whose `build`
raises, concerns those only who name its experiment: they get one line that names it and its distribution.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nmmfit.entry_points import at, check_built, described, distribution, reported, source_of
from nmmfit.errors import UserInputError, unknown
from nmmfit.listing import Listing, listing_of

if TYPE_CHECKING:
    from nmmfit.experiment import BinnedExperiment, TheoryChoices

PACKAGE = "likelihoods"
GROUP = "nmmfit.likelihoods"


@dataclass(frozen=True)
class Entry:
    """An experiment as it is listed: its name, one line of what it is, the distribution it comes from, and its LISTING.

    `listing` is None for an experiment of another distribution that has none, or whose source cannot be read.
    """

    name: str
    summary: str
    origin: str
    listing: Listing | None = None


def names() -> tuple[str, ...]:
    """Names of all experiments, our own first, each part sorted."""
    own = _own_names()
    return own + tuple(sorted(set(_registered()) - set(own)))


def entries() -> tuple[Entry, ...]:
    """What can be said about every experiment without importing it."""
    own = _own_names()
    listed = [_own_entry(name) for name in own]
    for name, point in sorted(_registered().items()):
        if name not in own:
            listed.append(_installed_entry(point))
    return tuple(listed)


def problems() -> dict[str, str]:
    """Installed experiments that cannot be used, name -> why. Imports every installed experiment, none of ours.

    One that bears the name of an experiment of ours is called by its distribution, too.
    """
    own = _own_names()
    found = {}
    for name, point in sorted(_registered().items()):
        if name in own:
            found[f"{name} ({distribution(point)})"] = (
                f"{described(point)} bears the name of an experiment of nmmfit, which is used"
            )
            continue
        try:
            load(name)
            _told(source_of(point.module))
        except UserInputError as problem:
            found[name] = str(problem)
    return found


def names_in_all() -> tuple[str, ...]:
    """Names of the experiments that "all" means: our own, but for those whose LISTING says otherwise, and installed ones."""
    return tuple(entry.name for entry in entries() if entry.listing is None or entry.listing.in_all)


def digitised(names: Collection[str]) -> frozenset[str]:
    """Those of some experiments whose listing says that their data were read from figures or by third parties."""
    return frozenset(e.name for e in entries() if e.name in names and e.listing is not None and e.listing.kind == "digitised")


def left_out() -> dict[str, str]:
    """Experiments that are not there, name -> why: mostly a number without a source."""
    tree = ast.parse((_own_folder() / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["LEFT_OUT"]:
            return dict(ast.literal_eval(node.value))
    return {}


def no_such_experiment(name: str, where: str = "") -> UserInputError:
    """The error about a name that is not an experiment's: the nearest match, or why that experiment is left out."""
    reason = left_out().get(name)
    if reason is None:
        return unknown("experiment", name, names(), where)
    return UserInputError(f"{where}: " * bool(where) + f"experiment {name!r} is left out: {reason}")


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
        raise no_such_experiment(name, where)
    # What a package prints while it is imported must not get between what a verb prints.
    with reported(registered[name], "imported", where), contextlib.redirect_stdout(sys.stderr):
        module: ModuleType = registered[name].load()
    if not callable(getattr(module, "build", None)):
        raise UserInputError(f"{at(where)}{described(registered[name])} has no function build")
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
    with reported(point, "built", where):
        built = module.build(**chosen, **given)
    check_built(built, name, f"{at(where)}{described(point)}")
    return built


def distribution_of(name: str) -> str:
    """Name of the distribution that an experiment comes from. Raises: UserInputError if there is no such experiment."""
    if name in _own_names():
        return "nmmfit"
    registered = _registered()
    if name not in registered:
        raise no_such_experiment(name)
    return distribution(registered[name])


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


def _own_entry(name: str) -> Entry:
    summary, listing = _told(_own_folder() / name / "__init__.py")
    return Entry(name, summary, "nmmfit", listing)


def _installed_entry(point: EntryPoint) -> Entry:
    path = source_of(point.module)
    try:
        summary, listing = _told(path)
    except UserInputError:
        summary, listing = "", None
    return Entry(point.name, summary, distribution(point), listing)


def _told(path: Path | None) -> tuple[str, Listing | None]:
    """First line of a module's docstring and its LISTING, read without running the module.

    Raises: UserInputError for a LISTING that is none.
    """
    try:
        source = path.read_text(encoding="utf-8") if path is not None else ""
        summary = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
    except (SyntaxError, ValueError):
        return "", None
    return summary, listing_of(source, f"{path.parent.name}/{path.name}" if path is not None else "")


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
