"""Writing predictions into Label Studio, where there is an API key and PUSH_PREDICTIONS is on.

Two kinds of work. After a new version a project's unlabelled tasks are predicted, a slice at a time in
the order of their ids: between slices the worker does what is more urgent, and where features are
missing only a few are asked for at a time, so that a person never queues behind a whole project. A task
for which /predict answered [] because its features were missing is predicted as soon as they are there.

What is done is seen in Label Studio itself, so a worker that dies or is replaced does nothing twice.
Tasks that /predict is answering are left to Label Studio, which stores the answer. What was written is
looked at once more after a while: an answer of an older version may have been stored at the same time.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from timelinelabels import extraction
from timelinelabels.control_models.project_model import ProjectModel
from timelinelabels.control_models.resources import FeatureSource, Resources
from timelinelabels.errors import (
    ConfigError,
    LabelStudioError,
    LabelStudioNotFoundError,
    LabelStudioRefusedError,
    LabelStudioUnreachableError,
    MediaError,
    VideoError,
)
from timelinelabels.features import Features
from timelinelabels.labelstudio.api_records import PredictedTask
from timelinelabels.labelstudio.client import LabelStudioClient
from timelinelabels.labelstudio.placing import Placed, is_placed, place_prediction
from timelinelabels.runtime import model_version
from timelinelabels.store import Store

logger = logging.getLogger(__name__)

KIND = "push"
TASK_KIND = "push-task"
KINDS = (TASK_KIND, KIND)
# Tasks whose features are being extracted for a push at the same time.
LOOK_AHEAD = 2
PAGE_SIZE = 20
WRITTEN = "written"
ANSWERED = "in an answer to Label Studio"
# In the place of an extraction that a task waits for, where it waits for none.
NO_EXTRACTION = "none"
SLICE_SECONDS = 20.0
# How long work that waits for features is left alone; a task's is hastened when they are there.
WAIT_SECONDS = 1.0
TASK_WAIT_SECONDS = 60.0
# After so long Label Studio has stored what /predict answered while predictions were written.
SECOND_LOOK_SECONDS = 10.0

Check = Callable[[], None]


class Pushed(Enum):
    """How far a piece of work came."""

    DONE = "done"
    MORE = "there is more to do at once"
    WAITING = "features must be extracted first"
    AGAIN = "what was written is to be looked at once more"


@dataclass(frozen=True, kw_only=True)
class _Publication:
    """What predicts a project now."""

    model: ProjectModel
    version: str
    ours: frozenset[str]
    project_id: int


@dataclass(kw_only=True)
class _Progress:
    """How far a project's push is: everything up to `after_id` is done but `waiting`'s work."""

    version: str
    after_id: int = 0
    waiting: tuple[str, ...] = ()
    # Task id → what became of it, in words.
    outcomes: dict[int, str] = field(default_factory=dict)
    # Some tasks could not be done: Label Studio was about to store an answer.
    left: bool = False
    second_look: bool = False

    def describe(self) -> str:
        counts = Counter(self.outcomes.values())
        return ", ".join(f"{count} {what}" for what, count in counts.items()) or "no tasks"


class _MissingError(Exception):
    """Features that a task needs are still being extracted."""

    def __init__(self, extractions: Iterable[str]) -> None:
        self.extractions = tuple(extractions)


def want_task_pushes(store: Store, project: str, extraction_of: Mapping[int, str]) -> None:
    """Let tasks be predicted, and the predictions written, as soon as their features are there.

    Args:
        store: where the work is kept.
        project: its key.
        extraction_of: task id → key of the extraction that it waits for, or NO_EXTRACTION.
    """
    keys = [f"{extraction}/{project}/{task}" for task, extraction in extraction_of.items()]
    if keys:
        store.want_all(TASK_KIND, {key: {} for key in keys})


def hasten_task_pushes(store: Store, extraction_key: str) -> None:
    """What waits for an extraction need not wait any longer."""
    store.hasten(TASK_KIND, f"{extraction_key}/")


class Pusher:
    """Does the work of KINDS.

    Args:
        store: versions, and the work of extracting.
        resources: what the models need.
        client: of the Label Studio that is written to.
    """

    def __init__(self, store: Store, resources: Resources, client: LabelStudioClient) -> None:
        self._store, self._resources, self._client = store, resources, client
        self._progress: dict[str, _Progress] = {}

    def push_project(self, key: str, *, check: Check = lambda: None) -> Pushed:
        """Go on predicting a project's unlabelled tasks, for a while.

        Args:
            key: of the project.
            check: called between tasks; what it raises passes through.

        Raises:
            LabelStudioError: Label Studio is away or refuses.
            CheckpointError, ConfigError: nothing can be predicted.
        """
        now = self._publication(key)
        if now is None:
            self._progress.pop(key, None)
            return Pushed.DONE
        progress = self._progress.get(key)
        if progress is None or progress.version != now.version:
            if not self._is_there(key, now):
                return Pushed.DONE
            progress = self._progress[key] = _Progress(version=now.version)
        if progress.waiting and not self._any_ended(progress.waiting):
            return Pushed.WAITING
        progress.waiting = ()
        outcome = self._slice(key, now, progress, check)
        if outcome is not Pushed.DONE:
            return outcome
        if not progress.second_look:
            logger.info(
                "Project %s: unlabelled tasks and %s: %s", key, now.version, progress.describe()
            )
        written = WRITTEN in progress.outcomes.values()
        if progress.left or (written and not progress.second_look):
            progress.left, progress.second_look, progress.after_id = False, True, 0
            return Pushed.AGAIN
        del self._progress[key]
        return Pushed.DONE

    def _slice(self, key: str, now: _Publication, progress: _Progress, check: Check) -> Pushed:
        deadline = time.monotonic() + SLICE_SECONDS
        first_waiting: int | None = None
        waiting: tuple[str, ...] = ()
        for task in self._client.tasks(
            now.project_id, only_unlabeled=True, after_id=progress.after_id, page_size=PAGE_SIZE
        ):
            check()
            if self._store.heads(key) != now.model.heads:
                return Pushed.MORE  # another version predicts by now
            try:
                what = self._push(now, task)
            except _MissingError as missing:
                first_waiting = first_waiting or task.id
                waiting += missing.extractions
                if len(waiting) >= LOOK_AHEAD:
                    break
                continue
            progress.outcomes.setdefault(task.id, what)
            progress.left |= what == ANSWERED
            if first_waiting is None:
                progress.after_id = task.id
            if time.monotonic() >= deadline:
                break
        else:
            if first_waiting is None:
                return Pushed.DONE
        progress.waiting = waiting
        return Pushed.WAITING if waiting else Pushed.MORE

    def push_task(self, work_key: str) -> Pushed:
        """Predict one task, labelled or not, if its features are there.

        Args:
            work_key: as `want_task_pushes` made it.

        Raises:
            LabelStudioError: Label Studio is away or refuses.
            CheckpointError, ConfigError: nothing can be predicted.
        """
        extraction_key, key, task = work_key.split("/")
        if not self._any_ended((extraction_key,)):
            return Pushed.WAITING
        return self._push_task(key, int(task))

    def _push_task(self, key: str, task_id: int) -> Pushed:
        now = self._publication(key)
        if now is None or not self._is_there(key, now):
            return Pushed.DONE
        task = self._client.task(now.project_id, task_id)
        if task is None:
            return Pushed.DONE
        try:
            what = self._push(now, task)
        except _MissingError:
            return Pushed.WAITING
        if what == ANSWERED:
            return Pushed.AGAIN
        logger.info("Project %s: task %d, asked for before: %s", key, task_id, what)
        return Pushed.DONE

    def _push(self, now: _Publication, task: PredictedTask) -> str:
        """Predict a task and put the prediction into Label Studio; what became of it, in words."""
        if is_placed(task.predictions, now.version, now.ours):
            return "had it"
        try:
            features = self._features(now.model, task)
            prediction = now.model.predict(task.data, features)
            if prediction is None:
                return "cannot be predicted"
            if task.id in self._store.tasks_being_answered(now.model.project):
                return ANSWERED
            placed = place_prediction(self._client, task.id, prediction, now.version, now.ours)
        except (LabelStudioUnreachableError, LabelStudioRefusedError):
            raise
        except LabelStudioNotFoundError:
            return "were deleted meanwhile"
        except (ConfigError, MediaError, VideoError, LabelStudioError) as error:
            logger.warning("Project %s: task %d: %s", now.model.project, task.id, error)
            return "cannot be predicted"
        return "had it" if placed is Placed.THERE else WRITTEN

    def _features(
        self, model: ProjectModel, task: PredictedTask
    ) -> Mapping[FeatureSource, Features]:
        """The features of a task.

        Raises:
            _MissingError: some are being extracted.
            MediaError: some cannot be had.
        """
        found: dict[FeatureSource, Features] = {}
        missing = []
        for source in sorted(model.sources(task.data), key=str):
            features = self._resources.find_features(source)
            if features is not None:
                found[source] = features
                continue
            state = extraction.want_extraction(
                self._store, self._resources, source, task_id=str(task.id)
            )
            if not state.outstanding or state.error is not None:
                # What failed may succeed later, but must not keep the others waiting.
                raise MediaError(state.error or "its features were dropped as soon as extracted")
            missing.append(state.key)
        if missing:
            raise _MissingError(missing)
        return found

    def _any_ended(self, extractions: tuple[str, ...]) -> bool:
        states = self._store.states(extraction.KIND, extractions)
        return any(
            key not in states or not states[key].outstanding or states[key].error is not None
            for key in extractions
        )

    def _publication(self, key: str) -> _Publication | None:
        """What predicts the project; None where nothing does."""
        project, label_config = self._store.project(key), self._store.label_config(key)
        if project is None or label_config is None or not project.ref.id.isdecimal():
            return None
        model = ProjectModel.create(
            label_config, resources=self._resources, project=key, heads=self._store.heads(key)
        )
        if not model.predicts:
            return None
        version = model_version(self._store, model)
        ours = frozenset(record.text for record in self._store.versions(key))
        return _Publication(model=model, version=version, ours=ours, project_id=int(project.ref.id))

    def _is_there(self, key: str, now: _Publication) -> bool:
        """Whether Label Studio has the project, and not another one under its id."""
        known = self._store.project(key)
        try:
            project = self._client.project(now.project_id)
        except LabelStudioNotFoundError:
            return False
        return known is not None and known.ref.created in (None, project.ref.created)
