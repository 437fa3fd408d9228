"""A run: a checked run file, where it came from, and the likelihood it describes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmmfit import catalogue
from nmmfit.config import RunConfig, validate
from nmmfit.errors import UserInputError
from nmmfit.runfile import read_toml, with_overrides, write_toml

if TYPE_CHECKING:
    from nmmfit.inference.joint import JointLikelihood

DEFAULT_SOURCE = "default run"


@dataclass(frozen=True)
class Run:
    """A checked run.

    `text` is the run file as written, `source` its path ("default run" for the embedded one), `overrides` the KEY=VALUE
    changes made to it; `config` is what results, and `hash` identifies it.
    """

    config: RunConfig
    text: str
    source: str = DEFAULT_SOURCE
    overrides: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 of the configuration; equal for run files that mean the same."""
        return self.config.hash

    def to_toml(self) -> str:
        """A run file that gives this run again: the text as written where nothing was overridden, else every key in full."""
        if not self.overrides:
            return self.text
        return write_toml(self.config.model_dump(mode="json", exclude_none=True))

    def joint(self, method: str = "templates") -> JointLikelihood:
        """Build the joint likelihood; imports JAX.

        Args:
            method: "templates" (fast) or "direct" (quadrature at every point).
        Raises: UserInputError if an option of an experiment or a pull does not exist, if a parameter bears the name of an
            identified quantity, or if JAX runs in 32-bit.
        """
        from nmmfit.inference.joint import JointLikelihood
        from nmmfit.precision import require_double_precision

        require_double_precision()
        joint = JointLikelihood.from_config(self.config, method=method)
        for quantity in joint.identified:
            if quantity.name in self.config.parameters:
                raise UserInputError(
                    f"parameters.{quantity.name}: this is the name of an identified quantity; choose another one"
                )
        joint.recipe = _joint_of, (self.to_toml(), method)
        return joint


@lru_cache(maxsize=2)
def _joint_of(text: str, method: str) -> JointLikelihood:
    """The joint likelihood of a run file's text, the same object for the same text: what was compiled for one serves all."""
    return parse_run(text).joint(method)


def parse_run(text: str, source: str = DEFAULT_SOURCE, overrides: Iterable[str] = ()) -> Run:
    """A run from the text of a run file.

    Args:
        text: TOML.
        source: what errors call the file.
        overrides: `KEY=VALUE` changes, in order.
    Raises: UserInputError, one line with the path of the key.
    """
    changes = overrides if isinstance(overrides, str | Mapping) else tuple(overrides)
    table = read_toml(text, source)
    try:
        config = _checked(with_overrides(table, changes))
    except UserInputError as problem:
        if source == DEFAULT_SOURCE or not _stands_without(table, str(problem)):
            raise
        raise UserInputError(f"{source}: {problem}") from None
    return Run(config=config, text=text, source=source, overrides=tuple(changes))


def _checked(table: Mapping[str, Any]) -> RunConfig:
    """The configuration of a parsed run file whose experiments all exist."""
    config = validate(table)
    known = catalogue.names()
    for index, name in enumerate(config.experiments):
        if name not in known:
            raise catalogue.no_such_experiment(name, f"experiments[{index}]")
    return config


def _stands_without(table: Mapping[str, Any], problem: str) -> bool:
    """Whether the file alone has this problem, so that no override is to blame for it."""
    try:
        _checked(table)
    except UserInputError as found:
        return str(found) == problem
    return False


def load_run(path: str | Path, overrides: Iterable[str] = ()) -> Run:
    """A run from a TOML file.

    Raises: UserInputError if the file cannot be read or is wrong.
    """
    try:
        # Some editors begin a file with a byte-order mark, which is no part of it.
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as problem:
        reason = "not UTF-8 text" if isinstance(problem, UnicodeDecodeError) else getattr(problem, "strerror", None) or problem
        raise UserInputError(f"run file {_short(str(path))!r}: {reason}") from None
    return parse_run(text, str(path), overrides)


def _short(path: str) -> str:
    """A path on one line of reasonable length."""
    return path if len(path) <= 200 else f"{path[:97]}...{path[-100:]}"


def default_run(overrides: Iterable[str] = ()) -> Run:
    """The embedded run: four flavour-universal coefficients at m_W, Borexino Phase-II and COHERENT CsI."""
    return parse_run(default_run_text(), DEFAULT_SOURCE, overrides)


def default_run_text() -> str:
    """The embedded run file, with its comments."""
    return (files("nmmfit") / "data" / "default_run.toml").read_text(encoding="utf-8")
