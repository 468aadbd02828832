"""`timelinelabels evaluate` and `timelinelabels simulate`: how good is the model, and what does it save?"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from timelinelabels.cli.options import ConfigOption, make_folder_of, read_config, read_json

if TYPE_CHECKING:
    from rich.console import Console

    from timelinelabels.control_models import Resources
    from timelinelabels.control_models.examples import LeftOut
    from timelinelabels.evaluation.judging import Report
    from timelinelabels.evaluation.videos import FeaturesOf
    from timelinelabels.training import TrainingHook

TasksOption = Annotated[
    Path,
    typer.Option(
        "--tasks",
        "-t",
        help="A Label Studio JSON export (Export → JSON) with annotations. Video paths in it are "
        "absolute or relative to this file.",
        exists=True,
        dir_okay=False,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print all scores as JSON instead of tables.")
]
ReportOption = Annotated[
    Path, typer.Option("--report", "-r", help="The HTML report with plots; its folder is made.")
]


def evaluate(
    *,
    config: ConfigOption,
    tasks: TasksOption,
    test: Annotated[
        Path | None,
        typer.Option(
            "--test",
            help="Annotated tasks to judge by; the model is trained on all of --tasks.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            "--folds",
            "-k",
            min=2,
            help="Without --test: judge each of so many parts of the videos by a model trained on the "
            "others; default 5.",
        ),
    ] = None,
    as_json: JsonOption = False,
    report: ReportOption = Path("evaluation.html"),
) -> None:
    """Measure the model on videos that it was not trained on.

    Trains exactly as `train` does, in a folder that is thrown away: published versions are not
    touched. What the scores mean: docs/reference/scores.md.

    Example: timelinelabels evaluate --config config.xml --tasks export.json --folds 5 --report out.html
    """
    if test is not None and folds is not None:
        raise typer.BadParameter("give either --test FILE or --folds K")
    make_folder_of(report, "--report")  # before the work, not after it
    from timelinelabels.cli.score_tables import print_evaluation
    from timelinelabels.evaluation import evaluate as run
    from timelinelabels.evaluation.as_json import evaluation_data
    from timelinelabels.evaluation.pages import write_evaluation
    from timelinelabels.labelstudio.payloads import parse_export

    known = parse_export(read_json(tasks))
    judged = None if test is None else parse_export(read_json(test))
    with _bench([path.resolve().parent for path in (tasks, test) if path is not None]) as bench:
        found = run(
            read_config(config),
            known,
            resources=bench.resources,
            folder=bench.folder,
            features_of=bench.features_of,
            test=judged,
            folds=folds,
            report=bench.report,
            on_epoch=bench.on_epoch,
        )
    _warn_left_out(found.left_out)
    if as_json:
        typer.echo(json.dumps(evaluation_data(found), indent=2, ensure_ascii=False))
    else:
        print_evaluation(_output(), found)
    write_evaluation(report, found)
    typer.echo(f"Report: {report}", err=True)


def simulate(
    *,
    config: ConfigOption,
    tasks: TasksOption,
    steps: Annotated[
        str | None,
        typer.Option(
            "--steps",
            help="Learn after so many videos only, for example 1,2,4,8; default: after every video.",
        ),
    ] = None,
    as_json: JsonOption = False,
    report: ReportOption = Path("simulation.html"),
) -> None:
    """Replay a labelled project in the order of submission: what would the model have saved?

    Each video is first predicted by the model of that moment, then scored, then learned. Shows the
    score against the number of annotated videos, and the regions a person would still have had to add,
    delete, move and relabel, with the model and without.

    Example: timelinelabels simulate --config config.xml --tasks export.json --steps 1,2,4,8
    """
    from timelinelabels.cli.score_tables import print_simulation
    from timelinelabels.evaluation import simulate as run
    from timelinelabels.evaluation.as_json import simulation_data
    from timelinelabels.evaluation.pages import write_simulation
    from timelinelabels.labelstudio.payloads import parse_export

    chosen = None if steps is None else _numbers(steps)
    make_folder_of(report, "--report")
    known = parse_export(read_json(tasks))
    with _bench([tasks.resolve().parent]) as bench:
        found = run(
            read_config(config),
            known,
            resources=bench.resources,
            folder=bench.folder,
            features_of=bench.features_of,
            steps=chosen,
            report=bench.report,
            on_epoch=bench.on_epoch,
        )
    _warn_left_out(found.left_out)
    if as_json:
        typer.echo(json.dumps(simulation_data(found), indent=2, ensure_ascii=False))
    else:
        print_simulation(_output(), found)
    write_simulation(report, found)
    typer.echo(f"Report: {report}", err=True)


@dataclass(frozen=True, kw_only=True)
class _Bench:
    """What both commands work with."""

    resources: "Resources"
    # For trial versions; gone when the command ends.
    folder: Path
    features_of: "FeaturesOf"
    report: "Report"
    on_epoch: "TrainingHook"


@contextmanager
def _bench(media_folders: list[Path]) -> Iterator[_Bench]:
    """Resources, a folder that is thrown away, and progress on standard error."""
    import tempfile

    from timelinelabels.cli.console import frame_bar, make_console, progress_bars
    from timelinelabels.cli.offline import offline_settings
    from timelinelabels.control_models import FeatureSource
    from timelinelabels.features import Features
    from timelinelabels.runtime import build_resources

    resources = build_resources(offline_settings(media_folders), download_weights=True)
    with (
        tempfile.TemporaryDirectory(prefix="timelinelabels-") as folder,
        progress_bars(make_console()) as progress,
    ):
        bar = progress.add_task("Reading videos", total=None, note="")

        def features_of(source: FeatureSource) -> Features:
            with frame_bar(progress, Path(source.video).name) as frames:
                found = resources.extract(source, progress=frames)
            progress.advance(bar)
            return found

        def report(text: str) -> None:
            progress.update(bar, description=text[0].upper() + text[1:], completed=0, note="")

        def on_epoch(stage: str, epoch: int, scores: object) -> None:
            del scores
            progress.update(bar, completed=epoch, note=stage)

        yield _Bench(
            resources=resources,
            folder=Path(folder),
            features_of=features_of,
            report=report,
            on_epoch=on_epoch,
        )


def _output() -> "Console":
    from rich.console import Console

    console = Console(highlight=False)
    # A pipe has no width: tables must not be cut to 80 columns there.
    return console if console.is_terminal else Console(highlight=False, width=160)


def _numbers(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise typer.BadParameter(
            f"--steps takes numbers of videos from 1 on, like 1,2,4,8; got {text!r}"
        )
    return numbers


def _warn_left_out(items: "tuple[LeftOut, ...]") -> None:
    for item in items:
        typer.secho(f"left out: task {item.task_id}: {item.reason}", fg="yellow", err=True)
