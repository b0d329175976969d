"""Progress as one bar a stage, on a terminal's stderr only."""

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ray_defense.cli.inert import inert
from ray_defense.core.progress import listen


@contextlib.contextmanager
def bars(*, quiet: bool, console: Console | None = None) -> Iterator[None]:
    """Shows what the body tells `core.progress`; nothing where stderr is no terminal."""
    console = console or Console(stderr=True)
    if quiet or not console.is_terminal:
        yield
        return
    name = TextColumn("{task.description}", markup=False)
    with Progress(name, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console) as progress:
        waiting = progress.add_task("starting", total=None)
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            progress.update(waiting, visible=False)
            if what not in tasks:
                tasks[what] = progress.add_task(inert(what), total=total)
            progress.update(tasks[what], completed=done, total=total)

        listen(show)
        try:
            yield
        finally:
            listen(None)
            progress.update(waiting, visible=False)
