"""The package as a whole: imports run one way, and importing starts nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nmmfit

ROOT = Path(nmmfit.__file__).resolve().parent.parent

# Each line may import itself and the lines above it.
LAYERS = (
    (
        "nmmfit",
        "nmmfit.errors",
        "nmmfit.shapes",
        "nmmfit.checks",
        "nmmfit.validation",
        "nmmfit.constants",
        "nmmfit.units",
        "nmmfit.listing",
    ),
    ("nmmfit.atomic", "nmmfit.processors", "nmmfit.devices"),
    (
        "nmmfit.priors",
        "nmmfit.presets",
        "nmmfit.runfile",
        "nmmfit.samplers",
        "nmmfit.models",
        "nmmfit.eft.operators",
        "nmmfit.eft.smneft_operators",
    ),
    ("nmmfit.config",),
    (
        "nmmfit.checksums",
        "nmmfit.precision",
        "nmmfit.tables",
        "nmmfit.release",
        "nmmfit.compilation_cache",
        "nmmfit.run_once",
        "nmmfit.kept",
        "nmmfit.kept_programs",
        "nmmfit.memory",
        "nmmfit.inputs",
    ),
    ("nmmfit.durable",),
    ("nmmfit.numerics",),
    ("nmmfit.eft",),
    ("nmmfit.physics",),
    ("nmmfit.evolution", "nmmfit.moments"),
    (
        "nmmfit.templates",
        "nmmfit.experiment",
        "nmmfit.limit_experiment",
        "nmmfit.components",
        "nmmfit.cevns_signal",
        "nmmfit.split_normal",
        "nmmfit.rate_experiment",
        "nmmfit.normalisation",
        "nmmfit.solar_experiment",
        "nmmfit.xenon_experiment",
        "nmmfit.xenon_massive",
    ),
    ("likelihoods",),
    ("nmmfit.entry_points", "nmmfit.catalogue", "nmmfit.stages"),
    ("nmmfit.inference",),
    ("nmmfit.results",),
    ("nmmfit.run",),
    ("nmmfit.contract",),
    ("nmmfit.exchange",),
    ("nmmfit.reproduce", "nmmfit.reproduce_letter"),
    ("nmmfit.cluster",),
    ("nmmfit.cli", "nmmfit.__main__"),
)


def layer(module: str) -> int:
    """Index of the line that a module belongs to: that of its longest listed ancestor."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        for index, line in enumerate(LAYERS):
            if name in line and (name != "nmmfit" or length == len(parts)):
                return index
    raise KeyError(f"{module}: not in any line of LAYERS")


def sources() -> dict[str, Path]:
    found = {}
    for package in ("nmmfit", "likelihoods"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path) -> set[str]:
    """Modules of this project that a file imports, lazily or not; those for type checking only do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    known = sources()
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in inner}
    return {name for name in found if name.split(".")[0] in ("nmmfit", "likelihoods")}


@pytest.mark.parametrize("module", sources())
def test_imports_run_one_way(module: str) -> None:
    mine = layer(module)
    assert {name for name in imported(sources()[module]) if layer(name) > mine} == set()


def test_the_test_sees_a_wrong_import() -> None:
    assert "nmmfit.catalogue" in imported(ROOT / "nmmfit" / "run.py")
    assert layer("nmmfit.inference.joint") > layer("nmmfit.experiment")
    assert layer("nmmfit.eft.operators") < layer("nmmfit.config") < layer("nmmfit.eft.running")


QUIET = """
import sys, io, contextlib
import nmmfit
from nmmfit import NmmfitError, RunConfig, catalogue, load_run, parse_run
assert nmmfit.__version__
catalogue.entries()
run = parse_run(open("run.toml").read())
assert run.config.experiments == []
assert run.hash == load_run("run.toml").hash
from nmmfit.cli.main import main
sink = io.StringIO()
with contextlib.redirect_stdout(sink):
    for call in ("--help", "list coefficients", "list experiments", "list presets", "schema", "init new.toml"):
        assert main(call.split()) == 0, call
assert "TnuNdRR" in sink.getvalue()
heavy = {"jax", "jaxlib", "numpyro", "matplotlib", "pandas", "arviz", "scipy", "xarray"} & set(sys.modules)
assert not heavy, heavy
"""


def test_importing_help_and_run_files_start_no_jax(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(
        "experiments = []\n[parameters.x]\ncoefficients = {nuNgamma_11 = 1}\nprior = {normal = [0, 1]}\n"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", QUIET], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", nmmfit._PUBLIC)
def test_public_names_exist(name: str) -> None:
    assert name in dir(nmmfit)
    assert getattr(nmmfit, name) is not None


def test_unknown_public_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'loadrun'"):
        nmmfit.loadrun  # noqa: B018
