"""What building an experiment costs: few programs, because a second process still traces and loads each of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNT = """
import jax
from nmmfit import catalogue
programs = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: programs.append(event) if "backend_compile" in event else None
)
catalogue.build({name!r})
print(len(programs))
"""


@pytest.mark.parametrize(("name", "most"), [("borexino_phase2", 5), ("coherent_csi_2021", 8), ("coherent_lar_2020", 8)])
def test_an_experiment_is_built_with_few_programs(name: str, most: int) -> None:
    done = subprocess.run([sys.executable, "-c", COUNT.format(name=name)], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) <= most
