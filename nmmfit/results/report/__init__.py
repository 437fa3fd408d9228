"""One self-contained page (HTML) about a folder of results: what was asked, what came out, how far to trust it, what to cite."""

from __future__ import annotations

from pathlib import Path

from nmmfit.results.report.calibration import calibration_document
from nmmfit.results.report.document import Document
from nmmfit.results.report.fisher import fisher_document
from nmmfit.results.report.fit import fit_document
from nmmfit.results.report.impacts import impacts_document
from nmmfit.results.report.leave_out import leave_out_document
from nmmfit.results.report.limits import limits_document
from nmmfit.results.report.prior_predictive import prior_predictive_document
from nmmfit.results.report.prior_sensitivity import prior_sensitivity_document
from nmmfit.results.report.profile import profile_document
from nmmfit.results.report.render import html
from nmmfit.results.report.scan import scan_document
from nmmfit.results.report.tension import tension_document
from nmmfit.results.report.tighten import tighten_document
from nmmfit.results.report.toys import toys_document
from nmmfit.results.report.validation import validation_document
from nmmfit.results.written import Results, read_results

_MAKERS = {
    "fit": fit_document,
    "limits": limits_document,
    "profile": profile_document,
    "scan": scan_document,
    "validate": validation_document,
    "tension": tension_document,
    "impacts": impacts_document,
    "leave-one-out": leave_out_document,
    "fisher": fisher_document,
    "tighten": tighten_document,
    "toys": toys_document,
    "prior-sensitivity": prior_sensitivity_document,
    "calibrate": calibration_document,
    "fit --prior-predictive": prior_predictive_document,
}


def make_document(results: Results) -> Document:
    """The report of results that were read, as plain tables, sentences and pictures."""
    return _MAKERS[results.kind](results)


def page_of(folder: Path | str) -> str:
    """The page about a folder that one of these verbs wrote, as HTML.

    The same folder and the same installed experiments give the same bytes.

    Raises: UserInputError, one line, for a folder of another kind or a file that is missing or broken.
    """
    return html(make_document(read_results(folder)))
