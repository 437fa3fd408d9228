"""What is said of experiments without importing them: literals only, agreeing with what is built."""

from __future__ import annotations

import pytest

from nmmfit import catalogue
from nmmfit.errors import UserInputError
from nmmfit.listing import KINDS, Listing, listing_of

ENTRIES = {entry.name: entry for entry in catalogue.entries() if entry.origin == "nmmfit"}


def test_a_listing_is_read_without_running_the_module() -> None:
    source = 'import nothing_like_it\nLISTING = Listing(kind="digitised", status="a " "b", overlaps=("x",), in_all=False)\n'
    assert listing_of(source, "x") == Listing("digitised", "a b", ("x",), False)
    assert listing_of("OTHER = 1\n", "x") is None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("LISTING = 3", r"x\.py: LISTING must be Listing\(\.\.\.\) with arguments by name"),
        ('LISTING = Listing("digitised", "s")', "with arguments by name"),
        ('LISTING = Listing(kind="digitised", status="s", colour="red")', "with arguments by name"),
        ('LISTING = Listing(kind="digitised", status=str(1))', "made of literals"),
        ('LISTING = Listing(kind="digitised")', "made of literals"),
        ('LISTING = Listing(kind="digital", status="s")', "unknown kind of experiment 'digital'; did you mean 'digitised'"),
    ],
)
def test_other_listings_are_refused(source: str, message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        listing_of(source, "x.py")


@pytest.mark.parametrize("name", ENTRIES)
def test_our_experiments_have_one(name: str) -> None:
    listing = ENTRIES[name].listing
    assert listing is not None, f"{name}: no LISTING"
    assert listing.kind in KINDS
    assert listing.status
    # sharing data is mutual
    for other in listing.overlaps:
        assert other in ENTRIES
        partner = ENTRIES[other].listing
        assert partner is not None
        assert name in partner.overlaps


def test_all_means_data_that_can_be_combined_and_no_projection() -> None:
    together = [ENTRIES[name] for name in catalogue.names_in_all() if name in ENTRIES]
    named = {entry.name for entry in together}
    assert "trgb" not in named
    for entry in together:
        assert entry.listing is not None
        assert entry.listing.kind != "projection"
        assert not named & set(entry.listing.overlaps)


def test_what_is_left_out_says_why() -> None:
    left_out = catalogue.left_out()
    assert "lz_cr51_projection" in left_out
    assert not set(left_out) & set(catalogue.names())
    with pytest.raises(
        UserInputError, match=r"^experiments\[0\]: experiment 'lz_cr51_projection' is left out: the projected limit"
    ):
        catalogue.build("lz_cr51_projection", where="experiments[0]")
