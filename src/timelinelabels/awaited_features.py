"""The features that a training waits for, until it can begin."""

import logging
from collections.abc import Sequence

from timelinelabels import extraction
from timelinelabels.control_models.project_model import ProjectModel
from timelinelabels.control_models.resources import FeatureSource, Resources
from timelinelabels.errors import MediaError
from timelinelabels.labelstudio.payloads import AnnotatedTask
from timelinelabels.store import Store

logger = logging.getLogger(__name__)


class AwaitedFeatures:
    """Asks for what trainings lack, each video once for a training.

    Args:
        store: where extractions are asked for.
        resources: where features lie.
    """

    def __init__(self, store: Store, resources: Resources) -> None:
        self._store, self._resources = store, resources
        # Project → keys of the extractions that its next training has waited for.
        self._waited_for: dict[str, set[str]] = {}

    def outstanding(self, project: ProjectModel, tasks: Sequence[AnnotatedTask]) -> bool:
        """Ask for the features that a training lacks; whether any is still to come.

        A video that cannot be had or read does not count: the training leaves it out and says so. Nor do
        features that were extracted for this training and dropped again: the cache does not hold all at
        once, and asking again would drop others. The training extracts them itself.

        Args:
            project: to be trained.
            tasks: that it learns from.

        Raises:
            CheckpointError: the backbone cannot be used.
        """
        waited_for = self._waited_for.setdefault(project.project, set())
        outstanding, dropped = False, 0
        for task in tasks:
            try:
                for source in project.sources(task.data):
                    features = self._resources.find_features(source)
                    if features is None and self._is_done(source, waited_for):
                        dropped += 1
                    elif features is None or self._resources.media.check_is_due(source.video):
                        state = extraction.want_extraction(
                            self._store, self._resources, source, task_id=task.task_id
                        )
                        # What failed once may succeed later, but must not keep the others waiting.
                        if state.outstanding and state.error is None:
                            waited_for.add(state.key)
                            outstanding = True
            except MediaError as error:
                logger.debug("Task %s: %s", task.task_id, error)
        if not outstanding:
            del self._waited_for[project.project]
            if dropped:
                logger.warning(
                    "Project %s: the feature cache is too small for its annotated videos "
                    "(CACHE_MAX_GB): %d are read again for this training, and for every one to come",
                    project.project,
                    dropped,
                )
        return outstanding

    def _is_done(self, source: FeatureSource, waited_for: set[str]) -> bool:
        """Whether the features were extracted since the training waits."""
        key = extraction.extraction_key(self._resources, source)
        state = self._store.state(extraction.KIND, key) if key in waited_for else None
        return state is not None and not state.outstanding and state.error is None
