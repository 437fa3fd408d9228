"""What every experiment promises, as checks that anybody can run on theirs: `nmmfit check-experiment NAME`, or from Python

    from nmmfit.contract import check_experiment
    report = check_experiment("my_experiment")
    assert report.passed, report.failed

Nothing here knows any experiment: whatever `nmmfit.catalogue` finds is checked by the same functions. They say that an experiment
is well made, not that its physics is right: for that, compare its Standard Model counts with something independent.
"""

from __future__ import annotations

import time
from dataclasses import replace

from nmmfit import catalogue
from nmmfit.contract.result import Check, Report, attempt

__all__ = ["Check", "Report", "check_experiment"]


def check_experiment(name: str) -> Report:
    """Check an experiment, with its own defaults, against the contract.

    Args:
        name: one of `catalogue.names()`.
    Returns: every check with what it found; what depends on a part that failed is left out.
    Raises: UserInputError if there is no such experiment.
    """
    from nmmfit.contract import likelihood, model, package

    origin = catalogue.distribution_of(name)
    checks = [attempt("import", lambda: package.imports_quietly([name])[name])]
    if checks[0].passed:
        checks.append(attempt("provenance", lambda: package.has_provenance(name)))
        start = time.perf_counter(), time.process_time()
        built = attempt("build", lambda: catalogue.build(name))
        # A machine that does other things lets a process wait, and several threads count several times: the smaller one is fair.
        build_s = min(time.perf_counter() - start[0], time.process_time() - start[1])
        if not built.passed:
            checks.append(built)
        else:
            shown = f"{len(built.value.channels)} channels, {len(built.value.pulls)} pulls"
            checks.append(replace(built, found=shown))
            checks += model.checks(built.value)
            if all(check.passed for check in checks):
                checks += likelihood.checks(name, build_s)
    return Report(name, origin, tuple(checks))
