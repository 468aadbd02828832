"""The part of the web process that takes seconds to import, made once, when the port is open already."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from timelinelabels.errors import TimelineLabelsError

if TYPE_CHECKING:
    from timelinelabels.server.predictions import PredictionService
    from timelinelabels.server.service import Service
    from timelinelabels.settings import Settings
    from timelinelabels.store import Statistics

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
FIRST_CONFIG = (
    '<View><TimelineLabels name="label" toName="video"><Label value="any"/></TimelineLabels>'
    '<Video name="video" value="$video"/></View>'
)


@dataclass(frozen=True, kw_only=True)
class Services:
    """What the routes call."""

    service: Service
    predictions: PredictionService


class LazyServices:
    """Makes the services once: in the warm-up thread, or for the first request that needs them.

    Args:
        settings: of this process.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._made: Services | None = None
        self._failure: TimelineLabelsError | None = None
        self._try_again = 0.0  # on the monotonic clock

    def get(self) -> Services:
        """The services; waits while another thread makes them.

        Raises:
            StoreError: the store cannot be used. Who asks within `RETRY_SECONDS` gets the same error,
                so that requests never queue for a database that does not answer.
        """
        with self._lock:
            if self._made is not None:
                return self._made
            if self._failure is not None and time.monotonic() < self._try_again:
                raise self._failure
            try:
                self._made = _make(self._settings)
            except TimelineLabelsError as error:
                self._failure = error
                self._try_again = time.monotonic() + RETRY_SECONDS
                raise
            return self._made

    def statistics(self) -> Statistics:
        """What the store holds."""
        return self.get().service.store.statistics()

    def warm_up(self) -> None:
        """Make the services; import what a first labeling config needs, then what a prediction needs."""
        started = time.monotonic()
        try:
            self.get()
        except TimelineLabelsError as error:
            logger.error("The backend cannot work yet: %s", error)
            return
        from timelinelabels.labelstudio.config import parse_label_config
        from timelinelabels.runtime import prepare_computation

        parse_label_config(FIRST_CONFIG)
        prepare_computation()
        logger.info("Ready after %.1f s", time.monotonic() - started)


def _make(settings: Settings) -> Services:
    from timelinelabels.runtime import build_resources, open_store
    from timelinelabels.server.predictions import PredictionService
    from timelinelabels.server.service import Service

    service = Service(open_store(settings), build_resources(settings, download_weights=False))
    predictions = PredictionService(
        service,
        wait_seconds=settings.predict_wait_seconds,
        waiting_slots=settings.web_threads // 2,
        push=settings.pushes_predictions,
    )
    return Services(service=service, predictions=predictions)
