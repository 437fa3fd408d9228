"""What to cite: the data sets and formulae that results rest on, as BibTeX that says only what is known for sure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nmmfit import __version__
from nmmfit.config import RunConfig
from nmmfit.config.scales import HIGH_SCALE_GEV, LOW_SCALE_GEV
from nmmfit.eft import smneft_operators
from nmmfit.presets import C_T, C_T_S, Preset
from nmmfit.priors import PriorSpec
from nmmfit.results.report.document import Section, Table, Text, table

_ARXIV = re.compile(r"(?:arXiv:)(\d{4}\.\d{4,5})(?!\d)")
_OLD_ARXIV = re.compile(r"\b((?:hep-(?:ph|ex|th|lat)|astro-ph|nucl-(?:th|ex)|physics)/\d{7})(?!\d)")
_DOI = re.compile(r"doi:(10\.\d{4,9}/[-._;()/:A-Za-z0-9]+)")
_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", **{c: "\\" + c for c in "&%$#_{}"}}

PAPERS: Mapping[str, tuple[str, str]] = {
    "2206.13122": (
        "Non-perturbative effects in neutrino magnetic moments",
        "Chen, Feng-Zhi and Zheng, Min-Di and Zhang, Hong-Hao",
    ),
    "1901.00482": (
        "Tensor and scalar interactions of neutrinos may lead to observable neutrino magnetic moments",
        "Xu, Xun-Jie",
    ),
}
"""arXiv number -> title and authors of the papers that nmmfit builds on, as CITATION.cff has them."""

SOFTWARE = ("nmmfit: differentiable global fits of neutrino magnetic moments and neutrino tensor and scalar interactions",
            "{The nmmfit developers}")  # fmt: skip
FOUNDING = tuple((f"arXiv:{number}", "the effective theory and its limits") for number in PAPERS)
SAMPLING = (
    ("arXiv:1903.08008", "r_hat and effective sample sizes"),
    ("arXiv:1604.00695", "energy diagnostic of the sampler"),
)

SHARED_PULLS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "solar": (("arXiv:1611.09867", "solar neutrino fluxes"),),
    **{f"solar.{c}": (("hep-ph/9710491", "spectra of pp and hep neutrinos of the Sun"),) for c in ("pp", "hep")},
    "solar.b8": (("nucl-ex/0406019", "spectrum of 8B neutrinos of the Sun"),),
    **{f"solar.{c}": (("doi:10.1103/RevModPhys.60.297", "spectra of CNO neutrinos of the Sun"),) for c in ("n13", "o15", "f17")},
    "sns": (("arXiv:2109.11049", "neutrino flux of the SNS"), ("arXiv:2110.07730", "times of arrival at the SNS")),
    **{f"theory.rn_{n}": (("arXiv:1710.02730", "neutron radii of caesium and iodine"),) for n in ("cs133", "i127")},
    "oscillation": (
        ("arXiv:2511.21650", "oscillation parameters of the Sun"),
        ("arXiv:2410.05380", "other oscillation parameters"),
    ),
}
"""Owner of a pull, or a pull -> what its numbers and spectra come from."""


@dataclass(frozen=True)
class Told:
    """What an experiment says of itself: title, status of its data, references, formulae, choices with what they rest on, pulls.

    `problem`: why it cannot be asked.
    """

    name: str
    title: str = ""
    status: str = ""
    references: tuple[str, ...] = ()
    formulae: tuple[tuple[str, str], ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    pulls: tuple[str, ...] = ()
    problem: str = ""


def told(names: Iterable[str], options: Mapping[str, Mapping[str, object]]) -> list[Told]:
    """What experiments say of themselves, built with their options; imports JAX. One that cannot be built has a `problem`."""
    from nmmfit import catalogue
    from nmmfit.errors import UserInputError

    found = []
    for name in names:
        try:
            e = catalogue.build(name, options=options.get(name))
        except UserInputError as problem:
            found.append(Told(name, problem=str(problem)))
        else:
            chosen = tuple((str(key), str(value)) for key, value in e.choices.items())
            found.append(Told(name, e.title, e.status, tuple(e.references), tuple(e.formulae), chosen, tuple(e.pulls)))
    return found


def identifiers(text: str) -> list[tuple[str, str]]:
    """All arXiv numbers and DOIs in a text, as ("arXiv", number) and ("doi", DOI)."""
    found = [("arXiv", number) for pattern in (_ARXIV, _OLD_ARXIV) for number in pattern.findall(text)]
    return found + [("doi", _without_stop(doi)) for doi in _DOI.findall(text)]


def _without_stop(doi: str) -> str:
    """A DOI without what ends the phrase that it stands in."""
    bare = doi.rstrip(".;:")
    return _without_stop(bare[:-1]) if bare.endswith(")") and bare.count(")") > bare.count("(") else bare


class Link(str):
    """A cell of a table that leads somewhere."""

    __slots__ = ("href",)
    href: str

    @staticmethod
    def to(kind: str, identifier: str) -> Link:
        """The address of an arXiv number or a DOI."""
        made = Link(f"{kind}:{identifier}")
        made.href = f"https://arxiv.org/abs/{identifier}" if kind == "arXiv" else f"https://doi.org/{identifier}"
        return made


_SMNEFT = {6: ("2004.13869", "2001.07732", "2005.01543"), 7: ("1607.07309", "1612.04527", "2005.08013")}
"""Dimension of operators above m_W -> arXiv numbers of their basis and matching."""


_FORM_FACTORS = {"helm": "doi:10.1103/PhysRev.104.1466", "klein_nystrand": "hep-ph/9902259"}


def formulae(config: RunConfig) -> list[tuple[str, str]]:
    """(reference, what it stands for) of the formulae and theory inputs that a run uses, beside the founding papers."""
    theory = config.theory
    found: list[tuple[str, str]] = []
    if theory.weak_charges == "radiative":
        found.append(("arXiv:1303.5522", "weak charges with radiative corrections"))
    if theory.electron_radiative == "bks":
        found.append(("astro-ph/9502003", "radiative corrections to neutrino-electron scattering"))
    if theory.nucleon_charges == "flag2021":
        found += [
            ("arXiv:2111.09849", "tensor and scalar charges of the nucleon"),
            *((f"arXiv:{n}", "tensor charges of the nucleon") for n in ("1808.07597", "1806.09006")),
            ("arXiv:2105.12095", "scalar charges of the nucleon"),
        ]
    if theory.form_factor in _FORM_FACTORS:
        found.append((_FORM_FACTORS[theory.form_factor], "nuclear form factor"))
    if theory.running == "exact" and config.scale_gev > LOW_SCALE_GEV:
        found += [
            ("hep-ph/9701390", "running of alpha_s"),
            *((n, "running of quark masses and scalars") for n in ("hep-ph/9703278", "hep-ph/9703284")),
            *((n, "running of tensors") for n in ("hep-ph/9410240", "hep-ph/0007171")),
            ("hep-ph/9708255", "thresholds of alpha_s and quark masses"),
        ]
    every = [name for spec in config.parameters.values() for name in spec.coefficients]
    above = {smneft_operators.parse(name).operator.dimension for name in every if smneft_operators.is_smneft(name)}
    if above:
        found += [(f"arXiv:{n}", "operators and matching above m_W") for d, known in _SMNEFT.items() if d in above for n in known]
        if config.scale_gev > HIGH_SCALE_GEV:
            numbers = ("2010.12109", "2103.04441", "1308.2627", "1310.4838", "1312.2014", "hep-ph/0504134")
            found += [(n if "/" in n else f"arXiv:{n}", "running above m_W") for n in numbers]
    for key, presets in (("c_T", C_T), ("c_T_s", C_T_S)):
        preset = _named(getattr(theory, key), presets)
        if preset is not None:
            found += [(f"arXiv:{i}", f"value of {key}") for _, i in identifiers(preset.source)]
    return found


def _named(prior: PriorSpec, presets: Mapping[str, Preset]) -> Preset | None:
    return next((p for p in presets.values() if PriorSpec.model_validate(p.prior()) == prior), None)


def of_experiments(experiments: Sequence[Told]) -> list[tuple[str, str]]:
    """(reference, what it stands for) of data sets, of the formulae of their models, and of the pulls that they share."""
    found = [(text, f"data of {e.name}") for e in experiments for text in e.references]
    found += [(text, f"{what} ({e.name})") for e in experiments for text, what in e.formulae]
    # A choice may name its source, as that of a quenching model does.
    found += [(text, f"{key} of {e.name}") for e in experiments for key, text in e.choices if identifiers(text)]
    pulls = [pull for e in experiments for pull in e.pulls]
    owners = dict.fromkeys(name for pull in pulls for name in (pull.partition(".")[0], pull))
    return found + [entry for owner in owners for entry in SHARED_PULLS.get(owner, ())]


def asked_of(config: RunConfig, method: Sequence[tuple[str, str]] = ()) -> tuple[list[Told], Section, str]:
    """What the experiments of a run say of themselves, the section about what to cite, and its BibTeX.

    Args:
        config: the run.
        method: (reference, what it stands for) of the verb.
    """
    experiments = told(config.experiments, config.options)
    named = [*FOUNDING, *formulae(config), *of_experiments(experiments), *method]
    return experiments, *references_section(named, [f"{e.name}: {e.problem}" for e in experiments if e.problem])


def references_section(named: Sequence[tuple[str, str]], problems: Sequence[str] = ()) -> tuple[Section, str]:
    """The section about what to cite, and its BibTeX.

    Args:
        named: (reference as an experiment or formula names it, what it stands for).
        problems: what could not be asked for its references.
    """
    uses: dict[tuple[str, str], list[str]] = {}
    other: dict[str, list[str]] = {}
    for text, use in named:
        keys = identifiers(text)
        for key in keys:
            uses.setdefault(key, []).append(use)
        if not keys:
            other.setdefault(text, []).append(use)
    rows: list[tuple[str, str]] = [(Link.to(*key), _joined(what)) for key, what in uses.items()]
    rows += [(text, _joined(what)) for text, what in other.items()]
    made: Table = table("Papers and data sets behind these results", ("reference", "what it stands for"), rows)
    bibtex = "\n".join([_software(), *(_entry(kind, number, what) for (kind, number), what in uses.items())])
    sentences = (
        "Please cite nmmfit, the papers it builds on, and the papers of the data. The entries below hold identifiers only, but "
        "for the papers that nmmfit builds on: reference managers find the rest by them.",
        *(f"References unknown: {problem}" for problem in problems),
    )
    return Section("What to cite", sentences, tables=(made,), texts=(Text("BibTeX of all of these", bibtex),)), bibtex


def _joined(what: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(what))


def _tex(text: str) -> str:
    return "".join(_TEX.get(c, c) for c in " ".join(text.split()))


def _software() -> str:
    title, author = SOFTWARE
    fields = {"author": author, "title": f"{{{title}}}", "version": __version__}
    return _written("software", "nmmfit", fields)


def _entry(kind: str, number: str, what: Iterable[str]) -> str:
    fields: dict[str, str] = {}
    if number in PAPERS:
        title, authors = PAPERS[number]
        fields = {"author": authors, "title": f"{{{title}}}"}
    if kind == "arXiv":
        fields |= {"eprint": number, "archiveprefix": "arXiv", "url": f"https://arxiv.org/abs/{number}"}
    else:
        fields |= {"doi": number, "url": f"https://doi.org/{number}"}
    key = re.sub(r"[^A-Za-z0-9.:/-]", "-", f"{kind}:{number}")
    return _written("misc", key, fields | {"note": _tex(_joined(what))})


def _written(kind: str, key: str, fields: Mapping[str, str]) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}", ""])
