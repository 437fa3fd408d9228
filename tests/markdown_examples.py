"""Runs the examples of a markdown page: Python, TOML and command lines, in the order in which they stand.

- Python blocks of one page share their names. A number after `#` behind an expression (or behind `print` of one) is what
  that expression gives, to the digits written; other comments are words.
- TOML blocks must be valid run files, or parts of one.
- Command lines (`nmmfit ...` in bash blocks) run in-process and must end with exit code 0. Verbs that sample or scan take
  minutes, and `report` needs what they write: their arguments are parsed and the run they name is checked, and they stop there.
- `<!-- not run: reason -->` above a block leaves it out; `<!-- file: NAME.toml -->` above a TOML block writes that file, for the
  commands that follow.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer.main

from nmmfit.cli.arguments import open_run
from nmmfit.cli.main import app, main
from nmmfit.config import validate

BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+?) -->\n)?(?:^<!-- file: (?P<file>[\w-]+\.toml) -->\n)?"
    r"^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
SLOW_VERBS = (
    "fit",
    "limits",
    "profile",
    "scan",
    "tension",
    "toys",
    "calibrate",
    "leave-one-out",
    "impacts",
    "fisher",
    "tighten",
    "prior-sensitivity",
    "validate",
    "report",
    "resume",
    "verify",
    "rerun",
    "check-experiment",
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `skipped` is the reason why it is not run, empty if it is; `file` the one that it stands for."""

    page: str
    line: int
    language: str
    text: str
    skipped: str
    file: str = ""


def blocks(path: Path) -> list[Block]:
    """All fenced blocks of a page that name a language."""
    page = path.read_text(encoding="utf-8")
    return [
        Block(path.name, page.count("\n", 0, m.start("text")), m["language"], m["text"], m["reason"] or "", m["file"] or "")
        for m in BLOCK.finditer(page)
    ]


def command_lines(text: str) -> list[list[str]]:
    """Arguments of each `nmmfit` command in a bash block; a line that ends in a backslash goes on."""
    lines = text.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [w[1:] for w in words if w and w[0] in ("nmmfit", ".venv/bin/nmmfit")]


def run_command(arguments: list[str]) -> None:
    """Run a command line in-process, or only check it if its verb is slow. Raises: AssertionError unless it is fine."""
    if arguments and arguments[0] in SLOW_VERBS and "--help" not in arguments:
        check_command(arguments)
        return
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = main(arguments)
    assert code == 0, f"nmmfit {shlex.join(arguments)}: exit code {code}: {errors.getvalue()}"


def check_command(arguments: list[str]) -> None:
    """Parse a command line without running it; the run that it names must be valid, and so must the names it mentions."""
    verb: Any = typer.main.get_command(app).commands[arguments[0]]  # type: ignore[attr-defined]
    given = verb.make_context(arguments[0], arguments[1:]).params
    if given.get("fit_folder") is not None or given.get("folder") is not None:
        # A folder of an earlier example, which was only checked.
        return
    options = {"method": "sampler", "seed": "seed", "chains": "chains", "draws": "draws", "warmup": "warmup"}
    sampler = [f"sampler.{key}={given[name]}" for key, name in options.items() if given.get(name) is not None]
    run = open_run(given.get("run"), [*(given.get("overrides") or ()), *sampler])
    named = [given["parameter"]] if given.get("parameter") else list(given.get("names") or ())
    named += [axis.partition("=")[0] for axis in given.get("grid") or ()]
    for name in named:
        assert name in run.config.parameters or re.match(r"(mu_eff|tensor_charge|direction)_|\w+\.", name), f"no parameter {name}"


def run_python(block: Block, names: dict[str, Any]) -> None:
    """Execute a Python block and compare what its expressions give with the numbers written behind them."""
    tree = ast.parse(block.text)
    comments = dict(_comments(block.text))
    where = f"{block.page}, line {block.line}"
    for node in tree.body:
        end = node.end_lineno or 0
        code = ast.Module([node], type_ignores=[])
        ast.increment_lineno(code, block.line)
        value = _value_of(node, names, where)
        if value is None:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(code, where, "exec"), names)
            continue
        written = comments.get(end, "")
        number = re.match(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", written)
        if number and not isinstance(value[0], str):
            assert_written(float(np.asarray(value[0])), number[0], f"{where}: {ast.unparse(node)}")


def _value_of(node: ast.stmt, names: dict[str, Any], where: str) -> tuple[Any] | None:
    """Value of an expression statement, or of the one argument of its print; None for other statements."""
    if not isinstance(node, ast.Expr):
        return None
    expression = node.value
    if isinstance(expression, ast.Call) and isinstance(expression.func, ast.Name) and expression.func.id == "print":
        if len(expression.args) != 1:
            return None
        expression = expression.args[0]
    return (eval(compile(ast.Expression(expression), where, "eval"), names),)


def _comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")


def assert_written(value: float, written: str, what: str) -> None:
    """A value rounds to a number as it is written, up to one in its last digit."""
    mantissa, _, exponent = written.partition("e")
    decimals = len(mantissa.partition(".")[2])
    step = 10.0 ** (int(exponent or 0) - decimals)
    assert abs(value - float(written)) <= 0.6 * step, f"{what} gives {value:.8g}, the page says {written}"


def run_block(block: Block, names: dict[str, Any]) -> None:
    """Run one block; languages other than Python, TOML and bash are only text."""
    if block.skipped:
        return
    if block.language == "python":
        run_python(block, names)
    elif block.language == "toml":
        validate({"experiments": [], **tomllib.loads(block.text)})
        if block.file:
            Path(block.file).write_text(block.text, encoding="utf-8")
    elif block.language == "bash":
        for arguments in command_lines(block.text):
            run_command(arguments)
