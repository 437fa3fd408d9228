"""Coordinates and starts kept on disk: those of the same likelihood come back bit for bit, any change makes new ones."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
import small_joint
from numpyro import distributions as dist

from nmmfit.inference.coordinates import Coordinates, amplitude_coordinates, natural_coordinates
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.laplace import LaplaceStart, laplace_start
from nmmfit.inference.priors import exact_description, to_distribution
from nmmfit.priors import PriorSpec
from nmmfit.run import parse_run


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "nmmfit"


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    """Programs compiled since the start of the test."""
    found: list[str] = []

    def listen(event: str, duration: float, **_: object) -> None:
        if "backend_compile" in event:
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield found
    jax.monitoring.unregister_event_duration_listener(listen)


def lab(mapping: str | None = "map", experiment: str | None = "lab", **changes: object) -> JointLikelihood:
    """A likelihood of two coefficients, c_T and a pull, with the fingerprints given."""
    function = small_joint.counts_of([40.0, 30.0, 20.0], [1.0, 2.0, 4.0], tensor_pp=[3.0, 1.0, 0.5])
    counted = small_joint.experiment([41.0, 33.0, 26.0], function, {"level": lambda p: 0.1 * p})
    units = {"a": small_joint.couplings(dipole=1.0), "b": small_joint.couplings(tensor_p=1.0)}
    made = small_joint.joint(counted, units, {"b": 0.3}, dist.Normal(-2.9, 0.3))
    known = {} if experiment is None else {"lab": experiment}
    given = {"parameters": made.parameters, "couplings": dataclasses.replace(made.coupling_map, fingerprint=mapping)}
    return JointLikelihood(made.experiments, **(given | changes), method="direct", fingerprints=known)


def arrays(coordinates: Coordinates, start: LaplaceStart) -> list[np.ndarray]:
    knee = coordinates.knee
    own = coordinates.matrix, coordinates.shear, coordinates.nominal, coordinates.response, coordinates.stretch
    return [*own, knee.centre, knee.width, knee.ratio, start.centre, start.covariance]


def made_of(joint: JointLikelihood, kind: Callable[[JointLikelihood], Coordinates] = amplitude_coordinates) -> list[np.ndarray]:
    coordinates = kind(joint)
    return arrays(coordinates, laplace_start(coordinates))


def test_kept_ones_are_fresh_ones_bit_for_bit_and_compile_nothing(cache, compilations):
    fresh = made_of(lab(experiment=None))
    assert not cache.exists()
    first = made_of(lab())
    assert sorted(p.name for p in cache.iterdir()) == ["coordinates", "starts"]
    other = lab()
    compilations.clear()
    kept = made_of(other)
    assert compilations == []
    for a, b, c in zip(fresh, first, kept, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_natural_coordinates_have_a_start_of_their_own(cache):
    mixed, natural = made_of(lab()), made_of(lab(), natural_coordinates)
    assert len(list((cache / "starts").iterdir())) == 2
    assert not np.array_equal(mixed[-2], natural[-2])


def test_a_damaged_file_is_made_anew(cache):
    first = made_of(lab())
    for path in [*cache.glob("*/*")]:
        path.write_bytes(path.read_bytes()[:-1])
    for a, b in zip(first, made_of(lab()), strict=True):
        np.testing.assert_array_equal(a, b)


def test_nothing_is_written_where_caches_are_off(cache):
    before = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        made_of(lab())
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
    assert not cache.exists()


@pytest.mark.parametrize("unknown", [{"mapping": None}, {"experiment": None}])
def test_a_likelihood_made_by_hand_has_no_fingerprint(unknown):
    assert lab(**unknown).fingerprint is None


def test_a_copy_which_may_be_changed_has_no_fingerprint():
    assert copy.copy(lab()).fingerprint is None


def test_an_unknown_family_of_priors_has_no_fingerprint():
    parameters = tuple(dataclasses.replace(p, prior=dist.Cauchy(0.0, 1.0)) if p.name == "a" else p for p in lab().parameters)
    assert lab(parameters=parameters).fingerprint is None


def test_whatever_a_likelihood_is_made_of_enters_its_fingerprint():
    plain = lab()
    assert plain.fingerprint is not None
    assert plain.fingerprint == lab().fingerprint

    def with_first(**changes: object) -> JointLikelihood:
        first, *rest = plain.parameters
        return lab(parameters=(dataclasses.replace(first, **changes), *rest))

    moved = tuple(np.nextafter(m, np.inf) for m in plain.coupling_map.samples)
    others = [
        lab(mapping="other"),
        lab(experiment="other"),
        with_first(prior=dist.Normal(0.0, np.nextafter(10.0, 11.0))),
        with_first(prior=dist.StudentT(3.0, 0.0, 10.0)),
        with_first(start=0.5),
        with_first(scale=2.0),
        with_first(name="renamed"),
        lab(couplings=dataclasses.replace(plain.coupling_map, samples=moved)),
        lab(parameters=plain.parameters[:-1], fixed={"lab.level": 0.0}),
        lab(parameters=plain.parameters[:-1], fixed={"lab.level": 0.5}),
        lab(fixed_coefficients={"c": 1.0}),
        lab(tolerance=1e-5),
        lab(choices={"form_factor": "helm"}),
    ]
    digests = {joint.fingerprint for joint in [plain, *others]}
    assert None not in digests
    assert len(digests) == 1 + len(others)


RUN = """
experiments = ["coherent_csi_2021"]
[parameters.d]
coefficients = { nuNgamma_11 = 1 }
prior = { normal = [0.0, 1e-7] }
"""
CHANGES = (
    "parameters.d.prior={ normal = [0.0, 2e-7] }",
    "parameters.d.prior={ half_normal = 1e-7 }",
    "parameters.d.coefficients={ nuNgamma_22 = 1 }",
    'pulls={ "sns.flux" = { normal = [0.0, 0.5] } }',
    'pulls={ "sns.flux" = 0.1 }',
    "theory.c_T=-3.2",
    "theory.weak_charges='tree'",
    "theory.form_factor='klein_nystrand'",
    "theory.nucleon_charges='seed'",
    "theory.running='seed'",
    "scale_gev=10.0",
    "options.coherent_csi_2021.steady_state='fixed_shape'",
    "options.coherent_csi_2021.efficiency_pull='published_4_1_percent'",
)


def test_every_key_of_a_run_that_changes_the_likelihood_changes_its_fingerprint():
    digests = [parse_run(RUN, overrides=[change]).joint("direct").fingerprint for change in CHANGES]
    digests.append(parse_run(RUN).joint("direct").fingerprint)
    assert None not in digests
    assert len(set(digests)) == len(CHANGES) + 1
    assert parse_run(RUN + "[sampler]\nseed = 7").joint("direct").fingerprint == digests[-1]


@pytest.mark.parametrize(
    ("family", "numbers"),
    [
        ("normal", (0.5, 2.0)),
        ("half_normal", (2.0,)),
        ("uniform", (-1.0, 2.0)),
        ("log_uniform", (1.0, 2.0)),
        ("student_t", (3.0, 0.0, 1.5)),
        ("truncated_normal", (0.5, 1.0, -1.0, 2.0)),
        ("delta", (1.5,)),
    ],
)
def test_every_family_of_a_run_file_is_described_with_all_its_numbers(family, numbers):
    def described(values):
        return exact_description(to_distribution(PriorSpec.model_validate({family: list(values)})))

    texts = {described(numbers)}
    texts |= {described((*numbers[:k], np.nextafter(n, 9.0), *numbers[k + 1 :])) for k, n in enumerate(numbers)}
    assert None not in texts
    assert len(texts) == 1 + len(numbers)
