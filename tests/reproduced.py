"""Entries of the founding paper's tables, picked by what they are."""

from __future__ import annotations


def pick(found, table, scale, coefficient, quantity="bound"):
    """The one entry of a table at a scale whose coefficient contains the text given."""
    (entry,) = [
        e for e in found if (e.table, e.scale_gev, e.quantity) == (table, scale, quantity) and coefficient in e.coefficient
    ]
    return entry
