"""One contract for every experiment that the catalogue finds: `nmmfit check-experiment` for all of them.

What needs an experiment's direct evaluation compiled stands in its own file, where that is done once.
"""

from __future__ import annotations

import pytest

from nmmfit import catalogue
from nmmfit.contract import check_experiment
from nmmfit.contract.package import has_provenance, imports_quietly

NAMES = catalogue.names()


def test_importing_reads_no_file_and_starts_no_jax() -> None:
    assert set(imports_quietly(NAMES)) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_provenance_is_there(name: str) -> None:
    assert has_provenance(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_whole_contract(name: str) -> None:
    report = check_experiment(name)
    # Seconds on a machine that does other things are no property of an experiment.
    wrong = [check for check in report.checks if not check.passed and check.name != "speed"]
    assert wrong == []
    assert {"templates", "gradient"} <= {check.name for check in report.checks}
