"""`check-experiment`: the contract of every experiment, checked for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nmmfit.cli.arguments import Json, Out
from nmmfit.cli.invocation import origin_of
from nmmfit.cli.output import add_row, emit, table

if TYPE_CHECKING:
    from rich.console import Console


def register(app: typer.Typer) -> None:
    """Add this verb to the program."""
    app.command("check-experiment", epilog="Example: nmmfit check-experiment borexino_phase2_limit")(check_experiment)


def check_experiment(
    ctx: typer.Context,
    experiment: Annotated[str, typer.Argument(metavar="NAME", help="Name of an experiment (nmmfit list experiments).")],
    as_json: Json = False,
    out: Out = None,
) -> None:
    """Check an experiment against the contract: package, shapes, counts, gradient, Standard Model, templates, speed."""
    from nmmfit import catalogue
    from nmmfit.cli.runtime import start_computing

    # Before JAX starts: a wrong name is answered at once.
    catalogue.distribution_of(experiment)
    start_computing()
    from nmmfit.contract import check_experiment as check
    from nmmfit.contract.result import ContractError

    report = check(experiment)

    def show(console: Console) -> None:
        made = table(f"Contract of {experiment} (from {report.distribution})", "check", "", "what was found")
        for part in report.checks:
            add_row(made, part.name, "passed" if part.passed else "FAILED", part.found)
        console.print(made)

    payload = {
        "experiment": experiment,
        "distribution": report.distribution,
        "passed": report.passed,
        "failed": report.failed,
        "checks": {part.name: {"passed": part.passed, "found": part.found} for part in report.checks},
        **{name: number for part in report.checks for name, number in part.numbers.items()},
    }
    emit("check-experiment", payload, as_json, out, show, origin=lambda: origin_of(ctx, experiments=[experiment]))
    if not report.passed:
        first = next(part for part in report.checks if not part.passed)
        raise ContractError(f"check-experiment {experiment}: failed: {', '.join(report.failed)}; {first.name}: {first.found}")
