"""/predict: cached videos at once, the others queued and waited for a while, equal requests once."""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from timelinelabels.control_models.project_model import ProjectModel
from timelinelabels.control_models.resources import FeatureSource
from timelinelabels.errors import ConfigError, MediaError, TimelineLabelsError, VideoError
from timelinelabels.extraction import want_extraction
from timelinelabels.features import Features
from timelinelabels.labelstudio.payloads import AnnotatedTask, PredictRequest
from timelinelabels.pushing import NO_EXTRACTION, want_task_pushes
from timelinelabels.runtime import model_version
from timelinelabels.server.service import Service

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.15
# Label Studio waits 100 s for a whole batch, then drops the answer.
ANSWER_SECONDS = 80.0
DROPPED_SECONDS = 100.0
# So long after an answer Label Studio has stored it.
STORED_SECONDS = 10.0
Answer = TypeVar("Answer")


class PredictionService:
    """Answers /predict.

    Args:
        service: projects and resources.
        wait_seconds: how long one request waits for missing features.
        waiting_slots: requests that may wait at the same time; more are answered at once, so that
            waiting never takes the threads that health checks and webhooks need.
        push: whether a worker writes later to Label Studio what is not ready in time.
    """

    def __init__(
        self, service: Service, *, wait_seconds: float, waiting_slots: int, push: bool
    ) -> None:
        self._service = service
        self._push = push
        self._wait_seconds = wait_seconds
        self._slots = threading.BoundedSemaphore(waiting_slots)
        self._flight: SingleFlight[dict[str, Any]] = SingleFlight()

    def predict(self, request: PredictRequest) -> dict[str, Any]:
        """The answer to one request: one result for each task, in order; [] where not ready.

        Raises:
            ConfigError: the labeling config is wrong.
            CheckpointError: the backbone cannot be used.
        """
        identity = json.dumps(
            [
                request.project.key if request.project else None,
                request.label_config,
                [[task.task_id, task.data] for task in request.tasks],
            ],
            sort_keys=True,
        )
        key = hashlib.sha256(identity.encode()).hexdigest()
        return self._flight.do(key, lambda: self._predict(request))

    def _predict(self, request: PredictRequest) -> dict[str, Any]:
        project = self._service.project(request.project, request.label_config)
        if not self._push or not project.predicts:
            return self._answer(request, project)
        # A worker that wrote the same predictions meanwhile would make two of each.
        store, tasks = self._service.store, [int(t.task_id) for t in request.tasks if _stored(t)]
        token = store.begin_answer(project.project, tasks, seconds=DROPPED_SECONDS)
        given: list[int] = []
        try:
            answer = self._answer(request, project)
            answered = zip(request.tasks, answer["results"], strict=True)
            given = [int(task.task_id) for task, result in answered if result and _stored(task)]
            return answer
        finally:
            store.end_answer(token, given, seconds=STORED_SECONDS)

    def _answer(self, request: PredictRequest, project: ProjectModel) -> dict[str, Any]:
        deadline = time.monotonic() + ANSWER_SECONDS
        version = model_version(self._service.store, project)
        wait = self._wait_seconds if project.predicts else 0.0
        features, extractions = self._features(project, request.tasks, wait)
        if self._push and project.predicts:
            want_task_pushes(
                self._service.store,
                project.project,
                _awaited(project, request.tasks, extractions),
            )
        if wait:  # a training may have published meanwhile: answer with what /setup says now
            project = self._service.project(request.project, request.label_config)
            version = model_version(self._service.store, project)
        problems: list[ConfigError] = []
        results: list[dict[str, Any] | list[Any]] = []
        for task in request.tasks:
            if time.monotonic() >= deadline:
                break
            results.append(self._result(project, task, features, version, problems))
        left = request.tasks[len(results) :]
        if left:
            self._put_off(project, left)
            results.extend([] for _ in left)
        if problems and len(problems) == len(request.tasks):
            raise problems[0]  # not one task's fault: a person must see it
        return {"results": results, "model_version": version}

    def _put_off(self, project: ProjectModel, tasks: Sequence[AnnotatedTask]) -> None:
        """Say of tasks that they do not fit into an answer; let a worker write their predictions."""
        logger.warning(
            "Project %s: %d tasks of a batch could not be predicted within %.0f s%s",
            project.project,
            len(tasks),
            ANSWER_SECONDS,
            ": they are pushed" if self._push else ": ask for fewer tasks at a time",
        )
        if self._push:
            numbers = [int(task.task_id) for task in tasks if _stored(task)]
            want_task_pushes(
                self._service.store, project.project, dict.fromkeys(numbers, NO_EXTRACTION)
            )

    def _result(
        self,
        project: ProjectModel,
        task: AnnotatedTask,
        features: Mapping[FeatureSource, Features],
        version: str,
        problems: list[ConfigError],
    ) -> dict[str, Any] | list[Any]:
        try:
            if not project.predicts or any(
                source not in features for source in project.sources(task.data)
            ):
                return []
            prediction = project.predict(task.data, features)
        except (MediaError, VideoError) as error:
            logger.warning("Project %s: task %s: %s", project.project, task.task_id, error)
            return []
        except ConfigError as error:
            logger.warning("Project %s: task %s: %s", project.project, task.task_id, error)
            problems.append(error)
            return []
        return [] if prediction is None else {**prediction, "model_version": version}

    def _features(
        self, project: ProjectModel, tasks: Sequence[AnnotatedTask], wait: float
    ) -> tuple[dict[FeatureSource, Features], dict[FeatureSource, str]]:
        """Features of the sources that are, or within `wait` seconds become, available.

        Returns:
            The features, and the keys of the extractions that the other sources wait for.
        """
        missing: dict[FeatureSource, str] = {}  # source → a task that has it
        for task in tasks:
            try:
                for source in project.sources(task.data):
                    missing.setdefault(source, task.task_id)
            except MediaError as error:
                logger.warning("Project %s: %s", project.project, error)
        found: dict[FeatureSource, Features] = {}
        extractions: dict[FeatureSource, str] = {}
        deadline = time.monotonic() + wait
        slot = bool(wait) and self._slots.acquire(blocking=False)
        try:
            while True:
                for source in sorted(missing, key=str):
                    self._look_for(source, found, missing, extractions)
                if not missing or not slot or time.monotonic() >= deadline:
                    return found, {source: extractions[source] for source in missing}
                time.sleep(POLL_SECONDS)
        finally:
            if slot:
                self._slots.release()

    def _look_for(
        self,
        source: FeatureSource,
        found: dict[FeatureSource, Features],
        missing: dict[FeatureSource, str],
        extractions: dict[FeatureSource, str],
    ) -> None:
        """Move a source from `missing` to `found`, or give it up; ask for its extraction else."""
        resources, store = self._service.resources, self._service.store
        try:
            features = resources.find_features(source)
            if features is not None and not resources.media.check_is_due(source.video):
                found[source] = features
                del missing[source]
                return
            state = want_extraction(store, resources, source, task_id=missing[source])
            extractions[source] = state.key
            if features is not None:  # good until the worker knows better
                found[source] = features
                del missing[source]
                return
            problem = state.error if state.failed else None
        except TimelineLabelsError as error:
            problem = str(error)
        if problem is not None:
            logger.warning("No prediction: %s", problem)
            missing.pop(source, None)


def _awaited(
    project: ProjectModel, tasks: Sequence[AnnotatedTask], extractions: Mapping[FeatureSource, str]
) -> dict[int, str]:
    """Task id → an extraction that it waits for, of the tasks that wait for one."""
    awaited: dict[int, str] = {}
    for task in tasks:
        try:
            keys = [extractions[s] for s in project.sources(task.data) if s in extractions]
        except MediaError:
            continue  # it was said when its features were looked for
        if keys and _stored(task):
            awaited[int(task.task_id)] = min(keys)
    return awaited


def _stored(task: AnnotatedTask) -> bool:
    """Whether Label Studio has the task, as far as its id says."""
    return task.task_id.isdecimal()


class SingleFlight(Generic[Answer]):
    """Equal calls that overlap in time are done once; all get the same answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, Future[Answer]] = {}

    def do(self, key: str, function: Callable[[], Answer]) -> Answer:
        """The result of `function`, or that of a running call with the same key."""
        with self._lock:
            running = self._running.get(key)
            if running is None:
                mine: Future[Answer] = Future()
                self._running[key] = mine
        if running is not None:
            return running.result()
        try:
            result = function()
        except BaseException as error:
            mine.set_exception(error)
            raise
        else:
            mine.set_result(result)
            return result
        finally:
            with self._lock:
                del self._running[key]
