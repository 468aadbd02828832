"""Which videos have features, and asking a worker for those that have none.

Shells share this: the web process asks and waits, a worker asks before it trains and does the work.
"""

import hashlib

from timelinelabels.control_models.resources import Resources
from timelinelabels.features import Features
from timelinelabels.store import Store, WorkState

KIND = "extract"


def find_features(resources: Resources, source: str, model_path: str | None) -> Features | None:
    """Cached features of a video source; None where they must be extracted first.

    Neither downloads nor reads the media file.

    Raises:
        MediaError: the source is refused or missing.
        CheckpointError: the backbone cannot be used.
    """
    return resources.find_features(source, model_path)


def want_extraction(
    store: Store,
    resources: Resources,
    source: str,
    model_path: str | None,
    *,
    task_id: str | None = None,
) -> WorkState:
    """Ask a worker for a video's features, and see where that work stands.

    Where the features are there, the worker only asks the server whether the file has changed.

    Args:
        store: where the work is kept.
        resources: what is cached.
        source: the video's address as task data give it.
        model_path: names the backbone.
        task_id: of a task with this source: a cloud storage gives its files to tasks only.

    Raises:
        CheckpointError: the backbone cannot be used.
    """
    key = extraction_key(resources, source, model_path)
    payload = {"source": source, "model_path": model_path, "task_id": task_id}
    return store.want(KIND, key, payload)


def extraction_key(resources: Resources, source: str, model_path: str | None) -> str:
    """The name of the work that extracts a video's features."""
    fingerprint = resources.backbones.open(model_path).fingerprint
    return hashlib.sha256(f"{source}\0{fingerprint}".encode()).hexdigest()
