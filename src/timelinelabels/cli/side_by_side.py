"""Several videos at once, for commands that need features of many."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from timelinelabels.cli.console import frame_bar
from timelinelabels.errors import ConfigError, MediaError, VideoError
from timelinelabels.prefetch import computed_in_order
from timelinelabels.runtime import videos_at_once

if TYPE_CHECKING:
    from rich.progress import Progress

    from timelinelabels.control_models import FeatureSource, Resources
    from timelinelabels.features import Features

Item = TypeVar("Item")
Problem = ConfigError | MediaError | VideoError
Found = Mapping["FeatureSource", "Features"]


@dataclass(frozen=True, kw_only=True)
class Wanted(Generic[Item]):
    """Features that one item of a command's work needs."""

    item: Item
    # What a person sees beside the progress.
    name: str
    sources: "Iterable[FeatureSource]"
    # Of a task of Label Studio: a cloud storage gives its files to tasks only.
    task_id: str | None = None


class _GivenUpError(Exception):
    """Nobody wants the rest."""


@contextmanager
def extracted(
    resources: "Resources", wanted: Iterable[Wanted[Item]], progress: "Progress"
) -> Iterator[Iterator[tuple[Wanted[Item], Found | Problem]]]:
    """Iterate over what is wanted, in order, each with its features or why they cannot be had.

    While one is worked on, the next ones are extracted: a short video alone leaves processors idle at
    its beginning and end. Where the block is left early, what is under way ends with its next frames.

    Args:
        resources: what the models share.
        wanted: asked for as far ahead as videos are extracted at once.
        progress: gets a bar for each video under way.
    """
    given_up = threading.Event()

    def work(want: Wanted[Item]) -> Found | Problem:
        found: dict[FeatureSource, Features] = {}
        try:
            for source in want.sources:
                with frame_bar(progress, want.name) as report:

                    def watched(done: int, total: int | None) -> None:
                        if given_up.is_set():
                            raise _GivenUpError
                        report(done, total)

                    found[source] = resources.extract(
                        source, task_id=want.task_id, progress=watched
                    )
        except (ConfigError, MediaError, VideoError) as error:
            return error
        return found

    with computed_in_order(work, wanted, workers=videos_at_once()) as done:
        try:
            yield done
        finally:
            given_up.set()
