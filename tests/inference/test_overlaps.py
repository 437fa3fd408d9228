"""Experiments that share data, and choosing experiments on the command line."""

from __future__ import annotations

import dataclasses
import json

import pytest

from likelihoods import borexino_phase2_limit, gemma, lsnd
from nmmfit import catalogue, parse_run
from nmmfit.cli.arguments import experiment_overrides
from nmmfit.cli.main import main
from nmmfit.errors import UserInputError
from nmmfit.inference.compatibility import overlapping, refuse_overlaps

BOREXINO, GEMMA, LSND = (module.build() for module in (borexino_phase2_limit, gemma, lsnd))


def test_every_pair_is_named_once_whoever_declares_it():
    one = dataclasses.replace(GEMMA, overlaps=("borexino_phase2_limit", "somebody_else"))
    other = dataclasses.replace(BOREXINO, overlaps=("gemma",))
    assert overlapping([other, LSND, one]) == [("borexino_phase2_limit", "gemma")]
    assert overlapping([dataclasses.replace(other, overlaps=()), one]) == [("borexino_phase2_limit", "gemma")]
    assert overlapping([GEMMA, LSND]) == []


def test_a_pair_is_refused():
    with pytest.raises(UserInputError, match=r"'lsnd' and 'gemma' share data.*allow_overlaps"):
        refuse_overlaps([dataclasses.replace(LSND, overlaps=("gemma",)), GEMMA])


@pytest.mark.slow
def test_a_run_may_insist(caplog):
    text = 'experiments = ["coherent_csi_2021", "coherent_csi_2017_limit"]\n'
    with pytest.raises(UserInputError, match="share data"):
        parse_run(text).joint("direct")
    parse_run(text + "allow_overlaps = true\n").joint("direct")
    assert "counts twice" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["fit", "limits", "tension", "impacts", "leave-one-out"])
def test_a_verb_refuses_before_it_computes_and_writes_nothing(verb, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([verb, "--experiments", "coherent_ge_2024,coherent_ge_2026", "--out", "x"]) == 2
    printed = capsys.readouterr()
    (line,) = [line for line in printed.err.splitlines() if not line.startswith("default run:")]
    assert line.startswith("nmmfit: experiments: 'coherent_ge_2024' and 'coherent_ge_2026' share data")
    assert "allow_overlaps" in line
    assert printed.out == ""
    assert list(tmp_path.iterdir()) == []


def test_experiments_of_the_command_line():
    assert experiment_overrides(None) == []
    assert experiment_overrides("gemma, lsnd") == ['experiments=["gemma", "lsnd"]']
    (override,) = experiment_overrides("all")
    assert tuple(json.loads(override.partition("=")[2])) == catalogue.names_in_all()
    assert parse_run("experiments = []\n", overrides=experiment_overrides("lsnd,")).config.experiments == ["lsnd"]
    with pytest.raises(UserInputError, match="did you mean 'gemma'"):
        parse_run("experiments = []\n", overrides=experiment_overrides("gema"))


def test_all_experiments_can_be_combined():
    named = set(catalogue.names_in_all())
    for entry in catalogue.entries():
        if entry.name in named and entry.listing is not None:
            assert not named & set(entry.listing.overlaps)
