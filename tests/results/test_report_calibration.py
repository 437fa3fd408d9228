"""Reports of `calibrate` and of `fit --prior-predictive`: what they say, and folders that are broken."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import report_documents as documents
from report_documents import build_without_tables, cells, changed, plain, section, tables
from report_folders import (
    TWO,
    calibration_result,
    predictions_payload,
    write_calibration_folder,
    write_json_folder,
)

from nmmfit.errors import UserInputError
from nmmfit.inference.calibration import Calibration
from nmmfit.inference.ranks import UniformRanks
from nmmfit.results.report import make_document, page_of
from nmmfit.results.report.document import Document, Picture
from nmmfit.results.report.stored_calibration import stored_calibration
from nmmfit.results.written import read_results

EVIL = "$x^$</pre></section>\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}"


@pytest.fixture(autouse=True)
def _lab(monkeypatch: pytest.MonkeyPatch) -> None:
    build_without_tables(monkeypatch)


def calibration_of(path: Path, found: Calibration | None = None) -> Document:
    return make_document(read_results(write_calibration_folder(path / "x", found=found)))


prediction_of = partial(documents.document_of, verb="prior-predictive", run=TWO)


def test_a_calibration_that_is_none_in_words_and_tables(tmp_path: Path) -> None:
    document = calibration_of(tmp_path)
    assert document.title == "Calibration of the posterior of lab"
    assert not document.converged
    assert document.verdict == "NOT calibrated: ranks are not uniform: lab.flux."
    assert [plain(line) for line in document.answer] == [
        "40 of 45 simulations count; the smallest corrected p-value is 3.0 × 10⁻⁴ (lab.flux).",
        "lab.flux: the posterior lies too low.",
    ]
    assert [s.title for s in document.sections] == [
        "What was asked", "What came out", "Conventions", "Diagnostics", "Provenance", "What to cite",
    ]  # fmt: skip
    ranks = cells(document, "Ranks of the truths")
    # Truths are evenly spread from 0 to 2e-8, of which 5 % and 95 % are 1e-9 and 1.9e-8.
    assert ranks["|L_dipole|"] == ("1.00e-09 to 1.90e-08", "GeV⁻¹", "0.500", "1.00", "pass for uniform")
    assert ranks["lab.flux"][-1] == "NOT uniform: the posterior lies too low"
    assert tables(document)["Ranks of the truths"].note.startswith("|x|: both signs")
    came = section(document, "What came out")
    assert [p.source.partition(";")[0] for p in came.pictures] == ["data:image/svg+xml"] * 2
    assert all("not calibrated: lab.flux" in p.alt for p in came.pictures)
    assert "The observed data are data of every posterior too" in section(document, "Conventions").points[-1]
    checks = cells(document, "Diagnostics")
    assert checks["posteriors left out [%]"] == ("11.1", "at most 25")
    assert checks["processor time of a simulation, median [s]"] == ("2.50", "-")
    assert section(document, "Diagnostics").points == (
        "lab.flux: ranks are not uniform (p = 0.0003): the posterior lies too low.",
    )
    rows = cells(document, "Where this comes from")
    assert rows["SHA-256 of calibration.nc"] == (hashlib.sha256((tmp_path / "x" / "calibration.nc").read_bytes()).hexdigest(),)
    assert {"1804.06788", "2103.10522", "2502.03279"} <= {n for n in document.bibtex.replace("}", "{").split("{") if "." in n}


def test_a_calibration_comes_back_as_it_was(tmp_path: Path) -> None:
    wanted, found = calibration_result(), stored_calibration(read_results(write_calibration_folder(tmp_path / "x")))
    for name, q in wanted.quantities.items():
        for field, value in vars(q).items():
            np.testing.assert_array_equal(getattr(found.quantities[name], field), value)
    np.testing.assert_array_equal(found.truth, wanted.truth)
    assert (found.settings, found.uniform, found.verdict) == (wanted.settings, wanted.uniform, wanted.verdict)
    assert json.dumps(found.to_json()) == json.dumps(wanted.to_json())


def test_calibrated_and_too_many_left_out(tmp_path: Path) -> None:
    whole = calibration_result()
    one = {"L_dipole": whole.quantities["L_dipole"]}
    good = dataclasses.replace(whole, quantities=one, truth=whole.truth[:, :1], truths="prior")
    (tmp_path / "good").mkdir()
    document = calibration_of(tmp_path / "good", found=good)
    assert document.converged
    assert document.verdict == "Calibrated: the ranks of the only quantity pass for uniform."
    assert "2502.03279" not in document.bibtex
    assert section(document, "Diagnostics").points == ()
    left_out = dataclasses.replace(good, simulations=60, failed=20, uniform=UniformRanks(40, 96))
    (tmp_path / "failed").mkdir()
    failed = calibration_of(tmp_path / "failed", found=left_out)
    assert not failed.converged
    assert failed.verdict == "NOT calibrated: 20 of 60 posteriors could not be sampled well enough."
    assert "20 of 60 posteriors were not sampled well enough to count" in section(failed, "Diagnostics").points[0]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("truths", "data", "(truths from 'data')"),
        ("truths", ..., "('truths' is missing)"),
        ("simulations", 44, "(calibration.nc: the ranks of 'L_dipole' are not 39 whole numbers from 0 to 96)"),
        ("ranked_draws", 50, "(calibration.nc: the ranks of 'L_dipole' are not 40 whole numbers from 0 to 50)"),
        ("failed", 45, "(0 of 45 simulations, ranked among 96 draws)"),
        ("quantities", {}, "(calibration.nc holds ranks of 4 quantities, other ones than are named here)"),
        ("quantities/lab.flux/p_value", 1.5, "(1.5 is no probability)"),
        ("quantities/lab.flux/p_value", None, "(None is no number)"),
        ("quantities/lab.flux/unit", "$x", "('$x' is no unit)"),
        ("quantities/lab.flux/folded", "no", "(folded 'no')"),
        ("calibrated", True, "(calibrated is True, which its numbers do not say)"),
        ("sampler/method", "nut", "unknown method 'nut'; did you mean 'nuts'?"),
        ("sampler/chain", 4, "unexpected keyword argument 'chain'"),
        ("divergences", 1.5, "('divergences' is float)"),
    ],
)
def test_a_broken_calibration_is_one_line(path: str, value: Any, expected: str, tmp_path: Path) -> None:
    write_calibration_folder(tmp_path / "whole")
    payload = json.loads((tmp_path / "whole" / "calibration.json").read_text())
    folder = write_calibration_folder(tmp_path / "x", changed(payload, path, value))
    with pytest.raises(UserInputError) as error:
        page_of(folder)
    assert expected in str(error.value)
    assert "not what `nmmfit calibrate` writes" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("content", "expected"), [(None, "there is no such file"), (b"\x89HDF cut", "calibration.nc")])
def test_ranks_that_are_missing_or_cut_short_are_one_line(content: bytes | None, expected: str, tmp_path: Path) -> None:
    folder = write_calibration_folder(tmp_path / "x")
    (folder / "calibration.nc").unlink()
    if content is not None:
        (folder / "calibration.nc").write_bytes(content)
    with pytest.raises(UserInputError) as error:
        page_of(folder)
    assert str(error.value).startswith(str(folder / "calibration.nc"))
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_predictions_in_words_and_tables(tmp_path: Path) -> None:
    document = prediction_of(tmp_path, payload=predictions_payload())
    assert document.title == "What the priors predict for lab, field"
    assert document.converged
    assert document.verdict == (
        "No posterior was sampled. The data lie OUTSIDE of what the priors predict in 2 of 4 channels: "
        "lab.low (fewer counts than predicted), lab.high (more counts than predicted)."
    )
    assert document.answer[1] == (
        "Half of the prior predicts at most 120 counts in lab.bins, 100 were observed; the data lie within it, with 40 % of its "
        "predictions at or below them."
    )
    assert len(document.answer) == 4
    totals = cells(document, "Totals of counts")
    assert totals["lab.low"] == ("100", "110", "200", "400", "800", "9.00e+06", "99.0")
    # What JSON cannot hold was infinite.
    assert cells(document, "Deviances from the predictions")["field.bins"] == (
        *("2", "3.00", "1.00 to infinite", "1.50", "0.500 to infinite", "0.25"),
    )
    assert cells(document, "Draws")["field.bins"] == ("3988", "12")
    pictures = section(document, "What came out").pictures
    assert [p.caption.partition(":")[0] for p in pictures] == ["lab.low, lab.bins, lab.high", "field.bins"]
    assert cells(document, "Where this comes from")["seed"] == ("5",)


def test_predictions_that_reach_the_data_of_many_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmmfit.results.report.prior_predictive.drawn", lambda _, alt, caption: Picture("data:", alt, caption))
    payload = predictions_payload()
    payload["channels"] = {f"lab.{k}": payload["channels"]["lab.bins"] for k in range(8)}
    document = prediction_of(tmp_path, payload=payload)
    assert document.verdict.endswith("The data lie within what the priors predict in all 8 channels.")
    assert document.answer[-1] == "And 2 more below."
    assert [point.partition(" in ")[2][:5] for point in section(document, "What came out").points] == ["lab.6", "lab.7"]
    shown = section(document, "What came out").pictures
    assert [p.caption.partition(":")[0].count("lab") for p in shown] == [3, 3, 2]
    assert section(document, "Diagnostics").sentences == ("Every draw predicts finite counts.",)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("quantiles", [0.1, 0.5, 0.9], "(quantiles at 0.1, 0.5, 0.9, not at 0.025, 0.16, 0.5, 0.84, 0.975)"),
        ("channels", {}, "(there is no channel)"),
        ("channels", [], "('channels' is list)"),
        ("channels/lab.low/observed", [], "(0 bins, quantiles of shape (5, 2))"),
        ("channels/lab.low/counts", [[1.0, 2.0]], "(2 bins, quantiles of shape (1, 2))"),
        ("channels/lab.low/total", [5.0, 4.0, 3.0, 2.0, 1.0], "(5 quantiles, of 5 that rise)"),
        ("channels/lab.low/above", 1.5, "(1.5 is no fraction)"),
        ("channels/lab.low/draws", 0, "(0 draws, 0 left out)"),
        ("channels/lab.low/p_value", ..., "('p_value' is missing)"),
    ],
)
def test_broken_predictions_are_one_line(path: str, value: Any, expected: str, tmp_path: Path) -> None:
    folder = write_json_folder(tmp_path / "x", "prior-predictive", changed(predictions_payload(), path, value))
    with pytest.raises(UserInputError) as error:
        page_of(folder)
    assert expected in str(error.value)
    assert "not what `nmmfit fit --prior-predictive` writes" in str(error.value)
    assert "\n" not in str(error.value)


def test_hostile_strings_are_text(tmp_path: Path) -> None:
    whole, short = calibration_result(), "$x^$<b>{{"
    bad = dataclasses.replace(whole.quantities["lab.flux"], name=short, shape=EVIL, kind=EVIL)
    quantities = {short if n == "lab.flux" else n: bad if n == "lab.flux" else q for n, q in whole.quantities.items()}
    pages = [page_of(write_calibration_folder(tmp_path / "c", found=dataclasses.replace(whole, quantities=quantities)))]
    payload = predictions_payload()
    payload["channels"] = {EVIL: payload["channels"]["lab.bins"]}
    pages.append(page_of(write_json_folder(tmp_path / "p", "prior-predictive", payload)))
    for text in pages:
        assert "<script" not in text
        assert "<img src=x" not in text
        assert "<b>" not in text
        assert "{{ 7*7 }}" in text
