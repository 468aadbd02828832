"""Asking a worker for weights that are not there yet: a download is never waited for by a person.

The web process only says that they are missing. On a new machine the worker has usually fetched the
default ones before anybody connects.
"""

from collections.abc import Iterable

from timelinelabels.backbones.weights import PUBLISHED
from timelinelabels.control_models.resources import Resources
from timelinelabels.errors import WeightsForbiddenError
from timelinelabels.store import Store

KIND = "weights"
RETRY_AFTER_SECONDS = 60.0  # a person who has just mended the network should not wait for long


def want_weights(
    store: Store, resources: Resources, model_paths: Iterable[str | None]
) -> str | None:
    """Ask for those of these weights that are missing and that Ultralytics publishes.

    Args:
        store: where the work is kept.
        resources: where weights lie.
        model_paths: as labeling configs name them; None: the default weights. One that is refused is
            passed over: who uses it is told.

    Returns:
        Why the last attempt at one of them failed; None where none has failed yet.
    """
    failed = None
    for model_path in model_paths:
        try:
            path = resources.backbones.path(model_path)
        except WeightsForbiddenError:
            continue
        if path.name in PUBLISHED and not path.is_file():
            state = store.want(
                KIND,
                str(path.relative_to(resources.backbones.model_root.resolve())),
                {"model_path": model_path},
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
            failed = failed or state.error
    return failed
