"""`nmmfit validate`."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from nmmfit.cli.main import main
from nmmfit.experiment import Published
from nmmfit.inference.goodness import Goodness
from nmmfit.inference.validate import Choice, Comparison, Validation
from nmmfit.results.compare import compare_folders
from nmmfit.results.validation import comparisons, facts, page, validation_tables


def made(**changes) -> Validation:
    """A validation with invented numbers."""
    published = Published("sm_counts", 100.0, "arXiv:0000.00000, table I", 10.0, 10.0, note="a | b")
    values = {
        "name": "lab", "title": "A laboratory", "status": "data release", "references": ("arXiv:0000.00000",), "theory": {},
        "built_with": {"binning": "fine"}, "cl": 0.9, "sm_counts": 103.0, "strength": (0.9, 0.1), "fitted_counts": (92.7, 11.0),
        "goodness": Goodness(12.3, 10, 0.25, 0.03, 200, 1, 10.1, 4.4), "limits": {"mu_eff_x": 3.5, "L_T_u": None},
        "units": {"mu_eff_x": "1e-11 mu_B", "L_T_u": "GeV^-2"},
        "comparisons": (Comparison(published, 103.0, None, 0.03, True),),
        "choices": (Choice("binning", "coarse", 101.0, {"mu_eff_x": 3.9}),), "converged": True, "point": {},
    }  # fmt: skip
    return Validation(**(values | changes))


def test_facts_have_units_and_say_where_there_is_no_limit():
    rows = {name: (value, unit) for name, value, unit in facts(made())}
    assert rows["signal strength, fitted"] == ("0.9 +- 0.1", "prediction")
    assert rows["mu_eff_x <, one at a time, 90 % CL"] == ("3.5", "1e-11 mu_B")
    assert rows["L_T_u <, one at a time, 90 % CL"] == ("no limit", "GeV^-2")


def test_a_comparison_names_its_source_and_status():
    (row,) = comparisons(made())
    assert row[2:7] == ("100 +- 10", "103", "+3.0 %", "agrees", "arXiv:0000.00000, table I [read]")


def test_a_number_that_differs_is_shown_again_with_the_choices_made_there():
    published = Published("sm_counts", 90.0, "arXiv:0000.00000", options={"binning": "coarse"}, note="other bins")
    found = made(
        comparisons=(
            Comparison(published, 103.0, None, 0.144, False, "binning = coarse", 91.0, None, 0.011, True),
            Comparison(replace(published, only_switched=True), 91.0, None, 0.011, True, "binning = coarse"),
            Comparison(published, 103.0, None, 0.144, False),
        )
    )
    quantity = "signal events, Standard Model"
    assert [row[0] for row in comparisons(found)] == [quantity, *[f"{quantity}, with binning = coarse"] * 2, quantity]
    assert [row[5] for row in comparisons(found)] == ["explained by the next row", "agrees", "agrees", "differs"]
    assert "Published numbers: 3; explained by the next row: 1, agrees: 1, differs: 1." in page([found], {}, "by hand")


def test_what_json_holds_is_what_was_found():
    assert Validation.from_json(json.loads(json.dumps(made().to_json()))) == made()


def test_the_page_holds_everything_and_no_broken_cell():
    text = page([made()], {"lab": ["lab_bins.png"]}, "nmmfit validate lab")
    assert "![lab: data and predictions](lab_bins.png)" in text
    assert "a \\| b" in text
    assert "| binning | coarse | 101 | 3.9 |" in text
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.replace("\\|", "").count("|") for line in rows}) <= 1


def test_tables_print(capsys):
    from nmmfit.cli.output import console

    console().print(validation_tables(made(goodness=None, sm_counts=None, strength=None, fitted_counts=None)))
    assert "no limit" in capsys.readouterr().out


def test_one_experiment_as_json_and_on_disk(capsys, tmp_path):
    out = tmp_path / "v"
    code = main(["validate", "borexino_phase2_limit", "--toys", "3", "--no-options", "--json", "--out", str(out)])
    assert code == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["experiments"]["borexino_phase2_limit"]["limits"]["mu_eff_solar"] == pytest.approx(2.8, rel=1e-6)
    assert {p.name for p in out.iterdir()} == {"validate.json", "validation.md", "manifest.json"}
    assert json.loads((out / "validate.json").read_text())["experiments"] == printed["experiments"]


SMALL = ["--toys", "3", "--no-options", "--no-plots"]


@pytest.mark.slow
def test_an_experiment_is_done_anew_in_a_folder(capsys, tmp_path):
    out = tmp_path / "v"
    assert main(["validate", "lsnd", "borexino_phase2_limit", *SMALL, "--out", str(out)]) == 0
    first = json.loads((out / "validate.json").read_text())
    first["experiments"]["lsnd"]["title"] = "out of date"
    (out / "validate.json").write_text(json.dumps(first))
    (out / "lsnd_old.png").write_bytes(b"out of date")
    assert main(["validate", "lsnd", "gemma", *SMALL, "--update", str(out)]) == 0
    found = json.loads((out / "validate.json").read_text())["experiments"]
    # In the order of the listing.
    assert list(found) == ["borexino_phase2_limit", "gemma", "lsnd"]
    assert found["lsnd"]["title"].startswith("LSND")
    assert found["borexino_phase2_limit"] == first["experiments"]["borexino_phase2_limit"]
    text = (out / "validation.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == [f"## {name}" for name in found]
    given = "nmmfit validate borexino_phase2_limit gemma lsnd --cl 0.9 --toys 3 --seed 1 --no-options --no-plots --out DIR"
    assert f"`{given}`" in text
    assert "`nmmfit validate NAME --cl 0.9 --toys 3 --seed 1 --no-options --no-plots --update DIR`" in text
    assert not (out / "lsnd_old.png").exists()


@pytest.mark.slow
def test_a_validation_goes_on_with_what_is_done(capsys, monkeypatch, tmp_path):
    from nmmfit.inference import validate as engine

    real, called = engine.validate_experiment, []

    def impatient(name, **settings):
        called.append(name)
        if len(called) == 2:
            raise KeyboardInterrupt
        return real(name, **settings)

    out, whole = tmp_path / "v", tmp_path / "w"
    monkeypatch.setattr(engine, "validate_experiment", impatient)
    names = ["lsnd", "borexino_phase2_limit", "gemma"]
    assert main(["validate", *names, *SMALL, "--out", str(out)]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == f"nmmfit: interrupted; nmmfit resume {out} goes on"
    assert main(["resume", str(out)]) == 0
    assert called == ["lsnd", "borexino_phase2_limit", "borexino_phase2_limit", "gemma"]
    assert main(["validate", *names, *SMALL, "--out", str(whole)]) == 0
    assert compare_folders(out, whole).identical


def test_a_folder_of_other_settings_is_left_alone(capsys, tmp_path):
    out = tmp_path / "v"
    assert main(["validate", "lsnd", *SMALL, "--out", str(out)]) == 0
    before = (out / "validation.md").read_text()
    capsys.readouterr()
    for arguments, message in (
        (["--toys", "4", "--no-options", "--no-plots", "--update", str(out)], "made with toys = 3, got 4"),
        ([*SMALL, "--update", str(tmp_path / "w")], "no validate.json in it"),
        ([*SMALL, "--update", str(out), "--out", str(tmp_path / "w")], "leave out --out"),
    ):
        assert main(["validate", "lsnd", *arguments]) == 2
        printed = capsys.readouterr()
        assert message in printed.err
        assert printed.err.count("\n") == 1
    for broken, message in (("{", "broken"), ('{"experiments": {}}', "not written by this version"), ("[]", "not written")):
        (out / "validate.json").write_text(broken)
        assert main(["validate", "lsnd", *SMALL, "--update", str(out)]) == 2
        assert message in capsys.readouterr().err
    assert (out / "validation.md").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["coherent_csi_2021", "--plot-format", "pgn"], "did you mean 'png'"),
        (["coherent_csi"], "did you mean 'coherent_csi_2021'"),
        (["coherent_csi_2021", "--toys", "0"], "--toys"),
        (["coherent_csi_2021", "--cl", "90"], "--cl"),
    ],
)
def test_wrong_input_is_one_line(arguments, message, capsys):
    assert main(["validate", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1
