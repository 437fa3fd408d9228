"""With the installed package only: list every experiment and evaluate each once through the command line.

Run with `python -I` from a folder away from the checkout; needs nothing but the standard library. With `--last-first` the
experiments are taken from the end of the list: of two runs that share a folder of compiled programs, each then finds those of the
other for half of them.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import json
import math
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

PROGRAM = Path(sysconfig.get_path("scripts")) / "nmmfit"


def nmmfit(*arguments: str) -> dict[str, Any]:
    """The JSON object that the installed program prints for these arguments."""
    done = subprocess.run([str(PROGRAM), *arguments, "--json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"nmmfit {' '.join(arguments)} returned {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout)


def nmmfit_here(*arguments: str) -> dict[str, Any]:
    """The same from the program's entry point in this process, which starts JAX once for all experiments."""
    (program,) = importlib.metadata.entry_points(group="console_scripts", name="nmmfit")
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = program.load()([*arguments, "--json"])
    if code != 0:
        raise SystemExit(f"nmmfit {' '.join(arguments)} returned {code}")
    return json.loads(output.getvalue())


def numbers(tree: Any) -> list[float]:
    """Every number in a nested JSON value."""
    if isinstance(tree, dict):
        return [x for value in tree.values() for x in numbers(value)]
    if isinstance(tree, list):
        return [x for value in tree for x in numbers(value)]
    return [] if tree is None or isinstance(tree, str | bool) else [float(tree)]


def experiment_names(listing: Any) -> list[str]:
    """Names from the listing: a mapping by name, or a list of names or of objects with a name."""
    return [entry["name"] if isinstance(entry, dict) else str(entry) for entry in listing]


def page_of_results() -> None:
    """Make the page of a profile, with a template that travels in the wheel."""
    asked = ("--experiments", "gemma", "--parameter", "mu_eff_reactor_e")
    with tempfile.TemporaryDirectory(prefix="nmmfit-page-") as temporary:
        folder = Path(temporary) / "profile"
        done = subprocess.run(
            [str(PROGRAM), "profile", *asked, "--low", "0", "--high", "3", "--points", "3", "--out", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"nmmfit profile returned {done.returncode}:\n{done.stderr}")
        written = Path(nmmfit("report", str(folder))["out"])
        if not written.read_text(encoding="utf-8").rstrip().endswith("</html>"):
            raise SystemExit(f"{written}: the page is not complete")


def main() -> int:
    """Evaluate all; nonzero if anything is missing or not finite."""
    for package in ("nmmfit", "likelihoods"):
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None or "site-packages" not in spec.origin:
            raise SystemExit(f"{package} does not come from the installed wheel but from {spec and spec.origin}")
    names = experiment_names(nmmfit("list", "experiments")["experiments"])
    if not names:
        raise SystemExit("the installed wheel lists no experiment")
    for name in reversed(names) if "--last-first" in sys.argv[1:] else names:
        prediction = nmmfit_here("predict", name)
        expected = numbers(prediction["expected"])
        log_likelihood = float(prediction["log_likelihood"])
        if not expected or not all(map(math.isfinite, expected)) or not math.isfinite(log_likelihood):
            raise SystemExit(f"{name}: expected counts or log-likelihood are not finite")
        print(
            f"  {name}: {len(expected)} bins, {sum(expected):.1f} expected counts, log-likelihood {log_likelihood:.2f}",
            flush=True,
        )
    page_of_results()
    return 0


if __name__ == "__main__":
    sys.exit(main())
