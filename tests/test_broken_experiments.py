"""Installed packages that fail: each concerns those only who name its experiment, and is one clear line."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from numpyro import distributions as dist

import nmmfit
from nmmfit import catalogue
from nmmfit.cli.main import main
from nmmfit.experiment import BinnedExperiment
from nmmfit.inference.compatibility import refuse_different_priors
from tests.installed import register

HEAD = """
import numpy as np
from nmmfit.experiment import BinnedExperiment, Channel

def experiment(name, observed):
    channel = Channel("counts", np.array(observed), (), {"energy_kev": np.arange(len(observed) + 1.0)})
    return BinnedExperiment(name, "Theirs", (channel,), {})
"""
# name -> source of its module, and what is said about it.
BROKEN = {
    "raises": ("raise RuntimeError('needs\\na licence')", "cannot be imported: RuntimeError: needs a licence"),
    "leaves": ("import sys\nprint('hello')\nsys.exit(3)", "cannot be imported: SystemExit: 3"),
    "misspelt": ("def build(:", "cannot be imported: SyntaxError: "),
    "empty": ("'''Nothing here.'''", "has no function build"),
    "failing": ("def build(theory=None):\n    return 1 / 0", "cannot be built: ZeroDivisionError: division by zero"),
    "other": ("def build(theory=None):\n    return {}", "build() returned dict, expected BinnedExperiment"),
    "renamed": (HEAD + "def build(theory=None):\n    return experiment('their', [1])", "an experiment named 'their'"),
    "fractional": (
        HEAD + "def build(theory=None):\n    return experiment('fractional', [3, 2.5])",
        "fractional.counts: observed counts must be whole numbers >= 0; bin 1 is not a whole number (2.5)",
    ),
}
AT_IMPORT = {name for name, (_, said) in BROKEN.items() if "imported" in said or "no function" in said}


@pytest.fixture(scope="module", autouse=True)
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    place = tmp_path_factory.mktemp("site")
    for name, (source, _) in BROKEN.items():
        register(place, name, source, f"package-{name}")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(place))
        importlib.invalidate_caches()
        yield
    for name in BROKEN:
        sys.modules.pop(f"{name}_module", None)


def test_the_listing_names_them_with_the_reason_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "experiments", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed["experiments"]) >= {"borexino_phase2", *BROKEN}
    assert printed["experiments"]["empty"]["summary"] == "Nothing here."
    assert set(printed["problems"]) == AT_IMPORT
    for name in AT_IMPORT:
        assert BROKEN[name][1] in printed["problems"][name]
    assert main(["list", "experiments"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Cannot be used" in shown
    assert "distribution 'package-raises') cannot be imported: RuntimeError: needs a licence" in shown


@pytest.mark.parametrize("name", BROKEN)
def test_using_one_is_one_line_that_names_it_and_its_distribution(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "parameters", "--set", f"experiments=['{name}']"]) == 2
    printed = capsys.readouterr()
    (line,) = [line for line in printed.err.splitlines() if line != "hello"]
    assert printed.out == ""
    assert line.startswith(f"nmmfit: experiments[0]: experiment '{name}' ({name}_module, distribution 'package-{name}')")
    assert BROKEN[name][1] in line


def test_other_experiments_go_on() -> None:
    assert catalogue.build("borexino_phase2_limit").name == "borexino_phase2_limit"


def test_all_experiments_are_those_that_can_be_imported(capsys: pytest.CaptureFixture[str]) -> None:
    from nmmfit.cli.arguments import experiment_overrides

    (change,) = experiment_overrides("all")
    named = set(json.loads(change.removeprefix("experiments=")))
    assert "borexino_phase2" in named
    assert named & set(BROKEN) == set(BROKEN) - AT_IMPORT
    said = capsys.readouterr().err
    assert len(said.splitlines()) == len(AT_IMPORT) + said.count("hello\n")
    assert "left out: experiment 'raises' (raises_module, distribution 'package-raises') cannot be imported" in said


def test_a_name_of_ours_stays_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(register(tmp_path / "more", "borexino_phase2_limit", "raise RuntimeError", "grabber")))
    importlib.invalidate_caches()
    assert catalogue.build("borexino_phase2_limit").references
    assert "bears the name of an experiment of nmmfit, which is used" in catalogue.problems()["borexino_phase2_limit (grabber)"]


def test_a_shared_pull_has_one_prior() -> None:
    one, same, other = (
        BinnedExperiment(name, name, (), {"sns.flux": prior})
        for name, prior in (("a", dist.Normal(0.0, 1.0)), ("b", dist.Normal(0.0, 1.0)), ("c", dist.Normal(0.0, 2.0)))
    )
    refuse_different_priors([one, same])
    with pytest.raises(nmmfit.NmmfitError, match=r"^experiments: 'a' and 'c' share the pull 'sns\.flux' and give it different"):
        refuse_different_priors([one, same, other])


def test_the_contract_says_so_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-experiment", "failing", "--json"]) == 3
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert (answer["passed"], answer["failed"], answer["distribution"]) == (False, ["provenance", "build"], "package-failing")
    assert "nmmfit: check-experiment failing: failed: provenance, build" in printed.err
    assert main(["check-experiment", "failling"]) == 2
    assert "did you mean 'failing'?" in capsys.readouterr().err
