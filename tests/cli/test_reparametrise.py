"""`--reparametrise`: directions of a folder of `fisher` in `limits`, `profile`, `scan` and `fit`; folders that are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from linear_joint import NAMES, RUN, WIDTHS, closed_form, linear_joint
from report_folders import FISHER, write_json_folder
from report_folders import RUN as OTHER_RUN
from scipy.stats import norm
from synthetic_run import make_result

from nmmfit.cli.main import main
from nmmfit.config import validate
from nmmfit.errors import UserInputError
from nmmfit.results.directions import direction_lines, directions_in, directions_tables, summarised
from nmmfit.run import load_run, parse_run
from nmmfit.runfile import read_toml

VALUES, VECTORS, BEST = closed_form()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where `fisher` has written the folder f of a likelihood that is known."""
    folder = tmp_path_factory.mktemp("place")
    joint = linear_joint()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("nmmfit.compilation_cache.enable", lambda: None)
        patch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": joint)
        (folder / "run.toml").write_text(RUN)
        at = [part for name in NAMES for part in ("--at", f"{name}=0")]
        assert main(["fisher", "run.toml", *at, "--out", "f"]) == 0
        yield folder


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_limits_of_directions_from_the_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--no-marginalised", "--parameter", "A", "--reparametrise", "f", "--out", "l"]
    found = answer(capsys, "limits", "run.toml", *options)
    assert list(found["combinations"]) == ["direction_1", "direction_2", "direction_3"]
    for name, v, value in zip(found["combinations"], VECTORS, VALUES, strict=False):
        entry, told = found["combinations"][name], found["directions"][name]
        sign = np.sign(np.dot([told["components"].get(n, 0.0) for n in NAMES], v))
        centre, reach = sign * float(v @ BEST), norm.isf(0.05) / np.sqrt(value)
        assert entry["unit"] == "prior widths"
        assert [entry["profiled"][side] for side in ("lower", "upper")] == pytest.approx(
            [centre - reach, centre + reach], abs=2e-3 * reach
        )
        assert told["note"] == f"expected error {value**-0.5:.3g} prior widths"
        assert not told["blind"]
    blind = found["directions"]["direction_3"]
    assert blind["blind"]
    assert blind["note"].startswith("blind: A and C cancel in vector couplings to electrons; B and C cancel")
    assert found["combinations"]["direction_3"]["profiled"]["upper"] is None
    # The run file of the results holds the directions: the folder of fisher is not needed to compute them again.
    stored = load_run("l/run.toml")
    assert {n: d.components for n, d in stored.config.directions.items()} == {
        n: d["components"] for n, d in found["directions"].items()
    }
    assert main(["report", "l", "--out", "l.html"]) == 0
    page = (place / "l.html").read_text()
    assert "Combinations, 90 %" in page
    assert "(in prior widths): blind: A and C cancel" in page


@pytest.mark.slow
def test_profiles_grids_and_posteriors_of_directions(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["limits", "run.toml", "--no-marginalised", "--reparametrise", "f", "--out", "again"]) == 0
    assert main(["rerun", "again"]) == 0
    assert "is identical to again: limits.json" in " ".join(capsys.readouterr().out.split())
    of_folder = ["run.toml", "--reparametrise", "f"]
    ends = ["--points", "3", "--low", "-1", "--high", "1"]
    profile = answer(capsys, "profile", *of_folder, "--parameter", "direction_2", *ends)
    assert (profile["unit"], list(profile["directions"])) == ("prior widths", ["direction_2"])
    best = profile["best"]["direction_2"]
    np.testing.assert_allclose(profile["delta_chi2"], VALUES[1] * (np.array([-1.0, 0.0, 1.0]) - best) ** 2, atol=1e-4)
    assert abs(best) == pytest.approx(abs(VECTORS[1] @ BEST), abs=1e-6)

    scan = answer(capsys, "scan", *of_folder, "--grid", "direction_1=-1:1:3", "--grid", "direction_2=-1:1:3", "--out", "s")
    assert scan["units"] == {"direction_1": "prior widths", "direction_2": "prior widths"}
    assert np.all(scan["converged"])
    assert main(["report", "s"]) == 0

    # With the priors, unit matrices in prior widths, the posterior of a direction is a normal one.
    fit = answer(capsys, "fit", *of_folder, "--draws", "1000", "--no-plots", "--out", "p")
    for (name, entry), value in zip(fit["directions"].items(), [*VALUES, 0.0], strict=True):
        sd = (1.0 + value) ** -0.5
        assert entry["sd"] == pytest.approx(sd, rel=0.15), name
        assert entry["contraction"] == pytest.approx(1.0 - sd**2, abs=0.2)
    assert json.loads((place / "p" / "summary.json").read_text())["directions"] == fit["directions"]
    assert main(["report", "p", "--out", "p.html"]) == 0
    assert "direction_3 (blind)" in (place / "p.html").read_text()


def test_the_posterior_of_a_direction_is_that_of_the_sum(place: Path) -> None:
    """Draws of the coefficients as they may be: each a normal number of its prior's width."""
    draws = {n: w * np.random.default_rng(k).normal(size=(4, 500)) for k, (n, w) in enumerate(zip(NAMES, WIDTHS, strict=True))}
    directions = directions_in(place / "f", validate(read_toml(RUN)))
    result = make_result(draws=10)
    object.__setattr__(result, "draws", draws)
    found = summarised(linear_joint(), result, directions)
    for name, entry in found.items():
        total = sum(x * draws[n] / w for n, w in zip(NAMES, WIDTHS, strict=True) if (x := entry["components"].get(n, 0.0)))
        assert entry["mean"] == pytest.approx(np.mean(total))
        assert entry["sd"] == pytest.approx(np.std(total, ddof=1))
        assert entry["contraction"] == pytest.approx(1.0 - np.var(total, ddof=1))
        assert entry["abs_upper_90"] == pytest.approx(np.quantile(abs(total), 0.9)), name
    assert len(directions_tables(found)) == 2
    assert directions_tables({}) == []
    assert direction_lines(found)[2].endswith(found["direction_3"]["note"])
    assert " (in prior widths): blind: A and C cancel in" in direction_lines(found)[2]


def test_the_hash_of_a_run_knows_its_directions(place: Path) -> None:
    plain = parse_run(RUN)
    assert parse_run(RUN + "[directions]\n").hash == plain.hash
    made = parse_run(RUN + "[directions.v]\ncomponents = { A = 0.6, B = 0.8 }\n")
    assert made.hash != plain.hash
    assert made.config.directions["v"].note == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[directions.v]\ncomponents = { a = 1 }\n", "directions.v: unknown parameter of this run 'a' (allowed: A, B, C)"),
        ("[directions.v]\ncomponents = { A = 0 }\n", "directions.v: a combination needs a parameter with a weight"),
        ("[directions.A]\ncomponents = { B = 1 }\n", "directions.A: a name of its own is needed"),
        ("[combinations.v]\nA = 1\n[directions.v]\ncomponents = { B = 1 }\n", "v: a name of its own is needed"),
        ("[directions.v]\nA = 1\n", "directions.v"),
    ],
)
def test_wrong_directions_of_a_run_file_are_one_line(text: str, message: str) -> None:
    with pytest.raises(UserInputError) as error:
        parse_run(RUN + text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"set": "parameters.C.prior=0"}, "f: made with other free coefficients (only there: C)"),
        ({"set": "parameters.C.prior={ normal = [0.0, 3.0] }"}, "f: the prior of C is"),
        ({"set": "parameters.C.coefficients={ VnudLL_2222 = 1 }"}, "f: C stands for other Wilson coefficients there"),
        ({"set": "scale_gev=10"}, "f: its coefficients live at 80.379 GeV, those of this run at 10 GeV"),
        ({"folder": "nowhere"}, "--reparametrise nowhere: there is no such folder; name a folder that nmmfit fisher"),
        ({"folder": "empty"}, "--reparametrise empty: no fisher.json in it"),
        ({"folder": "other"}, "other: made with other free coefficients (only there: L_dipole, L_T_s; only here: A, B, C)"),
        ({"folder": "cut"}, "cut/fisher.json: not valid JSON"),
        (
            {"folder": "foreign"},
            "foreign/fisher.json: not what `nmmfit fisher` writes (its coefficients are not those of run.toml",
        ),
        ({"folder": "bare"}, "bare/run.toml: there is no such file"),
    ],
)
def test_folders_of_others_are_one_line(change, message, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("empty", "cut", "foreign", "other", "bare"):
        shutil.rmtree(place / name, ignore_errors=True)
    (place / "empty").mkdir()
    text = (place / "f" / "fisher.json").read_text()
    write_json_folder(place / "cut", "fisher", text[: len(text) // 2], RUN)
    write_json_folder(place / "foreign", "fisher", FISHER, RUN)
    write_json_folder(place / "other", "fisher", FISHER, OTHER_RUN)
    write_json_folder(place / "bare", "fisher", FISHER, None)
    capsys.readouterr()
    options = ["--set", change["set"]] if "set" in change else []
    assert main(["limits", "run.toml", *options, "--reparametrise", change.get("folder", "f")]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_parameters_of_a_model_have_no_directions(place: Path) -> None:
    run = RUN.replace(
        "prior = { normal = [0.0, 2.0] }", "prior = { half_normal = 2.0 }\nphase = { uniform = [0.0, 6.283185307179586] }"
    )
    shutil.rmtree(place / "phase", ignore_errors=True)
    folder = write_json_folder(place / "phase", "fisher", json.loads((place / "f" / "fisher.json").read_text()), run)
    with pytest.raises(UserInputError, match="phase: A_phase: rates are not linear in phases and parameters of a model"):
        directions_in(folder, validate(read_toml(run)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"composition": {"A": 1.0}}, "a direction that is none among its coefficients"),
        ({"information": None}, "None is no number"),
        ({"blind": True}, "and blind True"),
        ({"cause": ...}, "'cause' is missing"),
    ],
)
def test_broken_directions_are_one_line(change, message, place: Path) -> None:
    payload = json.loads((place / "f" / "fisher.json").read_text())
    payload["directions"][0] = {k: v for k, v in (payload["directions"][0] | change).items() if v is not ...}
    shutil.rmtree(place / "broken", ignore_errors=True)
    folder = write_json_folder(place / "broken", "fisher", payload, RUN)
    with pytest.raises(UserInputError) as error:
        directions_in(folder, validate(read_toml(RUN)))
    assert message in str(error.value)
    assert "not what `nmmfit fisher` writes" in str(error.value)
