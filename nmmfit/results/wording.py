"""How numbers and units are written in tables and on axes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_TEN = re.compile(r"\b1e([+-]?\d+)\b")
_POWER = re.compile(r"\^(-?\d+)")
_SYMBOLS = {"mu_B": r"\mu_{\rm B}", "mu_N": r"\mu_{\rm N}"}


def unit_mathtext(unit: str) -> str:
    """A unit such as "1e-11 mu_B" or "1e-6 GeV^-2" in matplotlib's mathtext; empty for "1" and ""."""
    if unit in ("", "1"):
        return ""
    words = []
    for word in unit.split():
        ten = _TEN.fullmatch(word)
        if ten:
            words.append(rf"$10^{{{int(ten.group(1))}}}$")
        elif word in _SYMBOLS:
            words.append(f"${_SYMBOLS[word]}$")
        else:
            words.append(_POWER.sub(r"$^{\1}$", word))
    return " ".join(words)


_SPACE = "\N{NO-BREAK SPACE}"
_EXPONENT = re.compile(r"(\d)e([+-]?\d+)\b")
_RAISED = str.maketrans("+-0123456789", "⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _raised(exponent: str | int) -> str:
    return f"10{str(int(exponent)).translate(_RAISED)}"


def unit_text(unit: str) -> str:
    """A unit such as "1e-11 mu_B" or "GeV^-2" in plain text that is not broken: 10⁻¹¹ μ_B, GeV⁻²; "1" for none."""
    words = []
    for word in unit.split():
        ten = _TEN.fullmatch(word)
        plain = _POWER.sub(lambda found: found.group(1).translate(_RAISED), word).replace("mu_", "μ_")
        words.append(_raised(ten.group(1)) if ten else plain)
    return _SPACE.join(words) or "1"


def typeset(text: str) -> str:
    """A text with numbers such as 2.4e-06 +- 1e-7 in it, as 2.4 × 10⁻⁶ ± 1 × 10⁻⁷."""
    times = f"{_SPACE}×{_SPACE}"
    return _EXPONENT.sub(lambda found: f"{found.group(1)}{times}{_raised(found.group(2))}", text).replace("+-", "±")


def measured(value: float | None, unit: str, digits: int = 3) -> str:
    """A number with its unit in plain text, a power of ten of the unit multiplied in: 2.90 × 10⁻¹¹ μ_B; "-" where undefined."""
    first, _, rest = unit.partition(" ")
    ten = _TEN.fullmatch(first)
    if value is None or not math.isfinite(value):
        return "-"
    scaled = value * 10.0 ** int(ten.group(1)) if ten else value
    name = rest if ten else unit
    text = typeset(number(scaled, digits))
    return text if name in ("", "1") else f"{text}{_SPACE}{unit_text(name)}"


def _nucleus(name: str) -> str:
    """ "cs133" as "Cs133"."""
    return name[:1].upper() + name[1:]


def quantity_words(name: str) -> str:
    """What an identified quantity is, in words; any other name stays as it is."""
    if name.startswith("mu_eff_"):
        return f"effective magnetic moment ({name.removeprefix('mu_eff_').replace('_', ' ')})"
    if name.startswith("tensor_charge_"):
        return f"tensor charge ({_nucleus(name.removeprefix('tensor_charge_'))})"
    if name.startswith("weak_charge_shift_"):
        flavour, _, nucleus = name.removeprefix("weak_charge_shift_").rpartition("_")
        return f"shift of the weak charge ({_nucleus(nucleus)}, {flavour})"
    return name


def together(names: Iterable[str]) -> str:
    """Quantities that are equal, in words: effective magnetic moment (solar, sns mu)."""
    written = [quantity_words(name) for name in names]
    heads = {words.partition(" (")[0] for words in written}
    if len(written) == 1 or len(heads) > 1:
        return ", ".join(written)
    return f"{heads.pop()} ({', '.join(words.partition(' (')[2].removesuffix(')') for words in written)})"


def quantity_label(name: str) -> str:
    """An identified quantity as plots write it, in mathtext; any other name as a symbol."""
    if "$" in name:
        return symbol(name)
    if name.startswith("mu_eff_"):
        return rf"$\mu_\mathrm{{eff}}$ {name.removeprefix('mu_eff_').replace('_', ' ')}"
    if name.startswith("tensor_charge_"):
        return f"tensor charge {_nucleus(name.removeprefix('tensor_charge_'))}"
    if name.startswith("weak_charge_shift_"):
        flavour, _, nucleus = name.removeprefix("weak_charge_shift_").rpartition("_")
        return rf"$\Delta Q_W$ {flavour} {_nucleus(nucleus)}"
    return symbol(name)


def sentence(words: str) -> str:
    """Words with a capital at the beginning; names of a program's kind ("mu_x", "L_T_u, L_T_d") stay as they are."""
    return f"{words[:1].upper()}{words[1:]}" if " " in words and "_" not in words.partition(" ")[0] else words


def literal(text: str) -> str:
    """A text as matplotlib writes it as it stands: dollar signs begin no mathematics."""
    return text.replace("$", r"\$")


def symbol(name: str) -> str:
    """A short name as a symbol in mathtext: "L_T_u" with T and u as indices, "theory.c_T" without its owner.

    Any other name stays as it is, dollar signs as such.
    """
    head, *indices = name.removeprefix("theory.").split("_")
    if not indices or len(head) > 2 or not head.isalpha() or not all(i.isalnum() for i in indices):
        return literal(name)
    return rf"${head}_{{{','.join(i if len(i) == 1 else rf'{chr(92)}rm {i}' for i in indices)}}}$"


_LEAST_COMPONENT = 0.005
"""Components below this part of the largest are left out of the words for a direction."""


def direction_lines(given: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each direction: what it is made of, and how well it is constrained or why it is blind."""
    lines = []
    for name, entry in given.items():
        largest = max(abs(x) for x in entry["components"].values())
        kept = [(n, x) for n, x in entry["components"].items() if abs(x) >= _LEAST_COMPONENT * largest]
        words = " ".join(f"{x:+.2f} {n}" for n, x in sorted(kept, key=lambda pair: -abs(pair[1]))).removeprefix("+")
        lines.append(f"{name} = {words} (in prior widths){': ' + entry['note'] if entry['note'] else ''}")
    return lines


def axis_label(label: str, unit: str, separator: str = " ") -> str:
    """Label of an axis: name, and the unit in square brackets if there is one."""
    written = unit_mathtext(unit)
    return f"{label}{separator}[{written}]" if written else label


def heading(name: str, unit: str) -> str:
    """Heading of a column: name, below it the unit in square brackets; "1" is said too."""
    return f"{name}\n[{unit or '1'}]"


def number(value: float | None, digits: int = 3) -> str:
    """A number with `digits` significant digits, "-" where it is undefined."""
    if value is None or not math.isfinite(value):
        return "-"
    if value == 0.0:
        return "0"
    exponent = _exponent(value)
    if -3 <= exponent < 5:
        return f"{round(value, digits - 1 - exponent):.{max(0, digits - 1 - exponent)}f}"
    return f"{value:.{digits - 1}e}"


def fixed(value: float | None, decimals: int) -> str:
    """A number with a fixed number of decimals, "-" where it is undefined; never a negative zero."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value)))


@dataclass(frozen=True)
class Scale:
    """A power of ten taken out of a column (part of `unit` then), and the decimals that are shown."""

    unit: str
    factor: float
    decimals: int

    def row(self, values: Iterable[float | None]) -> list[str]:
        """Numbers of one row; all in scientific notation if the row is so small that the decimals would not show it."""
        scaled = [None if v is None else v / self.factor for v in values]
        largest = max((abs(v) for v in scaled if v is not None and math.isfinite(v)), default=0.0)
        if 0.0 < largest < 10.0 ** (1 - self.decimals):
            return [number(v) for v in scaled]
        return [fixed(v, self.decimals) for v in scaled]

    def interval(self, lower: float | None, upper: float | None) -> str:
        """An interval; an open side as an infinity."""
        low, high = self.row([lower, upper])
        return f"[{'-inf' if lower is None else low}, {'inf' if upper is None else high}]"


def common_scale(sizes: Iterable[float | None], unit: str, digits: int = 3) -> Scale:
    """Scale for a column of numbers: the largest of `sizes` gets `digits` digits; for smaller ones at most two decimals more.

    A power of ten goes into the unit for numbers below 0.01 or above 1000: 3e-8 GeV^-1 is 3.00 under [1e-8 GeV^-1].
    """
    known = [abs(v) for v in sizes if v is not None and math.isfinite(v) and v != 0.0]
    if not known:
        return Scale(unit, 1.0, digits - 1)
    largest, smallest = _exponent(max(known)), _exponent(min(known))
    power = 0 if -2 <= largest < 3 else largest
    decimals = max(0, digits - 1 - (largest - power) + min(2, largest - smallest))
    return Scale(_with_power(unit, power), 10.0**power, decimals)


def _with_power(unit: str, power: int) -> str:
    if power == 0:
        return unit
    first, _, rest = unit.partition(" ")
    ten = _TEN.fullmatch(first)
    total, name = (power + int(ten.group(1)), rest) if ten else (power, unit)
    return " ".join(word for word in (f"1e{total}" if total else "", "" if name == "1" else name) if word) or "1"
