"""A worker's hold on a piece of work: renewed in the background, lost when another worker has it."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from timelinelabels.errors import TimelineLabelsError
from timelinelabels.metrics import FrameScores
from timelinelabels.store import Store, WorkItem

logger = logging.getLogger(__name__)

LEASE_SECONDS = 20.0
HEARTBEAT_SECONDS = 4.0


class WorkInterruptedError(Exception):
    """The work at hand must be put down: the worker stops, or it has lost its lease."""


@contextmanager
def held(store: Store, item: WorkItem, stop: threading.Event) -> Iterator["Lease"]:
    """The lease on claimed work, renewed until the block ends."""
    lease = Lease(store, item, stop)
    lease.start()
    try:
        yield lease
    finally:
        lease.end()


class Lease:
    """Renews a claim in the background, and tells the work when it must be put down.

    Args:
        store: where the claim stands.
        item: what was claimed.
        stop: set when the worker is to stop.
    """

    def __init__(self, store: Store, item: WorkItem, stop: threading.Event) -> None:
        self._store, self._item, self._stop = store, item, stop
        self._lost = threading.Event()
        self._ended = threading.Event()
        self._progress: tuple[int, int | None] | None = None
        self._message: str | None = None
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def end(self) -> None:
        """Stop renewing."""
        self._ended.set()
        self._thread.join()

    def check(self) -> None:
        """Go on, unless the work must be put down.

        Raises:
            WorkInterruptedError: it must.
        """
        if self._lost.is_set() or self._stop.is_set():
            raise WorkInterruptedError

    def frames_done(self, done: int, total: int | None) -> None:
        """Note how far an extraction is; see `check`."""
        self._progress = (done, total)
        self.check()

    def epoch_done(self, stage: str, epoch: int, scores: FrameScores | None) -> None:
        """Note how far a training is; see `check`."""
        self._message = f"{stage}: epoch {epoch}" + (f", F1 {scores.f1:.2f}" if scores else "")
        self.check()

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            try:
                held = self._store.heartbeat(
                    self._item, progress=self._progress, message=self._message
                )
            except TimelineLabelsError as error:
                logger.warning("The heartbeat failed, trying again: %s", error)
                continue
            if not held:
                logger.warning("The lease on %s was lost", self._item.key[:40])
                self._lost.set()
                return
