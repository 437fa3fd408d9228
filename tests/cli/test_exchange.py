"""`wcxf`, `evolve --values` and `export` from the command line: what they write, and one line and code 2 for wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import nmmfit
from nmmfit.cli.main import main
from nmmfit.eft.wcxf import bases, models
from nmmfit.eft.wcxf.text import parse

VALUES = "eft: LNEFT\nbasis: nmmfit\nscale: 80.379\nvalues:\n  TnuNdRR_1122: 1e-6\n  nugamma_21: 1e-10\n"
VECTORS = "eft: LNEFT\nbasis: nmmfit\nscale: 80.379\nvalues:\n  VnueLL_1122: 1e-6\n  VnudLR_2111: {Re: 1e-6, Im: 2e-7}\n"


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("values.yml").write_text(VALUES)
    Path("vectors.yml").write_text(VECTORS)


@pytest.mark.parametrize("key", ["lneft", "smneft"])
def test_basis_and_eft_are_printed_and_written(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wcxf", "basis", key]) == 0
    shown = models.checked(models.BasisFile, parse(capsys.readouterr().out, "stdout"), "stdout")
    assert shown.coefficients == bases.basis_file(key).coefficients
    assert main(["wcxf", "basis", key, "--json", "--out", "b.json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(Path("b.json").read_text()) == bases.plain(bases.basis_file(key))
    assert main(["wcxf", "eft", key]) == 0
    assert set(parse(capsys.readouterr().out, "stdout")["sectors"]) == set(shown.sectors)


def test_evolve_from_a_file_is_evolve_from_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evolve", "--values", "values.yml", "--to", "5", "--json", "--out", "low.yml"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main(["evolve", "TnuNdRR_1122=1e-6", "nugamma_12=-1e-10", "--to", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["coefficients"] == found["coefficients"]
    low = nmmfit.read_wcxf("low.yml")
    assert (low.eft, low.scale_gev) == ("LNEFT", 5.0)
    assert {n: [z.real, z.imag] for n, z in low.values.items()} == found["coefficients"]


def test_evolve_writes_values_beside_its_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evolve", "TnuNdRR_1122=1e-6", "--to", "5", "--out", "folder"]) == 0
    assert sorted(p.name for p in Path("folder").iterdir()) == ["evolve.json", "manifest.json", "wcxf.yml"]
    assert set(nmmfit.read_wcxf("folder/wcxf.yml").values) == {"TnuNdRR_1122", "nuNgamma_11"}


def test_a_file_above_m_w_brings_its_quark_basis(capsys: pytest.CaptureFixture[str]) -> None:
    nmmfit.write_wcxf("up.yml", {"LNQd3_1122": 1e-9}, 1000.0, basis="nmmfit up")
    assert main(["evolve", "--values", "up.yml", "--to", "500", "--out", "at500.json", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["inputs"]["quark_basis"] == "up"
    at_500 = nmmfit.read_wcxf("at500.json")
    assert (at_500.eft, at_500.basis, at_500.scale_gev) == ("SMNEFT", "nmmfit up", 500.0)
    assert main(["evolve", "LNQd3_1122=1e-9", "--from", "1000", "--to", "500", "--basis", "up", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["coefficients"] == found["coefficients"]


def test_translation_there_and_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wcxf", "translate", "vectors.yml", "--to", "wet-jms", "--out", "jms.json"]) == 0
    assert json.loads(Path("jms.json").read_text())["values"] == {"VnueLL_1122": 1e-6, "VnudLR_1211": {"Re": 1e-6, "Im": -2e-7}}
    assert main(["wcxf", "translate", "jms.json", "--to", "lneft", "--out", "back.yml"]) == 0
    assert nmmfit.read_wcxf("back.yml").values == nmmfit.read_wcxf("vectors.yml").values
    assert main(["wcxf", "translate", "values.yml", "--leave-out", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["values"] == {}
    assert "left out: TnuNdRR_1122: it contains a right-handed neutrino" in printed.err


def test_check_shows_what_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wcxf", "check", "values.yml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["values"] == {"TnuNdRR_1122": [1e-6, 0.0], "nugamma_12": [-1e-10, 0.0]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("wcxf basis lnef", "did you mean 'lneft'"),
        ("wcxf bases lneft", "did you mean 'basis'"),
        ("wcxf basis lneft --out values.yml", "exists; it is not overwritten"),
        ("wcxf basis lneft --out b.txt", "must end in .yml"),
        ("wcxf basis lneft --out nowhere/b.yml", "No such file"),
        ("wcxf check nowhere.yml", "No such file"),
        ("wcxf translate values.yml", "--leave-out goes on without it"),
        ("wcxf translate values.yml --to jms", "unknown target 'jms'; did you mean 'wet-jms'"),
        ("wcxf translate vectors.yml --to lneft", "unknown EFT 'LNEFT'"),
        ("evolve --values nowhere.yml", "No such file"),
        ("evolve --values values.yml TnuNdRR_1122=1", "leave out NAME=VALUE"),
        ("evolve --values values.yml --from 10", "leave out NAME=VALUE"),
        ("evolve --values values.yml --basis up", "leave out NAME=VALUE"),
        ("evolve --values empty.yml", "names no coefficient"),
        ("evolve --values bad.yml", "scale: this key is required"),
        ("evolve --values values.yml --out values.yml", "exists; it is not overwritten"),
        ("evolve nuradius_11=1e-5 --out radius.yml", "'nuradius_11' has no place in a basis of WCxf"),
        ("evolve nucharge_12=1e-9 --out charge.yml", "'nucharge_12' has no place in a basis of WCxf"),
        ("export likelihood --out values.yml", "exists; it is not overwritten"),
        ("export likelihood --out nowhere/x.json", "there is no folder"),
        ("export likelihood nowhere.toml", "No such file"),
        ("export approximation --order cubic", "unknown order 'cubic'"),
        ("export approximation --directions -1", "--directions: -1 is out of range"),
        ("export approximation --seed -1", "--seed: -1 is out of range"),
        ("export posterior", "unknown verb 'posterior'"),
    ],
)
def test_wrong_input_is_one_line_and_code_2(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.yml").write_text("eft: LNEFT\nbasis: nmmfit\nscale: 10\nvalues: {}\n")
    Path("bad.yml").write_text("eft: LNEFT\nbasis: nmmfit\nvalues: {}\n")
    before = {p.name: p.read_text() for p in Path().iterdir()}
    assert main(words.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    assert {p.name: p.read_text() for p in Path().iterdir()} == before


@pytest.fixture(scope="module")
def limits_run() -> str:
    return 'experiments=["borexino_phase2_limit"]'


def test_export_of_a_published_limit(limits_run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "likelihood", "--set", limits_run, "--out", "like.json", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads(Path("like.json").read_text())
    assert document["format"] == "nmmfit-likelihood"
    assert main(["export", "approximation", "--set", limits_run, "--directions", "2", "--out", "quartic.json"]) == 0
    made = json.loads(Path("quartic.json").read_text())
    assert made["order"] == "quartic"
    assert "Quartic approximation of delta chi2" in capsys.readouterr().out
    assert len(made["validity"]["rays"]) == 2 * len(made["parameters"]) + 2
