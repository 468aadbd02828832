"""`timelinelabels extract`: fill the feature cache."""

import time
from pathlib import Path
from typing import Annotated

import typer

from timelinelabels.cli.options import ConfigOption


def extract(
    config: ConfigOption,
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO", help="Video files.")],
) -> None:
    """Extract the features of videos into the cache, so that later work on them is fast.

    Prints the frames and the cache file of each, and how long all took together. A bad file does not stop
    the others; the command then ends with 1.

    Example: timelinelabels extract --config config.xml videos/*.mp4
    """
    from timelinelabels.cli.console import make_console, print_error, progress_bars
    from timelinelabels.cli.offline import offline_settings
    from timelinelabels.cli.options import read_config
    from timelinelabels.cli.side_by_side import Wanted, extracted
    from timelinelabels.control_models import FeatureSource
    from timelinelabels.errors import TimelineLabelsError
    from timelinelabels.labelstudio.config import parse_label_config
    from timelinelabels.runtime import build_resources

    settings = offline_settings([Path.cwd()])
    resources = build_resources(settings, download_weights=True)
    controls = parse_label_config(
        read_config(config), default_score_threshold=settings.model_score_threshold
    )
    kinds = sorted({(c.model_path, c.sample_fps) for c in controls if not c.skip}, key=str)
    console = make_console()
    failed = 0
    wanted = (
        Wanted(item=video, name=video.name, sources=[FeatureSource(str(video.absolute()), *kind)])
        for video in videos
        for kind in kinds
    )
    started = time.perf_counter()
    done = 0
    with progress_bars(console) as progress, extracted(resources, wanted, progress) as results:
        bar = progress.add_task("Videos", total=len(videos) * len(kinds), note="")
        for want, found in results:
            if isinstance(found, TimelineLabelsError):
                failed += 1
                print_error(console, found)
            else:
                for features in found.values():
                    frames = len(features.values)
                    done += frames
                    typer.echo(f"{want.item}: {frames} frames, {features.path}")
            progress.advance(bar)
    seconds = time.perf_counter() - started
    console.print(f"{done} frames in {seconds:.1f} s, {done / max(seconds, 1e-9):.0f} frames/s")
    if failed:
        raise typer.Exit(1)
