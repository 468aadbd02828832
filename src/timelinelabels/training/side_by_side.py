"""Fits of several networks side by side, within a budget of time.

Each network is small: one thread trains it as fast as several would, so several are trained at once, one
a processor core. What a fit learns does not depend on what runs beside it.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass

from timelinelabels.errors import TrainingError
from timelinelabels.metrics import FrameScores
from timelinelabels.neural_nets import Fit
from timelinelabels.neural_nets.fitting import one_thread
from timelinelabels.processors import usable_processors

MOST_SIDE_BY_SIDE = 4

Progress = Callable[[int, FrameScores], None]
"""Called with a fit's epochs done and their scores; an exception from it ends all fits."""

Job = Callable[[float | None, Progress], Fit]
"""A fit that ends by the `time.monotonic()` it is given, if any."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Until when a training must be done."""

    # `time.monotonic()`; None: no limit.
    deadline: float | None = None

    @classmethod
    def of_seconds(cls, seconds: float | None) -> "Budget":
        """A budget that begins now."""
        return cls(deadline=None if seconds is None else time.monotonic() + seconds)

    def share(self, waves: int) -> float | None:
        """The end of a fit that begins now, of the first of so many waves that are still to come."""
        if self.deadline is None:
            return None
        now = time.monotonic()
        return now + max(0.0, self.deadline - now) / max(1, waves)


def run_side_by_side(
    jobs: Sequence[Job], budget: Budget, progress: Progress, *, waves_after: int = 0
) -> list[Fit]:
    """Run all jobs and return what they did, in their order.

    Args:
        jobs: to run.
        budget: of the whole training.
        progress: called from whichever thread, one call at a time.
        waves_after: fits in a row that come after these ones, and need their share of the budget.
    """
    workers = min(len(jobs), usable_processors(), MOST_SIDE_BY_SIDE)
    ended, one_at_a_time = threading.Event(), threading.Lock()
    errors: list[BaseException] = []

    def report(epoch: int, scores: FrameScores) -> None:
        with one_at_a_time:
            if ended.is_set():
                raise TrainingError("The training was ended from outside.")
            progress(epoch, scores)

    def run(index: int) -> Fit:
        waves = -(-(len(jobs) - index) // workers) + waves_after
        try:
            return jobs[index](budget.share(waves), report)
        except BaseException as error:
            errors.append(error)  # before the others end because of it
            ended.set()
            raise

    with one_thread(), ThreadPoolExecutor(workers, "fit") as pool:
        futures = [pool.submit(run, index) for index in range(len(jobs))]
        wait(futures, return_when=FIRST_EXCEPTION)
        if errors:
            pool.shutdown(wait=True, cancel_futures=True)
            raise errors[0]
        return [future.result() for future in futures]
