"""Templates kept on disk: the same ones come back, whatever changes gets new ones, and a bad cache is no error."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from synthetic import couplings, nuclear_like

from nmmfit.kept import experiment_fingerprint, folder_digest
from nmmfit.physics.amplitude_basis import AmplitudeBasis, amplitude_basis, couplings_to_vector
from nmmfit.templates import ExperimentTemplate, build_templates, experiment


@pytest.fixture
def basis() -> AmplitudeBasis:
    return amplitude_basis(np.asarray([couplings_to_vector(couplings(1e-9))]))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "nmmfit" / "templates"


@pytest.fixture
def plans_made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the channels whose plans were made."""
    made: list[str] = []
    real = experiment.channel_plan

    def counted(channel, *rest):
        made.append(channel.name)
        return real(channel, *rest)

    monkeypatch.setattr(experiment, "channel_plan", counted)
    return made


def counts(template: ExperimentTemplate) -> np.ndarray:
    pulls = {name: jnp.asarray(0.7) for name in template.experiment.pulls}
    products = template.basis.products(jnp.asarray([1.3]))
    return np.concatenate([np.asarray(v) for v in template.expected(products, pulls).values()])


def test_kept_templates_are_the_same_and_are_not_made_again(basis, cache, plans_made):
    first = build_templates(nuclear_like(), basis, fingerprint="a")
    n_made = len(plans_made)
    again = build_templates(nuclear_like(), basis, fingerprint="a")
    assert n_made == len(first.channels)
    assert len(plans_made) == n_made
    np.testing.assert_array_equal(counts(again), counts(first))
    assert again.errors == first.errors
    assert len(list(cache.iterdir())) == 1


def test_whatever_the_numbers_depend_on_gets_its_own_templates(basis, cache, plans_made):
    other = dataclasses.replace(basis, directions=2.0 * basis.directions)
    for mine, arguments in ((basis, {}), (basis, {"tolerance": 1e-5}), (other, {})):
        build_templates(nuclear_like(), mine, fingerprint="a", **arguments)
    build_templates(nuclear_like(), basis, fingerprint="b")
    assert len(list(cache.iterdir())) == 4
    assert len(plans_made) == 4 * len(nuclear_like().channels)


def test_without_a_fingerprint_nothing_is_kept(basis, cache):
    build_templates(nuclear_like(), basis)
    assert not cache.exists()


@pytest.mark.parametrize("damage", [b"", b"short", hashlib.sha256(b"x").digest() + b"not it"])
def test_a_damaged_file_is_made_again(basis, cache, plans_made, damage):
    first = build_templates(nuclear_like(), basis, fingerprint="a")
    (path,) = cache.iterdir()
    good = path.read_bytes()
    path.write_bytes(damage if damage != b"short" else good[: len(good) // 2])
    plans_made.clear()
    again = build_templates(nuclear_like(), basis, fingerprint="a")
    assert len(plans_made) == len(first.channels)
    np.testing.assert_array_equal(counts(again), counts(first))
    assert path.read_bytes()[:32] == hashlib.sha256(path.read_bytes()[32:]).digest()


def test_a_cache_that_cannot_be_written_is_no_error(basis, tmp_path, monkeypatch, plans_made):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    template = build_templates(nuclear_like(), basis, fingerprint="a")
    assert np.all(np.isfinite(counts(template)))
    assert len(plans_made) == len(template.channels)


def test_a_user_who_wants_no_cache_gets_none(basis, cache):
    before = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        build_templates(nuclear_like(), basis, fingerprint="a")
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
    assert not cache.exists()


def test_fingerprints_follow_code_data_choices_and_options(tmp_path):
    (tmp_path / "table.csv").write_text("1\n")
    folder_digest.cache_clear()
    first = experiment_fingerprint(tmp_path, "x", "choices", {"a": 1})
    assert experiment_fingerprint(tmp_path, "x", "choices", {"a": 1}) == first
    assert experiment_fingerprint(tmp_path, "x", "choices", {"a": 2}) != first
    assert experiment_fingerprint(tmp_path, "x", "others", {"a": 1}) != first
    folder_digest.cache_clear()
    (tmp_path / "table.csv").write_text("2\n")
    assert experiment_fingerprint(tmp_path, "x", "choices", {"a": 1}) != first
    folder_digest.cache_clear()
