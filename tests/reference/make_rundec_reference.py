"""Reference for alpha_s, quark masses and decoupling: figures of RunDec (Chetyrkin, Kuehn, Steinhauser; Herren, Steinhauser).

RunDec integrates the truncated beta function by Runge-Kutta steps (a few 1e-9) and expands the mass factor in alpha_s, so that
its masses agree with the exact solution of the truncated equation up to the order neglected.

Run, with the `rundec` package installed: python tests/reference/make_rundec_reference.py [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import rundec

ALPHA_S_MZ, M_Z, M_B = 0.1180, 91.1876, 4.18


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("rundec_reference.json"))
    args = parser.parse_args()
    code = rundec.CRunDec()
    records = []
    for loops in (1, 2, 3, 4):
        at_b = code.AlphasExact(ALPHA_S_MZ, M_Z, M_B, 5, loops)
        below = code.DecAsDownSI(at_b, M_B, M_B, 4, loops)
        at_w = code.AlphasExact(ALPHA_S_MZ, M_Z, 80.379, 5, loops)
        at_2 = code.AlphasExact(below, M_B, 2.0, 4, loops)
        records.append(
            {
                "loops": loops,
                "alpha_s_5_mb": at_b,
                "alpha_s_4_mb": below,
                "alpha_s_mw": at_w,
                "alpha_s_2": at_2,
                "mass_ratio_mb_mw": code.mMS2mMS(1.0, at_w, at_b, 5, loops),
                "mass_ratio_2_mb": code.mMS2mMS(1.0, below, at_2, 4, loops),
                "mass_decoupling": code.DecMqDownSI(1.0, at_b, M_B, M_B, 4, loops),
            }
        )
    header = {"source": f"RunDec through the package rundec, alpha_s(m_Z) = {ALPHA_S_MZ}, m_Z = {M_Z}, m_b(m_b) = {M_B} GeV"}
    temporary = args.out.with_suffix(".tmp")
    temporary.write_text(json.dumps({"header": header, "records": records}, indent=1) + "\n")
    os.replace(temporary, args.out)


if __name__ == "__main__":
    main()
