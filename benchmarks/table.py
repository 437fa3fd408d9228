"""All bars of speed in one table.

    python benchmarks/table.py [P1 P5 ...] [--quick] [--out FILE.json]
    python benchmarks/table.py --read FILE.json [--markdown]

Runs the benchmarks that measure the bars named (all if none is), one after the other, each in a process of its own on one core,
and prints what is required, what was measured and whether that is enough. --out writes the records of all of them. About twelve
minutes on a quiet machine, with --quick three: fewer points, and no process with empty caches but one. --read prints the table of
such a file again, without measuring anything.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bars import BARS, Bar, typical
from rich.console import Console
from rich.table import Table

from nmmfit.results.files import write_text

FOLDER = Path(__file__).parent
ELSEWHERE = {"P9": "no such mode yet", "P20": "needs a GPU"}


def chosen(names: Sequence[str]) -> tuple[Bar, ...]:
    """Bars by name, all if none is given. Ends the program for a name that is no bar's."""
    known = list(dict.fromkeys(bar.name for bar in BARS))
    for name in names:
        if name not in known:
            raise SystemExit(f"no bar {name!r}; there are {', '.join(known)}")
    return tuple(bar for bar in BARS if not names or bar.name in names)


def results(benchmarks: Sequence[str], quick: bool) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """Records of the benchmarks, or why there is none."""
    for benchmark in benchmarks:
        began = time.monotonic()
        sys.stderr.write(f"bench_{benchmark}\n")
        with tempfile.TemporaryDirectory(prefix="nmmfit-bench-") as folder:
            out = Path(folder) / "record.json"
            arguments = [
                sys.executable,
                str(FOLDER / f"bench_{benchmark}.py"),
                "--out",
                str(out),
                *(["--quick"] if quick else []),
            ]
            status = os.spawnv(os.P_WAIT, sys.executable, arguments)
            found = json.loads(out.read_text(encoding="utf-8")) if status == 0 else f"ended with exit code {status}"
        sys.stderr.write(f"bench_{benchmark}: {time.monotonic() - began:.0f} s\n")
        if isinstance(found, dict):
            found["wall_s"] = time.monotonic() - began
        yield benchmark, found


def row(bar: Bar, records: Mapping[str, Any]) -> dict[str, Any]:
    """What the table says of one bar."""
    found = records.get(bar.benchmark)
    raw = found["values"].get(bar.key) if isinstance(found, Mapping) else None
    value = typical(raw)
    verdict = bar.is_met(value)
    missing = found.get("notes", {}).get(bar.key, "not measured") if isinstance(found, Mapping) else found or "not measured"
    by = None
    if verdict is False and bar.limit:
        by = value / bar.limit if bar.sign == "<=" else bar.limit / value
    return {
        "bar": bar.name,
        "what": bar.what,
        "required": f"{bar.sign} {bar.limit:g}",
        "unit": bar.unit,
        "measured": value,
        "spread": [raw["low"], raw["high"]] if isinstance(raw, Mapping) else None,
        "met": verdict,
        "missed_by_factor": by,
        "note": "" if value is not None else ELSEWHERE.get(bar.name, missing),
    }


def number(value: float | None, unit: str) -> str:
    """A number of three digits with its unit."""
    return "" if value is None else f"{value:.3g} {unit}".rstrip()


COLUMNS = ("bar", "what", "required", "measured", "spread", "met")


def cells(r: Mapping[str, Any]) -> tuple[str, ...]:
    """One line of the table, as text."""
    spread = "" if r["spread"] is None else f"{r['spread'][0]:.3g} to {r['spread'][1]:.3g}"
    met = {True: "yes", False: "no", None: r["note"]}[r["met"]]
    if r["missed_by_factor"]:
        met = f"no, by a factor of {r['missed_by_factor']:.2g}"
    required = f"{r['required']} {r['unit']}".rstrip()
    return r["bar"], r["what"], required, number(r["measured"], r["unit"]), spread, met


def table(rows: Sequence[Mapping[str, Any]], title: str) -> Table:
    """The table, one bar a line."""
    out = Table(*COLUMNS, title=title, title_justify="left")
    for r in rows:
        out.add_row(*cells(r))
    return out


def markdown(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """The same for a page of the documentation."""
    lines = ["; ".join(title.splitlines()), "", f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(cells(r))} |" for r in rows)])


def title(records: Mapping[str, Any]) -> str:
    """Machine, versions, size of the likelihood, and how busy it was."""
    whole = [r for r in records.values() if isinstance(r, Mapping)]
    if not whole:
        return "nothing was measured"
    versions = whole[0]["versions"]
    names = ("nmmfit", "jax", "numpyro", "numpy")
    parts = [whole[0]["processor"], ", ".join(f"{name} {versions[name]}" for name in names if name in versions)]
    size = records.get("likelihood")
    if isinstance(size, Mapping):
        parts.append(
            f"default run: {size['parameters']} parameters, {sum(size['bins'].values())} bins, "
            f"{sum(size['multiplies'].values())} multiplications in {sum(map(len, size['rows'].values()))} products"
        )
    loads = [r["load"][0] for r in whole]
    return "\n".join([*parts, f"load {min(loads):.1f} to {max(loads):.1f}, 1 of it the benchmark's own"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bars", nargs="*", metavar="BAR", help="P1 to P20; all if left out")
    parser.add_argument("--quick", action="store_true", help="three minutes instead of twelve")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--read", type=Path, metavar="FILE", help="print what is in a file that --out wrote")
    parser.add_argument("--markdown", action="store_true", help="print a table in markdown")
    given = parser.parse_args()
    picked = chosen(given.bars)
    if given.read is not None:
        records = json.loads(given.read.read_text(encoding="utf-8"))["records"]
    else:
        records = dict(results(list(dict.fromkeys(bar.benchmark for bar in picked if bar.benchmark)), given.quick))
    rows = [row(bar, records) for bar in picked]
    if given.markdown:
        sys.stdout.write(markdown(rows, title(records)) + "\n")
    else:
        Console(width=150 if not sys.stdout.isatty() else None).print(table(rows, title(records)))
    if given.out is not None:
        write_text(given.out, json.dumps({"bars": rows, "quick": given.quick, "records": records}, indent=1) + "\n")
    return 0 if all(r["met"] is not False for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
