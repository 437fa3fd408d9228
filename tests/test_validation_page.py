"""The committed page of validations: every experiment of the listing, pictures, explanations, and numbers that come again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import nmmfit
from nmmfit import catalogue
from nmmfit.inference.validate import Validation, validate_experiment
from nmmfit.results.validation import verdict
from nmmfit.results.validation_folder import Settings, said_by, stems_of

FOLDER = Path(nmmfit.__file__).resolve().parent.parent / "docs" / "experiments" / "validation"
PAGE = (FOLDER / "validation.md").read_text(encoding="utf-8")
OBJECT = json.loads((FOLDER / "validate.json").read_text(encoding="utf-8"))
FOUND = {name: Validation.from_json(one) for name, one in OBJECT["experiments"].items()}
OWN = tuple(entry.name for entry in catalogue.entries() if entry.origin == "nmmfit")
LARGEST_PICTURE = 300_000


def settings() -> Settings:
    given = OBJECT["settings"]
    return Settings(**(given | {"plots": tuple(given["plots"])}))


def test_the_page_has_every_experiment_of_the_listing_and_no_other():
    assert re.findall(r"^## (\w+)$", PAGE, re.MULTILINE) == list(OWN)
    assert list(FOUND) == list(OWN)


def test_the_command_that_makes_it_stands_at_its_top():
    head = PAGE.partition("\n## ")[0]
    assert said_by(settings(), FOUND, OWN) in head
    assert " --out DIR`" in head
    assert " --update DIR`" in head


def test_every_fit_converged_and_few_toys_failed():
    assert [name for name, v in FOUND.items() if not v.converged] == []
    toys = {name: v.goodness for name, v in FOUND.items() if v.goodness is not None}
    assert [name for name, g in toys.items() if g.toys + g.failed != settings().toys or g.failed > 0.05 * settings().toys] == []


def test_what_differs_is_explained():
    unexplained = [
        (name, c.published.quantity, c.published.value)
        for name, v in FOUND.items()
        for c in v.comparisons
        if verdict(c) == "differs" and not c.published.note
    ]
    assert unexplained == []


def test_what_is_compared_is_what_the_experiments_say_was_published():
    # Of those that build at once; the text of a source or a note is changed on the page as well.
    for name in ("gemma", "lsnd", "texono", "conus_2022", "donut", "borexino_phase2_limit"):
        published = catalogue.build(name).published
        assert published
        assert [c.published for c in FOUND[name].comparisons] == list(published)


def test_pictures_are_there_small_and_shown():
    shown = re.findall(r"\]\((\w+\.png)\)", PAGE)
    assert sorted(shown) == sorted(p.name for p in FOLDER.glob("*.png"))
    assert [p.name for p in FOLDER.glob("*.png") if p.stat().st_size > LARGEST_PICTURE] == []
    # Published limits have no data to draw.
    without = [name for name in OWN if not stems_of(FOLDER, name, OWN)]
    assert without == [name for name, v in FOUND.items() if v.sm_counts is None]


@pytest.mark.slow
def test_numbers_come_again():
    name = "coherent_ge_2026"
    given = settings()
    again = validate_experiment(name, cl=given.cl, toys=given.toys, choices=False, seed=given.seed)
    then = FOUND[name]
    assert again.sm_counts == pytest.approx(then.sm_counts, rel=1e-6)
    assert again.strength == pytest.approx(then.strength, rel=1e-4)
    assert again.fitted_counts == pytest.approx(then.fitted_counts, rel=1e-4)
    assert again.goodness.deviance == pytest.approx(then.goodness.deviance, rel=1e-4, abs=1e-6)
    assert again.goodness.p_value == pytest.approx(then.goodness.p_value, abs=1.5 / given.toys)
    assert set(again.limits) == set(then.limits)
    for quantity, value in then.limits.items():
        assert again.limits[quantity] == pytest.approx(value, rel=1e-4)
