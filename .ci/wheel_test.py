"""Build the wheel, install it away from the checkout for each supported Python found, and evaluate every experiment.

Python 3.11 must be there; 3.12 and 3.13 are used where such interpreters exist and skipped, visibly, where not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = ("3.11",)
OPTIONAL = ("3.12", "3.13")


def interpreters() -> dict[str, str]:
    """Version "3.x" -> path of a working interpreter of that version."""
    candidates = [sys.executable]
    candidates += [found for v in REQUIRED + OPTIONAL if (found := shutil.which(f"python{v}"))]
    candidates += [str(p) for p in sorted((Path.home() / ".pyenv" / "versions").glob("3.*/bin/python"))]
    found: dict[str, str] = {}
    probe = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    for candidate in candidates:
        answer = subprocess.run([candidate, "-c", probe], capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            found.setdefault(answer.stdout.strip(), candidate)
    return found


def check(version: str, python: str, wheel: Path, work: Path, order: tuple[str, ...]) -> None:
    """Install `wheel` with `python` in an environment of its own and evaluate all experiments there, in this order."""
    start = time.perf_counter()
    venv = work / f"venv-{version}"
    subprocess.run([python, "-m", "venv", str(venv)], check=True)
    # Python compiles what it imports; compiling all that is installed would take longer than the evaluation of an experiment.
    subprocess.run([str(venv / "bin" / "pip"), "install", "--quiet", "--no-compile", str(wheel)], check=True)
    script = work / f"evaluate_experiments_{version}.py"
    shutil.copy(ROOT / ".ci" / "evaluate_experiments.py", script)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    # A folder of this test: nothing that the user's own runs have compiled is found, and nothing is left there.
    environment["XDG_CACHE_HOME"] = str(work / "cache")
    subprocess.run([str(venv / "bin" / "python"), "-I", str(script), *order], cwd=work, env=environment, check=True)
    print(f"Python {version}: passed in {time.perf_counter() - start:.0f} s", flush=True)


def main() -> int:
    """Run the test for every version; 1 if a required interpreter is missing."""
    found = interpreters()
    with tempfile.TemporaryDirectory(prefix="nmmfit-wheel-") as folder:
        work = Path(folder)
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(work), str(ROOT)], check=True
        )
        (wheel,) = work.glob("nmmfit-*.whl")
        print(f"built {wheel.name} ({wheel.stat().st_size / 1e3:.0f} kB)", flush=True)
        missing = [v for v in REQUIRED if v not in found]
        for version in missing:
            print(f"Python {version}: MISSING, and required", file=sys.stderr)
        for version in OPTIONAL:
            if version not in found:
                print(f"Python {version}: SKIPPED (no such interpreter here)", flush=True)
        # Two side by side: each installs, imports and compiles on one core, and from the middle of the experiments on finds
        # what the other has compiled.
        present = [v for v in REQUIRED + OPTIONAL if v in found]
        orders = [("--last-first",) if i % 2 else () for i in range(len(present))]
        with ThreadPoolExecutor(2) as pool:
            passed = list(pool.map(lambda v, order: is_good(v, found[v], wheel, work, order), present, orders))
    return 0 if all(passed) and not missing else 1


def is_good(version: str, interpreter: str, wheel: Path, work: Path, order: tuple[str, ...]) -> bool:
    """Whether `check` passes; says which of its commands fails."""
    try:
        check(version, interpreter, wheel, work, order)
    except subprocess.CalledProcessError as problem:
        print(f"Python {version}: FAILED in {' '.join(map(str, problem.cmd[1:]))}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
