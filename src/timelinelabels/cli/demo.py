"""`timelinelabels demo`."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for videos, models and the HTML page.")
    ] = Path("demo-output"),
) -> None:
    """Watch the backend learn: rendered videos, a real server, one Submit after another.

    Shows the score on unseen videos growing with the number of annotated ones, and writes an HTML page
    with predicted against true timelines. Takes two to three minutes and needs no Label Studio.
    """
    from rich.console import Console

    from timelinelabels.demo.run import run_demo
    from timelinelabels.settings import load_settings

    console = Console(highlight=False)
    page = run_demo(output, console, weights_folder=load_settings().model_root)
    console.print(f"Predicted against true timelines: [b]{page.resolve()}[/b]")
