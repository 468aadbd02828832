"""The command line: thin shells that parse, call and render.

Exit codes: 0 done, 1 the work failed (or a part of it), 2 wrong usage.
"""

import atexit
import gc
import os
import sys
import threading
from typing import Annotated, NoReturn

import typer

from timelinelabels.cli import demo, evaluate, extract, label_studio, predict, serve, train
from timelinelabels.errors import SettingsError, TimelineLabelsError

app = typer.Typer(
    name="timelinelabels",
    help="Label Studio ML backend that learns to label the timelines of videos while people "
    "annotate.\n\nSettings come from the environment; docs/configuration.md lists them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command("serve")(serve.serve)
app.command("worker")(serve.worker)
app.command("connect")(label_studio.connect)
app.command("doctor")(label_studio.doctor)
app.command("annotate")(label_studio.annotate)
app.command("train")(train.train)
app.command("predict")(predict.predict)
app.command("evaluate")(evaluate.evaluate)
app.command("simulate")(evaluate.simulate)
app.command("extract")(extract.extract)
app.command("demo")(demo.demo)


def _show_version(asked: bool) -> None:
    if asked:
        from timelinelabels import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    del version


_OBJECTS_BETWEEN_COLLECTIONS = 50_000


def main() -> None:
    """Run the command line; an expected error is one line on standard error."""
    # Python's 700 let the garbage collector look through everything that is imported again and again.
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        app()
    except SettingsError as error:
        typer.secho(f"Error: {error}", err=True, fg=typer.colors.RED)
        _leave(2)
    except TimelineLabelsError as error:
        typer.secho(f"Error: {error}", err=True, fg=typer.colors.RED)
        _leave(1)
    except SystemExit as end:
        if isinstance(end.code, int | None):
            _leave(end.code or 0)
        raise


def _leave(code: int) -> NoReturn:
    """End the process; where torch was imported, without the half second that taking it apart takes."""
    if "torch" not in sys.modules:
        sys.exit(code)
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as the interpreter does
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # who reads has gone
        code = code or 1
    os._exit(code)
