"""Published numbers beside ours: what agrees, and what is compared with other choices."""

from __future__ import annotations

import pytest

from nmmfit.experiment import Published
from nmmfit.inference.alone import Strength, UpperLimits
from nmmfit.inference.validate import compared

SOURCE = "arXiv:0000.00000"
DEFAULT = UpperLimits({"mu_eff_x": 5.0}, {"mu_eff_x": "1e-11 mu_B"}, True)


class Stub:
    """Invented numbers in place of a likelihood: with binning = coarse there are 5 % more events and half the limit."""

    def predicted(self, component="", **options):
        return {"": 100.0, "background": 40.0}[component] * (1.05 if options else 1.0)

    def strength(self, **options):
        return Strength(0.9, 0.1, 90.0 * (1.05 if options else 1.0), 10.0, True)

    def limits(self, cl, quarks=False, **options):
        return UpperLimits({"mu_eff_x": 10.0 * cl * (0.5 if options else 1.0)}, {"mu_eff_x": "1e-11 mu_B"}, True)


@pytest.mark.parametrize(
    ("published", "ours", "agrees"),
    [
        (Published("sm_counts", 95.3, SOURCE), 100.0, True),
        (Published("sm_counts", 95.0, SOURCE, 50.0, 50.0), 100.0, False),  # 5.3 %: a published error does not count
        (Published("sm_counts", 41.0, SOURCE, component="background"), 40.0, True),
        (Published("fitted_counts", 99.0, SOURCE, 20.0, 30.0), 90.0, True),
        (Published("fitted_counts", 101.0, SOURCE, 20.0, 30.0), 90.0, False),
        (Published("mu_eff_x", 4.1, SOURCE), 5.0, True),
        (Published("mu_eff_x", 3.9, SOURCE), 5.0, False),
        (Published("mu_eff_y", 4.0, SOURCE), None, None),
        (Published("deviance", 4.0, SOURCE), None, None),
    ],
)
def test_what_agrees(published, ours, agrees):
    found = compared(published, Stub(), DEFAULT, 0.9, None)
    assert (found.ours, found.agrees, found.switch, found.switched) == (ours, agrees, "", None)


def test_a_limit_of_another_level_is_computed_at_that_level():
    found = compared(Published("mu_eff_x", 9.5, SOURCE, cl=0.95), Stub(), DEFAULT, 0.9, None)
    assert found.ours == pytest.approx(9.5)


def test_a_one_sided_limit_is_a_two_sided_one_of_a_lower_level():
    # One-sided 90 % is the upper end of the central 80 %; half of it with the coarse binning.
    found = compared(
        Published("mu_eff_x", 4.0, SOURCE, one_sided=True, options={"binning": "coarse"}), Stub(), DEFAULT, 0.9, None
    )
    assert found.agrees is True
    assert found.switch == "binning = coarse, one-sided"
    assert found.switched == pytest.approx(10.0 * 0.8 * 0.5)
    assert found.switched_relative == pytest.approx(0.0)
    assert found.switched_agrees is True


def test_a_number_of_another_selection_is_compared_with_that_alone():
    published = Published("sm_counts", 104.0, SOURCE, options={"binning": "coarse"}, only_switched=True)
    found = compared(published, Stub(), DEFAULT, 0.9, None)
    assert (found.ours, found.agrees, found.switch, found.switched) == (105.0, True, "binning = coarse", None)
    without = compared(published, Stub(), DEFAULT, 0.9, None, switch=False)
    assert (without.ours, without.agrees) == (None, None)


def test_nothing_is_switched_where_options_are_left_out():
    published = Published("sm_counts", 104.0, SOURCE, options={"binning": "coarse"})
    assert compared(published, Stub(), DEFAULT, 0.9, None, switch=False).switch == ""
    assert compared(published, Stub(), DEFAULT, 0.9, None).switched == 105.0
