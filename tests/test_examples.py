"""The files in examples/ load, mean what their comments say, and the notebook runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nmmfit
from likelihoods.borexino_phase2_limit import solar_density
from nmmfit.inference.joint import JointLikelihood
from nmmfit.inference.symmetries import sign_symmetries
from nmmfit.physics.dipole_parameters import (
    MAJORANA_COEFFICIENTS,
    TRIANGULAR_COEFFICIENTS,
    phase_free_parameters,
    triangular_parameters,
)
from nmmfit.shapes import Array

EXAMPLES = Path(nmmfit.__file__).resolve().parent.parent / "examples"
RUN_FILES = sorted(EXAMPLES.glob("*.toml"))
# mu_B = e / 2 m_e with e at zero momentum transfer, in GeV^-1; the same with e at 2 GeV, 1/alpha = 133.30, where L / e is equal.
BOHR_AT_2_GEV = math.sqrt(4.0 * math.pi / 133.30) / (2.0 * 0.51099895e-3)


def direct(name: str) -> JointLikelihood:
    return nmmfit.load_run(EXAMPLES / name).joint(method="direct")


@pytest.fixture(scope="module")
def majorana() -> JointLikelihood:
    return direct("majorana_transition_moments.toml")


@pytest.fixture(scope="module")
def by_flavour() -> JointLikelihood:
    return direct("dipole_by_flavour.toml")


@pytest.fixture(scope="module")
def dipole_matrix() -> JointLikelihood:
    return direct("dipole_matrix.toml")


def test_there_are_examples() -> None:
    assert len(RUN_FILES) >= 3


@pytest.mark.parametrize("path", RUN_FILES, ids=lambda path: path.name)
def test_run_files_load_and_name_their_own_command(path: Path) -> None:
    """A run file written out and read again is the same run; its header says how to use it."""
    run = nmmfit.load_run(path)
    assert run.config.parameters or run.config.model
    assert nmmfit.parse_run(run.to_toml()).hash == run.hash
    assert f"nmmfit fit examples/{path.name}" in run.text or f"nmmfit limits examples/{path.name}" in run.text


@pytest.mark.parametrize(
    ("point", "sns_mu", "sns_e"),
    [
        ({"L_12": 1.0}, 1.0, 1.0),
        ({"L_13": 1.0}, 0.0, 1.0),
        ({"L_23": 3.0, "L_23_imaginary": 4.0}, 5.0, 0.0),
        ({"L_13": 3.0, "L_13_imaginary": -4.0}, 0.0, 5.0),
        ({"L_12": 1.0, "L_23": 1.0}, math.sqrt(2.0), 1.0),
    ],
)
def test_majorana_moments_by_hand(majorana: JointLikelihood, point: dict[str, float], sns_mu: float, sns_e: float) -> None:
    """mu^2 = sum over final flavours of (4 |L_pr|)^2."""
    found = majorana.identified_values({name: 1e-9 * value for name, value in point.items()})
    unit = 4e-9 / BOHR_AT_2_GEV / 1e-11
    assert float(found["mu_eff_sns_mu"]) == pytest.approx(unit * sns_mu, rel=1e-4, abs=1e-12)
    assert float(found["mu_eff_sns_e"]) == pytest.approx(unit * sns_e, rel=1e-4, abs=1e-12)


def test_majorana_moments_have_one_common_sign(majorana: JointLikelihood) -> None:
    names = {"L_12", "L_13", "L_13_imaginary", "L_23", "L_23_imaginary"}
    assert [set(s.names) for s in sign_symmetries(majorana)] == [names]


def test_majorana_example_floats_the_phase_free_parameters(majorana: JointLikelihood) -> None:
    """The run file's amounts are those of the parametrisation, in its order; a generic matrix and its five numbers agree."""
    specs = nmmfit.load_run(EXAMPLES / "majorana_transition_moments.toml").config.parameters.values()
    assert tuple(next(iter(spec.coefficients.items())) for spec in specs) == MAJORANA_COEFFICIENTS
    random = np.random.default_rng(2)
    coefficient = 1e-9 * (random.normal(size=(3, 3)) + 1j * random.normal(size=(3, 3)))
    coefficient = coefficient - coefficient.T
    point = dict(zip(majorana.names[:5], np.asarray(phase_free_parameters(coefficient)), strict=True))
    mu = 4.0 * coefficient.conj().T / BOHR_AT_2_GEV / 1e-11
    solar = np.trace(solar_density() @ mu @ mu.conj().T).real
    found = majorana.identified_values(point)
    assert float(found["mu_eff_solar"]) == pytest.approx(math.sqrt(solar), rel=1e-4)
    assert float(found["mu_eff_sns_mu"]) == pytest.approx(math.sqrt(np.sum(np.abs(mu[1]) ** 2)), rel=1e-4)


def test_flavours_add_up_to_the_solar_moment(by_flavour: JointLikelihood) -> None:
    """The weights of the squares are a density matrix's diagonal: positive, with sum 1; the electron's is near 1/2."""

    def squared(**point: float) -> float:
        return float(by_flavour.identified_values(point)["mu_eff_solar"]) ** 2

    parts = [squared(**{name: 1e-9}) for name in ("L_e", "L_mu", "L_tau")]
    together = squared(L_e=1e-9, L_mu=-1e-9, L_tau=1e-9)
    assert min(parts) > 0.0
    assert sum(parts) == pytest.approx(together, rel=1e-12)
    assert 0.45 < parts[0] / together < 0.65


def test_each_flavour_has_its_own_sign(by_flavour: JointLikelihood) -> None:
    assert sorted(s.names for s in sign_symmetries(by_flavour)) == [("L_e",), ("L_mu",), ("L_tau",)]


def test_signs_of_flavours_do_not_change_the_likelihood(by_flavour: JointLikelihood) -> None:
    points = {"L_e": np.array([0.0, 3e-9, -3e-9]), "L_mu": np.array([0.0, 2e-9, 2e-9]), "L_tau": np.array([0.0, 1e-9, -1e-9])}
    standard, one, other = np.asarray(by_flavour.log_likelihood(points))
    assert one == pytest.approx(other, rel=1e-13)
    assert abs(standard - one) > 0.1


def test_dipole_matrix_floats_the_triangular_parameters(dipole_matrix: JointLikelihood) -> None:
    """The run file's amounts are those of the parametrisation, in its order."""
    specs = nmmfit.load_run(EXAMPLES / "dipole_matrix.toml").config.parameters.values()
    assert tuple(next(iter(spec.coefficients.items())) for spec in specs) == TRIANGULAR_COEFFICIENTS
    columns = [["L_11", "L_21", "L_21_imaginary", "L_31", "L_31_imaginary"], ["L_22", "L_32", "L_32_imaginary"], ["L_33"]]
    assert sorted(sorted(s.names) for s in sign_symmetries(dipole_matrix)) == columns


def test_dipole_matrix_represents_every_matrix(dipole_matrix: JointLikelihood) -> None:
    """A generic complex matrix and the nine numbers that stand for it have the same moments."""
    random = np.random.default_rng(0)
    coefficient = 1e-9 * (random.normal(size=(3, 3)) + 1j * random.normal(size=(3, 3)))
    point = dict(zip(dipole_matrix.names[:9], np.asarray(triangular_parameters(coefficient)), strict=True))
    found = dipole_matrix.identified_values(point)
    mu = 2.0 * coefficient / BOHR_AT_2_GEV / 1e-11
    solar = np.trace(solar_density() @ mu @ mu.conj().T).real
    assert float(found["mu_eff_solar"]) == pytest.approx(math.sqrt(solar), rel=1e-4)


def test_dipole_matrix_has_no_flat_coefficient_direction(dipole_matrix: JointLikelihood) -> None:
    """Counts are positive definite quadratic forms: no straight line through any point leaves all of them as they are.

    What stays flat is what two numbers cannot tell of nine, not a symmetry: two combinations of mu mu^dagger are seen.
    """

    def counts(x: Array) -> Array:
        return jnp.concatenate([jnp.ravel(c) for c in dipole_matrix.expected_vector(x).values()])

    scale = 1e-8
    start = jnp.asarray(dipole_matrix.start)
    n = dipole_matrix.n_coefficients
    assert n == 9

    def scaled(y: Array) -> Array:
        return counts(start.at[:n].set(scale * y))

    # (count, parameter, parameter); the tensor channel sees no dipole
    forms = np.asarray(jax.jit(jax.hessian(scaled))(jnp.zeros(n)))
    seen = [form for form in forms if np.any(form)]
    assert len(seen) == 2
    ratios = [np.linalg.eigvalsh(form)[[0, -1]] for form in seen]
    assert max(low / high for low, high in ratios) > 1e-3
    assert np.linalg.eigvalsh(sum(form / np.trace(form) for form in seen))[0] > 1e-3
    generic = jnp.asarray(np.random.default_rng(1).normal(size=n))
    slopes = np.einsum("cij,j->ci", np.stack(seen), generic)
    assert np.linalg.matrix_rank(slopes / np.linalg.norm(slopes, axis=1, keepdims=True)) == 2


def test_nsi_interfere_with_the_standard_model() -> None:
    """No sign is free; each experiment sees the signs of its own couplings, to first order for diagonal ones."""
    joint = direct("nsi.toml")
    assert sign_symmetries(joint) == ()
    step = 3e-7
    counts = {s: joint.expected({"u_e": s * step, "e_left": s * step}) for s in (-1, 0, 1)}
    for channel in ("coherent_csi_2021.coincidence", "borexino_phase2.spectrum"):
        up, middle, down = (float(jnp.sum(counts[s][channel])) for s in (1, 0, -1))
        # L = -2 sqrt(2) G_F epsilon: a positive L of u quarks or of left-handed electrons for nu_e
        assert (up - middle) * (down - middle) < 0.0
        assert abs(up + down - 2.0 * middle) < 0.05 * abs(up - down)
    off = [float(joint.log_likelihood({"d_e_mu": s * 1e-5})) for s in (-1, 1)]
    assert off[0] != pytest.approx(float(joint.log_likelihood({})), abs=0.1)


def test_the_notebook_is_stored_without_outputs() -> None:
    for cell in notebook().cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell, in a fresh kernel and an empty folder; its plots are there."""
    from nbclient import NotebookClient

    # The repository's copy in this interpreter is what is tested, whatever else is installed for the user.
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    for variable in ("JUPYTER_DATA_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(variable, str(tmp_path / "settings"))
    run = NotebookClient(
        notebook(), timeout=1200, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [output for cell in run.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 5
    # A progress-bar library complains about a missing widget package, which is no concern of ours.
    assert not [o.text for o in outputs if o.get("name") == "stderr" and "ipywidgets" not in o.text]
    text = "".join(output.text for output in outputs if output.get("name") == "stdout")
    assert "flat direction" in text


def notebook() -> Any:
    import nbformat

    return nbformat.read(EXAMPLES / "tutorial.ipynb", as_version=4)


def test_the_dipole_portal_has_the_threshold_of_its_comment() -> None:
    """1 MeV on electrons: 1 + 1 / (2 0.511) = 1.98 MeV, above the end of 15O (1.73) and all lines, below those of 8B and hep."""
    run = nmmfit.load_run(EXAMPLES / "sterile_dipole_portal.toml", ["experiments=['borexino_phase2']"])
    joint = run.joint("direct")
    with_n, without = (joint.components({"L_N": x})["borexino_phase2.spectrum"] for x in (1e-7, 0.0))
    made = {n for n in with_n if np.any(np.asarray(with_n[n]) != np.asarray(without[n]))}
    assert made == {"b8", "hep"}
