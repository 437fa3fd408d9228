"""`reproduce`: every printed number of the founding paper's tables beside ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nmmfit.cli.main import main


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)


def test_every_printed_number_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "all", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["of"], answer["agree"]) == (44, 39)
    for row in answer["entries"]:
        assert {"table", "coefficient", "unit", "printed", "seed_faithful", "exact", "ratio", "reason"} <= set(row)
        assert row["agrees"] or row["reason"]
        assert row["ratio"] == pytest.approx(row["exact"] / row["printed"])


def test_one_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "table3"]) == 0
    shown = capsys.readouterr().out
    assert "table3 of arXiv:2206.13122" in shown
    assert "4.2e-09" in shown
    assert "table4" not in shown


def test_another_table_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "table7"]) == 2
    assert "reproduce: unknown table 'table7'; did you mean 'table" in capsys.readouterr().err
