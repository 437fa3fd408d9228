"""XENONnT's solar 8B neutrinos: tables, folded rates against closed forms, published totals, options."""

from __future__ import annotations

import dataclasses
import math
from importlib.resources import files
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from likelihoods import borexino_phase2, lz_er, xenonnt_cevns
from likelihoods.xenonnt_cevns import make_data
from nmmfit.constants import FERMI, SIN2_THETA_W_0
from nmmfit.errors import DataError, UserInputError
from nmmfit.experiment import BinnedExperiment, TheoryChoices
from nmmfit.inference.compatibility import refuse_different_meanings
from nmmfit.physics.forms import TargetCouplings, quadratic_forms
from nmmfit.physics.nuclei import natural_mixture
from nmmfit.physics.solar import solar_fluxes, solar_spectrum
from nmmfit.physics.solar_nuclei import flavour_nodes
from nmmfit.tables import read_table

DATA = files(xenonnt_cevns) / "data"
GEV2_CM2 = 3.893793721e-28


@pytest.fixture(scope="module")
def experiment() -> BinnedExperiment:
    """With tree-level weak charges, so that rates have closed forms and no flavour."""
    return xenonnt_cevns.build(TheoryChoices(weak_charges="tree"))


def counts(experiment: BinnedExperiment, couplings: TargetCouplings) -> dict[str, dict[str, np.ndarray]]:
    forms = quadratic_forms(couplings)

    def evaluate():
        return {c.name: c.component_counts(forms, experiment.nominal_pulls()) for c in experiment.channels}

    return {c: {k: np.asarray(v) for k, v in parts.items()} for c, parts in jax.jit(evaluate)().items()}


@pytest.fixture(scope="module")
def nominal(experiment) -> dict[str, dict[str, np.ndarray]]:
    return counts(experiment, TargetCouplings.zero())


# --- tables -------------------------------------------------------------------------------------------------------------


def test_tables_are_rebuilt_byte_for_byte(release_dir, tmp_path):
    assert make_data.main(["--release", str(release_dir), "--out", str(tmp_path)]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in DATA.iterdir())
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (DATA / path.name).read_bytes(), path.name


def test_published_totals(nominal):
    """37 events in SR0 and SR1, 26.4 +1.4 -1.3 expected from backgrounds (abstract of arXiv:2408.02877).

    The templates are events per bin and tonne-year: times the bins' widths they would make 27.8, not 26.5.
    """
    observed = {run: read_table(DATA / f"{run}_bins.csv")["counts"].sum() for run in ("sr0", "sr1", "sr2")}
    assert observed == {"sr0": 9, "sr1": 28, "sr2": 25}
    background = sum(v.sum() for run in ("sr0", "sr1") for k, v in nominal[run].items() if k not in ("b8", "hep"))
    assert background == pytest.approx(26.4, abs=0.3)


def test_the_measured_flux_explains_the_excess(nominal):
    """(4.7 +3.6 -2.3) 1e6 /cm2/s, measured with SR0 and SR1 (same abstract), makes up for the excess within its error."""
    per_flux = sum(nominal[run]["b8"].sum() for run in ("sr0", "sr1")) / solar_fluxes()["b8"][0]
    assert (37.0 - 26.4) / per_flux == pytest.approx(4.7e6, abs=2.3e6)


def test_an_event_outside_the_bins_is_refused(tmp_path):
    path = tmp_path / "sr0.csv"
    path.write_text(f",{','.join(make_data.AXES)}\n0,600.0,0.5,0.5,0.9\n")
    edges = [np.linspace(90.0, 500.0, 4), *[np.linspace(0.0, 1.0, 4)] * 3]
    with pytest.raises(DataError, match="0 of them inside the bins, expected 1"):
        make_data.read_counts(path, edges, 1)


# --- rates --------------------------------------------------------------------------------------------------------------


def helm_squared(t_kev: float, mass_mev: float, radius_fm: float) -> float:
    """Helm's form factor squared with a skin of 0.9 fm, from its formula."""
    q = math.sqrt(2.0 * mass_mev * t_kev * 1e-3) / 197.3269804
    r0 = math.sqrt(5.0 / 3.0 * (radius_fm**2 - 3.0 * 0.81))
    x = q * r0
    return (3.0 * (math.sin(x) - x * math.cos(x)) / x**3 * math.exp(-0.5 * (0.9 * q) ** 2)) ** 2


def test_8b_counts_match_closed_forms(nominal):
    """All of SR1 and one bin of it against closed forms (tree level) over nine isotopes, to 1e-4."""
    table = read_table(DATA / "sr1_efficiency.csv")
    bins = np.stack([table[f"bin_{k}"] for k in range(81)])
    shape, flux, e_max = solar_spectrum("b8"), solar_fluxes()["b8"][0], 15.3

    def rate(t_kev: float) -> float:
        """Events per keV in a tonne-year."""
        t = t_kev * 1e-3
        total = 0.0
        for isotope, fraction in natural_mixture("Xe"):
            mass = isotope.mass_mev
            threshold = 0.5 * (t + math.sqrt(t * (t + 2.0 * mass)))
            energy, weight = np.polynomial.legendre.leggauss(60)
            energy = 0.5 * (e_max + threshold) + 0.5 * (e_max - threshold) * energy
            # spin 1/2, as every nucleus is taken by default
            kinematics = 1.0 - t / energy - mass * t / (2.0 * energy**2) + t**2 / (2.0 * energy**2)
            f_p, f_n = (math.sqrt(helm_squared(t_kev, mass, r)) for r in (isotope.r_p_fm, isotope.r_n_fm))
            charge = (0.5 - 2.0 * SIN2_THETA_W_0.value) * isotope.z * f_p - 0.5 * isotope.n * f_n
            cross_section = FERMI.value**2 * mass * 1e-3 / math.pi * charge**2 * kinematics * GEV2_CM2 * 1e-3
            flux_weight = 0.5 * (e_max - threshold) * weight * shape(energy)
            total += fraction * float(np.sum(flux_weight * cross_section))
        return total * flux * 6.02214076e23 * 1e6 / 131.293 * 365.25 * 86400.0 * 1e-3

    energies = table["energy_kev"]
    # straight lines times a smooth spectrum between the energies of the templates
    x, w = np.polynomial.legendre.leggauss(3)
    nodes = [
        (t, weight, rate(t))
        for low, high in pairwise(energies[:39])
        for t, weight in zip(0.5 * (low + high) + 0.5 * (high - low) * x, 0.5 * (high - low) * w, strict=True)
    ]
    for k, expected in ((None, nominal["sr1"]["b8"].sum()), (40, nominal["sr1"]["b8"][40])):
        curve = bins.sum(axis=0) if k is None else bins[k]
        value = sum(w * r * np.interp(t, energies, curve) for t, w, r in nodes)
        assert expected == pytest.approx(2.342593 * value, rel=1e-4)


def test_couplings_act_as_shifts_of_the_weak_charge(experiment, nominal):
    """v_n of -sqrt(2) G_F g_V^n / 1 doubles the neutron's charge: the rate of an (almost) pure neutron coupling quadruples."""
    coupling = -math.sqrt(2.0) * FERMI.value * (-0.5)
    vector = jnp.asarray(np.hstack([np.eye(3), np.zeros((3, 3))]) * coupling + 0j)
    doubled = counts(experiment, dataclasses.replace(TargetCouplings.zero(), vector_n=vector))["sr1"]["b8"].sum()
    z, n = 54.0, 77.3
    proton = (0.5 - 2.0 * SIN2_THETA_W_0.value) * z
    expected = ((proton - 1.0 * n) / (proton - 0.5 * n)) ** 2
    assert doubled / nominal["sr1"]["b8"].sum() == pytest.approx(expected, rel=3e-3)


def test_tensor_and_scalar_signals_are_positive_and_quadratic(experiment, nominal):
    base = nominal["sr2"]["b8"].sum()
    for name, size in (("tensor_n", 1e-5), ("scalar_n", 1e-5), ("dipole", 1e-6)):
        unit = jnp.asarray(np.eye(3, 6) * size + 0j)
        one, two = (
            counts(experiment, dataclasses.replace(TargetCouplings.zero(), **{name: k * unit}))["sr2"]["b8"].sum() - base
            for k in (1.0, 2.0)
        )
        assert one > 0.0
        assert two == pytest.approx(4.0 * one, rel=1e-9)


def test_the_signal_is_as_significant_as_published(nominal):
    """SR0 and SR1: background alone is 2.73 sigma away in the collaboration's fit (abstract of arXiv:2408.02877).

    Signal, accidental coincidences and electron recoils float, Nelder-Mead on the templates; the strength is that of the Standard
    Model within its error.
    """
    runs = {run: read_table(DATA / f"{run}_bins.csv")["counts"] for run in ("sr0", "sr1")}
    widths = {"sr0": 0.0904, "sr1": 0.0576}

    def chi2(strength: float, pulls: np.ndarray) -> float:
        total = float(np.sum(pulls**2))
        for (run, n), pull in zip(runs.items(), pulls[:2], strict=True):
            parts = nominal[run]
            mu = strength * (parts["b8"] + parts["hep"]) + (1.0 + widths[run]) ** pull * parts["accidental"]
            mu = mu + np.logaddexp(0.0, 5.0 * (1.0 + pulls[2])) / np.log1p(np.exp(5.0)) * parts["electron"] + parts["neutron"]
            total += 2.0 * np.sum(mu - n + np.where(n > 0, n * np.log(np.where(n > 0, n, 1.0) / mu), 0.0))
        return total

    best = optimize.minimize(lambda x: chi2(x[0], x[1:]), [1.0, 0.0, 0.0, 0.0], method="Nelder-Mead", options={"fatol": 1e-4})
    none = optimize.minimize(lambda x: chi2(0.0, x), np.zeros(3), method="Nelder-Mead", options={"fatol": 1e-4})
    assert math.sqrt(none.fun - best.fun) == pytest.approx(2.73, abs=0.15)
    assert best.x[0] == pytest.approx(1.0, abs=0.5)


# --- options ------------------------------------------------------------------------------------------------------------


def test_pulls_and_options(experiment):
    assert {c.name for c in experiment.channels} == {"sr0", "sr1", "sr2"}
    assert {"solar.b8", "solar.hep", "xenonnt_cevns.signal", "xenonnt_cevns.accidental_sr2"} <= set(experiment.pulls)
    first = next(c for c in experiment.channels[0].components if c.name == "b8")
    assert float(first.scale({"solar.b8": jnp.asarray(1.0), "xenonnt_cevns.signal": jnp.asarray(1.0)})) == pytest.approx(
        1.12 * 1.25
    )
    early = xenonnt_cevns.build(TheoryChoices(weak_charges="tree"), runs="sr0_sr1")
    assert [c.name for c in early.channels] == ["sr0", "sr1"]
    assert "xenonnt_cevns.accidental_sr2" not in early.pulls
    with pytest.raises(UserInputError, match="runs"):
        xenonnt_cevns.build(runs="sr2")
    with pytest.raises(UserInputError, match="massless"):
        xenonnt_cevns.build(TheoryChoices(m_n_mev=1.0))


def test_its_solar_pulls_mean_what_they_mean_elsewhere(experiment):
    """8B keeps the solar model's error whatever else floats, so that it goes with every choice of the others but the model."""
    refuse_different_meanings([experiment, lz_er.build(TheoryChoices(electron_radiative="none"))])
    refuse_different_meanings([borexino_phase2.build(solar_flux_constraint="ssm"), experiment])
    other = xenonnt_cevns.build(TheoryChoices(weak_charges="tree"), ssm="b16_agss09met", runs="sr0_sr1")
    with pytest.raises(UserInputError, match=r"solar.b8.*b16_gs98.*b16_agss09met"):
        refuse_different_meanings([experiment, other])


def test_flavour_nodes_cover_the_spectrum():
    source = next(s for n, s in xenonnt_cevns.solar_sources("b16_gs98").items() if n == "b8")
    nodes = flavour_nodes(source, 8)
    assert len(nodes) == 8
    assert 0.0 < nodes.min() < nodes.max() < source.e_max_mev
