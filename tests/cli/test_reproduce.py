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


def test_the_letters_figure_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "xu-fig3", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["what"], answer["paper"]) == ("xu-fig3", "arXiv:1901.00482")
    assert [row["fermion"] for row in answer["entries"]] == ["e", "u", "d", "s", "mu", "c", "tau", "b"]
    assert answer["entries"][0]["letter_tensor_mub"] == pytest.approx([8.585e-13, 7.874e-12], rel=1e-3)
    assert {"name", "moment_mub", "source", "status"} <= set(answer["bounds"][0])


def test_the_letters_figure_is_drawn_into_a_fresh_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["reproduce", "xu-fig3", "--out", "figure"]) == 0
    shown = capsys.readouterr().out
    assert "figure 3 of arXiv:1901.00482" in shown
    assert "charge conjugation" in shown
    wanted = ["manifest.json", "reproduce.json", "xu-fig3.pdf", "xu-fig3.png"]
    assert sorted(p.name for p in (tmp_path / "figure").iterdir()) == wanted
    assert json.loads((tmp_path / "figure" / "reproduce.json").read_text())["what"] == "xu-fig3"
    assert main(["reproduce", "xu-fig3", "--out", "figure"]) == 2
    assert "--out figure: the folder is not empty" in capsys.readouterr().err


def test_a_slip_in_the_figures_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "xu-fig4"]) == 2
    assert "did you mean 'xu-fig3'?" in capsys.readouterr().err
