"""Every check of the contract sees what it is for: a sound toy experiment passes, one that is broken in one place fails there."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist

from nmmfit.contract import likelihood, model
from nmmfit.contract.evaluation import Evaluation, random_couplings
from nmmfit.contract.package import has_provenance, imports_quietly
from nmmfit.contract.result import Check, ContractError, Report, attempt
from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor
from nmmfit.physics.amplitude_basis import vector_to_couplings
from nmmfit.physics.forms import VECTORS
from tests.installed import register
from tests.synthetic import synthetic_joint

SHAPE = jnp.array([4.0, 2.0, 1.0])
GEV_2 = 1e18
"""A dipole of 1e-9 GeV^-1 makes counts of order one."""

Function = Callable[[Any, Any], Any]


def rate(forms: Any, pulls: Any) -> Any:
    """The Standard Model's and a dipole's rate, for muon neutrinos, under an energy scale."""
    return (10.0 * forms["sm"] + GEV_2 * jnp.real(forms["dipole"][1, 1])) * SHAPE ** (1.0 + 0.1 * pulls["toy.scale"])


def toy(function: Function = rate, scale: Any = None, **changes: Any) -> BinnedExperiment:
    """One channel of three bins; `function` is the signal's factor, `scale` that of the background."""
    signal = Component("signal", (Factor(function, shape_pulls=("toy.scale",), forms=("dipole",)),))
    width = scale or (lambda pulls: jnp.exp(0.1 * pulls["toy.background"]))
    background = Component("background", (Factor(lambda forms, pulls: jnp.full(3, 5.0)),), width, ("toy.background",))
    channel = Channel("counts", np.array([45, 25, 16]), (signal, background), {"energy_kev": np.arange(4.0)})
    made = {
        "channels": (channel,),
        "pulls": {"toy.scale": dist.Normal(0.0, 1.0), "toy.background": dist.Normal(0.0, 1.0)},
        "references": ("invented",),
    }
    return BinnedExperiment(name="toy", title="Toy", **{**made, **changes})  # type: ignore[arg-type]


def test_a_sound_experiment_passes() -> None:
    found = model.checks(toy())
    assert [check.name for check in found] == ["declared", "dependences", "shapes", *model.PARTS]
    assert [check for check in found if not check.passed] == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"references": ()}, "references are empty"),
        ({"status": " "}, "title and status"),
        ({"overlaps": ("coherent_csi_2012",)}, "no other experiment 'coherent_csi_2012'"),
        ({"pulls": {"toy.scale": dist.Normal(), "toy.background": dist.Normal(), "flux": dist.Normal()}}, "pull 'flux'"),
        ({"pulls": {"toy.scale": dist.Uniform(1.0, 2.0), "toy.background": dist.Normal()}}, "no finite density at 0"),
        ({"channels": ()}, "channels must be there"),
    ],
)
def test_declarations(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        model.declares(toy(**changes))


@pytest.mark.parametrize(
    ("experiment", "said"),
    [
        (toy(lambda f, p: rate(f, p) * jnp.exp(p["toy.background"])), "signal, factor 1: reads the pull 'toy.background'"),
        (toy(lambda f, p: rate(f, p) + jnp.real(f["tensor_pp"][1, 1])), "factor 1: reads the form 'tensor_pp'"),
        (toy(scale=lambda pulls: jnp.exp(0.1 * pulls["toy.scale"])), "background, scale: reads the pull 'toy.scale'"),
    ],
    ids=["pull", "form", "scale"],
)
def test_undeclared_dependences(experiment: BinnedExperiment, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        model.depends_as_declared(experiment)


def shapes_of(**changes: Any) -> str:
    experiment = toy()
    return model.has_shapes(Evaluation(replace(experiment, channels=(replace(experiment.channels[0], **changes),))))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"edges": {"energy_kev": np.arange(3.0)}}, "edges make 2 bins, observed counts are 3"),
        ({"edges": {"energy_kev": np.array([0.0, 2.0, 1.0, 3.0])}}, "edges must increase"),
        ({"observed": np.array([45, 25]), "edges": {"energy_kev": np.arange(3.0)}}, r"signal: counts have the shape \(3,\)"),
        ({"distribution": lambda n: dist.Poisson(n).to_event(1)}, r"distribution is one of shape \(\)"),
    ],
)
def test_shapes(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        shapes_of(**changes)


def test_counts_that_are_no_whole_numbers_are_refused_without_the_word_poisson() -> None:
    with pytest.raises(Exception, match=r"toy\.counts: observed counts must be whole numbers >= 0; bin 1 is not a whole number"):
        toy(channels=(replace(toy().channels[0], observed=np.array([45, 2.5, 16]), statistic="mine"),))


def square(forms: Any, pulls: Any) -> Any:
    return rate(forms, pulls) + GEV_2**2 * jnp.real(forms["dipole"][1, 1]) ** 2


def root(forms: Any, pulls: Any) -> Any:
    return 10.0 * forms["sm"] * SHAPE + 1e9 * jnp.sqrt(jnp.real(forms["dipole"][1, 1])) * SHAPE


def stopped(forms: Any, pulls: Any) -> Any:
    return rate(forms, {"toy.scale": jax.lax.stop_gradient(pulls["toy.scale"])})


def left_over(forms: Any, pulls: Any) -> Any:
    return rate(forms, pulls) + 1.0


@pytest.mark.parametrize(
    ("part", "experiment", "said"),
    [
        (
            "positive",
            toy(scale=lambda pulls: 1.0 + 3.0 * pulls["toy.background"]),
            r"counts, bin \d: -[\d.]+ counts at toy.scale=",
        ),
        ("standard_model", toy(left_over), "counts.signal: 1 counts without couplings and Standard Model"),
        ("standard_model", toy(root), "the slope of the likelihood at zero couplings is nan"),
        ("linear", toy(square), "not linear in the forms"),
        ("gradient", toy(stopped), "toy.scale: the gradient is "),
    ],
    ids=["negative", "left over", "root", "square", "gradient"],
)
def test_dependence_on_couplings_and_pulls(part: str, experiment: BinnedExperiment, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        model.PARTS[part](Evaluation(experiment))


def test_signs_that_matter_are_seen() -> None:
    """What comes from couplings directly, past the quadratic forms, could break the symmetry."""

    class Signed(BinnedExperiment):
        def forms(self, couplings: Any, m_n_mev: Any = 0.0, **rest: Any) -> Any:
            made = super().forms(couplings, m_n_mev, **rest)
            return made | {"sm": made["sm"] + 1e8 * jnp.real(couplings.dipole[1, 1])}

    whole = toy()
    signed = Signed(whole.name, whole.title, whole.channels, whole.pulls, whole.references)
    with pytest.raises(ContractError, match="with the sign of all lepton-number-conserving couplings"):
        model.ignores_signs(Evaluation(signed))


def test_random_couplings_are_what_they_are_called() -> None:
    made = vector_to_couplings(jnp.asarray(random_couplings(np.random.default_rng(1), vectors=True)))
    for name in VECTORS:
        square = np.asarray(getattr(made, name))[:, :3]
        np.testing.assert_array_equal(square, square.conj().T)
        assert np.any(square)
    alone = vector_to_couplings(jnp.asarray(random_couplings(np.random.default_rng(1), vectors=False, lnv=False)))
    assert not np.any(np.asarray(alone.vector_p))
    assert not np.any(np.asarray(alone.dipole)[:, 3:])
    assert np.any(np.asarray(alone.dipole)[:, :3])


def test_visible_couplings_move_a_bin_by_a_standard_deviation() -> None:
    evaluation = Evaluation(toy())
    couplings = evaluation.visible(1e-4 * random_couplings(np.random.default_rng(2), vectors=False))
    base, moved = evaluation.counts(evaluation.standard), evaluation.counts(evaluation.forms(couplings))
    assert 0.4 < np.max((moved - base) / np.sqrt(base)) < 2.5


def test_templates_that_differ_are_refused() -> None:
    # Both by the direct evaluation, which needs no templates to be built.
    templates, direct = synthetic_joint("direct"), synthetic_joint("direct")
    assert "of the direct one" in likelihood.templates_agree(templates, direct, points=4)
    whole = direct.data_vector
    direct.data_vector = lambda x: whole(x) + 2e-4  # type: ignore[method-assign]
    direct.compiled.clear()
    with pytest.raises(ContractError, match=r"differs from the direct one by 0\.0002 \(allowed 0\.0001\)"):
        likelihood.templates_agree(templates, direct, points=4)


MODULES = {
    "reading": ("import json\nopen(__file__ + '.txt').read()\ndef build(theory=None): pass", "reads .*reading_module.py.txt"),
    "computing": (
        "import jax.numpy as jnp\nx = jnp.ones(3) + 1\ndef build(theory=None): pass",
        "starts JAX while it is imported",
    ),
    "quiet": ("def build(theory=None): pass", ""),
}


def test_imports_that_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (source, _) in MODULES.items():
        register(tmp_path, name, source, f"package-{name}")
    (tmp_path / "reading_module.py.txt").write_text("data")
    (tmp_path / "PROVENANCE.md").write_text("nobody's")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    assert imports_quietly(["quiet"]) == {"quiet": "starts no JAX and reads no file"}
    for name in ("reading", "computing"):
        with pytest.raises(ContractError, match=MODULES[name][1]):
            imports_quietly([name])
    with pytest.raises(ContractError, match=r"has no PROVENANCE\.md"):
        has_provenance("quiet")
    sys.modules.pop("quiet_module")


def test_whatever_a_check_raises_is_a_failure_and_the_report_names_it() -> None:
    def broken() -> str:
        raise KeyError("flux")

    checks = (attempt("one", lambda: "fine"), attempt("two", broken))
    report = Report("toy", "theirs", checks)
    assert checks[0] == Check("one", True, "fine")
    assert checks[1].found == "raised KeyError: 'flux'"
    assert (report.passed, report.failed) == (False, ("two",))
