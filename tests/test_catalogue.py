"""Finding experiments: ours beside the package, others by entry point, and nothing else that is called likelihoods."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

import nmmfit
from nmmfit import catalogue
from nmmfit.errors import UserInputError
from nmmfit.experiment import BinnedExperiment

ROOT = Path(nmmfit.__file__).resolve().parent.parent


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    bins: int = 3


def _module(options: type[BaseModel] | None = _Options) -> ModuleType:
    module: Any = ModuleType("other_experiment")
    module.build = lambda theory=None, **given: BinnedExperiment(
        "theirs", "Theirs", (), {}, choices={"theory": str(theory), "options": str(given)}
    )
    if options is not None:
        module.Options = options
    return module


class _Point:
    """Stands for an installed entry point."""

    def __init__(self, name: str, module: ModuleType | None) -> None:
        self.name, self.value, self.module, self.dist = name, f"{name}:x", name, SimpleNamespace(name="their-package")
        self._module = module

    def load(self) -> ModuleType:
        if self._module is None:
            raise ImportError("No module named 'theirs'")
        return self._module


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [_Point("theirs", _module()), _Point("plain", _module(None)), _Point("broken", None)]
    monkeypatch.setattr(catalogue, "entry_points", lambda group: points if group == "nmmfit.likelihoods" else [])


def test_every_public_folder_of_likelihoods_is_listed() -> None:
    folders = {p.name for p in (ROOT / "likelihoods").iterdir() if (p / "__init__.py").exists() and not p.name.startswith("_")}
    assert folders <= set(catalogue.names())
    for entry in catalogue.entries():
        assert entry.summary or entry.origin != "nmmfit", f"{entry.name} has no docstring"


def test_unknown_experiment_names_place_and_nearest(installed: None) -> None:
    with pytest.raises(UserInputError, match=r"^experiments\[1\]: unknown experiment 'their'; did you mean 'theirs'\?"):
        catalogue.build("their", where="experiments[1]")


@pytest.mark.usefixtures("installed")
def test_entry_points_are_built_with_options_and_theory() -> None:
    built = catalogue.build("theirs", "choices", {"bins": 5})  # type: ignore[arg-type]
    assert built.choices == {"theory": "choices", "options": "{'bins': 5}"}
    assert catalogue.build("theirs").choices["theory"] == "None"
    assert "their-package" in {entry.origin for entry in catalogue.entries()}


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("theirs", {"bin": 5}, r"^options\.theirs: unknown key 'bin'; did you mean 'bins'\?"),
        ("theirs", {"bins": "5"}, r"^options\.theirs\.bins: expected a valid integer, got '5'"),
        ("theirs", {"theory": 1}, r"^options\.theirs: unknown key 'theory'"),
        ("plain", {"bins": 5}, r"^options\.plain: this experiment takes no options, got bins"),
        (
            "broken",
            {},
            r"^experiment 'broken' \(broken:x, distribution 'their-package'\) cannot be imported: ImportError: No",
        ),
    ],
)
def test_wrong_options_are_one_line(name: str, options: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserInputError, match=expected):
        catalogue.build(name, options=options)


SCRIPT = """
import sys
{before}
from nmmfit import catalogue
from nmmfit.catalogue import _own_package
import pathlib, importlib
names = catalogue.names()
assert "decoy" not in names, names
with _own_package():
    inside = importlib.import_module("likelihoods")
    assert pathlib.Path(inside.__file__).parent == catalogue._own_folder(), inside.__file__
    assert not hasattr(inside, "MARK")
for name in names:
    module = catalogue.load(name)
    assert pathlib.Path(module.__file__).parent == catalogue._own_folder() / name, module.__file__
{after}
print("ok", len(names))
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [("", ""), ("import likelihoods; assert likelihoods.MARK == 1", "import likelihoods.decoy; assert likelihoods.MARK == 1")],
    ids=["on the path", "imported before"],
)
def test_a_folder_of_that_name_in_the_working_directory_does_not_matter(tmp_path: Path, before: str, after: str) -> None:
    decoy = tmp_path / "likelihoods"
    (decoy / "decoy").mkdir(parents=True)
    (decoy / "__init__.py").write_text("MARK = 1\n")
    (decoy / "decoy" / "__init__.py").write_text("")
    for name in catalogue.names():
        (decoy / name).mkdir()
        (decoy / name / "__init__.py").write_text("raise RuntimeError('the decoy was imported')\n")
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    # `-c` puts the working directory first on the path, before the checkout.
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(before=before, after=after)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok")
