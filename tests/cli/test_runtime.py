"""What happens before a verb computes: 64-bit numbers only, and compiled programs that are kept between processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import pytest

import nmmfit
from nmmfit.cli.arguments import name_values
from nmmfit.cli.main import main
from nmmfit.cli.runtime import start_computing
from nmmfit.compilation_cache import default_folder, enable
from nmmfit.devices import compile_quickly
from nmmfit.errors import UserInputError
from nmmfit.inference.joint import JointLikelihood
from nmmfit.results.provenance import made_by

ROOT = Path(nmmfit.__file__).resolve().parent.parent
OPTIONS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs", "jax_persistent_cache_min_entry_size_bytes")


@pytest.fixture
def untouched() -> Iterator[None]:
    """Leave JAX's own settings as they were found."""
    before = {name: getattr(jax.config, name) for name in OPTIONS}
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.mark.parametrize(
    ("jaxlib", "before", "after"),
    [
        ("0.10.2", "", "--xla_cpu_use_fusion_emitters=false"),
        ("0.10.2", "--xla_dump_to=dump", "--xla_dump_to=dump --xla_cpu_use_fusion_emitters=false"),
        ("0.10.2", "--xla_cpu_use_fusion_emitters=true", "--xla_cpu_use_fusion_emitters=true"),
        ("0.11.0", "", ""),
    ],
)
def test_quick_compilation_is_asked_for_where_it_is_known_and_nothing_else_was(
    jaxlib: str, before: str, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nmmfit.devices.version", lambda _: jaxlib)
    monkeypatch.setenv("XLA_FLAGS", before)
    compile_quickly()
    assert os.environ["XLA_FLAGS"] == after


@pytest.mark.parametrize("value", ["0", "false", "False", "off", "no"])
def test_single_precision_forced_from_outside_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_ENABLE_X64", value)
    with pytest.raises(UserInputError, match=f"JAX_ENABLE_X64={value.lower()} asks for 32-bit numbers"):
        start_computing()


def test_single_precision_is_refused_before_anything_is_computed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("JAX_ENABLE_X64", "0")
    (tmp_path / "run.toml").write_text("experiments = []\n")
    assert main(["list", "parameters", str(tmp_path / "run.toml")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("nmmfit: JAX_ENABLE_X64=0")
    assert len(printed.err.splitlines()) == 1


@pytest.fixture
def single_precision() -> Iterator[None]:
    """JAX in 32-bit, as a script may leave it after importing nmmfit."""
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", True)


@pytest.mark.usefixtures("single_precision")
@pytest.mark.parametrize(
    "call",
    [
        lambda: nmmfit.dsigma_dt("e", 1.0, 0.1),
        lambda: nmmfit.evolve({"TnuNdRR_1122": 1e-6}, 80.0),
        lambda: nmmfit.parse_run("experiments = []").joint(),
    ],
    ids=["dsigma_dt", "evolve", "joint"],
)
def test_entries_refuse_single_precision(call: Callable[[], object]) -> None:
    with pytest.raises(UserInputError, match="JAX runs in 32-bit"):
        call()


@pytest.mark.usefixtures("single_precision")
def test_likelihoods_made_before_refuse_it_too(joint: JointLikelihood) -> None:
    calls = [
        lambda: joint.log_prob({}),
        lambda: joint.expected({}),
        lambda: nmmfit.sample(joint),
        lambda: nmmfit.limits(joint),
        lambda: nmmfit.profile(joint, "mu"),
        lambda: nmmfit.fit(joint),
    ]
    for call in calls:
        with pytest.raises(UserInputError, match="JAX runs in 32-bit"):
            call()


@pytest.mark.parametrize("value", ["maybe", ""])
def test_a_switch_that_jax_does_not_understand(value: str, tmp_path: Path) -> None:
    environment = dict(os.environ, PYTHONPATH=str(ROOT), JAX_ENABLE_X64=value)
    call = [sys.executable, "-m", "nmmfit", "evolve", "TnuNdRR_1122=1e-6"]
    done = subprocess.run(call, env=environment, cwd=tmp_path, capture_output=True, text=True)
    expected = f"nmmfit: JAX_ENABLE_X64={value!r} is neither true nor false for JAX; nmmfit needs 64-bit: unset it\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


def test_a_platform_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    environment = dict(os.environ, PYTHONPATH=str(ROOT), JAX_PLATFORMS="nonsense")
    call = [sys.executable, "-m", "nmmfit", "evolve", "TnuNdRR_1122=1e-6"]
    done = subprocess.run(call, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nmmfit: JAX cannot start (JAX_PLATFORMS='nonsense')")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "platforms", "said"),
    [
        (
            "gpu",
            None,
            "nmmfit: --device gpu: JAX finds no GPU here, only cpu; install nmmfit[gpu] on a machine with an NVIDIA GPU, ",
        ),
        (
            "gpu",
            "cpu",
            "nmmfit: --device gpu: JAX finds no GPU here, only cpu; JAX_PLATFORMS='cpu' leaves it out, or use --device ",
        ),
        ("cuda", None, "nmmfit: --device: unknown device 'cuda'; did you mean 'cpu'? (allowed: cpu, gpu)"),
    ],
)
def test_a_device_that_is_not_there_is_one_line(words: str, platforms: str | None, said: str, tmp_path: Path) -> None:
    environment = dict(os.environ, PYTHONPATH=str(ROOT), CUDA_VISIBLE_DEVICES="")
    environment.pop("JAX_PLATFORMS", None)
    environment |= {} if platforms is None else {"JAX_PLATFORMS": platforms}
    (tmp_path / "run.toml").write_text(
        "experiments = []\n[parameters.x]\ncoefficients = {nuNgamma_11 = 1}\nprior = {normal = [0, 1]}\n"
    )
    call = [sys.executable, "-m", "nmmfit", "scan", "run.toml", "--grid", "x=0:1:5", "--device", words, "--out", "mine"]
    done = subprocess.run(call, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "mine").exists()


def test_the_device_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    start_computing("cpu")
    assert capsys.readouterr().err == "computing on cpu\n"
    start_computing()
    assert capsys.readouterr().err == ""
    assert made_by(1)["device"] == "cpu"


@pytest.mark.usefixtures("untouched")
def test_cache_keeps_every_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder().parent == tmp_path / "nmmfit" / "jax"
    assert enable() is None
    assert [getattr(jax.config, name) for name in OPTIONS] == [str(default_folder()), 0.0, -1]


@pytest.mark.usefixtures("untouched")
def test_a_cache_of_the_users_own_stays(tmp_path: Path) -> None:
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "theirs"))
    assert enable(tmp_path / "ours") is None
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "theirs")
    assert not (tmp_path / "ours").exists()


@pytest.mark.usefixtures("untouched")
def test_an_unwritable_cache_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    start_computing()
    printed = capsys.readouterr().err
    assert (
        printed == "nmmfit: warning: no compilation cache in the user cache folder: Not a directory; every start compiles anew\n"
    )
    assert jax.config.jax_compilation_cache_dir is None


COMPILE = """
from nmmfit.cli.runtime import compile_quickly, start_computing
start_computing()
import jax, jax.numpy as jnp
assert abs(float(jax.jit(lambda x: jnp.sin(x) ** 2 + jnp.cos(x) ** 2)(0.3)) - 1.0) < 1e-15
"""


def test_a_second_process_finds_the_programs_of_the_first(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    kept = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", COMPILE], env=environment, cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        kept.append({p.name for p in tmp_path.rglob("*-cache")})
    assert kept[0]
    assert kept[1] == kept[0]


def test_name_values() -> None:
    given = name_values(["TnuNuRR_1111=1e-6", "a=-2", "b=1e-6+2e-6j", "c=3i", "d=1-1i"])
    assert given == {"TnuNuRR_1111": 1e-6, "a": -2, "b": 1e-6 + 2e-6j, "c": 3j, "d": 1 - 1j}


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (["a"], "'a': expected NAME=VALUE, such as TnuNuRR_1111=1e-6"),
        (["=1"], "'=1': expected NAME=VALUE"),
        (["a="], "'a=': expected NAME=VALUE"),
        (["a=x"], "'a=x': 'x' is no number"),
        (["a=nan"], "'a=nan': the value must be finite"),
        (["a=inf"], "'a=inf': the value must be finite"),
        (["a=1+infj"], "the value must be finite"),
        (["a=1", "a=2"], "'a=2': a is given twice"),
    ],
)
def test_wrong_name_values(pairs: list[str], expected: str) -> None:
    with pytest.raises(UserInputError) as caught:
        name_values(pairs)
    assert expected in str(caught.value)
