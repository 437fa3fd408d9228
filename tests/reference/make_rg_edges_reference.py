"""Reference for the running at the edges of the allowed inputs, and for its derivatives in alpha_s, in 30 digits.

The equations and their solution are those of `make_rg_reference.py`, with other values of alpha_s(m_Z), m_b and m_c; derivatives
are five-point differences of such solutions with steps of 1e-6.

Run: python tests/reference/make_rg_edges_reference.py [--out FILE], two minutes
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import make_rg_reference as rg
import mpmath as mp

EDGES = [("0.1299", "5.99", "1.101"), ("0.1299", "3.01", "1.27"), ("0.1001", "5.99", "1.899"), ("0.1001", "3.01", "1.101")]
STEP = mp.mpf("1e-6")
ORDERS = (4, 3, True)


def with_inputs(alpha_s_mz: mp.mpf, m_b: mp.mpf, m_c: mp.mpf, pairs: list[tuple]) -> list[dict]:
    """Rows of `make_rg_reference.record` at other inputs."""
    rg.M_B, rg.M_C, rg.ALPHA_S_MZ = m_b, m_c, alpha_s_mz
    rg.MASSES.update(b=m_b, c=m_c)
    return rg.record(*ORDERS, pairs, digits=30)["pairs"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("rg_edges_reference.json"))
    args = parser.parse_args()
    values = []
    for alpha_s_mz, m_b, m_c in EDGES:
        inputs = {"alpha_s_mz": float(alpha_s_mz), "m_b_gev": float(m_b), "m_c_gev": float(m_c)}
        rows = with_inputs(mp.mpf(alpha_s_mz), mp.mpf(m_b), mp.mpf(m_c), [("80.379", "2"), ("80.379", m_b), (m_b, "2")])
        values.append({"inputs": inputs, "pairs": rows})
    near = [
        with_inputs(mp.mpf("0.1179") + k * STEP, mp.mpf("4.18"), mp.mpf("1.27"), [("80.379", "2")])[0] for k in (-2, -1, 0, 1, 2)
    ]
    derivatives = {}
    for name in near[0]:
        if name not in ("from", "to"):
            f = [mp.mpf(row[name]) for row in near]
            first = (f[0] - 8 * f[1] + 8 * f[3] - f[4]) / (12 * STEP)
            second = (-f[0] + 16 * f[1] - 30 * f[2] + 16 * f[3] - f[4]) / (12 * STEP**2)
            derivatives[name] = [mp.nstr(first, 12), mp.nstr(second, 9)]
    header = {
        "source": "tests/reference/make_rg_edges_reference.py, mpmath odefun, 30 digits",
        "orders": "four loops, three of the tensor, e running",
        "derivatives": "first and second in alpha_s(m_Z), at the default inputs, from 80.379 to 2 GeV",
    }
    temporary = args.out.with_suffix(".tmp")
    temporary.write_text(json.dumps({"header": header, "edges": values, "derivatives": derivatives}, indent=1) + "\n")
    os.replace(temporary, args.out)


if __name__ == "__main__":
    main()
