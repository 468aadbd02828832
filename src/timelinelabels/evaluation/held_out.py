"""Scores on held-out videos: of a test export, or of K folds by video."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from timelinelabels.control_models import ProjectModel, Resources
from timelinelabels.control_models.examples import LeftOut
from timelinelabels.evaluation.judging import (
    ControlOutcome,
    Report,
    all_labels,
    judge,
    merge_outcomes,
)
from timelinelabels.evaluation.videos import (
    FeaturesOf,
    VideoGroup,
    group_by_video,
    need_videos,
    tasks_of,
    trial_model,
)
from timelinelabels.labelstudio.payloads import AnnotatedTask
from timelinelabels.training import TrainingHook

DEFAULT_FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was measured, and how."""

    # How videos were held out, as a person reads it.
    protocol: str
    controls: tuple[ControlOutcome, ...]
    # Videos that the models were trained on (the most, with folds).
    training_videos: int = 0
    # Tasks that could not be read.
    left_out: tuple[LeftOut, ...] = ()
    # Test tasks whose video was trained on too: their scores are not honest.
    seen_in_training: tuple[str, ...] = ()


def evaluate(
    label_config: str,
    tasks: Sequence[AnnotatedTask],
    *,
    resources: Resources,
    folder: Path,
    features_of: FeaturesOf,
    test: Sequence[AnnotatedTask] | None = None,
    folds: int | None = None,
    report: Report = lambda _: None,
    on_epoch: TrainingHook | None = None,
) -> Evaluation:
    """Train as the product does, predict videos that were held out, and compare with their annotations.

    Where no control learns (simple mode), nothing is trained and all tasks are predicted.

    Args:
        label_config: the project's labeling config.
        tasks: to learn from; or, with folds, to learn from and to predict in turn.
        resources: features, backbones and media; the registry is not touched.
        folder: an empty folder for trial versions.
        features_of: features of a source, extracted where needed.
        test: tasks to predict; None: folds.
        folds: number of folds; default 5, or as many as there are videos where those are fewer.
        report: is told what happens.
        on_epoch: as of `ProjectModel.learn`.

    Raises:
        ConfigError: the labeling config is wrong.
        TrainingError: there are too few videos.
    """
    model = trial_model(label_config, resources, folder)
    groups, left_out = group_by_video(model, tasks, features_of)
    held_out: list[VideoGroup] = []
    if test is not None:
        held_out, unreadable = group_by_video(model, test, features_of)
        left_out += unreadable
        need_videos(held_out, 1, "None of the test tasks can be used.")
    labels = all_labels(model, tasks_of([*groups, *held_out]))
    trial = _Trial(model=model, labels=labels, report=report, on_epoch=on_epoch)
    if not model.trainable:
        judged = held_out or groups
        need_videos(judged, 1, "None of the tasks can be used.")
        return Evaluation(
            protocol="all tasks; simple mode learns nothing",
            controls=tuple(trial.run([], judged).values()),
            left_out=tuple(left_out),
        )
    if test is not None:
        need_videos(groups, 1, "None of the training tasks can be used.")
        known = frozenset().union(*(group.media for group in groups))
        both = [group for group in held_out if group.media & known]
        return Evaluation(
            protocol="test tasks",
            controls=tuple(trial.run(groups, held_out).values()),
            training_videos=len(groups),
            left_out=tuple(left_out),
            seen_in_training=tuple(task.task_id for task in tasks_of(both)),
        )
    need_videos(
        groups,
        folds or 2,
        "Annotate more, ask for fewer --folds, or give the videos to judge by with --test.",
    )
    parts = split(groups, folds or min(DEFAULT_FOLDS, len(groups)))
    outcomes = [
        trial.run(
            [group for group in groups if group not in part],
            part,
            number=number,
            where=f"fold {number} of {len(parts)}: ",
        )
        for number, part in enumerate(parts, start=1)
    ]
    return Evaluation(
        protocol=f"{len(parts)} folds by video",
        controls=tuple(merge_outcomes(outcomes).values()),
        training_videos=len(groups) - min(len(part) for part in parts),
        left_out=tuple(left_out),
    )


def split(groups: Sequence[VideoGroup], folds: int) -> list[list[VideoGroup]]:
    """The videos in `folds` parts of nearly equal size, by the order of their content hashes."""
    ordered = sorted(groups, key=lambda group: sorted(group.media))
    return [ordered[number::folds] for number in range(folds)]


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """Trains on some videos and judges others."""

    model: ProjectModel
    labels: Mapping[str, tuple[str, ...]]
    report: Report
    on_epoch: TrainingHook | None

    def run(
        self,
        known: Sequence[VideoGroup],
        held_out: Sequence[VideoGroup],
        *,
        number: int = 1,
        where: str = "",
    ) -> dict[str, ControlOutcome]:
        model = self.model
        if model.trainable:
            self.report(f"{where}training on {len(known)} videos")
            model = model.learn(tasks_of(known), number, on_epoch=self.on_epoch)
        self.report(f"{where}predicting {len(held_out)} videos")
        return judge(model, tasks_of(held_out), self.labels)
