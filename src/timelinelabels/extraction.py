"""Which videos have features, and asking a worker for those that have none.

Shells share this: the web process asks and waits, a worker asks before it trains and does the work.
"""

import hashlib
import logging
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from timelinelabels.control_models.project_model import ProjectModel
from timelinelabels.control_models.resources import FeatureSource, Resources
from timelinelabels.errors import CheckpointError, ConfigError
from timelinelabels.store import Store, WorkState

logger = logging.getLogger(__name__)

KIND = "extract"


def want_extraction(
    store: Store,
    resources: Resources,
    source: FeatureSource,
    *,
    task_id: str | None = None,
) -> WorkState:
    """Ask a worker for a video's features, and see where that work stands.

    Where the features are there, the worker only asks the server whether the file has changed.

    Args:
        store: where the work is kept.
        resources: what is cached.
        source: what to make features of.
        task_id: of a task with this source: a cloud storage gives its files to tasks only.

    Raises:
        CheckpointError: the backbone cannot be used.
    """
    key = extraction_key(resources, source)
    payload = {"source": source.video, "model_path": source.model_path, "task_id": task_id}
    if source.sample_fps is not None:
        payload["sample_fps"] = str(source.sample_fps)
    return store.want(KIND, key, payload)


def source_of(payload: Mapping[str, Any]) -> FeatureSource:
    """What the work with this payload makes features of."""
    rate = payload.get("sample_fps")
    return FeatureSource(
        video=payload["source"],
        model_path=payload["model_path"],
        sample_fps=Fraction(rate) if rate is not None else None,
    )


def want_late_trainings(
    store: Store, resources: Resources, source: FeatureSource, media_hash: str
) -> None:
    """Want a training of each project that learned without an annotated video that is here only now.

    A training leaves out what cannot be had at the time, so that it never keeps others waiting; when
    the server that has it is back, nobody submits anything again.

    Args:
        store: what was annotated.
        resources: where versions lie.
        source: what there are features of now.
        media_hash: of its video.
    """
    for key in store.annotated_projects():
        label_config = store.label_config(key)
        if label_config is None:
            continue
        try:
            project = ProjectModel.create(
                label_config, resources=resources, project=key, heads=store.heads(key)
            )
            if project.lacks(media_hash) and project.has_source(store.annotated_tasks(key), source):
                store.want_training(key)
        except (ConfigError, CheckpointError) as error:
            logger.debug("Project %s: %s", key, error)


def extraction_key(resources: Resources, source: FeatureSource) -> str:
    """The name of the work that extracts a video's features."""
    parts = [source.video, resources.backbones.open(source.model_path).fingerprint]
    if source.sample_fps is not None:
        parts.append(str(source.sample_fps))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
