"""A head with untrained networks, and the fits that train them."""

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

import torch

from timelinelabels.neural_nets import (
    BaseNN,
    ExtraTrees,
    Fit,
    MultiLabelLSTM,
    MultiStageTCN,
    Videos,
    partial_fit,
)
from timelinelabels.neural_nets.fitting import PATIENCE, UPDATES
from timelinelabels.neural_nets.trees import TREES, TREES_TO_JUDGE
from timelinelabels.temporal_head import LabelRule, StepInputs, TemporalHead
from timelinelabels.temporal_head.calibration import identity_calibration
from timelinelabels.temporal_head.moments import MOMENTS
from timelinelabels.training.lessons import HeadParameters, Lesson
from timelinelabels.training.side_by_side import Job, Progress

SEED = 0

NETWORKS: dict[str, type[MultiLabelLSTM] | type[MultiStageTCN]] = {
    "tcn": MultiStageTCN,
    "lstm": MultiLabelLSTM,
}
FOREST = "trees"

# The one that takes longest first: what is short fills the gaps at the end.
KINDS = (*NETWORKS, FOREST)


def untrained_head(
    items: Sequence[Lesson],
    labels: int,
    kinds: Sequence[str],
    parameters: HeadParameters,
    *,
    exclusive: bool,
) -> TemporalHead:
    """A head with untrained networks, whose inputs are fitted on these videos.

    Args:
        items: the videos.
        labels: C.
        kinds: of networks.
        parameters: of networks.
        exclusive: whether at most one label holds at a time.
    """
    inputs = StepInputs.fit([item.example.video for item in items])
    networks: dict[str, BaseNN] = {}
    for kind in kinds:
        if kind == FOREST:
            networks[kind] = ExtraTrees(
                inputs.width,
                labels,
                leading=inputs.components,
                trailing=MOMENTS,
            )
            continue
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            networks[kind] = NETWORKS[kind](
                inputs.width - MOMENTS,
                labels,
                hidden_size=parameters.hidden_size,
                num_layers=_layers(kind, parameters),
                sequence_size=parameters.sequence_size,
                exclusive=exclusive,
            )
    return TemporalHead(
        label_map={},
        inputs=inputs,
        networks=networks,
        curves=identity_calibration(labels),
        rules=(LabelRule(),) * labels,
    )


def _layers(kind: str, parameters: HeadParameters) -> int:
    """Layers of an LSTM, stages of refinement of a TCN.

    In `auto` a TCN has one stage fewer: the mean with the others gains nothing by one, and with
    `num_layers` 1 a training takes two thirds of the time (docs/reference/experiments.md).
    """
    in_auto = kind == "tcn" and parameters.type == "auto"
    return parameters.num_layers - 1 if in_auto else parameters.num_layers


def fits_of(
    videos: Videos,
    head: TemporalHead,
    parameters: HeadParameters,
    *,
    unseen: Videos | None = None,
    updates: Mapping[str, int] = MappingProxyType({}),
) -> list[Job]:
    """A fit of each of a head's networks, judged by `unseen` where something occurs in these videos.

    Where nothing does, a network that finds nothing is perfect before it has learned anything.
    """
    to_judge = unseen is not None
    if unseen is not None and not any((targets >= 0.5).any() for targets in unseen.targets):
        unseen = None

    def fit(kind: str, network: BaseNN, deadline: float | None, progress: Progress) -> Fit:
        if isinstance(network, ExtraTrees):
            trees = TREES_TO_JUDGE if to_judge else TREES
            return network.learn(videos, unseen=unseen, trees=trees, deadline=deadline, seed=SEED)
        known = kind in updates
        return partial_fit(
            network,
            videos.sequences,
            videos.targets,
            judged=videos.judged,
            unseen=unseen,
            epochs=parameters.epochs,
            updates=updates.get(kind, UPDATES),
            patience=UPDATES if known else PATIENCE,
            f1_threshold=None if known else parameters.f1_threshold,
            accuracy_threshold=None if known else parameters.accuracy_threshold,
            deadline=deadline,
            seed=SEED,
            on_epoch=progress,
        )

    return [partial(fit, kind, network) for kind, network in head.networks.items()]


def videos_of(items: Sequence[Lesson], head: TemporalHead) -> Videos:
    """What a head's networks read of these lessons."""
    return Videos(
        sequences=[head.inputs(item.example.video) for item in items],
        targets=[item.targets for item in items],
        judged=[item.judged for item in items],
    )
