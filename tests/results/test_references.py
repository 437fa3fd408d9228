"""What the experiments of this repository ask to be cited: nothing that a fit rests on is without a paper."""

from __future__ import annotations

import re

import pytest

from nmmfit import catalogue
from nmmfit.config import validate
from nmmfit.results.report.references import Told, asked_of, identifiers, of_experiments, references_section, told

NAMES = catalogue.names()
RUN = {"parameters": {"L_dipole": {"coefficients": {"nuNgamma_11": 1}, "prior": 0.0}}}


@pytest.fixture(scope="module")
def everything() -> dict[str, Told]:
    """Every experiment of the listing, built."""
    return {entry.name: entry for entry in told(NAMES, {})}


def cited(entry: Told, uses: str = "") -> set[str]:
    """Numbers of the papers that an experiment asks for, for uses whose words contain `uses`."""
    return {number for text, use in of_experiments([entry]) if uses in use for _, number in identifiers(text)}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_data_of_every_experiment_have_an_arxiv_number_or_a_doi_in_bibtex(name: str, everything: dict[str, Told]) -> None:
    entry = everything[name]
    assert entry.problem == ""
    papers = cited(entry, f"data of {name}")
    assert papers
    _, bibtex = references_section(of_experiments([entry]))
    for number in papers:
        assert re.search(rf"^  (eprint|doi) = \{{{re.escape(number)}\}}", bibtex, re.MULTILINE)
    # Formulae are told by identifiers only, so that each of them is an entry.
    assert all(identifiers(text) for text, _ in entry.formulae)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        # Solar neutrinos on bound electrons: fluxes, spectra, oscillation parameters, stepping approximation.
        ("lz_er", {"1611.09867", "hep-ph/9710491", "2511.21650", "2207.05036", "2208.06415", "2207.03764"}),
        ("pandax4t_er", {"1611.09867", "2408.07641", "2206.02339", "2207.05036"}),
        ("xenonnt_er_2022", {"1611.09867", "2207.11330", "2207.05036"}),
        ("xenonnt_cevns", {"1611.09867", "nucl-ex/0406019", "2604.06002"}),
        # Reactors: spectra, energy per fission, quenching.
        ("conus_plus", {"1106.0687", "1101.2663", "2304.14992", "1212.6625", "10.1016/S0927-6505(96)00047-3", "2202.03754"}),
        ("coherent_ge_2026", {"2603.17951", "2109.11049", "10.1016/S0927-6505(96)00047-3"}),
        ("coherent_csi_2021", {"2110.07730", "2109.11049", "1710.02730"}),
        ("invisible_mesons", {"1805.05613", "1503.05534"}),
        ("gemma", {"10.1155/2012/350150", "2206.13122"}),
        ("trgb", {"2007.03694", "1901.00482"}),
    ],
)
def test_what_models_rest_on_is_cited(name: str, numbers: set[str], everything: dict[str, Told]) -> None:
    assert numbers <= cited(everything[name])


@pytest.mark.slow
def test_a_choice_changes_what_is_cited() -> None:
    """Reactor spectra and quenching of CONUS+ by their options; free electrons need no paper about bound ones."""
    (huber,) = told(["conus_plus"], {})
    (other,) = told(["conus_plus"], {"conus_plus": {"spectrum": "bestiole", "quenching": "scholz2016"}})
    assert {"1106.0687", "2202.03754"} <= cited(huber)
    assert not {"1106.0687", "2202.03754"} & cited(other)
    assert {"2304.14992", "1608.03588"} <= cited(other)
    (free,) = told(["lz_er"], {"lz_er": {"binding": "free"}})
    assert "2207.05036" not in cited(free)


def test_a_run_cites_the_papers_of_its_experiments_and_formulae() -> None:
    run = validate({**RUN, "experiments": ["gemma", "donut"], "theory": {"form_factor": "helm"}})
    experiments, section, bibtex = asked_of(run, [("hep-ph/0304176", "a method")])
    assert [e.name for e in experiments] == ["gemma", "donut"]
    for number in (
        "10.1155/2012/350150",
        "hep-ex/0102026",
        "hep-ph/0304176",
        "10.1103/PhysRev.104.1466",
        "2206.13122",
        "1901.00482",
    ):
        assert number in bibtex
    assert ("hep-ph/0304176", "a method") in [(row[0].removeprefix("arXiv:"), row[1]) for row in section.tables[0].rows]
