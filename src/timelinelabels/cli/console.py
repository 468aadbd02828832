"""Progress bars on standard error, so that standard output can be piped."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

Report = Callable[[int, int | None], None]


def make_console() -> Console:
    """A console on standard error."""
    return Console(stderr=True, highlight=False)


def print_error(console: Console, error: Exception) -> None:
    """One line, however long: paths in it can be copied."""
    console.print(Text.assemble(("Error: ", "red"), str(error)), soft_wrap=True)


@contextmanager
def progress_bars(console: Console) -> Iterator[Progress]:
    """Bars that stay while the block runs."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        yield progress


@contextmanager
def frame_bar(progress: Progress, description: str) -> Iterator[Report]:
    """A bar of frames for one video; it goes away when the video is done."""
    task = progress.add_task(description, total=None, note="frames")
    try:
        yield lambda done, total: progress.update(task, completed=done, total=total)
    finally:
        progress.remove_task(task)
