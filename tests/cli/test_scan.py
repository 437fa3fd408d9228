"""`scan` on small likelihoods with closed forms."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from scan_joints import gaussian

from nmmfit.cli.main import main
from nmmfit.cli.scan import duration
from nmmfit.inference.scan import Estimate
from nmmfit.results import adapter
from nmmfit.results.compare import compare_folders

TWO = ("--grid", "lab.a=-2:3:9", "--grid", "lab.b=-3:3:8")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nmmfit.compilation_cache.enable", lambda: None)
    monkeypatch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": gaussian())
    (tmp_path / "run.toml").write_text("experiments = []\n")


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()[-1]


def test_two_axes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["scan", "run.toml", *TWO, "--cl", "0.9", "--cl", "0.68", "--json", "--out", "s"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {"grid", "delta_chi2", "converged", "best", "iterations", "gradient_norm"} <= set(answer)
    assert list(answer["grid"]) == ["lab.a", "lab.b"]
    assert np.shape(answer["delta_chi2"]) == (9, 8)
    assert [c["cl"] for c in answer["contours"]] == [0.68, 0.9]
    assert all(c["error"] < 0.01 for c in answer["contours"])
    folder = tmp_path / "s"
    files = {"scan.json", "scan.nc", "scan.png", "scan.pdf", "run.toml", "manifest.json"}
    assert {p.name for p in folder.iterdir()} == files
    stored = adapter.group(adapter.from_netcdf(folder / "scan.nc"), "scan")
    np.testing.assert_allclose(stored["delta_chi2"].values, answer["delta_chi2"])
    np.testing.assert_allclose(stored["lab.a"].values, answer["grid"]["lab.a"])
    assert stored["points.lab.c"].dims == ("lab.a", "lab.b")
    assert len(adapter.group(adapter.from_netcdf(folder / "scan.nc"), "extra")["extra.delta_chi2"]) > 10

    assert main(["report", "s"]) == 0
    page = (folder / "report.html").read_text()
    assert "Scan of lab.a, lab.b" in page
    assert "Every point of the grid converged." in page


@pytest.mark.parametrize("kind", ["--profile", "--no-profile"])
def test_an_interrupted_scan_goes_on_with_the_chunks_that_are_left(
    kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("nmmfit.inference.grid_solver.CHUNK", 16)
    monkeypatch.setattr("nmmfit.inference.plain_grid.CHUNK", 16)
    monkeypatch.setattr("nmmfit.inference.plain_grid.BLOCK", 8)
    words = ("run.toml", *TWO, kind, "--cl", "0.9")
    assert main(["scan", *words, "--out", "whole"]) == 0
    seen: list[tuple[int, int]] = []

    @contextmanager
    def impatient(_: str) -> Iterator[Any]:
        def advance(done: int, total: int) -> None:
            seen.append((done, total))
            if len(seen) == 3:
                raise KeyboardInterrupt

        yield advance

    monkeypatch.setattr("nmmfit.cli.scan.counting_bar", impatient)
    assert main(["scan", *words, "--out", "mine"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "nmmfit: interrupted; nmmfit resume mine goes on"
    assert main(["resume", "mine"]) == 0
    if kind == "--no-profile":
        assert seen == [(16, 72), (32, 72), (48, 72), (48, 72), (64, 72), (72, 72)]
    else:
        # Coarse points, here all, come first, both times.
        assert seen[:3] == [(25, 72), (72, 72), (72, 72)]
        assert seen[3:5] == [(25, 72), (72, 72)]
        assert seen[-1] == (72, 72)
    assert compare_folders(tmp_path / "whole", tmp_path / "mine").identical


def test_the_table_says_what_came_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "run.toml", *TWO]) == 0
    shown = capsys.readouterr().out
    assert "9 x 8 points, everything else profiled" in shown
    assert "1 closed; within" in shown
    assert "72 of 72 points converged" in shown
    assert main(["scan", "run.toml", "--grid", "lab.a=-2:3:9", "--no-profile", "--fixed", "lab.b=0.5"]) == 0
    shown = capsys.readouterr().out
    assert "everything else held at the best fit" in shown
    assert "Intervals" in shown


@pytest.mark.slow
def test_points_that_failed_are_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmmfit.run.Run.joint", lambda self, method="templates": gaussian(1.5))
    assert main(["scan", "run.toml", "--grid", "lab.a=-2:3:6", "--json", "--out", "s"]) == 3
    printed = capsys.readouterr()
    assert json.loads(printed.out)["converged"] == [True] * 4 + [False] * 2
    assert "not converged: 2 of 6 points: lab.a = 2; lab.a = 3" in printed.err.splitlines()[-1]
    assert main(["report", "s"]) == 0
    assert "NOT converged at 2 of 6 points" in Path("s/report.html").read_text()


def test_a_long_scan_needs_yes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from nmmfit.cli.scan import confirming
    from nmmfit.errors import UserInputError

    said = (
        r"1e\+08 points, about 11.6 days and 5 GiB of memory: beyond 60 min; make the grid coarser, or add --yes \(with --cluster"
    )
    with pytest.raises(UserInputError, match=said):
        confirming(False)(Estimate(10**8, 1e6, 5.0))
    # With --yes it would be refused, too.
    with pytest.raises(UserInputError, match=r"500 GiB of memory: beyond 60 min and 8 GiB; make the grid coarser$"):
        confirming(False)(Estimate(10**9, 1e6, 500.0))
    confirming(True)(Estimate(10**9, 1e6, 5.0))
    confirming(False)(Estimate(10**4, 60.0, 0.01))
    assert capsys.readouterr().err.splitlines()[-1] == "scan: 1e+04 points, about 60 s and 0.01 GiB of memory"
    assert [duration(s) for s in (5.0, 600.0, 7200.0, 864000.0)] == ["5 s", "10 min", "2 h", "10 days"]


def test_a_huge_grid_is_timed_and_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    message = fails(capsys, "scan", "run.toml", "--grid", "lab.a=-2:3:100000", "--grid", "lab.b=-2:3:10000", "--out", "s")
    assert "1e+09 points, about " in message
    assert message.endswith("GiB; make the grid coarser")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.toml"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "scan: name what is scanned, such as --grid"),
        (["--grid", "lab.a"], "--grid 'lab.a': expected NAME=FROM:TO:POINTS"),
        (["--grid", "lab.a=0:1"], "expected NAME=FROM:TO:POINTS"),
        (["--grid", "lab.a=0:x:5"], "'x' is no number"),
        (["--grid", "lab.a=0:nan:5"], "expected a finite number, got nan"),
        (["--grid", "lab.a=0:1:2.5"], "the number of points must be whole, got 2.5"),
        (["--grid", "lab.a=0:1:1"], "points: 1 is out of range"),
        (["--grid", "lab.a=1:0:5"], "the grid is reversed, from 1 to 0; write lab.a=0:1:5"),
        (["--grid", "lab.a=0:1:5", "--grid", "lab.a=0:1:6"], "lab.a is given twice"),
        (["--grid", "lab.d=0:1:5"], "unknown parameter or identified quantity 'lab.d'"),
        (["--grid", "lab.a=0:1:5", "--fixed", "lab.x=1"], "fixed: unknown parameter 'lab.x'"),
        (["--grid", "lab.a=0:1:5", "--fixed", "lab.b=1j"], "--fixed lab.b=1j: expected a real number"),
        (["--grid", "lab.a=0:1:5", "--cl", "90"], "--cl: 90 is out of range"),
    ],
)
def test_wrong_input_is_one_line(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert expected in fails(capsys, "scan", "run.toml", *arguments)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.toml"]
