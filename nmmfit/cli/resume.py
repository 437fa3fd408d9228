"""`resume`: go on with what was interrupted, to the same result.

A verb can be gone on with if it

- opens `resumable_folder(ctx, out, run)` in place of `results_folder`;
- computes and publishes within `with going_on_later(folder, ...)`, its pieces by
  `run_chunks(folder.store("pieces", {"cl": cl}), n, compute, progress)`, which skips those that are done, its draws by
  `sample_run(run, joint, checkpoint=checkpoint_in(folder, run))`;
- has an entry in `GO_ON`, which calls the same function with `again.run`, `again.folder` and `again.options`.

What determines a store's chunks beside run file, program and tables is the second argument of `store`: the verb's own options.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmmfit.cli import calibrate, fisher, fit, leave_out, limits, prior_sensitivity, scan, tighten, together, toys, validate
from nmmfit.cli.arguments import Json
from nmmfit.cli.cluster import Cluster
from nmmfit.cli.device import Device
from nmmfit.cli.go_on import Unfinished
from nmmfit.cli.output import emit
from nmmfit.cli.where import Where
from nmmfit.errors import UserInputError, unknown

if TYPE_CHECKING:
    from nmmfit.results.resumable import ResumableFolder
    from nmmfit.run import Run

GO_ON: Mapping[str, Callable[[Unfinished, bool], None]] = {
    "fit": fit.go_on,
    "limits": limits.go_on,
    "leave-one-out": leave_out.go_on,
    "validate": validate.go_on,
    "scan": scan.go_on,
    "toys": toys.go_on,
    "calibrate": calibrate.go_on,
    "tension": together.go_on_with_tension,
    "tighten": tighten.go_on,
    "profile": limits.go_on_with_profile,
    "impacts": together.go_on_with_impacts,
    "fisher": fisher.go_on,
    "prior-sensitivity": prior_sensitivity.go_on,
}
"""Verb -> what goes on with it: called with what was begun, and whether to print JSON."""

ON_CLUSTERS = ("scan", "toys", "calibrate", "validate", "tension", "leave-one-out")
"""Verbs that take --cluster."""


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command(epilog="Example: nmmfit resume my-fit")(resume)


def resume(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a computation that was interrupted.")],
    cluster: Cluster = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Go on with an interrupted computation; its results are those of one that nothing stopped."""
    from nmmfit.results.files import is_begun
    from nmmfit.results.manifest import MANIFEST
    from nmmfit.results.resumable import ResumableFolder, read_begun

    if not is_begun(folder) and (folder / MANIFEST).is_file():
        said = f"{folder}: finished; there is nothing to resume"
        payload = {"finished": True, "out": str(folder)}
        emit("resume", payload, as_json, None, lambda console: console.print(said, markup=False))
        return
    again = read_begun(folder)
    run = _same_run(folder, again)
    verb = again["origin"].get("verb")
    if verb not in GO_ON:
        raise unknown("verb to go on with", verb, GO_ON, str(folder))
    options = again["origin"].get("options")
    if not isinstance(options, dict):
        raise UserInputError(f"{folder}: the record of what was begun is broken: it names no options")
    if cluster is not None and verb not in ON_CLUSTERS:
        raise UserInputError(f"--cluster: {verb} does not compute on a cluster ({', '.join(ON_CLUSTERS)} do)")
    opened: ResumableFolder = ResumableFolder.reopen(folder)
    # An option that may be repeated stands in the record as an empty list where it was not given, which reaches verbs as None.
    options = {name: None if value == [] else value for name, value in options.items()}
    GO_ON[verb](Unfinished(verb, run, options, opened, Where(cluster, device)), as_json)


def _same_run(folder: Path, begun: Mapping[str, Any]) -> Run | None:
    """The run that was begun, if it can be gone on with: with this version, these tables, that run file.

    Raises: UserInputError saying what differs.
    """
    from nmmfit.results.files import RUN_FILE
    from nmmfit.results.manifest import CHECKPOINT
    from nmmfit.results.origin import differences, made_with
    from nmmfit.run import parse_run

    path = folder / CHECKPOINT / RUN_FILE
    advice = "start anew, or go on with what it was begun with"
    then = begun["origin"]
    # Before the run file is read: another version may not know its keys.
    _refuse([d for d in differences(then, made_with()) if d.startswith("nmmfit ")], folder, advice)
    run = None
    if then.get("run") is not None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            raise UserInputError(f"{path}: {getattr(problem, 'strerror', None) or 'not UTF-8 text'}") from None
        run = parse_run(text, str(path))
        if run.hash != then["run"]:
            raise UserInputError(f"{path}: not the run file that was begun with; {advice}")
        run = replace(run, source=str(begun.get("source") or path))
    names = run.config.experiments if run is not None else then.get("experiments") or ()
    _refuse(differences(then, made_with(names)), folder, advice)
    return run


def _refuse(changed: list[str], folder: Path, advice: str) -> None:
    if changed:
        more = f", and {len(changed) - 2} more" if len(changed) > 2 else ""
        raise UserInputError(f"{folder}: begun with something else: {', '.join(changed[:2])}{more}; {advice}")
