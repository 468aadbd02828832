"""Which videos have features, and asking a worker for those that have none.

Shells share this: the web process asks and waits, a worker asks before it trains and does the work.
"""

import hashlib

from timelinelabels.content_hash import known_content_hash
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
    path = resources.media.locate(source)
    if path is None:
        return None
    media_hash = known_content_hash(path, memo=resources.features.hashes)
    if media_hash is None:
        return None
    return resources.features.load(media_hash, resources.backbones.open(model_path).fingerprint)


def want_extraction(
    store: Store, resources: Resources, source: str, model_path: str | None
) -> WorkState:
    """Ask a worker for a video's features, and see where that work stands.

    Raises:
        CheckpointError: the backbone cannot be used.
    """
    fingerprint = resources.backbones.open(model_path).fingerprint
    key = hashlib.sha256(f"{source}\0{fingerprint}".encode()).hexdigest()
    return store.want(KIND, key, {"source": source, "model_path": model_path})
