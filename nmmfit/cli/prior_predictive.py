"""`fit --prior-predictive`: what the priors predict, without a posterior."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmmfit.checks import whole_number
from nmmfit.cli.output import emit, note
from nmmfit.cli.progress import counting_bar
from nmmfit.errors import UserInputError
from nmmfit.results.jsonable import plain

if TYPE_CHECKING:
    from nmmfit.results.files import RunFolder
    from nmmfit.run import Run


def checked_draws(draws: int | None, others: dict[str, object]) -> None:
    """Raises: UserInputError for options that only a posterior has, and for too few draws."""
    given = [f"--{name}" for name, value in others.items() if value is not None]
    if given:
        raise UserInputError(f"--prior-predictive: no posterior is sampled; leave out {', '.join(given)}")
    if draws is not None:
        from nmmfit.results.prior_predictive import LEAST_DRAWS

        whole_number(draws, "--draws", LEAST_DRAWS)


def prior_predictive_into(
    chosen: Run, folder: RunFolder, draws: int | None, plots: bool, as_json: bool, device: str | None = None
) -> None:
    """Draw from the priors, write what they predict, and print it."""
    from nmmfit.results.files import RUN_FILE

    with folder:
        from nmmfit.cli.runtime import start_computing

        start_computing(device)
        from nmmfit.results.figure import save
        from nmmfit.results.prior_predictive import (
            DRAWS,
            predictions_json,
            predictions_table,
            prior_predictions,
            prior_predictive_figure,
        )
        from nmmfit.results.provenance import made_by
        from nmmfit.results.store import json_text

        joint = chosen.joint()
        seed = chosen.config.sampler.seed
        with counting_bar("prior") as advance:
            found = prior_predictions(joint, DRAWS if draws is None else draws, seed, advance)
        made = {"draws": DRAWS if draws is None else draws, "seed": seed, "theory": joint.choices, "provenance": made_by(seed)}
        payload = plain({**predictions_json(found), **made})
        folder.write_text("prior_predictive.json", json_text(payload))
        folder.write_text(RUN_FILE, chosen.to_toml())
        if plots:
            save(prior_predictive_figure(found), folder.path / "prior_predictive")
        place = folder.publish()
    emit("fit", {**payload, "out": str(place)}, as_json, None, lambda console: console.print(predictions_table(found)))
    note(f"wrote {place}")
