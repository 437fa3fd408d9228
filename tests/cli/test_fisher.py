"""`fisher` and `tighten` on a synthetic likelihood: what they print, what they write, what they refuse."""

from __future__ import annotations

import json

import pytest

from nmmfit.cli.main import main


@pytest.fixture(autouse=True)
def _synthetic(joint, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)
    monkeypatch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": joint)
    (tmp_path / "run.toml").write_text("experiments = []\n")


@pytest.mark.slow
def test_fisher_as_json_on_disk_and_as_tables(capsys, tmp_path, joint):
    assert main(["fisher", "run.toml", "--starts", "2", "--json", "--out", "f"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed["parameters"]) == {"L_dipole", "L_T_u", "L_T_d", "L_T_s"}
    assert len(printed["directions"]) == 4
    for direction in printed["directions"][:3]:
        assert sum(direction["shares"].values()) == pytest.approx(1.0, abs=1e-9)
    assert printed["experiments"] == ["solar_like", "nuclear_like", "shared constraints"]
    # Four coefficients make three couplings.
    (blind,) = printed["blind"]
    assert "cancel in the dipole" in blind["cause"]
    assert "so at c_T = -2.9" in blind["cause"]
    assert blind["words"].startswith("L_T_s = 10 GeV^-2, L_dipole = ")
    # A dipole is what the spectrum sees best, tensors only the nuclei.
    assert printed["directions"][0]["shares"]["solar_like"] > 0.9
    assert printed["directions"][1]["shares"]["nuclear_like"] > 0.9
    assert "Standard Model" in printed["where"]
    assert {p.name for p in (tmp_path / "f").iterdir()} == {
        "fisher.json",
        "fisher.png",
        "fisher.pdf",
        "run.toml",
        "manifest.json",
    }
    stored = json.loads((tmp_path / "f" / "fisher.json").read_text())
    assert stored["directions"] == printed["directions"]
    assert stored["provenance"]["seed"] == "1"
    assert main(["report", "f"]) == 0
    told_of = " ".join(capsys.readouterr().out.split())
    assert "Directions that are constrained by solar_like, nuclear_like" in told_of
    assert "and 1 is blind." in told_of

    assert main(["fisher", "run.toml", "--starts", "2", "--at", "L_dipole=0", "--at", "L_T_u=0"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Expected information at: L_dipole = 0, L_T_u = 0" in shown
    assert "Not blind, though without information here" in shown
    assert "nothing: blind" in shown
    assert "every rate is even" in shown


def test_the_picture_shows_blind_directions_and_groups_small_experiments():
    from nmmfit.inference.directions import Direction
    from nmmfit.inference.fisher import Fisher
    from nmmfit.results.fisher import OTHERS, fisher_figure

    shares = {"a": 0.989, "b": 0.006, "c": 0.005, "shared constraints": 0.0}
    directions = (
        Direction({"x": 1.0, "y": 0.0}, 4.0, 9.0, shares),
        Direction({"x": 0.0, "y": 1.0}, 0.0, float("nan"), {}, True, (0.0, 0.0, 0.0), "no chosen experiment depends on y"),
    )
    import numpy as np

    made = Fisher(
        ("x", "y"), {"x": "1", "y": "1"}, {"x": 1.0, "y": 1.0}, tuple(shares), {}, "here", "here", 1, np.eye(2), np.eye(2),
        directions, {}, (),
    )  # fmt: skip
    left, middle, right = fisher_figure(made).axes
    assert [t.get_text() for t in left.texts] == ["+1.00", "+1.00"]
    assert [t.get_text() for t in middle.texts] == ["blind"]
    assert [t.get_text() for t in right.texts] == ["no experiment"]
    assert right.get_legend_handles_labels()[1] == ["a", OTHERS]
    assert sum(p.get_width() for p in right.patches) == pytest.approx(100.0)


@pytest.mark.slow
def test_tighten_as_json_and_on_disk(capsys, tmp_path):
    stages = ["--stage", "gemma", "--stage", "+texono"]
    assert main(["tighten", "run.toml", *stages, "--parameter", "mu", "--json", "--out", "t"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [s["added"] for s in printed["stages"]] == [["gemma"], ["texono"]]
    for stage in printed["stages"]:
        assert set(stage["identified"]) == {"mu"}
        assert stage["identified"]["mu"]["profiled"]["upper"] > 0.0
    assert printed["interrupted"] is False
    assert printed["missing"] == []
    assert printed["provenance"]["commit"] == json.loads((tmp_path / "t" / "tighten.json").read_text())["provenance"]["commit"]
    assert {p.name for p in (tmp_path / "t").iterdir()} == {
        "tighten.json",
        "tighten.png",
        "tighten.pdf",
        "run.toml",
        "manifest.json",
    }
    from nmmfit.run import load_run

    assert load_run(tmp_path / "t" / "run.toml").config.experiments == ["gemma", "texono"]
    assert main(["report", "t"]) == 0
    assert "mu: below" in capsys.readouterr().out


@pytest.mark.slow
def test_an_interrupted_tightening_keeps_its_stages(capsys, monkeypatch, tmp_path):
    from nmmfit.inference import tighten

    made = tighten.bounds

    def bounds(label, *arguments, **named):
        if label.startswith("+"):
            raise KeyboardInterrupt
        return made(label, *arguments, **named)

    monkeypatch.setattr(tighten, "bounds", bounds)
    stages = ["--stage", "gemma", "--stage", "+texono"]
    assert main(["tighten", "run.toml", *stages, "--parameter", "mu", "--json", "--out", "t"]) == 130
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)["stages"]) == 1
    assert json.loads(printed.out)["missing"] == ["+ texono"]
    assert printed.err.splitlines()[-1] == "nmmfit: interrupted after 1 of 2 stages; they are in t; nmmfit resume t goes on"
    assert main(["report", "t"]) == 0
    assert "Interrupted; not computed: + texono." in capsys.readouterr().out
    asked = []
    monkeypatch.setattr(tighten, "bounds", lambda label, *given, **named: asked.append(label) or made(label, *given, **named))
    assert main(["resume", "t", "--json"]) == 0
    assert asked == ["+ texono"]
    answer = json.loads(capsys.readouterr().out)
    assert (answer["missing"], answer["interrupted"], len(answer["stages"])) == ([], False, 2)
    assert answer["stages"][0] == json.loads(printed.out)["stages"][0]
    monkeypatch.setattr(tighten, "bounds", lambda *_, **__: bounds("+"))
    assert main(["tighten", "run.toml", *stages, "--out", "u"]) == 130
    assert not (tmp_path / "u").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fisher", "run.toml", "--at", "L_dipole"], "expected NAME=VALUE"),
        (["fisher", "run.toml", "--at", "L_dipole=1+2j"], "--at L_dipole: expected a real number"),
        (["fisher", "run.toml", "--at", "L_dipol=1"], "unknown parameter 'L_dipol'; did you mean 'L_dipole'"),
        (["fisher", "run.toml", "--at", "L_dipole=1", "--at", "L_dipole=2"], "given twice"),
        (["fisher", "run.toml", "--starts", "0"], "--starts"),
        (["fisher", "run.toml", "--seed", "-1"], "--seed"),
        (["tighten", "run.toml", "--stage", "gemma"], "at least two stages"),
        (["tighten", "run.toml", "--stage", "gemma", "--stage", "texono"], "lacks 'gemma'"),
        (["tighten", "run.toml", "--stage", "gemma", "--stage", "+texon"], "did you mean 'texono'"),
        (["tighten", "run.toml", "--stage", "borexino_phase2", "--stage", "+borexino_phase2_limit"], "share data"),
        (["tighten", "run.toml", "--stage", "gemma", "--stage", "+texono", "--cl", "90"], "did you mean 0.9"),
        (["tighten", "run.toml", "--stage", "gemma", "--stage", "+texono", "--parameter", "m"], "--parameter: unknown"),
    ],
)
def test_wrong_input_is_one_line(arguments, message, capsys, tmp_path):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["run.toml"]
