"""Where a result came from: versions, run file, seed, commit, machine, date."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import nmmfit

PACKAGES = ("jax", "jaxlib", "numpyro", "optax", "arviz", "numpy", "scipy", "xarray")
# HDF5 keeps an attribute in the object's header, which holds 64 KiB; the complete run file lies beside the posterior.
MAX_ATTRIBUTE_CHARACTERS = 30_000


def package_versions() -> dict[str, str]:
    """Versions of Python, nmmfit and the packages that can change a number; "not installed" where one is missing."""
    versions = {"python": platform.python_version(), "nmmfit": nmmfit.__version__}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def git_commit(folder: Path | None = None) -> str:
    """Commit of the checkout that the code runs from, with "+changes" if files differ from it; empty if it is no checkout.

    Args:
        folder: where to look; default: the folder that holds the package. Only a checkout of nmmfit itself counts, so that an
            installed package inside somebody else's repository does not report that repository's commit.
    """
    root = folder or Path(nmmfit.__file__).resolve().parent.parent
    if not ((root / ".git").exists() and (root / "pyproject.toml").exists()):
        return ""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit + ("+changes" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _device() -> dict[str, str]:
    """What JAX computes on; nothing where it has not started, as in verbs that do not need it."""
    if "jax" not in sys.modules:
        return {}
    from nmmfit.devices import device_in_words

    return {"device": device_in_words()}


def made_by(seed: int) -> dict[str, str]:
    """How a result was made, all text: when, by which code and versions, on what, with which seed of the random numbers."""
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": str(seed),
        "commit": git_commit(),
        "platform": platform.platform(),
        **_device(),
        **{f"version_{name}": version for name, version in package_versions().items()},
    }


def provenance(run_toml: str, seed: int) -> dict[str, str]:
    """Attributes of a posterior file, all text.

    Args:
        run_toml: the run file as it was used.
        seed: seed of the pseudo-random numbers.
    """
    run_file = run_toml
    if len(run_toml) > MAX_ATTRIBUTE_CHARACTERS:
        run_file = run_toml[:MAX_ATTRIBUTE_CHARACTERS] + "\n# cut here; the whole file is run.toml beside this one\n"
    return {"inference_library": "nmmfit", "run_file": run_file, **made_by(seed)}
