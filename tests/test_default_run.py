"""What the default run identifies, and what its numbers mean."""

from __future__ import annotations

import math

import pytest

import nmmfit
from nmmfit.inference.joint import JointLikelihood

# Z, N of the nuclides; tensor charges of proton and neutron for u, d, s, mirrored by isospin (FLAG: 0.784, -0.204, -0.0027).
NUCLIDES = {"cs133": (55, 78), "i127": (53, 74)}
CHARGES = {"L_T_u": (0.784, -0.204), "L_T_d": (-0.204, 0.784), "L_T_s": (-0.0027, -0.0027)}


@pytest.fixture(scope="module")
def at_low_scale() -> JointLikelihood:
    """The default run with coefficients at 2 GeV, where no running stands between them and the nucleus."""
    return nmmfit.default_run(["scale_gev=2.0"]).joint(method="direct")


def test_identified_quantities_of_the_default_run(at_low_scale: JointLikelihood) -> None:
    units = {q.name: q.unit for q in at_low_scale.identified}
    moments = dict.fromkeys(("mu_eff_solar", "mu_eff_sns_mu", "mu_eff_sns_e"), "1e-11 mu_B")
    assert units == moments | dict.fromkeys(("tensor_charge_cs133", "tensor_charge_i127"), "1e-6 GeV^-2")


@pytest.mark.parametrize("quark", CHARGES)
@pytest.mark.parametrize("nuclide", NUCLIDES)
def test_nuclear_tensor_charge_by_hand(at_low_scale: JointLikelihood, quark: str, nuclide: str) -> None:
    """Coherent sum over nucleons, |Z t_p + N t_n|, per 1e-6 GeV^-2 of one quark's coefficient."""
    (z, n), (proton, neutron) = NUCLIDES[nuclide], CHARGES[quark]
    value = at_low_scale.identified_values({quark: -1e-6})[f"tensor_charge_{nuclide}"]
    assert float(value) == pytest.approx(abs(z * proton + n * neutron), rel=1e-12)


def test_moment_by_hand(at_low_scale: JointLikelihood) -> None:
    """mu = 2 |L(0)| 2 m_e / e(0), where L / e does not run: 1/alpha(2 GeV) = 133.30 instead of 137.04 with L at 2 GeV."""
    e_2_gev = math.sqrt(4.0 * math.pi / 133.30)
    moment = at_low_scale.identified_values({"L_dipole": -1e-9})["mu_eff_solar"]
    assert float(moment) == pytest.approx(2e-9 * 2.0 * 0.51099895e-3 / e_2_gev / 1e-11, rel=1e-4)
