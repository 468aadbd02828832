"""Videos as a temporal head reads them, made of numbers."""

import numpy as np

from timelinelabels.temporal_head import VideoSequence
from timelinelabels.thumbnails import CELLS

WIDTH, LABELS = 12, 3
NAMES = ["one", "two", "three"]


def easy_video(seed, *, frames=400, fps=25.0, noise=None):
    """A video that shows each label plainly in a dimension of its own, and its targets (T, LABELS).

    Args:
        seed: of the video.
        frames: T.
        fps: frames a second.
        noise: a generator; then the features have nothing to do with the targets.
    """
    random = np.random.default_rng(seed)
    targets = np.zeros((frames, LABELS), dtype=np.float32)
    for label in range(LABELS):
        start = int(random.integers(0, frames // 2 + 1))
        targets[start : start + frames // 3 + 1, label] = 1
    features = random.normal(0, 0.3, (frames, WIDTH))
    if noise is None:
        features[:, :LABELS] += 2 * targets
    else:
        features = noise.normal(size=(frames, WIDTH))
    return (
        VideoSequence(
            features=features.astype(np.float16),
            # Nothing moves: what is to be learned is in the features.
            thumbnails=np.full((frames, CELLS), 128, np.uint8),
            times=np.arange(frames) / fps,
        ),
        targets,
    )
