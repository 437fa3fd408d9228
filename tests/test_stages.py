"""Stages: what the command line gives, what is done without it, and what is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest

from nmmfit import catalogue
from nmmfit.errors import UserInputError
from nmmfit.stages import LIMITS, default_stages, read_stages, refuse_overlaps


def test_a_plus_adds_to_the_stage_before():
    written = read_stages(["borexino_phase2", "borexino_phase2, lz_er", "+gemma,texono"])
    assert [s.experiments for s in written] == [
        ("borexino_phase2",),
        ("borexino_phase2", "lz_er"),
        ("borexino_phase2", "lz_er", "gemma", "texono"),
    ]
    assert [s.label for s in written] == ["borexino_phase2", "+ lz_er", "+ gemma, texono"]
    assert written[2].added == ("gemma", "texono")


def test_the_order_in_a_stage_does_not_matter():
    first, second = read_stages(["borexino_phase2,lz_er", "gemma,lz_er,borexino_phase2"])
    assert set(first.experiments) < set(second.experiments)
    assert second.added == ("gemma",)


def test_default_stages_hold_all_experiments_once_and_grow():
    names = catalogue.names_in_all()
    made = default_stages(names)
    assert sorted(made[-1].experiments) == sorted(names)
    assert len(set(made[-1].experiments)) == len(names)
    for before, after in pairwise(made):
        assert after.experiments == (*before.experiments, *after.added)
    labels = [s.label for s in made]
    assert labels == ["Borexino and COHERENT", "+ xenon", "+ reactors", "+ published limits"]
    assert "coherent_csi_2017" not in made[0].experiments
    assert {"borexino_phase2", "coherent_csi_2021"} <= set(made[0].experiments)
    kinds = {e.name: e.listing.kind for e in catalogue.entries() if e.listing is not None}
    assert {kinds[name] for name in made[-1].added} == {LIMITS}
    assert LIMITS not in {kinds[name] for name in made[-2].experiments}
    refuse_overlaps(made)


def test_what_fits_nowhere_comes_last_and_empty_stages_are_left_out():
    made = default_stages(["lz_er", "somebody_s"])
    assert [(s.label, s.added) for s in made] == [("xenon", ("lz_er",)), ("+ all others", ("somebody_s",))]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["gemma"], "--stage: takes at least two stages, got 1"),
        (["gemma", "texono"], r"'texono' \(stage 2\): lacks 'gemma' of the stage before"),
        (["gemma", "+gemma"], r"stage 2\): 'gemma' is named twice"),
        (["gemma,gemma", "+lsnd"], r"stage 1\): 'gemma' is named twice"),
        (["gemma", "gemma"], "adds no experiment"),
        (["gemma", "+,"], "names no experiment"),
        (["+gemma", "+lsnd"], "no stage before the first"),
        (["gemma", "+lsn"], r"stage 2\): unknown experiment 'lsn'; did you mean 'lsnd'"),
    ],
)
def test_wrong_stages_are_refused(given, message):
    with pytest.raises(UserInputError, match=message):
        read_stages(given)


def test_experiments_that_share_data_are_refused_with_the_stage():
    with pytest.raises(UserInputError, match="stage 2: 'coherent_csi_2021' and 'coherent_csi_2017' share data"):
        refuse_overlaps(read_stages(["coherent_csi_2021", "+coherent_csi_2017"]))


def test_digitised_data_are_called_so_in_the_pictures():
    from nmmfit.inference.tighten import Bounds
    from nmmfit.results.fisher import _labels
    from nmmfit.results.tighten import _stage_label

    assert catalogue.digitised(["lz_er", "borexino_phase2", "somebody_s"]) == {"lz_er"}
    assert _labels(["lz_er", "gemma", "shared constraints"]) == ["lz_er (digitised)", "gemma", "shared constraints"]
    for added, label in ((("lz_er",), "+ x (digitised)"), (("lz_er", "gemma"), "+ x (partly digitised)"), (("gemma",), "+ x")):
        assert _stage_label(Bounds("+ x", added, added, None)) == label
