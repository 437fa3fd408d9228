"""The report of a simulation-based calibration."""

from __future__ import annotations

import numpy as np

from nmmfit.inference.calibration import ESS_PER_DRAW, LEVEL, MOST_FAILED, R_HAT, Calibration, Ranked
from nmmfit.inference.calibration_chunks import LOG_LIKELIHOOD
from nmmfit.results.calibration import BAND, ecdf_figure, rank_figure, shown
from nmmfit.results.report.asked import asked_section, made_facts, provenance_section
from nmmfit.results.report.document import Document, Picture, Section, Table, table
from nmmfit.results.report.pictures import drawn
from nmmfit.results.report.references import asked_of
from nmmfit.results.report.stored_calibration import stored_calibration
from nmmfit.results.wording import fixed, number, quantity_words, sentence, typeset, unit_text
from nmmfit.results.written import Results

METHOD = (
    ("arXiv:1804.06788", "simulation-based calibration"),
    ("arXiv:2211.02383", "test quantity that depends on the data"),
    ("arXiv:2103.10522", "simultaneous bands of ranks"),
)
WITH_OBSERVED = (("arXiv:2502.03279", "calibration at the posterior of the observed data"),)
MOST_NAMED = 3
"""Quantities that the verdict names; the rest is counted."""
ENDS = (5.0, 95.0)
"""Percentiles of the truths in the table."""


def calibration_document(results: Results) -> Document:
    """The report of a folder that `calibrate` wrote."""
    found = stored_calibration(results)
    posterior = found.truths == "posterior"
    experiments, cited, bibtex = asked_of(results.run, (*METHOD, *(WITH_OBSERVED if posterior else ())))
    where = "the posterior of the observed data" if posterior else "the prior"
    question = (
        f"Truths were drawn from {where}, data were simulated from them, and the posterior of these data was sampled: does it "
        "contain the truth as often as it says?"
    )
    sections = (
        asked_section(results, experiments, question),
        Section("What came out", _explained(found), tables=(_table(found),), pictures=_pictures(found)),
        _conventions(found),
        _diagnostics(found),
        provenance_section(results, made_facts(results.payload.get("provenance"))),
        cited,
    )
    title = f"Calibration of the posterior of {', '.join(results.run.experiments) or 'the priors alone'}"
    return Document("calibrate", title, _answer(found), found.calibrated, _verdict(found), sections, bibtex)


def _bad(found: Calibration) -> list[Ranked]:
    """Quantities whose ranks are not uniform, the worst first."""
    return sorted((q for q in found.quantities.values() if not q.calibrated), key=lambda q: q.p_value)


def _words(q: Ranked) -> str:
    return "log likelihood of the data" if q.name == LOG_LIKELIHOOD else quantity_words(q.name)


def _verdict(found: Calibration) -> str:
    bad, problems = _bad(found), []
    if found.failed > MOST_FAILED * found.simulations:
        problems.append(f"{found.failed} of {found.simulations} posteriors could not be sampled well enough")
    if bad:
        more = f" and {len(bad) - MOST_NAMED} more" if len(bad) > MOST_NAMED else ""
        problems.append(f"ranks are not uniform: {', '.join(_words(q) for q in bad[:MOST_NAMED])}{more}")
    if problems:
        return f"NOT calibrated: {'; '.join(problems)}."
    return f"Calibrated: the ranks of {_all(found)} pass for uniform."


def _all(found: Calibration) -> str:
    n = len(found.quantities)
    return f"all {n} quantities" if n > 1 else "the only quantity"


def _answer(found: Calibration) -> tuple[str, ...]:
    """How many simulations say so, how sure that is, and what is wrong with what."""
    least = min(found.quantities.values(), key=lambda q: q.p_adjusted)
    lines = [
        f"{found.simulations - found.failed} of {found.simulations} simulations count; the smallest corrected p-value is "
        f"{typeset(number(least.p_adjusted, 2))} ({_words(least)})."
    ]
    lines += [f"{sentence(_words(q))}: {q.shape or 'ranks are not uniform'}." for q in _bad(found)[:MOST_NAMED]]
    return tuple(lines)


def _explained(found: Calibration) -> tuple[str, ...]:
    half = 0.5 * float(np.max(np.subtract(*found.uniform.band(BAND)[::-1])))
    return (
        f"If likelihood, prior, data and sampler fit together, every rank of the truth among {found.draws} posterior draws is "
        "equally likely, whatever the data say.",
        f"With {found.uniform.simulations} simulations the band of the curves reaches {number(half, 2)} from the middle: what "
        "moves a curve by less is not seen.",
    )


def _table(found: Calibration) -> Table:
    first = shown(found)
    rows = []
    for q in [*first, *(q for q in found.quantities.values() if q not in first)]:
        truths = found.truth[:, list(found.quantities).index(q.name)]
        low, high = (number(float(x)) for x in np.percentile(truths, ENDS))
        name = f"|{q.name}|" if q.folded else q.name
        said = "pass for uniform" if q.calibrated else f"NOT uniform: {q.shape}"
        rows.append((name, f"{low} to {high}", unit_text(q.unit), number(q.p_value), number(q.p_adjusted), said))
    heads = (
        *("quantity", f"truths, {ENDS[0]:g} % to {ENDS[1]:g} % [unit of its row]", "unit"),
        *("p-value [1]", "corrected p-value [1]", "ranks"),
    )
    note = "|x|: both signs are the same posterior, so that absolute values are ranked."
    return table("Ranks of the truths", heads, rows, (1, 3, 4), note if any(q.folded for q in found.quantities.values()) else "")


def _pictures(found: Calibration) -> tuple[Picture, Picture]:
    panels = shown(found)
    what = f"{len(panels)} quantities" if len(panels) > 1 else "one quantity"
    rest = len(found.quantities) - len(panels)
    left_out = f"; {rest} nuisances with larger p-values are left out" if rest else ""
    bad = [_words(q) for q in panels if not q.calibrated]
    names = ", ".join(bad[:MOST_NAMED]) + (" and others" if len(bad) > MOST_NAMED else "")
    said = f"not calibrated: {names}" if bad else "all are calibrated"
    ecdf = drawn(
        ecdf_figure(found),
        f"Share of ranks below each rank, less that of uniform ranks, of {what}, with a band; {said}. P-values are in the table.",
        f"A calibrated quantity stays in its band everywhere with a probability of {100 * BAND:g} %{left_out}.",
    )
    ranks = drawn(
        rank_figure(found),
        f"Histograms of the ranks of {what}, which are flat where the posterior is calibrated; {said}.",
        "Ranks in bins, of those expected; 95 % of the bins of a calibrated quantity are in the grey band.",
    )
    return ecdf, ranks


def _conventions(found: Calibration) -> Section:
    points = [
        f"Rank: number of {found.draws} posterior draws below the truth, spread evenly over chains and iterations; equal ones "
        "are ordered at random.",
        "p-value: how often uniform ranks look at least as uneven; corrected for the number of quantities by Holm's method.",
        f"Not calibrated: a corrected p-value below {LEVEL:g}. Too narrow a posterior gives ranks at both ends, a biased one at "
        "one end.",
        f"A posterior counts if r_hat of every quantity is below {R_HAT:g} and its effective sample size at least "
        f"{ESS_PER_DRAW * found.draws:.0f} draws; that is decided without the truth.",
    ]
    if LOG_LIKELIHOOD in found.quantities:
        points.append("The log likelihood of the simulated data is ranked too: it notices a posterior that ignores the data.")
    if found.truths == "posterior":
        points.append("The observed data are data of every posterior too, beside the simulated ones.")
    return Section("Conventions", ("What is ranked, and when ranks pass for uniform.",), tuple(points))


def _diagnostics(found: Calibration) -> Section:
    s = found.settings
    least = min(q.p_adjusted for q in found.quantities.values())
    rows = [
        ("posteriors left out [%]", fixed(100.0 * found.failed / found.simulations, 1), f"at most {100 * MOST_FAILED:g}"),
        ("smallest corrected p-value [1]", number(least), f"at least {LEVEL:g}"),
        ("divergent draws of all posteriors [1]", str(found.divergences), "-"),
        ("processor time of a simulation, median [s]", number(float(np.median(found.seconds))), "-"),
    ]
    how = (
        f"{s.method}: {s.chains} chains of {s.draws} draws after {s.warmup} of warm-up for every posterior; trajectories of at "
        f"most {2**s.max_tree_depth - 1} steps."
    )
    verdict = "Every check passes." if found.calibrated else "What failed:"
    checks = table("Diagnostics", ("check", "found", "wanted"), rows, (1,))
    return Section("Diagnostics", (how, verdict), tuple(f"{problem}." for problem in found.problems), (checks,))
