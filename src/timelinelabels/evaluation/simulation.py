"""Replay a labelled project: what would the model have predicted when, and what work would it save?

Each video is first predicted by the model that knew the videos submitted before it, then scored, then
learned (progressive validation; Blum, Kalai and Langford, 1999).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from timelinelabels.control_models import Resources
from timelinelabels.control_models.examples import LeftOut
from timelinelabels.errors import ConfigError, TrainingError
from timelinelabels.evaluation.judging import ControlOutcome, Report, all_labels, judge
from timelinelabels.evaluation.videos import (
    FeaturesOf,
    VideoGroup,
    group_by_video,
    need_videos,
    tasks_of,
    trial_model,
)
from timelinelabels.labelstudio.payloads import AnnotatedTask
from timelinelabels.metrics import Scores
from timelinelabels.training import TrainingHook


@dataclass(frozen=True, kw_only=True)
class Step:
    """The model that learned the first videos, on all that remain."""

    annotated_videos: int
    remaining_videos: int
    scores: Scores


@dataclass(frozen=True, kw_only=True)
class ReplayedVideo:
    """One video as its annotator met it."""

    # 1 for the first video submitted.
    position: int
    task_id: str
    name: str
    # Videos that the model which predicted it had learned; 0: there was no model yet.
    learned_videos: int
    scores: Scores


@dataclass(frozen=True, kw_only=True)
class ControlSimulation:
    """One control over the whole replay."""

    control: str
    labels: tuple[str, ...]
    steps: tuple[Step, ...]
    videos: tuple[ReplayedVideo, ...]
    # The predictions that annotators met once there was a model.
    met: ControlOutcome | None


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """The whole replay."""

    # Where the order came from, as a person reads it.
    order: str
    controls: tuple[ControlSimulation, ...]
    left_out: tuple[LeftOut, ...]


def simulate(
    label_config: str,
    tasks: Sequence[AnnotatedTask],
    *,
    resources: Resources,
    folder: Path,
    features_of: FeaturesOf,
    steps: Sequence[int] | None = None,
    report: Report = lambda _: None,
    on_epoch: TrainingHook | None = None,
) -> Simulation:
    """Learn after each of `steps` submitted videos (default: after each) and predict what remains.

    Arguments as of `evaluate`.

    Raises:
        ConfigError: the labeling config is wrong, or nothing in it learns.
        TrainingError: there are too few videos.
    """
    model = trial_model(label_config, resources, folder)
    if not model.trainable:
        raise ConfigError(
            'No <TimelineLabels> has model_trainable="true", so there is no learning to replay. '
            "`timelinelabels evaluate` scores simple mode."
        )
    groups, left_out = group_by_video(model, tasks, features_of)
    need_videos(groups, 2, "A replay predicts each video by what was learned from those before it.")
    groups, order = in_submit_order(groups)
    possible = set(range(1, len(groups)))
    wanted = possible if steps is None else possible & set(steps)
    if not wanted:
        raise TrainingError(
            f"None of the steps {', '.join(map(str, sorted(set(steps or ()))))} can be replayed: there are "
            f"{len(groups)} videos, so steps are 1 to {len(groups) - 1}."
        )
    labels = all_labels(model, tasks_of(groups))
    recorder = _Recorder()
    learned = 0
    for done in range(len(groups)):
        rest = groups[done : done + 1]
        if done in wanted:
            report(f"learning {done} of {len(groups)} videos")
            model = model.learn(tasks_of(groups[:done]), done, on_epoch=on_epoch)
            learned, rest = done, groups[done:]
        outcomes = judge(model, tasks_of(rest), labels)
        recorder.record(outcomes, groups[done], done=done, learned=learned, whole=learned == done)
    return Simulation(order=order, controls=recorder.controls(), left_out=tuple(left_out))


def in_submit_order(groups: Sequence[VideoGroup]) -> tuple[list[VideoGroup], str]:
    """The videos by the time of their first annotation, and where that order came from."""
    times = [
        min(
            (
                annotation.created_at
                for task in group.tasks
                for annotation in task.annotations
                if annotation.created_at
            ),
            default=None,
        )
        for group in groups
    ]
    known = [time for time in times if time is not None]
    if len(known) < len(groups):
        return list(groups), "order of the export (not every annotation has a created_at)"
    paired = sorted(zip(known, range(len(groups)), strict=True))
    return [groups[place] for _, place in paired], "created_at of the annotations"


class _Recorder:
    """Collects steps and videos of each control while the replay goes on."""

    def __init__(self) -> None:
        self._labels: dict[str, tuple[str, ...]] = {}
        self._steps: dict[str, list[Step]] = {}
        self._videos: dict[str, list[ReplayedVideo]] = {}
        self._met: dict[str, ControlOutcome] = {}

    def record(
        self,
        outcomes: dict[str, ControlOutcome],
        group: VideoGroup,
        *,
        done: int,
        learned: int,
        whole: bool,
    ) -> None:
        count = len(group.tasks)
        for name, outcome in outcomes.items():
            self._labels[name] = outcome.labels
            if whole and learned:
                step = Step(
                    annotated_videos=done,
                    remaining_videos=len(outcome.videos),
                    scores=outcome.scores,
                )
                self._steps.setdefault(name, []).append(step)
            here = ControlOutcome(
                control=name, labels=outcome.labels, videos=outcome.videos[:count]
            )
            self._videos.setdefault(name, []).append(
                ReplayedVideo(
                    position=done + 1,
                    task_id=", ".join(task.task_id for task in group.tasks),
                    name=here.videos[0].name,
                    learned_videos=learned,
                    scores=here.scores,
                )
            )
            if learned:
                before = self._met.get(name)
                self._met[name] = ControlOutcome(
                    control=name,
                    labels=outcome.labels,
                    videos=(*(before.videos if before else ()), *here.videos),
                )

    def controls(self) -> tuple[ControlSimulation, ...]:
        return tuple(
            ControlSimulation(
                control=name,
                labels=labels,
                steps=tuple(self._steps.get(name, ())),
                videos=tuple(self._videos[name]),
                met=self._met.get(name),
            )
            for name, labels in self._labels.items()
        )
