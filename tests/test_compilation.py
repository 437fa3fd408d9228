"""The programs of this suite, which are compiled quickly, give what a user's programs give."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nmmfit

ROOT = Path(nmmfit.__file__).resolve().parent.parent
QUICK = ("JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS")
"""What conftest.py sets."""
CODE = """
import json
import jax, jax.numpy as jnp, numpy as np
import nmmfit

joint = nmmfit.default_run(['experiments=["borexino_phase2_limit", "coherent_csi_2017_limit"]']).joint()
points = {"L_dipole": np.linspace(-4e-9, 4e-9, 9), "L_T_u": np.linspace(3e-7, -2e-7, 9), "theory.c_T_s": np.linspace(-5, -3, 9)}
vector = joint.pack({"L_dipole": 2e-9, "L_T_u": 1e-7})
value, gradient = jax.jit(jax.value_and_grad(joint.nll_vector))(vector)
scales = np.array([p.scale for p in joint.parameters])
found = {"likelihood": joint.log_likelihood(points), "nll": value, "gradient": gradient * scales}
found["identified"] = jnp.stack(list(joint.identified_values(points).values()))
print(json.dumps({name: np.asarray(x).tolist() for name, x in found.items()}))
"""


def answers(environment: dict[str, str]) -> dict[str, np.ndarray]:
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    return {name: np.asarray(x) for name, x in json.loads(done.stdout).items()}


def test_quick_compilation_changes_rounding_only(tmp_path: Path) -> None:
    """Each builds its templates itself."""
    here = dict(os.environ, PYTHONPATH=str(ROOT))
    if any(os.environ.get(name) is None for name in QUICK):
        pytest.skip("this suite compiles as a user's processes do")
    theirs = answers({n: value for n, value in here.items() if n not in QUICK} | {"XDG_CACHE_HOME": str(tmp_path)})
    ours = answers(here)
    assert np.all(np.isfinite(theirs["gradient"]))
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-11, atol=1e-11 * np.max(np.abs(values)), err_msg=name)
