"""`timelinelabels extract`: fill the feature cache."""

import time
from pathlib import Path
from typing import Annotated

import typer

from timelinelabels.cli.options import ConfigOption


def extract(
    config: ConfigOption,
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO…", help="Video files.")],
) -> None:
    """Extract the features of videos into the cache, so that later work on them is fast.

    Prints frames, frames per second and the cache file of each. A bad file does not stop the others;
    the command then ends with 1.

    Example: timelinelabels extract --config config.xml videos/*.mp4
    """
    from timelinelabels.cli.console import frame_bar, make_console, print_error, progress_bars
    from timelinelabels.cli.offline import offline_settings
    from timelinelabels.cli.options import read_config
    from timelinelabels.control_models import FeatureSource
    from timelinelabels.errors import MediaError, VideoError
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
    with progress_bars(console) as progress:
        bar = progress.add_task("Videos", total=len(videos), note="")
        for video in videos:
            for kind in kinds:
                source = FeatureSource(str(video.absolute()), *kind)
                started = time.perf_counter()
                try:
                    with frame_bar(progress, video.name) as report:
                        features = resources.extract(source, progress=report)
                except (MediaError, VideoError) as error:
                    failed += 1
                    print_error(console, error)
                    continue
                seconds = time.perf_counter() - started
                frames = len(features.values)
                typer.echo(
                    f"{video}: {frames} frames, {frames / seconds:.0f} frames/s, {features.path}"
                )
            progress.advance(bar)
    if failed:
        raise typer.Exit(1)
