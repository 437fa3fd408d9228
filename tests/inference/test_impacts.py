"""Pulls and impacts, against closed forms of a linear Gaussian model."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist
from small_joint import DIPOLE, couplings

from nmmfit.errors import UserInputError
from nmmfit.experiment import BinnedExperiment, Channel, Component, Factor
from nmmfit.inference.impacts import impacts
from nmmfit.inference.joint import CouplingMap, JointLikelihood
from nmmfit.inference.parameters import Identified, Parameter
from nmmfit.physics.amplitude_basis import couplings_to_vector

BACKGROUND = 20.0
OBSERVED, ERRORS = BACKGROUND + np.array([30.0, 21.0, 12.0]), np.array([2.0, 1.0, 1.5])
# Columns: d^2, first pull, second pull.
RESPONSE = np.array([[1.0, 1.5, 0.3], [1.0, -0.5, 0.8], [0.5, 0.7, -0.4]])


@pytest.fixture(scope="module")
def lab() -> JointLikelihood:
    """Gaussian numbers, linear in d^2 and in two pulls; a third pull on a half-line that nothing depends on."""

    def counts(forms, pulls):
        square = jnp.real(forms["dipole"][0, 0]) / DIPOLE**2
        return BACKGROUND + jnp.asarray(RESPONSE) @ jnp.stack([square, pulls["lab.first"], pulls["lab.second"]])

    component = Component("all", (Factor(counts, ("lab.first", "lab.second"), ("dipole",)),))
    channel = Channel(
        "bins", OBSERVED, (component,), {"x": np.arange(4.0)},
        distribution=lambda mu: dist.Normal(mu, ERRORS), statistic="normal",
    )  # fmt: skip
    pulls = {"lab.first": dist.Normal(0.0, 1.0), "lab.second": dist.Normal(0.5, 2.0), "lab.idle": dist.Uniform(0.0, 1.0)}
    experiment = BinnedExperiment("lab", "Closed form", (channel,), pulls)
    starts = {"lab.idle": 0.5}
    parameters = [Parameter("d", "coefficient", "1e-9 GeV^-1", dist.Normal(0.0, 10.0), 0.0, 10.0)]
    parameters += [Parameter(n, "nuisance", "1", p, starts.get(n, 0.0), 1.0) for n, p in pulls.items()]
    base = np.asarray([couplings_to_vector(couplings(1.0))])
    mu = Identified("mu", "1e-9 GeV^-1", "moment", lambda c: jnp.real(c.dipole[0, :1]) / DIPOLE)
    coupling_map = CouplingMap(lambda theory: jnp.asarray(base), (base,), (frozenset({0}),))
    return JointLikelihood((experiment,), parameters, coupling_map, (mu,), method="direct")


CENTRES, WIDTHS = np.array([0.0, 0.5]), np.array([1.0, 2.0])


def gaussian() -> tuple[np.ndarray, np.ndarray]:
    """Best fit and covariance of (d^2, first, second): linear least squares."""
    weights = np.diag(ERRORS**-2.0)
    information = RESPONSE.T @ weights @ RESPONSE
    information[1:, 1:] += np.diag(WIDTHS**-2.0)
    right = RESPONSE.T @ weights @ (OBSERVED - BACKGROUND)
    right[1:] += CENTRES / WIDTHS**2
    return np.linalg.solve(information, right), np.linalg.inv(information)


@pytest.fixture(scope="module")
def found(lab):
    return impacts(lab, ["mu"], starts=2)


def test_pulls_are_those_of_least_squares(found):
    best, covariance = gaussian()
    assert found.best.converged
    for k, p in enumerate(found.pulls[:2]):
        assert p.value == pytest.approx(best[1 + k], rel=1e-5)
        assert p.error == pytest.approx(np.sqrt(covariance[1 + k, 1 + k]), rel=1e-5)
        assert p.pull == pytest.approx((best[1 + k] - CENTRES[k]) / WIDTHS[k], rel=1e-5)
        assert p.constraint == pytest.approx(p.error / WIDTHS[k], rel=1e-12)


def test_impacts_are_the_linear_response_of_the_square(found):
    best, covariance = gaussian()
    assert found.targets["mu"] == pytest.approx(np.sqrt(best[0]), rel=1e-6)
    assert not found.failed
    for k, p in enumerate(found.pulls[:2]):
        # Held one sd off, a Gaussian moves the others by their covariance over that sd.
        shift = covariance[0, 1 + k] / np.sqrt(covariance[1 + k, 1 + k])
        for sign, change in zip((-1.0, 1.0), p.impacts["mu"], strict=True):
            assert change == pytest.approx(np.sqrt(best[0] + sign * shift) - np.sqrt(best[0]), rel=1e-4)


def test_what_nothing_depends_on_has_no_impact_and_ranks_last(found):
    idle = found.pulls[2]
    assert idle.name == "lab.idle"
    assert idle.impacts["mu"] == pytest.approx((0.0, 0.0), abs=1e-7)
    assert idle.pull == pytest.approx(0.0, abs=1e-6)
    assert found.ranked()[-1] is idle


def test_the_picture_and_the_table_show_every_nuisance(found, tmp_path):
    from nmmfit.results.impacts import impacts_figure, impacts_tables, write_impacts

    figure = impacts_figure(found)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == [p.name for p in found.ranked()]
    (made,) = impacts_tables(found, most=2).renderables
    assert made.row_count == 2
    assert "1 smaller" in str(made.title)
    assert {p.name for p in write_impacts(tmp_path, found)} == {"impacts.png", "impacts.pdf"}


def test_targets_that_are_moved_alike_share_a_column(found):
    from nmmfit.results.impacts import WIDE, impacts_figure, impacts_tables

    names = (*found.targets, "twin", *(f"other{k}" for k in range(WIDE)))
    first = next(iter(found.targets))

    def impacts_of(pull):
        others = {f"other{k}": tuple((2.0 + k) * c for c in pull.impacts[first]) for k in range(WIDE)}
        return {**pull.impacts, "twin": pull.impacts[first], **others}

    more = replace(
        found,
        targets=dict.fromkeys(names, found.targets[first]),
        units={**found.units, **{name: found.units[first] for name in names if name not in found.units}},
        pulls=tuple(replace(p, impacts=impacts_of(p)) for p in found.pulls),
    )
    *tables, note = impacts_tables(more).renderables
    assert note == f"{first}: the same for twin"
    headings = [str(column.header) for made in tables for column in made.columns]
    assert not any("twin" in h for h in headings)
    assert all(sum(name in h for h in headings) == 1 for name in names if name.startswith("other"))
    assert all(len(made.columns) <= 3 + WIDE for made in tables)
    assert len(impacts_figure(more).axes) == 1 + len(found.targets) + WIDE


@pytest.mark.parametrize(
    ("changes", "message"), [({"targets": ["mo"]}, "did you mean 'mu'"), ({"starts": 0}, "starts"), ({"seed": -1}, "seed")]
)
def test_wrong_input(lab, changes, message):
    with pytest.raises(UserInputError, match=message):
        impacts(lab, **changes)
