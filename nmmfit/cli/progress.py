"""Progress bars on stderr; where stderr is no terminal there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    state = TextColumn("{task.fields[state]}")
    columns = (TextColumn("{task.description}"), BarColumn(), state, TimeElapsedColumn(), TimeRemainingColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True) as bars:
        yield bars


@contextmanager
def sampling_bar() -> Iterator[Callable[[Any], None]]:
    """Callback of a sampler: phase, steps done, divergences and speed."""
    with _bars() as bars:
        task = bars.add_task("compiling", total=None, state="")

        def advance(now: Any) -> None:
            phase = "warm-up" if now.done < now.warmup else "sampling"
            speed = now.done / now.seconds if now.seconds > 0 else 0.0
            state = f"{now.done}/{now.total}, {now.divergences} divergences, {speed:.0f} steps/s"
            bars.update(task, description=phase, total=now.total, completed=now.done, state=state)

        yield advance


@contextmanager
def counting_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Callback of a computation that counts what it has done."""
    with _bars() as bars:
        task = bars.add_task(what, total=None, state="")

        def advance(done: int, total: int) -> None:
            bars.update(task, total=total, completed=done, state=f"{done}/{total}")

        yield advance


@contextmanager
def fits_bar(fits: int) -> Iterator[Callable[[str], Any]]:
    """One bar for several fits: called with a fit's name it gives the bar of that fit, as `sampling_bar` does."""
    with _bars() as bars:
        task = bars.add_task("compiling", total=None, state="")
        begun = 0

        def of_fit(name: str) -> Any:
            nonlocal begun
            before = begun
            begun += 1
            # Until its first steps are done the fit is being built and compiled.
            bars.update(task, description=f"{name}: compiling", state=f"fit {begun} of {fits}")

            @contextmanager
            def bar() -> Iterator[Callable[[Any], None]]:
                def advance(now: Any) -> None:
                    phase = "warm-up" if now.done < now.warmup else "sampling"
                    state = f"fit {before + 1} of {fits}, {now.done}/{now.total}, {now.divergences} divergences"
                    done = before * now.total + now.done
                    bars.update(task, description=f"{name}: {phase}", total=fits * now.total, completed=done, state=state)

                yield advance

            return bar

        yield of_fit


@contextmanager
def stages_bar(stages: int) -> Iterator[Callable[[str, int], Callable[[int, int], None]]]:
    """One bar for several computations in turn: called with a name and the number of those before it, it gives the callback of
    one, as `counting_bar` does."""
    with _bars() as bars:
        task = bars.add_task("compiling", total=None, state="")

        def of_stage(name: str, before: int) -> Callable[[int, int], None]:
            bars.update(task, description=f"{name}: compiling", state=f"stage {before + 1} of {stages}")

            def advance(done: int, total: int) -> None:
                state = f"stage {before + 1} of {stages}, {done}/{total}"
                bars.update(task, description=name, total=stages, completed=before + done / max(total, 1), state=state)

            return advance

        yield of_stage
