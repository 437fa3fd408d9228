"""Makes wcxf_reference.json: what the package `wilson` and the bases of WCxf that it carries say about currents of neutrinos.

    python -m venv reference && reference/bin/pip install wilson==2.5.2
    reference/bin/python tests/reference/make_wcxf_reference.py

Names, realness and operators are those of the files wet.jms, wet-4.jms, wet.flavio and wet-4.flavio of
github.com/wcxf/wcxf-bases; `translation` is what wilson's translator makes of random values of the JMS basis at 50 GeV.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from wilson import wcxf

JMS = ("VnueLL", "VnueLR", "VnuuLL", "VnuuLR", "VnudLL", "VnudLR")


def neutral_currents(eft: str, basis: str) -> dict[str, list]:
    found = {}
    for entries in wcxf.Basis[eft, basis].sectors.values():
        for name, entry in entries.items():
            operator = name.split("_")[0]
            if operator in JMS or (operator in ("CVLL", "CVLR") and "_nu" in name):
                found[name] = [bool((entry or {}).get("real")), (entry or {}).get("tex", "")]
    return found


if __name__ == "__main__":
    bases = {f"{eft} {basis}": neutral_currents(eft, basis) for eft in ("WET", "WET-4") for basis in ("JMS", "flavio")}
    random.seed(1)
    given = {
        name: random.uniform(-1, 1) * 1e-6 + (0.0 if real else 1e-6j * random.uniform(-1, 1))
        for name, (real, _) in bases["WET JMS"].items()
    }
    values = wcxf.WC.dict2values({n: complex(v) for n, v in given.items()})
    moved = wcxf.WC("WET", "JMS", 50.0, values).translate("flavio").dict
    kept = {n: [complex(v).real, complex(v).imag] for n, v in moved.items() if n in bases["WET flavio"]}
    document = {
        "source": "wilson 2.5.2 (pypi) and the bases of WCxf that it carries",
        "bases": bases,
        "translation": {"jms": {n: [complex(v).real, complex(v).imag] for n, v in given.items()}, "flavio": kept},
    }
    path = Path(__file__).with_name("wcxf_reference.json")
    path.write_text(json.dumps(document, indent=0) + "\n", encoding="utf-8")
