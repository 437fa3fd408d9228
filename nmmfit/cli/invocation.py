"""What the user asked for, in a form that is stored beside the results and can be asked for again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from nmmfit.results.files import RunFolder
    from nmmfit.results.resumable import ResumableFolder
    from nmmfit.run import Run

# Where results are computed, where they go and how they are shown does not change them, but for the rounding of a device, which
# stands in their provenance; the run file is stored as it was used.
_LEFT_OUT = ("out", "as_json", "run", "cluster", "device")


def origin_of(ctx: typer.Context, run: Run | None = None, experiments: Iterable[str] = ()) -> dict[str, Any]:
    """How the results of a verb are made, for the manifest of their folder: JSON values.

    Args:
        ctx: of the verb, as the parser made it.
        run: the run, for verbs that have one.
        experiments: what the results rest on, for verbs that have no run.
    Returns: "verb", "options" (name -> value, without folders to write to), "arguments" (the words of a command line that say the
        same), "run" (hash of the run; null for none), and what `nmmfit.results.origin.made_with` says.
    """
    from nmmfit.results.origin import made_with

    options = {name: _plain(value) for name, value in ctx.params.items() if name not in _LEFT_OUT}
    names = run.config.experiments if run is not None else experiments
    return {
        "verb": " ".join(ctx.command_path.split()[1:]),
        "options": options,
        "arguments": words_of(ctx, options),
        "run": run.hash if run is not None else None,
        **made_with(names),
    }


def results_folder(ctx: typer.Context, out: Path | None, run: Run | None = None, experiments: Iterable[str] = ()) -> RunFolder:
    """The folder of a verb's results, whose manifest says how they are made; see `RunFolder` and `origin_of`."""
    from nmmfit.results.files import RunFolder

    return RunFolder(out, origin_of(ctx, run, experiments))


def resumable_folder(
    ctx: typer.Context,
    out: Path | None,
    run: Run | None = None,
    experiments: Iterable[str] = (),
    begun: Mapping[str, Any] | None = None,
) -> ResumableFolder:
    """As `results_folder`, for a verb that `nmmfit resume` can go on with: one in the table of nmmfit/cli/resume.py.

    `begun`: what else is noted of what was begun, beside a run; JSON values.
    """
    from nmmfit.results.resumable import ResumableFolder

    if run is None:
        return ResumableFolder(out, origin_of(ctx, None, experiments), None)
    return ResumableFolder(out, origin_of(ctx, run), run.to_toml(), {"source": run.source, **(begun or {})})


def _plain(value: Any) -> Any:
    """An option's value as JSON has it."""
    if isinstance(value, Path):
        return str(value)
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def words_of(ctx: typer.Context, options: Mapping[str, Any]) -> list[str]:
    """Options that differ from their defaults, as words of a command line; positional ones last, behind "--"."""
    words: list[str] = []
    positional: list[str] = []
    for parameter in ctx.command.params:
        name = str(parameter.name)
        value = options.get(name)
        if name not in options or value is None or value == _plain(parameter.get_default(ctx)):
            continue
        if parameter.param_type_name == "argument":
            positional += [str(v) for v in (value if isinstance(value, list) else [value])]
        elif isinstance(value, bool):
            words.append(str((parameter.opts if value else parameter.secondary_opts)[0]))
        else:
            words += [f"{parameter.opts[0]}={v}" for v in (value if isinstance(value, list) else [value])]
    return [*words, *(["--", *positional] if positional else [])]
