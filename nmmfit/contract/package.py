"""Checks of an experiment's package: it does nothing when it is imported, and says where its numbers come from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files

from nmmfit import catalogue
from nmmfit.contract.result import ContractError

PROVENANCE = "PROVENANCE.md"
IMPORT_SECONDS = 120.0

# Imports experiments in a process of their own. What they are made with is imported before; then every file that is opened is
# noted, unless it is code or belongs to another package. There is no platform for JAX to compute on: whoever tries, fails.
_SCRIPT = """
import json, os, sys
sys.dont_write_bytecode = True
import jax, numpyro.distributions, pydantic, scipy.stats
import nmmfit.experiment, nmmfit.limit_experiment
from nmmfit import catalogue
from nmmfit.errors import NmmfitError

code = (".py", ".pyc", ".so", ".pyd", ".dylib")
ours = os.path.dirname(os.path.dirname(os.path.abspath(catalogue.__file__)))
ours = [os.path.join(ours, name) + os.sep for name in ("nmmfit", "likelihoods")]
others = [os.path.abspath(p) + os.sep for p in (*sys.path, sys.prefix, sys.base_prefix, "/proc", "/sys", "/dev") if p]
opened = []
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        opened.append(os.path.abspath(os.fsdecode(arguments[0])))
sys.addaudithook(hook)
found = {}
for name in sys.argv[1:]:
    opened.clear()
    try:
        module = catalogue.load(name)
    except NmmfitError as problem:
        found[name] = {"problem": str(problem)}
        continue
    seen = list(opened)
    package = sys.modules.get(module.__package__ or "", module)
    own = [os.path.abspath(p) + os.sep for p in getattr(package, "__path__", [])]
    data = [p for p in seen if not p.endswith(code) and os.path.isfile(p)]
    # A module that is no package has only the files beside it.
    beside = os.path.dirname(os.path.abspath(module.__file__ or "")) if not own else None
    read = [
        p for p in data
        if p.startswith((*own, *ours)) or os.path.dirname(p) == beside or not p.startswith(tuple(others))
    ]
    found[name] = {"read": sorted(set(read))}
sys.__stdout__.write(json.dumps(found))
"""


def imports_quietly(names: Sequence[str]) -> dict[str, str]:
    """Import experiments in a new process, where nothing can be computed, and see what files they read.

    Args:
        names: of experiments, all imported one after the other in one process.
    Returns: what was found, name -> one line.
    Raises: ContractError if one of them cannot be imported, starts JAX, or reads a file (other than code).
    """
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(p for p in sys.path if p), JAX_PLATFORMS="none")
    call = [sys.executable, "-c", _SCRIPT, *names]
    try:
        done = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=IMPORT_SECONDS)
    except subprocess.TimeoutExpired:
        raise ContractError(f"importing {', '.join(names)} takes more than {IMPORT_SECONDS:g} s") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
        raise ContractError(f"the process that imports {', '.join(names)} ended with code {done.returncode}: {last}")
    found = json.loads(done.stdout)
    for name in names:
        problem = found[name].get("problem")
        if problem is not None:
            work = "starts JAX while it is imported: " if "initialize backend" in problem else ""
            raise ContractError(f"{work}{problem}")
        if found[name]["read"]:
            raise ContractError(f"importing {name} reads {', '.join(found[name]['read'])}; read data in build()")
    return dict.fromkeys(names, "starts no JAX and reads no file")


def has_provenance(name: str) -> str:
    """Whether the experiment's package holds a PROVENANCE.md that says something. Raises: ContractError if not."""
    module = catalogue.load(name)
    package = module.__spec__.parent if module.__spec__ is not None else module.__package__
    try:
        text = (files(package or name) / PROVENANCE).read_text(encoding="utf-8")
    except (OSError, ModuleNotFoundError):
        raise ContractError(f"the package {package!r} has no {PROVENANCE}: where do its numbers come from?") from None
    if not text.strip():
        raise ContractError(f"{PROVENANCE} of the package {package!r} is empty")
    return f"{PROVENANCE}, {len(text.split())} words"
