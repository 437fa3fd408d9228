"""Reference for the running: the truncated equations solved with mpmath's Taylor-series integrator, 30 digits.

The full coupled system in ln mu is integrated step by step: strong coupling, 1/alpha, masses, tensors, scalars, the dipole's own
factor and one dipole per fermion whose tensor is 1 at the first scale. No closed form is used. Coefficients are written
independently of the package: the tensor anomalous dimension in its general-colour form, the rest as rational numbers of
hep-ph/9701390, hep-ph/9703278, hep-ph/9703284, hep-ph/9708255, hep-ph/9410240, hep-ph/0007171.

Run: python tests/reference/make_rg_reference.py [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import mpmath as mp

mp.mp.dps = 30
M_Z, M_W, M_B, M_C, TWO = (mp.mpf(x) for x in ("91.1876", "80.379", "4.18", "1.27", "2"))
ALPHA_S_MZ = mp.mpf("0.1179")
MASSES = {"u": mp.mpf("0.00216"), "d": mp.mpf("0.00467"), "s": mp.mpf("0.093"), "c": M_C, "b": M_B}
LEPTONS = {"e": mp.mpf("0.00051099895069"), "mu": mp.mpf("0.1056583755"), "tau": mp.mpf("1.77686")}
QUARKS = ("u", "c", "d", "s", "b")
Q = {"u": mp.mpf(2) / 3, "c": mp.mpf(2) / 3, "d": -mp.mpf(1) / 3, "s": -mp.mpf(1) / 3, "b": -mp.mpf(1) / 3}
Z3, Z4, Z5 = mp.zeta(3), mp.zeta(4), mp.zeta(5)
B4 = 16 * mp.polylog(4, mp.mpf(1) / 2) - mp.mpf(13) / 2 * Z4 - 4 * mp.zeta(2) * mp.log(2) ** 2 + mp.mpf(2) / 3 * mp.log(2) ** 4


def r(a: int, b: int) -> mp.mpf:
    return mp.mpf(a) / b


def beta(n: int) -> list:
    return [
        11 - r(2, 3) * n,
        102 - r(38, 3) * n,
        r(2857, 2) - r(5033, 18) * n + r(325, 54) * n**2,
        r(149753, 6)
        + 3564 * Z3
        - (r(1078361, 162) + r(6508, 27) * Z3) * n
        + (r(50065, 162) + r(6472, 81) * Z3) * n**2
        + r(1093, 729) * n**3,
    ]


def gamma_m(n: int) -> list:
    """In powers of alpha_s / pi, d ln m / d ln mu = -2 sum g_i (alpha_s / pi)^(i+1)."""
    return [
        mp.mpf(1),
        (r(202, 3) - r(20, 9) * n) / 16,
        (1249 - (r(2216, 27) + r(160, 3) * Z3) * n - r(140, 81) * n**2) / 64,
        (
            r(4603055, 162) + r(135680, 27) * Z3 - 8800 * Z5
            - (r(91723, 27) + r(34192, 9) * Z3 - 880 * Z4 - r(18400, 9) * Z5) * n
            + (r(5242, 243) + r(800, 9) * Z3 - r(160, 3) * Z4) * n**2
            - (r(332, 243) - r(64, 27) * Z3) * n**3
        ) / 256,
    ]  # fmt: skip


def gamma_t(n: int) -> list:
    c_f, c_a, t_n = r(4, 3), mp.mpf(3), r(n, 2)
    return [
        2 * c_f,
        2 * c_f * (257 * c_a - 171 * c_f - 52 * t_n) / 18,
        2 * c_f / 108 * (
            13639 * c_a**2 - 4320 * Z3 * c_a**2 + 12096 * Z3 * c_a * c_f - 20469 * c_a * c_f - 1728 * Z3 * c_a * t_n
            - 4016 * c_a * t_n - 6912 * Z3 * c_f**2 + 6570 * c_f**2 + 1728 * Z3 * c_f * t_n + 1176 * c_f * t_n - 144 * t_n**2
        ),
    ]  # fmt: skip


class Theory:
    """Right-hand sides with n_f flavours."""

    def __init__(self, n_f: int, loops: int, loops_t: int, running_e: bool) -> None:
        self.n_f, self.running_e = n_f, running_e
        self.beta, self.g_m, self.g_t = beta(n_f)[:loops], gamma_m(n_f)[:loops], gamma_t(n_f)[:loops_t]
        self.b_0e = -r(4, 3) * (3 + r(n_f - 2, 3) + r(8, 3))

    def alpha_s_dot(self, alpha_s: mp.mpf) -> mp.mpf:
        a = alpha_s / (4 * mp.pi)
        return -2 * alpha_s * sum(b * a ** (i + 1) for i, b in enumerate(self.beta))

    def alpha_dot(self, alpha: mp.mpf) -> mp.mpf:
        return -2 * self.b_0e * alpha**2 / (4 * mp.pi) if self.running_e else mp.mpf(0)

    def mass_rate(self, alpha_s: mp.mpf) -> mp.mpf:
        return -2 * sum(g * (alpha_s / mp.pi) ** (i + 1) for i, g in enumerate(self.g_m))

    def tensor_rate(self, alpha_s: mp.mpf) -> mp.mpf:
        return sum(g * (alpha_s / (4 * mp.pi)) ** (i + 1) for i, g in enumerate(self.g_t))


def solve(rhs, start: mp.mpf, state: list, end: mp.mpf) -> list:
    """Integrate from ln mu = ln start to ln end; odefun goes forward only, hence the sign."""
    direction = 1 if end >= start else -1
    length = abs(mp.log(end / start))
    if length == 0:
        return list(state)
    flow = mp.odefun(lambda t, y: [direction * x for x in rhs(y)], 0, state)
    return list(flow(length))


def couplings_only(theory: Theory):
    return lambda y: [theory.alpha_s_dot(y[0]), theory.alpha_dot(y[1])]


def with_masses(theory: Theory):
    """y = alpha_s, alpha, five quark masses."""

    def rhs(y: list) -> list:
        strong, e2 = theory.mass_rate(y[0]), 4 * mp.pi * y[1] / (16 * mp.pi**2)
        return [theory.alpha_s_dot(y[0]), theory.alpha_dot(y[1])] + [
            m * (strong - 6 * Q[q] ** 2 * e2) for q, m in zip(QUARKS, y[2:], strict=True)
        ]

    return rhs


def everything(theory: Theory, active: tuple[str, ...]):
    """y = alpha_s, alpha, 5 masses, T_u, T_d, T_l, S_u, S_d, S_l, D, then one dipole per fermion."""
    fermions = (*QUARKS, *LEPTONS)

    def rhs(y: list) -> list:
        alpha_s, alpha, masses, (t_u, t_d, t_l, s_u, s_d, s_l, d), dipoles = y[0], y[1], y[2:7], y[7:14], y[14:]
        loop = 16 * mp.pi**2
        e = mp.sqrt(4 * mp.pi * alpha)
        e2 = e**2 / loop
        mass, tensor = theory.mass_rate(alpha_s), theory.tensor_rate(alpha_s)
        out = [theory.alpha_s_dot(alpha_s), theory.alpha_dot(alpha)]
        out += [m * (mass - 6 * Q[q] ** 2 * e2) for q, m in zip(QUARKS, masses, strict=True)]
        out += [t_u * (tensor + r(8, 9) * e2), t_d * (tensor + r(2, 9) * e2), t_l * 2 * e2]
        out += [s_u * (mass - r(24, 9) * e2), s_d * (mass - r(6, 9) * e2), -6 * e2 * s_l, -theory.b_0e * e2 * d]
        for k, f in enumerate(fermions):
            if f in LEPTONS:
                source = 8 * e * LEPTONS[f] * t_l
            elif f in active:
                source = -16 * e * masses[k] * t_u if f in ("u", "c") else 8 * e * masses[k] * t_d
            else:
                source = mp.mpf(0)
            out.append(-theory.b_0e * e2 * dipoles[k] + source / loop)
        return out

    return rhs


def record(loops: int, loops_t: int, running_e: bool, pairs: list[tuple], digits: int = 20) -> dict:
    five, four = Theory(5, loops, loops_t, running_e), Theory(4, loops, loops_t, running_e)
    alpha_z = 1 / mp.mpf("127.952") if running_e else 1 / mp.mpf("137.035999177")
    a5, alpha_b = solve(couplings_only(five), M_Z, [ALPHA_S_MZ, alpha_z], M_B)
    x = a5 / mp.pi
    alpha_terms = [0, 0, r(11, 72), r(564731, 124416) - r(82043, 27648) * Z3 - 4 * r(2633, 31104)]
    mass_terms = [
        0, 0, r(89, 432),
        r(2951, 2916) - r(407, 864) * Z3 + r(5, 4) * Z4 - B4 / 36 + 4 * (r(1327, 11664) - r(2, 27) * Z3),
    ]  # fmt: skip
    a4 = a5 * (1 + sum(t * x**i for i, t in enumerate(alpha_terms[:loops])))
    ratio = 1 + sum(t * x**i for i, t in enumerate(mass_terms[:loops]))
    one = [mp.mpf(1)] * 5
    at_2 = solve(with_masses(four), M_B, [a4, alpha_b, *one], TWO)
    at_c = solve(with_masses(four), M_B, [a4, alpha_b, *one], M_C)
    low_b = [MASSES["u"] / at_2[2], MASSES["c"] / at_c[3], MASSES["d"] / at_2[4], MASSES["s"] / at_2[5], mp.mpf(0)]
    high_b = [m / ratio for m in low_b[:4]] + [M_B]

    def state(scale: mp.mpf) -> list:
        if scale >= M_B:
            return solve(with_masses(five), M_B, [a5, alpha_b, *high_b], scale)
        return solve(with_masses(four), M_B, [a4, alpha_b, *low_b], scale)

    out: dict = {"alpha_s_loops": loops, "gamma_T_loops": loops_t, "e_running": "one_loop" if running_e else "fixed", "pairs": []}
    for start, end in pairs:
        start, end = mp.mpf(start), mp.mpf(end)
        y = state(start) + one[:3] + one[:3] + [mp.mpf(1)] + [mp.mpf(0)] * 8
        crossing = (start >= M_B) != (end >= M_B)
        bottom = ("b",) if start >= M_B else ()
        legs = [(start, M_B), (M_B, end)] if crossing else [(start, end)]
        for first, last in legs:
            high = max(first, last) > M_B
            if first == M_B and crossing:
                y[0], y[2:7] = (a5, high_b) if high else (a4, low_b)
            y = solve(everything(five if high else four, ("u", "c", "d", "s", *(bottom if high else ()))), first, y, last)
        text = [mp.nstr(v, digits) for v in y]
        names = ("alpha_s", "alpha", *(f"m_{q}" for q in QUARKS), "T_u", "T_d", "T_e", "S_u", "S_d", "S_e", "dipole")
        row = dict(zip((*names, *(f"mix_{f}" for f in (*QUARKS, *LEPTONS))), text, strict=True))
        out["pairs"].append({"from": str(mp.nstr(start, 12)), "to": str(mp.nstr(end, 12)), **row})
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("rg_reference.json"))
    args = parser.parse_args()
    pairs = [("80.379", "2"), ("2", "80.379"), ("60", "10"), ("3.5", "2.2"), ("7", "3")]
    runs = [(1, 1, True), (2, 2, True), (3, 3, True), (4, 3, True), (4, 3, False), (4, 1, True)]
    records = [record(*run, pairs if run == (4, 3, True) else pairs[:1]) for run in runs]
    header = {
        "source": "tests/reference/make_rg_reference.py, mpmath odefun, 30 digits",
        "units": "masses and mix_f (dipole at `to` per unit tensor of f at `from`) in GeV; the rest dimensionless",
        "inputs": "alpha_s(m_Z) = 0.1179 and the other defaults, m_e = 0.51099895069 MeV, m_mu = 105.6583755 MeV",
    }
    temporary = args.out.with_suffix(".tmp")
    temporary.write_text(json.dumps({"header": header, "records": records}, indent=1) + "\n")
    os.replace(temporary, args.out)


if __name__ == "__main__":
    main()
