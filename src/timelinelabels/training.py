"""From annotated videos to a trained temporal network with honest scores.

A version is trained from scratch on all examples, in an order that depends on nothing but their
content, with a fixed seed and thread count: equal annotations give equal weights, in whatever order
they were made.

From `HELD_OUT_FROM` videos on, the scores come from videos that were not trained on: a fixed share is
set aside by video, the network is trained on the rest until the held-out F1 stops rising, and the
version that is published is then trained on all videos for as many epochs. With fewer videos the
scores are those on the training data, and say so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from timelinelabels.errors import TrainingError
from timelinelabels.metrics import FrameScores
from timelinelabels.neural_nets import MultiLabelLSTM
from timelinelabels.neural_nets.fitting import EpochHook

HELD_OUT_FROM = 3  # videos
HELD_OUT_SHARE = 0.25  # of the videos, rounded, at least one
SEED = 0

Stage = Literal["choosing epochs", "training on all videos"]
TrainingHook = Callable[[Stage, int, FrameScores | None], None]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One annotation of one video, on the frames of the file."""

    # Content hash of the video: annotations of one video are never split between train and held out.
    media_hash: str
    # (T, D); may be memory-mapped.
    features: npt.NDArray[np.floating]
    # (T, C) of 0 and 1.
    targets: npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class HeadParameters:
    """How the temporal network is built and trained: the guide's parameters."""

    epochs: int = 1000
    sequence_size: int = 16
    hidden_size: int = 32
    num_layers: int = 1
    f1_threshold: float = 0.95
    accuracy_threshold: float = 1.0


@dataclass(frozen=True, kw_only=True)
class TrainedHead:
    """A trained network and what is known of it."""

    network: MultiLabelLSTM
    scores: FrameScores
    measured_on: Literal["held-out videos", "training videos"]
    videos: int
    held_out_videos: int
    annotations: int
    frames: int
    epochs: int
    stopped_by: str


def train_head(
    examples: Sequence[Example],
    labels: Sequence[str],
    parameters: HeadParameters,
    *,
    on_epoch: TrainingHook | None = None,
) -> TrainedHead:
    """Train a network from scratch on all examples.

    Args:
        examples: in any order.
        labels: names of the C columns.
        parameters: of the network and of the training.
        on_epoch: called after each epoch with the stage, the epochs done, and the monitored scores.

    Raises:
        TrainingError: there is no example, or no label.
    """
    if not examples or not labels:
        raise TrainingError(
            "Nothing to learn from: a training needs at least one annotated video that can be read, "
            "and at least one label in the labeling config."
        )
    ordered = sorted(examples, key=_content_order)
    videos = sorted({example.media_hash for example in ordered})
    held_out = set(_held_out(videos))
    epochs, stopped_by = parameters.epochs, ""
    scores: FrameScores | None = None
    if held_out:
        learned = [example for example in ordered if example.media_hash not in held_out]
        judged = [example for example in ordered if example.media_hash in held_out]
        trial = _new_network(learned, labels, parameters)
        fit = trial.partial_fit(
            *_arrays(learned),
            validation=_arrays(judged),
            epochs=parameters.epochs,
            f1_threshold=parameters.f1_threshold,
            accuracy_threshold=parameters.accuracy_threshold,
            seed=SEED,
            on_epoch=_staged(on_epoch, "choosing epochs"),
        )
        epochs, stopped_by, scores = fit.epochs, fit.stopped_by, fit.scores
    network = _new_network(ordered, labels, parameters)
    fit = network.partial_fit(
        *_arrays(ordered),
        epochs=epochs,
        f1_threshold=parameters.f1_threshold,
        accuracy_threshold=parameters.accuracy_threshold,
        monitor=not held_out,  # with held-out videos the number of epochs is already chosen
        seed=SEED,
        on_epoch=_staged(on_epoch, "training on all videos"),
    )
    scores = scores or fit.scores
    assert scores is not None  # with no held-out videos the training itself was monitored
    return TrainedHead(
        network=network,
        scores=scores,
        measured_on="held-out videos" if held_out else "training videos",
        videos=len(videos),
        held_out_videos=len(held_out),
        annotations=len(ordered),
        frames=sum(len(example.targets) for example in ordered),
        epochs=fit.epochs,
        stopped_by=stopped_by or fit.stopped_by,
    )


def _content_order(example: Example) -> tuple[str, bytes]:
    return example.media_hash, example.targets.tobytes()


def _held_out(videos: Sequence[str]) -> list[str]:
    """The videos set aside for scoring: evenly spread over the order of their content hashes."""
    if len(videos) < HELD_OUT_FROM:
        return []
    count = max(1, round(len(videos) * HELD_OUT_SHARE))
    return [videos[(2 * index + 1) * len(videos) // (2 * count)] for index in range(count)]


def _new_network(
    examples: Sequence[Example], labels: Sequence[str], parameters: HeadParameters
) -> MultiLabelLSTM:
    """An untrained network, standardising by the statistics of these examples' features."""
    width = examples[0].features.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = MultiLabelLSTM(
            width,
            len(labels),
            hidden_size=parameters.hidden_size,
            num_layers=parameters.num_layers,
            sequence_size=parameters.sequence_size,
        )
    network.set_label_map({label: column for column, label in enumerate(labels)})
    network.set_feature_statistics(*_feature_statistics(examples))
    return network


def _feature_statistics(examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (D,) over the frames of each different video."""
    by_video = {example.media_hash: example.features for example in examples}
    count, total, squares = 0, 0.0, 0.0
    for features in by_video.values():
        for at in range(0, len(features), 8192):
            part = np.asarray(features[at : at + 8192], dtype=np.float64)
            count += len(part)
            total = total + part.sum(axis=0)
            squares = squares + (part**2).sum(axis=0)
    mean = np.asarray(total) / count
    deviation = np.sqrt(np.maximum(np.asarray(squares) / count - mean**2, 0.0))
    # A dimension that never varies in training must not blow up when it does in prediction.
    floor = max(1e-3 * float(deviation.mean()), 1e-6)
    scale = np.maximum(deviation, floor)
    return torch.from_numpy(mean).float(), torch.from_numpy(scale).float()


def _arrays(
    examples: Sequence[Example],
) -> tuple[list[npt.NDArray[np.floating]], list[npt.NDArray[np.floating]]]:
    return [example.features for example in examples], [example.targets for example in examples]


def _staged(hook: TrainingHook | None, stage: Stage) -> EpochHook | None:
    if hook is None:
        return None
    return lambda epoch, scores: hook(stage, epoch, scores)
