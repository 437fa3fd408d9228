"""Prior sensitivity of a stored fit: its draws and priors, the fits that other priors ask for, tables and a picture."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from nmmfit.config import RunConfig, validate
from nmmfit.errors import UserInputError, unknown
from nmmfit.inference.kept_minima import Stores
from nmmfit.inference.minimise import Progress
from nmmfit.inference.prior_sensitivity import (
    WHY_NOT_FLAT,
    Alternative,
    PriorSensitivity,
    Reweighted,
    default_alternatives,
    digest_of,
    prior_sensitivity,
)
from nmmfit.kept import digest
from nmmfit.priors import PriorSpec
from nmmfit.results import adapter
from nmmfit.results.figure import BLACK, CYCLE, GREY, new_figure, save, style
from nmmfit.results.files import RUN_FILE
from nmmfit.results.store import KIND_ATTRIBUTE, draws_of, read_run
from nmmfit.results.tables import plain_table
from nmmfit.results.wording import common_scale, fixed, literal, number, quantity_label, unit_mathtext
from nmmfit.runfile import read_toml

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = 0.9
"""Height that the bars of one quantity share, in rows of the picture."""


@dataclass(frozen=True)
class StoredPosterior:
    """What a stored fit says about its coefficients.

    Attributes:
        folder: where it is stored.
        run_toml: its run file. `table`: that, parsed; `config`: what it means.
        priors: of the coefficients that were sampled, in their order.
        draws: coefficients, then identified quantities, name -> (chain, draw). `units`: of both.
    """

    folder: Path
    run_toml: str
    config: RunConfig
    table: Mapping[str, Any]
    priors: Mapping[str, PriorSpec]
    draws: Mapping[str, np.ndarray]
    units: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Digest of run file and draws: of everything that their weights depend on."""
        return digest([self.run_toml, digest_of(self.draws)])


def priors_of(config: RunConfig) -> dict[str, tuple[str, PriorSpec]]:
    """The user's parameters in a run, fixed ones included: name -> (key of the run file, prior)."""
    found: dict[str, tuple[str, PriorSpec]] = {}
    for name, spec in config.parameters.items():
        found[name] = (f"parameters.{name}.prior", spec.prior)
        if spec.phase is not None:
            found[f"{name}_phase"] = (f"parameters.{name}.phase", spec.phase)
    for name, prior in ({} if config.model is None else config.model.parameters).items():
        found[name] = (f"model.parameters.{name}", prior)
    return found


def stored_posterior(folder: Path | str) -> StoredPosterior:
    """Read what a fit left in its folder.

    Raises: UserInputError, one line: no such folder, not one of a fit, broken, or a fit without coefficients.
    """
    path = Path(folder)
    stored = read_run(path)
    table = read_toml(stored.run_toml, str(path / RUN_FILE))
    try:
        config = validate(table)
    except UserInputError as problem:
        raise UserInputError(f"{path / RUN_FILE}: {problem}") from None
    if "posterior" not in adapter.as_tree(stored.data).children:
        raise UserInputError(f"{path}: holds no posterior")
    variables = adapter.group(stored.data, "posterior")
    priors = {n: p for n, (_, p) in priors_of(config).items() if n in variables and not p.is_fixed}
    if not priors:
        raise UserInputError(f"{path}: no coefficient was free in this fit, so that there is no prior to change")
    identified = [str(n) for n in variables.data_vars if variables[n].attrs.get(KIND_ATTRIBUTE) == "identified"]
    names = [*priors, *identified]
    units = {n: str(variables[n].attrs.get("unit", "1")) for n in names}
    draws = draws_of(stored, path, names)
    for name, prior in priors.items():
        slack = 1e-9 * prior.width
        if np.min(draws[name]) < prior.support[0] - slack or np.max(draws[name]) > prior.support[1] + slack:
            raise UserInputError(f"{path}: draws of {name!r} lie outside of its prior {prior}; {RUN_FILE} is that of another fit")
    return StoredPosterior(path, stored.run_toml, config, table, priors, draws, units)


def given_alternative(posterior: StoredPosterior, text: str) -> Alternative:
    """The alternative that NAME={ family = numbers } stands for; several, with commas between, change together.

    Raises: UserInputError: not of that form, an unknown or fixed coefficient, or a prior that is none.
    """
    given = _parsed(text)
    known = priors_of(posterior.config)
    table: dict[str, Any] = {**posterior.table}
    for name, value in given.items():
        if name not in posterior.priors:
            if name in known:
                raise UserInputError(f"--prior {text!r}: {name} is held fixed in this fit; there are no draws of it")
            raise unknown("coefficient of this fit", name, posterior.priors, f"--prior {text!r}")
        table = _with(table, known[name][0].split("."), value)
    try:
        priors = priors_of(validate(table))
    except UserInputError as problem:
        raise UserInputError(f"--prior {text!r}: {problem}") from None
    changed = {name: priors[name][1] for name in given}
    return Alternative(", ".join(f"{name} ~ {prior}" for name, prior in changed.items()), changed)


def _parsed(text: str) -> dict[str, Any]:
    try:
        parsed = read_toml(f"x = {{ {text} }}")
    except UserInputError:
        parsed = {}
    inside = parsed.get("x")
    if not isinstance(inside, dict) or not inside or len(parsed) > 1:
        raise UserInputError(
            f"--prior {text!r}: expected NAME={{ family = numbers }}, such as 'L_dipole={{ normal = [0.0, 3e-8] }}'"
        )
    return inside


def _with(table: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """A copy of nested tables with one entry replaced."""
    inner = value if len(path) == 1 else _with(table[path[0]], path[1:], value)
    return {**table, path[0]: inner}


def sensitivity_of(
    posterior: StoredPosterior,
    given: Sequence[str] = (),
    cl: float = 0.90,
    progress: Progress | None = None,
    stores: Stores | None = None,
) -> PriorSensitivity:
    """How the intervals of a stored fit move: under the alternatives that are always tried, and under given ones.

    Args:
        posterior: what `stored_posterior` read.
        given: further alternatives, see `given_alternative`.
        cl: probability in the intervals.
        progress, stores: see `nmmfit.inference.prior_sensitivity.prior_sensitivity`.
    Raises: UserInputError, see `given_alternative`, or where there is no alternative, or one twice.
    """
    wanted = [*default_alternatives(posterior.priors), *(given_alternative(posterior, text) for text in given)]
    how = {"cl": cl, "units": posterior.units, "progress": progress, "stores": stores}
    return prior_sensitivity(posterior.draws, posterior.priors, wanted, adapter.pareto_smoothed, **how)  # type: ignore[arg-type]


def prior_text(prior: PriorSpec) -> str:
    """A prior as a run file has it, to the last digit."""
    numbers = ", ".join(map(repr, prior.numbers))
    return f"{{ {prior.family} = {numbers if len(prior.numbers) == 1 else f'[{numbers}]'} }}"


def command_of(posterior: StoredPosterior, alternative: Alternative) -> str:
    """The command line that fits with other priors."""
    known = priors_of(posterior.config)
    words = ["nmmfit", "fit", str(posterior.folder / RUN_FILE)]
    for name, prior in alternative.priors.items():
        words += ["--set", f"{known[name][0]}={prior_text(prior)}"]
    return shlex.join(words)


def sensitivity_json(posterior: StoredPosterior, found: PriorSensitivity) -> dict[str, Any]:
    """What `prior-sensitivity --json` prints, all but where it was written; JSON values only."""
    payload = found.to_json()
    for a in found.alternatives:
        payload["alternatives"][a.alternative.label]["command"] = command_of(posterior, a.alternative)
    return {"fit": str(posterior.folder), **payload, "why_not_flat": WHY_NOT_FLAT}


def sensitivity_tables(found: PriorSensitivity) -> RenderableType:
    """A table per alternative: intervals before and after, the ratio of their widths, k and what it says, for the terminal."""
    parts: list[RenderableType] = []
    for a in found.alternatives:
        parts += [_table(found, a), Text(_verdict(a)), Text("")]
    parts.append(Text(WHY_NOT_FLAT))
    return Group(*parts)


def remedies(posterior: StoredPosterior, found: PriorSensitivity) -> list[str]:
    """Lines about the alternatives that are not to be trusted: label, and the command line that fits with these priors."""
    untrusted = [a.alternative for a in found.alternatives if not a.trusted]
    return [f"{a.label}: instead of weights, fit with these priors:\n  {command_of(posterior, a)}" for a in untrusted]


def _table(found: PriorSensitivity, a: Reweighted) -> RenderableType:
    made = plain_table(escape(f"{a.alternative.label} ({100 * found.cl:g} % intervals)"))
    made.add_column("quantity", no_wrap=True)
    made.add_column("unit", no_wrap=True)
    for column in ("before", "after", "width after / before", "Pareto k"):
        made.add_column(column, justify="right", no_wrap=True)
    made.add_column("")
    said = "" if a.trusted else "not to be trusted"
    for name, before in found.before.items():
        after = a.intervals.get(name)
        scale = common_scale([*before, *(after or ())], found.units[name])
        shown = "-" if after is None else scale.interval(*after)
        row = (name, scale.unit, scale.interval(*before), shown, fixed(found.ratio(a, name), 2), number(a.k, 2), said)
        made.add_row(*map(escape, row))
    return made


def _verdict(a: Reweighted) -> str:
    if a.trusted:
        return f"Pareto k = {a.k:.2f} <= {a.largest_k:.2f}: to be trusted; worth {a.effective:.0f} draws of equal weight."
    return f"NOT to be trusted: {a.reason}."


def picture_height(quantities: int, alternatives: int) -> float:
    """Height in inches of the picture: a bar per prior and quantity, the axis and the legend."""
    count = 1 + alternatives
    return 0.17 * (count + 1) * quantities + 0.95 + 0.17 * count


def sensitivity_figure(found: PriorSensitivity) -> Figure:
    """Intervals of every quantity, a bar per prior, in units of the farther end of the interval before.

    What is not to be trusted is dotted; an alternative without weights has no bar.
    """
    names = list(found.before)
    count = 1 + len(found.alternatives)
    with style():
        figure = new_figure(6.6, picture_height(len(names), len(found.alternatives)))
        axes = figure.subplots()
        largest = 1.0
        for row, name in enumerate(names):
            unit = max(map(abs, found.before[name])) or 1.0
            for place, (ends, colour, line) in enumerate(_bars(found, name)):
                y = row + ROW * ((place + 0.5) / count - 0.5)
                if ends is not None:
                    low, high = ends[0] / unit, ends[1] / unit
                    largest = max(largest, abs(low), abs(high))
                    axes.plot((low, high), (y, y), color=colour, linestyle=line, linewidth=1.8, marker="|", markersize=5)
        axes.set_xlim(-1.08 * largest, 1.08 * largest)
        axes.axvline(0.0, color=GREY, alpha=0.6, linewidth=0.6)
        for row in range(1, len(names)):
            axes.axhline(row - 0.5, color=GREY, alpha=0.4, linewidth=0.6)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_yticks(range(len(names)), [_row_label(found, n) for n in names], fontsize=9)
        axes.tick_params(axis="y", which="both", left=False, right=False)
        axes.set_xlabel("value, in units of the farther end of the interval before", fontsize=10)
        _legend(figure, found)
    return figure


def _bars(found: PriorSensitivity, name: str) -> list[tuple[tuple[float, float] | None, str, str]]:
    """(ends, colour, line style) of the bars of a quantity, the priors of the fit first."""
    bars: list[tuple[tuple[float, float] | None, str, str]] = [(found.before[name], BLACK, "-")]
    for k, a in enumerate(found.alternatives):
        bars.append((a.intervals.get(name), CYCLE[k % len(CYCLE)], "-" if a.trusted else ":"))
    return bars


def _row_label(found: PriorSensitivity, name: str) -> str:
    size = max(map(abs, found.before[name]))
    scale = common_scale([size], found.units[name])
    unit = unit_mathtext(scale.unit)
    times = r" $\times$ " if unit.startswith("$10") else " "
    return f"{quantity_label(name)}\n1 = {number(size / scale.factor)}{times}{unit}".rstrip()


def _legend(figure: Figure, found: PriorSensitivity) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=BLACK, linewidth=1.8, label="priors of the fit")]
    for k, a in enumerate(found.alternatives):
        label = a.alternative.label if len(a.alternative.label) <= 60 else f"{a.alternative.label[:57]}..."
        said = f"k = {a.k:.2f}" if a.intervals else "no weights"
        label = f"{literal(label)} ({said}{'' if a.trusted else ', not to be trusted'})"
        handles.append(
            Line2D([], [], color=CYCLE[k % len(CYCLE)], linestyle="-" if a.trusted else ":", linewidth=1.8, label=label)
        )
    figure.legend(handles=handles, loc="outside upper center", title=f"{100 * found.cl:g} % intervals", fontsize=8)


def write_sensitivity(folder: Path, found: PriorSensitivity) -> list[Path]:
    """Draw and save the picture as prior_sensitivity.png and prior_sensitivity.pdf. Raises: OutputError."""
    return save(sensitivity_figure(found), folder / "prior_sensitivity")
