"""The package in examples/my_experiment, installed: it is listed, predicted, checked and fitted, and the how-to is its files."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from markdown_examples import blocks, run_block
from scipy.stats import norm, poisson

import nmmfit
from nmmfit import catalogue
from nmmfit.cli.main import main
from nmmfit.contract.package import has_provenance, imports_quietly
from nmmfit.experiment import BinnedExperiment, TheoryChoices
from nmmfit.physics.cross_section import dsigma_dt
from nmmfit.physics.forms import TargetCouplings, quadratic_forms
from tests.installed import EXAMPLE, install

ROOT = Path(nmmfit.__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "guide" / "new_experiment.md").read_text(encoding="utf-8")
SHOWN = ("pyproject.toml", "my_experiment/__init__.py", "my_experiment/data/counts.csv", "my_experiment/PROVENANCE.md")
NAME = "my_experiment"


@pytest.fixture(scope="module", autouse=True)
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(install(EXAMPLE, tmp_path_factory.mktemp("site"))))
        importlib.invalidate_caches()
        yield
    sys.modules.pop(NAME, None)


@pytest.fixture(scope="module")
def experiment() -> BinnedExperiment:
    return catalogue.build(NAME, TheoryChoices(weak_charges="tree"), {"quenching_factor": 0.25})


@pytest.mark.parametrize("path", [*SHOWN, "tests/test_contract.py"])
def test_the_how_to_shows_the_files_as_they_are(path: str) -> None:
    assert f"\n{(EXAMPLE / path).read_text(encoding='utf-8')}```" in PAGE


def test_the_package_is_short() -> None:
    code = [*EXAMPLE.rglob("*.py"), EXAMPLE / "pyproject.toml"]
    assert sum(len(p.read_text(encoding="utf-8").splitlines()) for p in code) < 150


def test_it_is_listed_with_its_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "experiments", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["problems"] == {}
    assert answer["experiments"][NAME]["origin"] == "nmmfit-my-experiment"
    assert answer["experiments"][NAME]["summary"].startswith("A made-up argon detector")
    assert answer["experiments"][NAME]["status"] == "invented numbers, no data"
    assert NAME not in catalogue.names_in_all()


def test_its_package_keeps_the_contract() -> None:
    assert imports_quietly([NAME])[NAME]
    assert has_provenance(NAME)


def test_options_are_checked_and_told(experiment: BinnedExperiment) -> None:
    with pytest.raises(nmmfit.NmmfitError, match=r"options\.my_experiment: unknown key 'quenching'"):
        catalogue.build(NAME, options={"quenching": 0.2})
    assert experiment.choices["quenching_factor"] == "0.25"


def test_counts_without_smearing_are_those_of_a_plain_sum(experiment: BinnedExperiment) -> None:
    """Events of the prompt line in all bins: sums of the public cross section over recoils, far from the edges' smearing.

    nu_mu of 29.8 MeV on 40Ar, T = E_ee / 0.25, smeared by 0.3 sqrt(E_ee + 1), efficiencies 0.55, 0.70, 0.80.
    """
    e_nu, mass = 29.792, 37215.5
    t = (np.arange(40000) + 0.5) / 40000 * 2.0 * e_nu**2 / (mass + 2.0 * e_nu)
    rate = np.asarray(dsigma_dt("Ar40", e_nu, t, flavour="mu", weak_charges="tree"))
    seen = 0.25e3 * t
    edges = np.array([4.0, 8.0, 12.0, 18.0, 30.0])
    shares = np.diff(norm.cdf((edges[:, None] - seen) / (0.3 * np.sqrt(seen + 1.0))), axis=0)
    nuclei, fluence = 25e3 / 39.96 * 6.02214076e23, 3e23 * 0.09 / (4.0 * math.pi * 2800.0**2)
    expected = shares @ rate * (t[1] - t[0]) * nuclei * fluence * np.array([0.55, 0.70, 0.80, 0.80])
    (prompt,) = (c for c in experiment.channels[0].components if c.name == "cevns_prompt_nu_mu")
    counts = np.asarray(prompt.counts(quadratic_forms(TargetCouplings.zero()), experiment.nominal_pulls()))
    np.testing.assert_allclose(counts[:3], expected[:3], rtol=2e-3)


@pytest.mark.slow
def test_it_is_predicted_and_fitted_together_with_others(capsys: pytest.CaptureFixture[str]) -> None:
    """At the Standard Model: Poisson probabilities of its counts, unit normals of its pulls, and the other one's Gaussian."""
    assert main(["predict", NAME, "--json"]) == 0
    predicted = json.loads(capsys.readouterr().out)
    assert predicted["observed"] == [101.0, 70.0, 43.0, 28.0]
    assert set(predicted["components"]) >= {"background", "cevns_prompt_nu_mu"}
    probability = poisson.logpmf(predicted["observed"], predicted["expected"]).sum()
    assert predicted["log_likelihood"] == pytest.approx(probability, rel=1e-10)
    joint = nmmfit.default_run([f'experiments=["{NAME}", "borexino_phase2_limit"]']).joint("direct")
    (limit,) = joint.channels["borexino_phase2_limit.moment"].edges.values()
    width = limit[-1] / norm.ppf(0.95)
    expected = probability + 4.0 * norm.logpdf(0.0) + norm.logpdf(0.0, scale=width)
    assert set(joint.names) >= {"sns.flux", "my_experiment.quenching", "my_experiment.background", "theory.rn_ar40"}
    priors = sum(float(p.prior.log_prob(p.start)) for p in joint.of_kind("theory"))
    assert float(joint.nll({})) == pytest.approx(-expected - priors, rel=1e-9)


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands, with the package installed; the run file that it shows is the one that they use."""
    monkeypatch.chdir(tmp_path)
    page = blocks(ROOT / "docs" / "tutorials" / "own_experiment.md")
    assert [block.file for block in page if block.language == "toml"] == ["mine.toml"]
    for block in page:
        assert "test_own_experiment" in block.skipped or block.language == "text"
        run_block(replace(block, skipped=""), {})


@pytest.mark.slow
def test_the_whole_contract_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-experiment", NAME, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["passed"]
    assert answer["failed"] == []
    assert set(answer["checks"]) == set(_checks_of_the_page())
    assert answer["value_and_gradient_ms"] > 0.0


def _checks_of_the_page() -> list[str]:
    section = PAGE.partition("| check | what must hold |")[2].partition("\n\n")[0]
    return [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]


@pytest.mark.slow
def test_pip_installs_it_into_a_fresh_environment(tmp_path: Path) -> None:
    """With this interpreter's packages on the path; the build backend comes from the network, and without it this is skipped."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    # What nmmfit needs is here already; the package itself must come from pip.
    shared = [str(ROOT), *(p for p in sys.path if p.endswith("site-packages"))]
    (site / "shared.pth").write_text("\n".join(shared) + "\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    call = [str(venv / "bin" / "pip"), "install", "--quiet", "--no-deps", str(EXAMPLE)]
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True)
    if done.returncode != 0 and ("hatchling" in done.stderr or "Connection" in done.stderr):
        pytest.skip("pip cannot fetch the build backend hatchling")
    assert done.returncode == 0, done.stderr
    call = [str(venv / "bin" / "python"), "-m", "nmmfit", "predict", NAME, "--json"]
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["observed"] == [101.0, 70.0, 43.0, 28.0]
    assert (site / NAME / "data" / "counts.csv").is_file()
    assert (site / NAME / "PROVENANCE.md").is_file()
