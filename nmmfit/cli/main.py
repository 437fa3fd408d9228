"""The program `nmmfit`: all verbs in one application, and errors as one line with an exit code."""

from __future__ import annotations

import errno
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import typer

from nmmfit.cli import (
    calibrate,
    check,
    evolve,
    export,
    fisher,
    fit,
    leave_out,
    limits,
    look,
    moments,
    predict,
    prior_sensitivity,
    report,
    reproduce,
    resume,
    scan,
    tighten,
    together,
    toys,
    validate,
    verify,
    wcxf,
)
from nmmfit.cli.arguments import VerbGroup
from nmmfit.cli.logged import logged_warnings
from nmmfit.cli.output import discard_stdout, note, printing
from nmmfit.errors import NmmfitError, OutputError

OK, WRONG_INPUT, INTERRUPTED = 0, 2, 130

# The base of every error that the argument parser raises on wrong input, wherever typer keeps its parser.
_UsageError: type[Exception] = typer.BadParameter.__mro__[2]

# Conditions of the machine rather than mistakes of ours: reported as one line.
_MACHINE_ERRORS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EFBIG),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE),
}

app = typer.Typer(
    name="nmmfit",
    cls=VerbGroup,
    help="Joint fits of neutrino magnetic moments and neutrino tensor and scalar interactions to real data.",
    epilog="Example: nmmfit fit --out my-fit",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from nmmfit import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _program(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version and leave."),
) -> None:
    """Joint fits of neutrino magnetic moments and neutrino tensor and scalar interactions to real data."""


look.register(app)
check.register(app)
fit.register(app)
resume.register(app)
evolve.register(app)
moments.register(app)
limits.register(app)
scan.register(app)
together.register(app)
toys.register(app)
calibrate.register(app)
leave_out.register(app)
fisher.register(app)
tighten.register(app)
prior_sensitivity.register(app)
predict.register(app)
reproduce.register(app)
validate.register(app)
verify.register(app)
report.register(app)
wcxf.register(app)
export.register(app)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; None: those of the process.
    Returns: the exit code: 0 done, 2 wrong input, 3 not converged or a contract not held, 130 interrupted.
    """
    if sys.stdout is None:
        discard_stdout()
    seen: set[str] = set()
    with warnings.catch_warnings(), logged_warnings():
        warnings.showwarning = lambda message, *_, **__: _warn_once(message, seen)
        try:
            code = _run(sys.argv[1:] if argv is None else list(argv))
            printing(lambda: None)
        except BrokenPipeError:
            # The reader (head, less) of a help text has seen enough.
            discard_stdout()
            code = OK
        except KeyboardInterrupt:
            code = _report("interrupted", INTERRUPTED)
        except OutputError as problem:
            code = _report(str(problem), problem.exit_code)
    return code


def _run(argv: list[str]) -> int:
    try:
        code = app(args=argv, prog_name="nmmfit", standalone_mode=False)
    except NmmfitError as problem:
        return _report(str(problem), problem.exit_code)
    except typer.Abort:
        return _report("interrupted", INTERRUPTED)
    except SystemExit:
        # Outside standalone mode the parser leaves this way only when the reader of its output is gone.
        return OK
    except OSError as problem:
        if problem.errno not in _MACHINE_ERRORS:
            raise
        place = f"{problem.filename}: " if problem.filename else ""
        return _report(f"{place}{problem.strerror}", WRONG_INPUT)
    except _UsageError as problem:
        message = _usage_message(problem, argv)
        return _report(message, WRONG_INPUT) if message else WRONG_INPUT
    if code == INTERRUPTED:
        # Some versions of the parser answer Ctrl-C with this code instead of an exception.
        return _report("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else OK


def _usage_message(problem: Any, argv: list[str]) -> str:
    """What the parser says about wrong arguments, on one line, with where to look; empty if it printed the help."""
    text = " ".join(problem.format_message().split())
    if not text:
        return ""
    given = _given_value(getattr(problem, "param", None), argv)
    if given is not None and isinstance(problem, typer.BadParameter):
        text = f"{text.rstrip('.')}, got {given!r}"
    context = getattr(problem, "ctx", None)
    command = context.command_path if context is not None else "nmmfit"
    return f"{text.rstrip('.')} (see {command} --help)"


def _given_value(parameter: Any, argv: list[str]) -> str | None:
    """What stands after the last occurrence of an option; None if it is no option, or nothing stands there."""
    for index in range(len(argv) - 1, -1, -1):
        name, equals, value = argv[index].partition("=")
        if name in getattr(parameter, "opts", ()):
            return value if equals else next(iter(argv[index + 1 : index + 2]), None)
    return None


def _report(message: str, code: int) -> int:
    note(f"nmmfit: {' '.join(message.splitlines())}")
    return code


def _warn_once(message: Warning | str, seen: set[str]) -> None:
    """One line for a warning, and one line only for all that JAX says about a cache that it cannot use."""
    text = " ".join(str(message).split())
    if "persistent compilation cache" in text:
        reason = text.partition("': ")[2] or text
        text = f"a compiled program cannot be kept or read back: {reason}; it is compiled anew at every start"
        key = "compilation cache"
    else:
        key = text
    if key not in seen:
        seen.add(key)
        note(f"nmmfit: warning: {text}")
