"""The worker: claims work from the store, extracts features, trains and publishes.

It holds a piece of work by a lease that a heartbeat renews. A worker that is killed loses nothing: its
lease runs out and the fact "this is to be done" is still in the store.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Sequence

from timelinelabels import extraction, pushing, reconciliation, weights_download
from timelinelabels.awaited_features import AwaitedFeatures
from timelinelabels.control_models.project_model import ProjectModel
from timelinelabels.control_models.resources import Resources
from timelinelabels.errors import (
    CheckpointError,
    ConfigError,
    LabelStudioError,
    MediaError,
    TimelineLabelsError,
    TrainingError,
    VideoError,
)
from timelinelabels.labelstudio.client import LabelStudioClient
from timelinelabels.labelstudio.media_policy import shown
from timelinelabels.lease import LEASE_SECONDS, Lease, WorkInterruptedError, held
from timelinelabels.pushing import Pushed, Pusher
from timelinelabels.reconciliation import Reconciler, Source
from timelinelabels.store import ASKED, Store, WorkItem

logger = logging.getLogger(__name__)

# What a person may be waiting for comes first.
KINDS = (
    weights_download.KIND,
    pushing.TASK_KIND,
    extraction.KIND,
    "train",
    pushing.KIND,
    reconciliation.KIND,
)
POLL_SECONDS = 0.5
SWEEP_POLL_SECONDS = 15.0


_EXPECTED = (
    MediaError,
    VideoError,
    ConfigError,
    CheckpointError,
    TrainingError,
    LabelStudioError,
)


def new_owner() -> str:
    """A name for this worker that no other has."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


class Worker:
    """Does one piece of work at a time until it is told to stop; extractions, several.

    While it extracts, further threads extract other videos that wait: one short video alone leaves
    processors idle. They never start while something else is done.

    Args:
        store: where the work is.
        resources: what the models need.
        label_studio: None where no API key is set.
        push: whether predictions are written to it.
        owner: this worker's name on its leases.
        videos_at_once: that are extracted side by side.
    """

    def __init__(
        self,
        store: Store,
        resources: Resources,
        *,
        label_studio: LabelStudioClient | None = None,
        push: bool = False,
        owner: str | None = None,
        videos_at_once: int = 1,
    ) -> None:
        self._store = store
        self._resources = resources
        self._label_studio = label_studio
        self._reconciler = Reconciler(store, label_studio)
        self._awaited = AwaitedFeatures(store, resources)
        self._pusher = Pusher(store, resources, label_studio) if label_studio and push else None
        # Without a pusher, what was wanted before it was switched off is left alone.
        self._kinds = tuple(kind for kind in KINDS if self._pusher or kind not in pushing.KINDS)
        self._owner = owner or new_owner()
        self._stop = threading.Event()
        self._extracting = threading.Event()
        self._helpers = [
            threading.Thread(target=self._help, name=f"extract-{number}", daemon=True)
            for number in range(2, videos_at_once + 1)
        ]

    def stop(self) -> None:
        """Put the present work down at its next step and return from `run`."""
        self._stop.set()

    def run(self) -> None:
        """Work until `stop`."""
        logger.info("Worker %s is ready", self._owner)
        if self._pusher is None:
            logger.info(
                "Predictions are not pushed: that takes LABEL_STUDIO_URL, LABEL_STUDIO_API_KEY and "
                "PUSH_PREDICTIONS=true"
            )
        for helper in self._helpers:
            helper.start()
        starting = True
        next_sweep, max_age = 0.0, 0.0  # what happened before it started may never have been heard
        while not self._stop.is_set():
            try:
                if starting:
                    weights_download.want_weights(self._store, self._resources, [None])
                    starting = False
                if self._label_studio is not None and time.monotonic() >= next_sweep:
                    reconciliation.want_reconciliations(self._store, older_than_seconds=max_age)
                    next_sweep = time.monotonic() + SWEEP_POLL_SECONDS
                    max_age = reconciliation.SWEEP_SECONDS
                idle = not self.run_one()
            except TimelineLabelsError:
                logger.exception("The store cannot be used; trying again")
                idle = True
            if idle:
                self._stop.wait(POLL_SECONDS)
        for helper in self._helpers:
            helper.join()

    def _help(self) -> None:
        """Extract what waits while the worker itself extracts."""
        while not self._stop.is_set():
            try:
                if not self._extracting.wait(POLL_SECONDS) or self.run_one((extraction.KIND,)):
                    continue
            except TimelineLabelsError:
                logger.exception("The store cannot be used; trying again")
            self._stop.wait(POLL_SECONDS)

    def run_one(self, kinds: Sequence[str] | None = None) -> bool:
        """Do one piece of work if there is one; whether there was.

        Args:
            kinds: of work to look for; None: all that this worker does.
        """
        item = self._store.claim(self._owner, kinds or self._kinds, lease_seconds=LEASE_SECONDS)
        if item is None:
            return False
        started = time.monotonic()
        logger.debug("Claimed: %s %s", item.kind, item.key[:40])
        try:
            with held(self._store, item, self._stop) as lease:
                if item.kind == weights_download.KIND:
                    self._resources.backbones.open(item.payload["model_path"])
                    self._store.complete(item)
                elif item.kind == extraction.KIND:
                    self._extract(item, lease)
                elif item.kind == reconciliation.KIND:
                    self._reconcile(item, lease)
                elif item.kind in pushing.KINDS:
                    return self._push(item, lease)
                elif not self._train(item, lease):
                    self._store.give_back(item)
                    return False  # it waits for extractions that others do, or that back off
        except WorkInterruptedError:
            self._store.give_back(item)
            return True
        except _EXPECTED as error:
            # Trying the same again would end the same, but for what may be the network's fault.
            logger.warning("Work failed: %s %s: %s", item.kind, item.key[:40], error)
            passing = isinstance(error, MediaError | LabelStudioError)
            self._store.fail(
                item, str(error), permanent=not passing, keep_trying=item.kind in pushing.KINDS
            )
        except Exception as error:  # whatever it was, the worker must go on
            logger.exception("Work failed: %s %s", item.kind, item.key[:40])
            self._store.fail(item, f"{type(error).__name__}: {error}")
        logger.info("Work ends: %s after %.1f s", item.kind, time.monotonic() - started)
        return True

    def _extract(self, item: WorkItem, lease: Lease) -> None:
        source = extraction.source_of(item.payload)
        logger.info("Extracting features: %s", shown(source.video))
        own = threading.current_thread() not in self._helpers
        if own:
            self._extracting.set()
        try:
            features = self._resources.extract(
                source, task_id=item.payload.get("task_id"), progress=lease.frames_done
            )
        finally:
            if own:
                self._extracting.clear()
        self._store.complete(item)
        if item.attempts or item.wanted > 1:  # a training may have gone on without it
            extraction.want_late_trainings(
                self._store, self._resources, source, features.media_hash
            )
        pushing.hasten_task_pushes(self._store, item.key)

    def _reconcile(self, item: WorkItem, lease: Lease) -> None:
        source = self._reconciler.reconcile(item.key, want_training=True, check=lease.check)
        self._store.complete(item)
        if self._pusher is not None and source is Source.LABEL_STUDIO:
            self._store.want(pushing.KIND, item.key, {})  # tasks may be new, or a push was missed

    def _push(self, item: WorkItem, lease: Lease) -> bool:
        """Write predictions for a while; whether there was something to do."""
        assert self._pusher is not None
        of_task = item.kind == pushing.TASK_KIND
        pushed = (
            self._pusher.push_task(item.key)
            if of_task
            else self._pusher.push_project(item.key, check=lease.check)
        )
        if pushed is Pushed.DONE:
            self._store.complete(item)
        elif pushed is Pushed.MORE:
            self._store.give_back(item)
        elif pushed is Pushed.AGAIN:
            self._store.put_off(item, pushing.SECOND_LOOK_SECONDS)
        else:
            seconds = pushing.TASK_WAIT_SECONDS if of_task else pushing.WAIT_SECONDS
            self._store.put_off(item, seconds)
        return True

    def _train(self, item: WorkItem, lease: Lease) -> bool:
        """Learn a project and publish; False where features are still missing."""
        key = item.key
        label_config = self._store.label_config(key)
        if label_config is None:
            self._store.complete(item)
            return True
        project = ProjectModel.create(
            label_config, resources=self._resources, project=key, heads=self._store.heads(key)
        )
        if not project.trainable:
            self._store.complete(item)
            return True
        source = self._reconciler.bring_up_to_date(
            key, max_age_seconds=reconciliation.FRESH_SECONDS, check=lease.check
        )
        if source is Source.GONE:
            self._store.complete(item)
            return True
        tasks = self._store.annotated_tasks(key)
        if self._awaited.outstanding(project, tasks):
            return False
        logger.info(
            "Project %s: learning from %d annotated tasks, %s", key, len(tasks), source.value
        )
        number = self._store.next_version_number(key, above=project.newest_written())
        # Where every annotation was deleted, what was learned from them goes too.
        learned = (
            project.learn(
                tasks,
                number,
                even_if_worse=bool(item.payload.get(ASKED)),
                on_epoch=lease.epoch_done,
            )
            if tasks
            else project.with_heads({})
        )
        text = f"v{number} · {learned.describe()}"
        lease.check()
        if self._store.publish(
            item,
            key,
            number=number,
            heads=dict(learned.heads),
            fingerprint=learned.prediction_fingerprint(),
            text=text,
            then=pushing.KIND if self._pusher else None,
        ):
            logger.info("Project %s: published %s", key, text)
        else:
            logger.warning("Project %s: %s is not published, the lease was lost", key, text)
        return True
