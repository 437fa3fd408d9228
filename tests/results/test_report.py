"""Reports: the page as a page, what it says, what it cites, and folders that are none."""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from html_structure import Page, contrast, palettes
from report_folders import (
    ATTRS,
    PROFILE,
    RUN,
    SCAN,
    VALIDATION,
    limits_payload,
    png,
    write_all,
    write_fit_folder,
    write_json_folder,
)

import nmmfit
from nmmfit.config import validate
from nmmfit.errors import UserInputError
from nmmfit.results.report import make_document, page_of
from nmmfit.results.report.document import Document
from nmmfit.results.report.references import PAPERS, SOFTWARE, formulae, identifiers, references_section
from nmmfit.results.report.render import html, template_text
from nmmfit.results.wording import measured, quantity_label, quantity_words, sentence, together, typeset, unit_text
from nmmfit.results.written import read_results
from nmmfit.runfile import read_toml

NOTHING: dict[str, dict] = {"identified": {}, "parameters": {}}
"""Limits of nothing, which need no plot."""
KINDS = (
    "fit",
    "limits",
    "profile",
    "scan",
    "validate",
    "tension",
    "impacts",
    "leave-one-out",
    "fisher",
    "tighten",
    "toys",
    "prior-sensitivity",
    "calibrate",
    "fit --prior-predictive",
)
LAB = SimpleNamespace(
    title="A laboratory",
    status="invented",
    references=("arXiv:1234.56789", "doi:10.1000/xyz(2020)1.", "Lab Book 7"),
    formulae=(("arXiv:1111.22222", "a formula"),),
    choices={"quenching": "that of arXiv:3333.44444", "binning": "fine"},
    pulls={"solar.be7": None, "lab.flux": None},
)


@pytest.fixture(autouse=True)
def _lab(monkeypatch: pytest.MonkeyPatch) -> None:
    """An experiment that needs no tables."""
    monkeypatch.setattr("nmmfit.catalogue.build", lambda name, options=None: LAB)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_all(tmp_path_factory.mktemp("folders"))


@pytest.fixture(scope="module")
def documents(folders: dict[str, Path]) -> dict[str, Document]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nmmfit.catalogue.build", lambda name, options=None: LAB)
        return {kind: make_document(read_results(path)) for kind, path in folders.items()}


@pytest.fixture(scope="module")
def pages(documents: dict[str, Document]) -> dict[str, str]:
    return {kind: html(document) for kind, document in documents.items()}


# The page as a page


@pytest.mark.parametrize("kind", KINDS)
def test_structure_is_accessible(kind: str, pages: dict[str, str], documents: dict[str, Document]) -> None:
    page = Page(pages[kind])
    assert page.wrong == page.open == []
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.text_in("title")) == len(page.all("h1")) == len(page.all("main")) == 1
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(set(ids)) == len(ids)
    named = [name for _, attrs in page.elements for name in attrs.get("aria-labelledby", "").split()]
    assert named
    assert set(named) <= set(ids)
    regions = [attrs["aria-labelledby"] for attrs in page.all("section", "div", "pre") if "aria-labelledby" in attrs]
    assert len(set(regions)) == len(regions)
    # Regions are told apart by what they are called, too.
    captions = [(section.title, table.caption) for section in documents[kind].sections for table in section.tables]
    assert len(set(captions)) == len(captions)
    assert {a["href"][1:] for a in page.all("a") if a["href"].startswith("#")} <= set(ids)
    assert page.all("img") or kind == "validate"
    assert all(len(img["alt"]) > 20 for img in page.all("img"))
    assert all(th["scope"] in ("col", "row") for th in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table")) > 2
    # What scrolls sideways can be reached with the keyboard.
    assert all(attrs["tabindex"] == "0" for attrs in page.all("div", "pre"))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_loaded_and_nothing_runs(kind: str, pages: dict[str, str]) -> None:
    page = Page(pages[kind])
    assert {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "embed", "base", "form", "svg"} == set()
    for _, attrs in page.elements:
        assert not any(name.startswith("on") for name in attrs)
        assert attrs.get("src", "data:image/").startswith("data:image/")
        assert "style" not in attrs
    for a in page.all("a"):
        assert re.match(r"#|https://arxiv\.org/abs/|https://doi\.org/10\.", a["href"])
    assert re.search(r"url\(|@import|@font-face", template_text()) is None
    assert "default-src 'none'" in pages[kind]
    for img in page.all("img"):
        content = base64.b64decode(img["src"].partition(",")[2])
        assert re.search(rb'href="(?!#|data:)', content) is None


@pytest.mark.parametrize("kind", ["fit", "limits"])
def test_the_same_folder_is_the_same_page(kind: str, folders: dict[str, Path], pages: dict[str, str]) -> None:
    assert page_of(folders[kind]) == pages[kind]


def test_contrasts_are_those_of_the_guidelines() -> None:
    """4.5 for text (level AA), on screen in the light and in the dark, and in print; black on white is 21 by definition."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # the textbook example that just fails
    css = template_text()
    themes = palettes(css)
    assert len(themes) == 3
    pairs = [
        ("ink", "paper"),
        ("ink", "shade"),
        ("soft", "paper"),
        ("link", "paper"),
        ("good", "good-paper"),
        ("bad", "bad-paper"),
    ]
    for theme in themes:
        assert theme.keys() == themes[0].keys()
        for text, ground in pairs:
            assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground, theme)
    used = set(re.findall(r"[{; ]color: var\(--([\w-]+)\)", css)) | set(re.findall(r"background: var\(--([\w-]+)\)", css))
    assert used <= {name for pair in pairs for name in pair}


@pytest.mark.parametrize("kind", KINDS)
def test_every_column_of_numbers_has_a_unit(kind: str, documents: dict[str, Document]) -> None:
    for section in documents[kind].sections:
        for table in section.tables:
            if table.caption in ("Diagnostics", "Beside what was published", "Correlations of the coefficients [1]"):
                # The unit stands in the first column, or in a column of its own, or in the caption.
                continue
            for column in table.numbers:
                assert re.search(r"\[.+\]", table.heads[column]), (table.caption, table.heads)


# What it says


def test_a_fit_in_words_and_tables(documents: dict[str, Document], folders: dict[str, Path], pages: dict[str, str]) -> None:
    document = documents["fit"]
    assert document.title == "Fit to lab"
    summary = json.loads((folders["fit"] / "summary.json").read_text())
    upper = summary["identified"]["mu_solar"]["abs_upper_90"]
    assert document.answer[0] == f"mu_solar: below {measured(upper * 1e-11, 'mu_B')} with 90 % posterior probability."
    assert [s.title for s in document.sections] == [
        "What was asked", "What came out", "Nuisances and theory inputs", "Spectra", "Diagnostics", "Provenance", "What to cite",
    ]  # fmt: skip
    found = document.sections[1]
    assert [p.source[:19] for p in found.pictures] == ["data:image/svg+xml;"] * 2
    (dipole,) = [row for t in found.tables for row in t.rows if row[0] == "L_dipole" and "contraction [1]" in t.heads]
    assert float(dipole[2]) == pytest.approx(summary["parameters"]["L_dipole"]["sd"] / 1e-8, rel=5e-3)
    assert "sd [10⁻⁸\N{NO-BREAK SPACE}GeV⁻¹]" in pages["fit"]
    for told in ("prior-limited", "somewhere", "0.11.0", "Helm, skin thickness 0.9 fm", "normal(0, 1e-07)", "A laboratory"):
        assert told in pages["fit"], told
    assert read_results(folders["fit"]).run.hash in pages["fit"]
    assert 'alt="Spectrum of lab.bins' in pages["fit"]


def test_the_verdict_of_a_fit(folders: dict[str, Path], pages: dict[str, str], tmp_path: Path) -> None:
    summary = json.loads((folders["fit"] / "summary.json").read_text())
    assert summary["converged"] is True
    assert "Converged: the draws can be believed." in pages["fit"]
    bad = shutil.copytree(folders["fit"], tmp_path / "bad")
    (bad / "summary.json").write_text(json.dumps(summary | {"converged": False, "problems": ["x: r_hat"], "interrupted": True}))
    document = make_document(read_results(bad))
    assert not document.converged
    assert document.verdict.startswith("NOT converged")
    assert "interrupted" in document.verdict
    assert next(s for s in document.sections if s.title == "Diagnostics").points == ("x: r_hat",)


def test_evidence_ridges_and_modes_are_told(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["fit"], tmp_path / "told")
    summary = json.loads((folder / "summary.json").read_text())
    summary["log_evidence"] = {"value": -12.356, "error": 0.067, "runs": [-12.3, -12.4, -12.3], "powers": [9, 9, 9]}
    summary["landscape"] = {"ridges": [], "modes": [], "text": ["ridge: a and b cancel in the dipole"]}
    (folder / "summary.json").write_text(json.dumps(summary))
    points = next(s for s in make_document(read_results(folder)).sections if s.title == "What came out").points
    assert any(p.startswith("Log evidence -12.36 +- 0.07, from 3 independent runs") for p in points)
    assert "Ridge: a and b cancel in the dipole" in points


def test_impacts_are_correlation_times_width(tmp_path: Path) -> None:
    """Of independent draws they vanish within the statistics; of a linear mixture they are its coefficient."""
    from synthetic_run import make_result

    from nmmfit.results.report.nuisances import nuisances_section

    result = make_result()
    pull = result.draws["coherent_csi_2021.nin"]
    result.identified["mu_solar"] = 5.0 + 0.7 * pull
    from nmmfit.results.diagnostics import summarise_fit

    summaries = {n: ("1", s) for n, s in summarise_fit(result).parameters.items()}
    impacts = nuisances_section(result, summaries).tables[1]
    row = next(r for r in impacts.rows if r[0] == "coherent_csi_2021.nin")
    assert float(row[1].split()[0]) == pytest.approx(0.7 * np.std(pull), rel=0.02)
    assert row[1].endswith("(+1.00)")
    assert abs(float(re.search(r"\(([-+.\d]+)\)", row[2]).group(1))) < 4.0 / np.sqrt(pull.size)  # type: ignore[union-attr]


def test_limits_in_words_and_tables(documents: dict[str, Document], pages: dict[str, str]) -> None:
    document = documents["limits"]
    assert document.answer == (
        "mu_solar: below 3.50 × 10⁻¹¹ μ_B at 90 %, profiled.".replace(" ×", "\xa0×")
        .replace("× ", "×\xa0")
        .replace(" μ", "\xa0μ"),
    )
    for told in ("L_dipole, profiled: flat: the tensors undo it", "[-inf, inf]", "kaon: c_T = -1 ± 0.2", "the others are 0"):
        assert told in pages["limits"].replace("&#39;", "'"), told
    assert "Forest plot of the limits on 3 quantities" in pages["limits"]


def test_limits_that_did_not_converge_and_limits_of_nothing(tmp_path: Path) -> None:
    payload = limits_payload(converged=False, problems=["posterior: few draws"], **NOTHING)
    document = make_document(read_results(write_json_folder(tmp_path / "l", "limits", payload)))
    assert document.verdict.startswith("NOT converged")
    assert next(s for s in document.sections if s.title == "Diagnostics").points == ("posterior: few draws",)
    assert all(not s.pictures for s in document.sections)


def test_a_profile_names_the_points_that_failed(documents: dict[str, Document], tmp_path: Path) -> None:
    document = documents["profile"]
    assert not document.converged
    assert document.verdict == "NOT converged at 1 of 4 points."
    table = document.sections[1].tables[0]
    assert table.rows[-1] == ("3.00", "-", "NO")
    nowhere = PROFILE | {"delta_chi2": [None] * 4}
    assert (
        "undefined everywhere"
        in make_document(read_results(write_json_folder(tmp_path / "p", "profile", nowhere))).sections[1].pictures[0].alt
    )


def test_a_scan_names_its_contours_and_the_points_that_failed(documents: dict[str, Document]) -> None:
    document = documents["scan"]
    assert document.verdict == "NOT converged at 1 of 6 points."
    assert document.answer[0].startswith("Effective magnetic moment (solar): the best fit is 1.00")
    words = "1 open: ends at the edge of the grid; within 0.0001 of the level"
    assert document.sections[1].tables[1].rows == (("68 %", "2.280", words),)
    assert len(document.sections[2].points) == 1
    assert "Held: L_dipole = 0." in document.sections[0].sentences[0]


def test_a_validation_says_what_agrees(documents: dict[str, Document], pages: dict[str, str]) -> None:
    document = documents["validate"]
    assert document.answer[0].endswith("beside ours: 1, of which 1 agree, 0 differ and 0 were not computed.")
    assert "data:image/png;base64," in pages["validate"]
    assert "92.7 ± 11" in pages["validate"]
    assert "A laboratory. Status: data release." in pages["validate"]


def test_a_validation_says_what_other_choices_explain(tmp_path: Path) -> None:
    (compared,) = VALIDATION["experiments"]["lab"]["comparisons"]
    other = compared | {"agrees": False, "switch": "binning = coarse", "switched": 99.0, "switched_agrees": True}
    given = {"experiments": {"lab": VALIDATION["experiments"]["lab"] | {"comparisons": [other]}}}
    document = make_document(read_results(write_json_folder(tmp_path / "v", "validate", given, run=None)))
    assert document.answer[1] == "Of those that differ, 1 agree once the choices made there are made here."


def test_a_picture_belongs_to_the_experiment_with_the_longest_name(tmp_path: Path) -> None:
    one = VALIDATION["experiments"]["lab"]
    payload = {"experiments": {"lab": one, "lab_b": one | {"name": "lab_b"}}}
    folder = write_json_folder(tmp_path / "v", "validate", payload, run=None)
    (folder / "lab_b_bins.png").write_bytes(png())
    document = make_document(read_results(folder))
    assert {s.title: len(s.pictures) for s in document.sections if s.title.startswith("lab")} == {"lab": 0, "lab_b": 1}


def test_an_experiment_that_is_not_installed_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, options: object = None) -> None:
        raise UserInputError(f"unknown experiment {name!r}")

    monkeypatch.setattr("nmmfit.catalogue.build", missing)
    page = page_of(write_json_folder(tmp_path / "l", "limits", limits_payload(**NOTHING)))
    assert "References unknown: lab: unknown experiment" in page


# Hostile strings


def test_hostile_strings_are_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, titles, reasons and attributes that would be elements, attributes or template code."""
    evil = "$x^$</pre></section>\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}{% raw %}"
    lab = SimpleNamespace(
        title=evil, status=evil, references=(evil, "doi:10.1000/a}\\write18{x}"), formulae=(), choices={evil: evil}, pulls={}
    )
    monkeypatch.setattr("nmmfit.catalogue.build", lambda name, options=None: lab)
    quoted = json.dumps(evil)
    run = RUN.replace('"lab"', quoted) + f"[options]\n{quoted} = {{x = {quoted}}}\n"
    payload = limits_payload(problems=[evil], converged=False, conventions={evil: evil}, theory={evil: evil})
    payload["parameters"][evil] = payload["parameters"]["L_dipole"] | {}
    payload["parameters"][evil]["profiled"]["reason"] = evil
    validation = {"experiments": {evil: VALIDATION["experiments"]["lab"] | {"name": evil, "title": evil, "references": [evil]}}}
    profile = PROFILE | {"reason": evil, "grid": {evil: [0, 1, 2, 3]}, "best": {evil: 1}}
    scan = SCAN | {
        "grid": {evil: [0, 1, 2], "x": [0, 1]},
        "units": {evil: "1", "x": "1"},
        "best": {evil: 1, "x": 0},
        "fixed": {evil: 1.0},
    }
    made = [
        page_of(write_fit_folder(tmp_path / "f", run, ATTRS | {"platform": evil})),
        page_of(write_json_folder(tmp_path / "l", "limits", payload, run)),
        page_of(write_json_folder(tmp_path / "p", "profile", profile, run)),
        page_of(write_json_folder(tmp_path / "s", "scan", scan, run)),
        page_of(write_json_folder(tmp_path / "v", "validate", validation, run=None)),
    ]
    for text in made:
        page = Page(text)
        assert page.wrong == page.open == []
        assert not {"script"} & {tag for tag, _ in page.elements}
        assert all(img["src"].startswith("data:image/") and "onerror" not in img for img in page.all("img"))
        assert "{{ 7*7 }}" in text
        assert "\\write18{x}" not in text


# What it cites


def test_identifiers_in_texts() -> None:
    assert identifiers("arXiv:2206.13122, eq. (3.13); hep-ex/0605006") == [("arXiv", "2206.13122"), ("arXiv", "hep-ex/0605006")]
    assert identifiers("(doi:10.1103/PhysRevD.75.012001)") == [("doi", "10.1103/PhysRevD.75.012001")]
    assert identifiers("doi:10.1016/0370-2693(95)00001-8.") == [("doi", "10.1016/0370-2693(95)00001-8")]
    assert identifiers("Adv. High Energy Phys. 2012, 350150; 2206.13122; arXiv:2206.131221") == []


def test_bibtex_holds_what_is_known_and_no_more(documents: dict[str, Document]) -> None:
    document = documents["fit"]
    entries = dict(re.findall(r"^@\w+\{([^,]+),\n(.*?)^\}", document.bibtex, re.DOTALL | re.MULTILINE))
    assert {"nmmfit", *(f"arXiv:{n}" for n in PAPERS)} <= set(entries)
    assert {"arXiv:1234.56789", "doi:10.1000/xyz-2020-1", "arXiv:1903.08008", "arXiv:1303.5522", "arXiv:1611.09867"} <= set(
        entries
    )
    assert "doi = {10.1000/xyz(2020)1}" in entries["doi:10.1000/xyz-2020-1"]
    for key, fields in entries.items():
        assert ("author" in fields) == (key == "nmmfit" or key.partition(":")[2] in PAPERS)
        assert key == "nmmfit" or re.search(r"^  (eprint|doi) = ", fields, re.MULTILINE)
        assert fields.count("{") == fields.count("}")
    assert "Lab Book 7" in [row[0] for row in document.sections[-1].tables[0].rows]


def test_bibtex_agrees_with_the_citation_file() -> None:
    path = Path(nmmfit.__file__).resolve().parent.parent / "CITATION.cff"
    if not path.exists():
        pytest.skip("installed without the repository")
    citation = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert (citation["title"], f"{{{citation['authors'][0]['name']}}}") == SOFTWARE
    written = {
        entry["identifiers"][0]["value"].removeprefix("arXiv:"): (
            entry["title"],
            " and ".join(f"{a['family-names']}, {a['given-names']}" for a in entry["authors"]),
        )
        for entry in citation["references"]
    }
    assert dict(PAPERS) == written


def test_special_characters_of_tex_are_escaped() -> None:
    _, bibtex = references_section([("arXiv:1234.56789", "data of a_b & 100 % {x} ^ ~ \\end")])
    assert r"data of a\_b \& 100 \% \{x\} \textasciicircum{} \textasciitilde{} \textbackslash{}end" in bibtex


def test_what_a_run_does_not_use_is_not_cited(tmp_path: Path) -> None:
    run = (
        RUN
        + '[theory]\nweak_charges = "tree"\nelectron_radiative = "none"\nrunning = "seed"\nnucleon_charges = "seed"\nc_T = -2.0\n'
    )
    bibtex = make_document(read_results(write_json_folder(tmp_path / "l", "limits", limits_payload(**NOTHING), run))).bibtex
    for absent in ("1303.5522", "astro-ph/9502003", "hep-ph/9701390", "2111.09849", "value of c\\_T;"):
        assert absent not in bibtex
    assert "note = {value of c\\_T\\_s}" in bibtex


@pytest.mark.parametrize(
    ("scale", "coefficients", "present", "absent"),
    [
        (2.0, "nuNgamma_11 = 1", ("1303.5522",), ("hep-ph/9701390", "2004.13869")),
        (80.379, "nuNgamma_11 = 1", ("hep-ph/9701390",), ("2004.13869", "1308.2627")),
        (80.379, "NB_11 = 1", ("hep-ph/9701390", "2004.13869"), ("1308.2627",)),
        (1000.0, "NB_11 = 1", ("2004.13869", "1308.2627"), ("1612.04527",)),
        (80.379, "LHB_12 = 1", ("1612.04527",), ("2004.13869", "1308.2627")),
    ],
)
def test_running_and_matching_are_cited_where_they_are_used(scale, coefficients, present, absent) -> None:
    text = f"experiments = []\nscale_gev = {scale}\n[parameters.x]\ncoefficients = {{ {coefficients} }}\nprior = 0.0\n"
    named = {text for text, _ in formulae(validate(read_toml(text, "run.toml")))}
    cited = {number for text in named for _, number in identifiers(text)}
    assert set(present) <= cited
    assert not set(absent) & cited


# Folders that are none


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda p: None, "there is no such folder of results"),
        (lambda p: p.write_text("x"), "this is a file, not a folder of results"),
        (
            lambda p: p.mkdir(),
            "it is empty (allowed: those of fit (summary.json), limits (limits.json), profile",
        ),
        (lambda p: (p.mkdir(), (p / "a.txt").write_text("")), "it holds 'a.txt' (allowed: "),
        (lambda p: (p.mkdir(), (p / "posterior.nc").write_text("")), "no folder of a finished run (summary.json is missing)"),
        (lambda p: write_json_folder(p, "limits", limits_payload(), run=None), "run.toml: there is no such file"),
        (lambda p: write_json_folder(p, "limits", limits_payload(), run="experiments = ["), "run.toml: not valid TOML"),
        (lambda p: write_json_folder(p, "limits", limits_payload(), run="experiment = []"), "unknown key 'experiment'"),
        (lambda p: write_json_folder(p, "limits", "{"), "limits.json: not valid JSON"),
        (lambda p: write_json_folder(p, "limits", "[" * 100_000), "limits.json: not valid JSON"),
        (lambda p: write_json_folder(p, "limits", [1]), "limits.json: expected a JSON object, got list"),
        (lambda p: write_json_folder(p, "limits", {}), "not what `nmmfit limits` writes ('cl' is missing)"),
        (lambda p: write_json_folder(p, "limits", limits_payload(cl=90.0)), "cl is 90, not between 0 and 1"),
        (lambda p: write_json_folder(p, "limits", limits_payload(problems={})), "('problems' is dict)"),
        (lambda p: write_json_folder(p, "limits", limits_payload(identified={"x": {"profiled": {}}})), "('lower' is missing)"),
        (lambda p: write_json_folder(p, "limits", limits_payload(identified={"x": {"unit": "$x"}})), "'$x' is no unit"),
        (lambda p: write_json_folder(p, "limits", limits_payload(identified={"x": 3})), "not what `nmmfit limits` writes"),
        (lambda p: write_json_folder(p, "limits", limits_payload(presets={"x": {}})), "not what `nmmfit limits` writes"),
        (lambda p: write_json_folder(p, "profile", PROFILE | {"delta_chi2": [0.0]}), "4 grid points, 1 heights, 4 verdicts"),
        (lambda p: write_json_folder(p, "profile", PROFILE | {"grid": {}}), "not what `nmmfit profile` writes"),
        (lambda p: write_json_folder(p, "scan", SCAN | {"delta_chi2": [0.0]}), "a grid of (3, 2), heights of (1,)"),
        (lambda p: write_json_folder(p, "scan", SCAN | {"contours": [{"cl": 0.9}]}), "'delta_chi2' is missing"),
        (lambda p: write_json_folder(p, "scan", SCAN | {"best": {}}), "not what `nmmfit scan` writes"),
        (lambda p: write_json_folder(p, "validate", {"experiments": {"lab": {}}}), "('references' is missing)"),
        (lambda p: write_json_folder(p, "validate", {"experiments": {"lab": 1}}), "not what `nmmfit validate` writes"),
    ],
)
def test_what_is_no_folder_of_results_is_one_line(make, expected, tmp_path: Path) -> None:
    make(tmp_path / "x")
    with pytest.raises(UserInputError) as error:
        page_of(tmp_path / "x")
    assert expected in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "x"))
    assert "\n" not in str(error.value)


def test_two_verbs_in_one_folder(tmp_path: Path) -> None:
    folder = write_json_folder(tmp_path / "x", "limits", limits_payload())
    (folder / "profile.json").write_text("{}")
    with pytest.raises(UserInputError, match=r"holds results of several verbs \(limits, profile\)"):
        page_of(folder)


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("posterior.nc", lambda b: b[: len(b) // 2], "posterior.nc: cannot be read as a posterior file"),
        ("posterior.nc", lambda b: None, "posterior.nc: there is no such file"),
        (
            "summary.json",
            lambda b: b.replace(b'"hdi_90"', b'"hdi"'),
            "not what `nmmfit fit` writes ('hdi_90' is missing)",
        ),
        ("summary.json", lambda b: b.replace(b'"tensor_Cs133"', b'"other"'), "posterior.nc: holds no draws of 'other'"),
        ("summary.json", lambda b: b.replace(b'"correlations"', b'"c"'), "('correlations' is missing)"),
        ("trace_and_rank.png", lambda b: b"x", "trace_and_rank.png: this is no PNG picture"),
        ("spectrum_lab.bins.svg", lambda b: b"", "spectrum_lab.bins.svg: this is no SVG picture"),
    ],
)
def test_a_broken_file_of_a_fit_is_one_line(name, change, expected, folders: dict[str, Path], tmp_path: Path) -> None:
    bad = shutil.copytree(folders["fit"], tmp_path / "bad")
    content = change((bad / name).read_bytes())
    (bad / name).unlink() if content is None else (bad / name).write_bytes(content)
    with pytest.raises(UserInputError) as error:
        page_of(bad)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


# Words


@pytest.mark.parametrize(
    ("unit", "written"), [("1e-11 mu_B", "10⁻¹¹ μ_B"), ("GeV^-2", "GeV⁻²"), ("1e-6 GeV^-2", "10⁻⁶ GeV⁻²"), ("1", "1"), ("", "1")]
)
def test_units_in_plain_text(unit: str, written: str) -> None:
    assert unit_text(unit).replace("\N{NO-BREAK SPACE}", " ") == written


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (2.9, "1e-11 mu_B", "2.90 × 10⁻¹¹ μ_B"), (-4e-9, "GeV^-1", "-4.00 × 10⁻⁹ GeV⁻¹"), (0.0, "1e-11 mu_B", "0 μ_B"),
        (1.5, "1", "1.50"), (None, "GeV^-1", "-"), (float("nan"), "1", "-"),
    ],
)  # fmt: skip
def test_numbers_with_units(value: float | None, unit: str, written: str) -> None:
    assert measured(value, unit).replace("\N{NO-BREAK SPACE}", " ") == written


def test_quantities_in_words() -> None:
    assert sentence(quantity_words("mu_eff_reactor_e")) == "Effective magnetic moment (reactor e)"
    assert quantity_words("tensor_charge_cs133") == "tensor charge (Cs133)"
    assert quantity_words("weak_charge_shift_mu_i127") == "shift of the weak charge (I127, mu)"
    assert sentence(quantity_words("L_T_u")) == "L_T_u"
    assert together(["mu_eff_solar", "mu_eff_sns_mu"]) == "effective magnetic moment (solar, sns mu)"
    assert together(["L_T_u", "L_T_d"]) == "L_T_u, L_T_d"
    assert quantity_label("weak_charge_shift_mu_i127") == r"$\Delta Q_W$ mu I127"
    assert quantity_label("a$b") == r"a\$b"
    assert typeset("2.4e-06 +- 1e+3").replace("\N{NO-BREAK SPACE}", " ") == "2.4 × 10⁻⁶ ± 1 × 10³"


# A browser

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MEASURE = """<script>
const wide = [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, pre, .skip")
  && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).length;
const loaded = [...document.images].filter(i => i.complete && i.naturalWidth > 0).length;
document.body.innerHTML = "<pre>MEASURED" + JSON.stringify({wide, loaded, ink: getComputedStyle(document.body).color}) + "</pre>";
</script></body>"""


def browser(folder: Path, *arguments: str) -> str:
    """What headless Chromium prints."""
    common = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile-of-browser'}")
    done = subprocess.run([str(BROWSER), *common, *arguments], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no headless Chromium on this machine")
@pytest.mark.parametrize("kind", KINDS)
def test_in_a_browser(kind: str, pages: dict[str, str], tmp_path: Path) -> None:
    """On a narrow screen nothing but what scrolls is wider than the screen, every picture is drawn, and it prints."""
    from matplotlib.image import imread

    address = tmp_path / "page.html"
    address.write_text(pages[kind], encoding="utf-8")
    browser(tmp_path, "--window-size=500,1600", f"--screenshot={tmp_path / 'shot.png'}", address.as_uri())
    shot = imread(tmp_path / "shot.png")
    assert len(np.unique(shot.reshape(-1, shot.shape[-1]), axis=0)) > 20
    browser(tmp_path, f"--print-to-pdf={tmp_path / 'page.pdf'}", address.as_uri())
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    # The page forbids scripts; a copy without that rule is measured.
    copy = re.sub(r"<meta http-equiv=.*?>", "", pages[kind]).replace("</body>", MEASURE)
    (tmp_path / "copy.html").write_text(copy, encoding="utf-8")
    dark = browser(tmp_path, "--window-size=500,1600", "--blink-settings=preferredColorScheme=0", "--dump-dom",
                   (tmp_path / "copy.html").as_uri())  # fmt: skip
    measured_there = json.loads(re.search(r"MEASURED(\{.*?\})", dark).group(1))  # type: ignore[union-attr]
    assert measured_there["wide"] == 0
    assert measured_there["loaded"] == len(Page(pages[kind]).all("img"))
    assert measured_there["ink"] == "rgb(232, 236, 240)"


AXE = os.environ.get("NMMFIT_AXE", "")
CHECK = """<script>axe.run().then(found => {
  const violations = found.violations.map(v => v.id + ": " + v.nodes[0].target);
  document.body.innerHTML = "<pre>CHECKED" + JSON.stringify({passes: found.passes.length, violations}) + "</pre>";
});</script></body>"""


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None or not AXE, reason="needs headless Chromium, and NMMFIT_AXE naming axe.min.js of axe-core")
@pytest.mark.parametrize("scheme", [0, 1], ids=["dark", "light"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_automated_accessibility_check_finds_nothing(kind: str, scheme: int, pages: dict[str, str], tmp_path: Path) -> None:
    code = f"<script>{Path(AXE).read_text(encoding='utf-8')}</script>"
    copy = re.sub(r"<meta http-equiv=.*?>", "", pages[kind]).replace("</body>", code + CHECK)
    (tmp_path / "copy.html").write_text(copy, encoding="utf-8")
    settings = (f"--blink-settings=preferredColorScheme={scheme}", "--window-size=1200,2000", "--virtual-time-budget=30000")
    answer = browser(tmp_path, *settings, "--dump-dom", (tmp_path / "copy.html").as_uri())
    found = json.loads(re.findall(r"CHECKED(\{\"passes.*?\})</pre>", answer)[-1])
    assert found["violations"] == []
    assert found["passes"] > 20
