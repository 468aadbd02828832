"""What a temporal network reads of each step: what is seen, what moves, and where.

Four blocks of numbers, each a fixed function fitted on the training videos:

- the backbone's features, standardised, in their `COMPONENTS` directions of greatest variance
  (principal components): a few videos cannot teach 1280 weights a channel;
- motion: by how much each cell of the thumbnail changed since the step before;
- foreground: by how much each cell differs from its median over the whole video, which shows a fixed
  camera where people are, and means little under a moving one;
- moments: where in the picture something is and moves, how large and how long it is (`moments`).

Networks read the first three blocks, trees the first and the last.

Why these: docs/decisions/0010-temporal-head.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from timelinelabels.mapped_rows import in_parts
from timelinelabels.temporal_head.moments import MOMENTS, moments_of
from timelinelabels.temporal_head.time_steps import TimeSteps

Floats = npt.NDArray[np.float32]

COMPONENTS = 32
_SAMPLED_FRAMES = 4000  # enough for 32 directions of 1280 dimensions
_POWER_ITERATIONS = 2  # of the randomised decomposition: more do not change what is kept
_SEED = 0
_PROJECTED_AT_ONCE = 512  # frames, which stay in a processor's cache: four times as fast as 8192


@dataclass(frozen=True, kw_only=True)
class VideoSequence:
    """One video as its frames were stored."""

    # (T, D) of the backbone; may be memory-mapped.
    features: npt.NDArray[np.floating]
    # (T, CELLS) grey levels 0..255.
    thumbnails: npt.NDArray[np.uint8]
    # (T,) seconds, ascending.
    times: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        if not len(self.features) == len(self.thumbnails) == len(self.times) > 0:
            raise ValueError(
                f"{len(self.features)} features, {len(self.thumbnails)} thumbnails and "
                f"{len(self.times)} times are not one video"
            )


@dataclass(frozen=True, kw_only=True)
class StepInputs:
    """Turns a video into what the networks read; fitted on the training videos."""

    # (D,) of the features.
    mean: Floats
    # (D, COMPONENTS or fewer): standardises and projects.
    projection: Floats
    # (CELLS,) means, and one scale each, of motion and foreground.
    motion_mean: Floats
    foreground_mean: Floats
    scales: Floats

    @classmethod
    def fit(cls, videos: Sequence[VideoSequence]) -> Self:
        """Statistics of these videos' features and thumbnails; labels play no part."""
        mean, projection = _principal_components(_sample(videos))
        changes = [_changes(TimeSteps.of(video.times).pool(video.thumbnails)) for video in videos]
        motion = np.concatenate([motion for motion, _ in changes])
        foreground = np.concatenate([foreground for _, foreground in changes])
        return cls(
            mean=mean,
            projection=projection,
            motion_mean=motion.mean(axis=0),
            foreground_mean=foreground.mean(axis=0),
            # One scale for all cells: a cell where nothing ever happens stays quiet.
            scales=np.array([_positive(motion.std()), _positive(foreground.std())], np.float32),
        )

    @property
    def width(self) -> int:
        """Numbers that describe a step."""
        return self.components + len(self.motion_mean) + len(self.foreground_mean) + MOMENTS

    @property
    def components(self) -> int:
        """Of those, the principal components, which come first."""
        return self.projection.shape[1]

    def __call__(self, video: VideoSequence) -> Floats:
        """(S, width) of a video's steps."""
        steps = TimeSteps.of(video.times)
        motion, foreground = _changes(steps.pool(video.thumbnails))
        seen = np.empty((len(steps.places), self.projection.shape[1]), np.float32)
        projection = torch.from_numpy(self.projection)
        offset = -torch.from_numpy(self.mean) @ projection
        # Projecting frames before they are pooled is the same, and pools 32 numbers in place of 1280.
        for place, rows in in_parts(video.features, _PROJECTED_AT_ONCE):
            # torch widens 16 bits several times as fast as numpy.
            frames = torch.from_numpy(np.array(rows)).float()
            seen[place] = torch.addmm(offset, frames, projection).numpy()
        return np.concatenate(
            [
                steps.pool(seen),
                (motion - self.motion_mean) / self.scales[0],
                (foreground - self.foreground_mean) / self.scales[1],
                moments_of(motion, foreground),
            ],
            axis=1,
        )

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """Everything that was fitted, for a file."""
        return {name: np.ascontiguousarray(value) for name, value in vars(self).items()}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, npt.NDArray[np.float32]]) -> Self:
        """The inverse of `arrays`; KeyError or TypeError where the names do not fit."""
        return cls(**arrays)


def _sample(videos: Sequence[VideoSequence]) -> Floats:
    """Features of frames spread evenly over all videos."""
    total = sum(len(video.times) for video in videos)
    apart = max(1.0, total / _SAMPLED_FRAMES)
    chosen = np.unique((np.arange(0, total, apart)).astype(np.int64))
    parts, before = [], 0
    for video in videos:
        here = chosen[(chosen >= before) & (chosen < before + len(video.times))] - before
        parts.append(np.asarray(video.features[here], dtype=np.float32))
        before += len(video.times)
    return np.concatenate(parts)


def _principal_components(sample: Floats) -> tuple[Floats, Floats]:
    """Mean (D,) and the map (D, K) from centred features to components, of which the first has scale 2."""
    from sklearn.utils.extmath import randomized_svd

    mean = sample.mean(axis=0)
    deviation = sample.std(axis=0)
    # A dimension that never varies in training must not blow up when it does in prediction.
    deviation = np.maximum(deviation, max(1e-3 * float(deviation.mean()), 1e-6))
    standard = (sample - mean) / deviation
    _, strengths, directions = randomized_svd(
        standard,
        n_components=min(COMPONENTS, *standard.shape),
        n_iter=_POWER_ITERATIONS,
        random_state=_SEED,
    )
    # The components keep their proportions: making weak ones as loud as strong ones cost accuracy.
    first = _positive(float(strengths[0]) / np.sqrt(len(sample)))
    projection = (directions.T / deviation[:, None]) * (2 / first)
    return mean, projection.astype(np.float32)


def _changes(grey: Floats) -> tuple[Floats, Floats]:
    """Motion and foreground (S, CELLS) of thumbnails by step (S, CELLS), as shares of full white."""
    levels = grey / 255
    motion = np.abs(np.diff(levels, axis=0, prepend=levels[:1]))
    return motion, np.abs(levels - np.median(levels, axis=0))


def _positive(scale: float | np.floating) -> float:
    return max(float(scale), 1e-3)
