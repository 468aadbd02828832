"""The model behind `<TimelineLabels>`: the whole story of this package on one page.

Predict: video → features (cached) → probabilities → regions, where the probabilities are those of the
backbone's own classes (simple mode) or of the temporal network learned for this control (trainable).
Learn: annotated tasks → examples → a network trained from scratch → an immutable version.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from timelinelabels.backbones import Backbone
from timelinelabels.control_models.class_matching import label_probabilities, match_classes
from timelinelabels.control_models.control_model import ControlModel
from timelinelabels.control_models.examples import (
    FeaturesOf,
    collect_examples,
    sequence_of,
    timeline_of,
)
from timelinelabels.control_models.manifest import (
    considered_media,
    held_out_of,
    kept_back_for,
    learned_media,
    manifest_of,
    teaches_the_same,
)
from timelinelabels.control_models.resources import FeatureSource, Resources
from timelinelabels.features import CacheParams, Features, cached_feature_extraction
from timelinelabels.labelstudio.config import TimelineLabelsConfig
from timelinelabels.labelstudio.payloads import AnnotatedTask, parse_webhook
from timelinelabels.labelstudio.records import START_TRAINING
from timelinelabels.labelstudio.regions import convert_probs_to_timelinelabels
from timelinelabels.model_registry import ModelVersion, classifier_folder
from timelinelabels.segments import SegmentRule

if TYPE_CHECKING:
    from timelinelabels.training import TrainingHook

TRAINING_EVENTS = frozenset(
    {"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", START_TRAINING}
)


DEFAULT_THRESHOLD = 0.5

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Said:
    """Probabilities of a video's frames and how they become regions."""

    # (T, C).
    probabilities: npt.NDArray[np.float32]
    # Label → column, for those labels that are predicted.
    labels: dict[str, int]
    # One threshold, or a rule for each column.
    rules: float | list[SegmentRule]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What one control says of one video."""

    regions: list[dict[str, Any]]
    # Mean over frames and labels of max(p, 1-p), 0.5..1: how sure the model is of the whole timeline.
    certainty: float
    # (length, C) on Label Studio's grid, columns as in the control's label map; 0 for a label that
    # the network has not learned yet.
    probabilities: npt.NDArray[np.float32]


@dataclass(kw_only=True)
class TimelineLabelsModel(ControlModel):
    """One `<TimelineLabels>` control of one project.

    Args:
        config: the control; `config.for_task(data)` first where it reads task data.
        resources: shared by all models of the process.
        project: the project's key, part of the folder's name.
        head_number: the published version to predict with; None takes the newest.
    """

    control_tag: ClassVar[str] = "TimelineLabels"
    object_tag: ClassVar[str] = "Video"

    config: TimelineLabelsConfig
    resources: Resources
    project: str
    head_number: int | None = None
    # Annotations that `fit` has seen, for a caller that passes one webhook body at a time.
    _seen: dict[tuple[str, str | None], AnnotatedTask] = field(default_factory=dict, repr=False)

    @classmethod
    def create(
        cls,
        config: TimelineLabelsConfig,
        *,
        resources: Resources,
        project: str,
        head_number: int | None = None,
    ) -> Self:
        """A model for one control."""
        return cls(config=config, resources=resources, project=project, head_number=head_number)

    @property
    def trainable(self) -> bool:
        """Whether the control learns (`model_trainable`)."""
        return self.config.trainable

    @property
    def label_map(self) -> dict[str, int]:
        """Label name → column, in the order of the labeling config."""
        return self.config.label_map

    @property
    def backbone(self) -> Backbone:
        """The network that turns frames into features."""
        return self.resources.backbones.open(self.config.model_path)

    def get_classifier_path(self, project_id: str) -> Path:
        """The folder of this control's model versions; deleting it resets what was learned."""
        return classifier_folder(
            self.resources.registry.root, project_id, self.backbone.name, self.config.name
        )

    def head_version(self) -> ModelVersion | None:
        """The version that predicts: the published one, else none (untrained).

        A version that was kept back leaves predicting to the one before it. A version learned from
        another backbone's features would predict nonsense, so after a change of weights the control is
        untrained until it has learned again.
        """
        version = self._find_version(self.head_number)
        if version is not None and (before := kept_back_for(version.manifest)) is not None:
            version = self._find_version(before)
        learned_from = version.manifest.get("backbone") if version else None
        if not isinstance(learned_from, Mapping):
            return None
        return version if learned_from.get("fingerprint") == self.backbone.fingerprint else None

    def kept_back(self) -> ModelVersion | None:
        """The newest version, where it was clearly worse than the one before it."""
        version = self._find_version(self.head_number)
        if version is None or kept_back_for(version.manifest) is None:
            return None
        return version

    def lacks(self, media_hash: str) -> bool:
        """Whether the newest version neither learned from this video nor had a reason not to."""
        version = self._find_version(self.head_number)
        return version is None or media_hash not in considered_media(version.manifest)

    def _find_version(self, number: int | None) -> ModelVersion | None:
        return self.resources.registry.find(self.get_classifier_path(self.project), number)

    def predict_regions(self, video_path: Path | str) -> list[dict[str, Any]]:
        """The regions of a video; its features are extracted first where they are not cached.

        Returns:
            Regions as Label Studio takes them; none where a trainable control has learned nothing.

        Raises:
            VideoError: the file cannot be read.
            ConfigError: no label of a simple control is a class of the backbone.
        """
        if self.trainable:
            return self.create_timelines_trainable(video_path)
        return self.create_timelines_simple(video_path)

    def create_timelines_simple(self, video_path: Path | str) -> list[dict[str, Any]]:
        """Regions from the backbone's own classes."""
        return self._regions(self._simple, video_path)

    def create_timelines_trainable(self, video_path: Path | str) -> list[dict[str, Any]]:
        """Regions from the temporal network learned for this control; none while untrained."""
        return self._regions(self._learned, video_path)

    def predict(self, features: Features) -> Prediction | None:
        """What this control says of a video whose features are at hand; None while untrained."""
        return self._predict(self._learned if self.trainable else self._simple, features)

    def learn(
        self,
        tasks: Sequence[AnnotatedTask],
        number: int,
        *,
        features_of: FeaturesOf | None = None,
        even_if_worse: bool = False,
        on_epoch: TrainingHook | None = None,
    ) -> ModelVersion:
        """Train from scratch on all these tasks and write the version with that number.

        A version that is clearly worse on held-out videos than the one that predicts is marked as kept
        back: whoever takes it as published goes on predicting with the one before.

        Args:
            tasks: everything that is to be learned.
            number: of the new version.
            features_of: gives the features of a video source; by default `self.features_of`.
            even_if_worse: never keep the version back: a person has asked for it.
            on_epoch: see `train_head`.

        Raises:
            TrainingError: none of the tasks can be learned from.
        """
        from timelinelabels.training import HeadParameters, clear_loss, first_sight, train_head

        examples, left_out = collect_examples(tasks, self.config, features_of or self.features_of)
        if examples and not any(example.targets.any() for example in examples):
            logger.warning(
                "Project %s, %s: no annotation has a region with one of the labels %s, so nothing will "
                "be predicted; are these annotations of another labeling config?",
                self.project,
                self.config.name,
                ", ".join(self.label_map),
            )
        before = self.head_version()
        rival = before if before and teaches_the_same(before.manifest, self) else None
        sight = None
        if rival is not None:
            sight = first_sight(rival.load(), examples, learned_media(rival.manifest))
        if sight is not None:
            logger.info(
                "Project %s, %s: %d new videos were predicted with F1 %.2f before they are learned",
                self.project,
                self.config.name,
                sight.videos,
                sight.frame_f1,
            )
        trained = train_head(
            examples,
            list(self.label_map),
            HeadParameters(**vars(self.config.classifier)),
            max_seconds=self.resources.max_training_seconds,
            on_epoch=on_epoch,
        )
        loss = None
        if rival is not None and not even_if_worse:
            loss = clear_loss(held_out_of(rival.manifest), trained.held_out)
        return self.resources.registry.publish(
            self.get_classifier_path(self.project),
            number,
            trained.head,
            manifest_of(self, trained, left_out, before=before, sight=sight, loss=loss),
            # A version that was kept back is what the store points to until this one is published.
            predicting=[self.head_number, before.number if before else None],
        )

    def fit(self, event: str, data: Mapping[str, Any], **kwargs: Any) -> bool:
        """Learn from an event, on all annotations known, and publish a version.

        Args:
            event: Label Studio's name of what happened.
            data: the webhook's body. With a key "tasks" (`AnnotatedTask`s) exactly these are learned;
                without it, the annotation of this body and all that this object was given before.
            kwargs: passed to `learn`.

        Returns:
            True if a version was published, False if the event teaches nothing.
        """
        if event not in TRAINING_EVENTS or not self.trainable:
            return False
        tasks = data.get("tasks")
        if tasks is None:
            for record in parse_webhook(dict(data)).annotations:
                task = AnnotatedTask(
                    task_id=record.task_id, data=record.task_data, annotations=(record,)
                )
                self._seen.pop((record.id, record.unique_id), None)
                if not record.was_cancelled:
                    self._seen[record.id, record.unique_id] = task
            tasks = list(self._seen.values())
        if not tasks:
            return False
        newest = self.resources.registry.newest_number(self.get_classifier_path(self.project))
        asked = event == START_TRAINING
        self.learn(tasks, newest + 1, **{"even_if_worse": asked, **kwargs})
        return True

    def features_of(self, source: str) -> Features:
        """Features of a task's video source, fetched and extracted where they are not cached."""
        wanted = self._seen_as(source)
        return self.resources.find_features(wanted) or self.resources.extract(wanted)

    def source_of(self, data: Mapping[str, Any]) -> FeatureSource:
        """What this control needs features of, to predict the task with these data.

        Raises:
            MediaError: the task's data name no video.
        """
        return self._seen_as(self.config.video_source(data))

    def _seen_as(self, video: str) -> FeatureSource:
        return FeatureSource(
            video=video, model_path=self.config.model_path, sample_fps=self.config.sample_fps
        )

    def _regions(
        self, say: Callable[[Features], _Said | None], video_path: Path | str
    ) -> list[dict[str, Any]]:
        store = self.resources.features
        features = cached_feature_extraction(
            self.backbone,
            video_path,
            CacheParams(
                folder=store.folder, max_bytes=store.max_bytes, sample_fps=self.config.sample_fps
            ),
        )
        prediction = self._predict(say, features)
        return prediction.regions if prediction else []

    def _predict(
        self, say: Callable[[Features], _Said | None], features: Features
    ) -> Prediction | None:
        said = say(features)
        if said is None:
            return None
        grid = timeline_of(features, self.config).to_grid(said.probabilities)
        regions = convert_probs_to_timelinelabels(
            grid, said.labels, self.config.name, said.rules, to_name=self.config.to_name
        )
        columns = grid[:, sorted(said.labels.values())]
        certainty = float(np.maximum(columns, 1 - columns).mean()) if columns.size else 1.0
        by_label = np.zeros((len(grid), len(self.label_map)), dtype=np.float32)
        for name, column in said.labels.items():
            by_label[:, self.label_map[name]] = grid[:, column]
        return Prediction(regions=regions, certainty=certainty, probabilities=by_label)

    def _simple(self, features: Features) -> _Said:
        backbone = self.backbone
        matched = match_classes(self.config.labels, backbone.class_names, control=self.config.name)
        classes = backbone.class_probabilities(features.values)
        threshold = self.config.score_threshold
        return _Said(
            probabilities=label_probabilities(classes, matched, self.label_map),
            labels=self.label_map,
            rules=DEFAULT_THRESHOLD if threshold is None else threshold,
        )

    def _learned(self, features: Features) -> _Said | None:
        version = self.head_version()
        if version is None:
            return None
        head = version.load()
        threshold, frame_rate = self.config.score_threshold, self.config.frame_rate
        assert frame_rate is not None  # `timeline_of` asks for a resolved config as well
        rules = [
            rule if threshold is None else rule.with_threshold(threshold) for rule in head.rules
        ]
        return _Said(
            probabilities=head.predict(sequence_of(features), rules),
            # Labels that the config no longer has must not be predicted; new ones are learned next.
            labels={
                name: column for name, column in head.label_map.items() if name in self.label_map
            },
            rules=[rule.at(float(frame_rate)) for rule in rules],
        )
