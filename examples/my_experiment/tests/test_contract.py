"""The contract of every experiment of nmmfit; a check of the physics against something independent belongs beside it."""

from nmmfit.contract import check_experiment


def test_contract() -> None:
    report = check_experiment("my_experiment")
    assert report.passed, [check for check in report.checks if not check.passed]
