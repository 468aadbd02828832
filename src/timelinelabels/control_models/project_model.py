"""All TimelineLabels controls of one project, under one labeling config and one model version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from timelinelabels.control_models.class_matching import match_classes
from timelinelabels.control_models.resources import FeatureSource, Resources
from timelinelabels.control_models.timeline_labels import TimelineLabelsModel
from timelinelabels.errors import MediaError
from timelinelabels.features import Features
from timelinelabels.labelstudio.config import TimelineLabelsConfig, parse_label_config
from timelinelabels.labelstudio.payloads import AnnotatedTask
from timelinelabels.model_registry import ModelVersion

if TYPE_CHECKING:
    from timelinelabels.training import TrainingHook

UNTRAINED = "untrained"
SKIPPED = "switched off by model_skip"
NO_HEAD = 0  # versions are numbered from 1


@dataclass(frozen=True, kw_only=True)
class ProjectModel:
    """What a shell calls: predict a task, learn from tasks, name the version."""

    controls: tuple[TimelineLabelsConfig, ...]
    resources: Resources
    project: str
    # Control name → number of its published version; a control that is not in it is untrained.
    heads: Mapping[str, int]

    @classmethod
    def create(
        cls,
        label_config: str,
        *,
        resources: Resources,
        project: str,
        heads: Mapping[str, int] = MappingProxyType({}),
    ) -> Self:
        """A project's model from its labeling config, untrained where no heads are given.

        Never "the newest on disk": a training writes the versions of several controls one by one, and
        they predict all at once, when the store publishes them.

        Raises:
            ConfigError: the labeling config is wrong.
        """
        controls = parse_label_config(
            label_config, default_score_threshold=resources.default_score_threshold
        )
        return cls(controls=controls, resources=resources, project=project, heads=heads)

    def check(self) -> None:
        """Find at once what would make every prediction fail.

        Raises:
            ConfigError: no label of a simple control is a class of its backbone.
            CheckpointError: a backbone cannot be used.
        """
        for model in self.models:
            names = model.backbone.class_names
            if not model.trainable and model.config.labels_field is None:
                match_classes(model.config.labels, names, control=model.config.name)

    def with_heads(self, heads: Mapping[str, int]) -> ProjectModel:
        """The same project predicting with these versions."""
        return replace(self, heads=heads)

    @property
    def models(self) -> tuple[TimelineLabelsModel, ...]:
        """The models of the controls that are not skipped."""
        return tuple(self._model(config) for config in self.controls if not config.skip)

    def training_fingerprint(self) -> str:
        """Changes whenever a training would learn something else from the same annotations."""
        return _fingerprint(
            [config.training_fingerprint, self._backbone_identity(config)]
            for config in self.controls
            if config.trainable and not config.skip
        )

    def prediction_fingerprint(self) -> str:
        """Changes whenever the same video would be predicted differently."""
        parts = []
        for model in self.models:
            head = model.head_version() if model.trainable else None
            parts.append(
                [
                    model.config.prediction_fingerprint,
                    model.backbone.fingerprint,
                    head.digest if head else "",
                    # Of the newest version, which may have been kept back: that is told as well.
                    str(self.heads.get(model.config.name, NO_HEAD)) if head else "",
                ]
            )
        return _fingerprint(parts)

    @property
    def trainable(self) -> bool:
        """Whether any control learns."""
        return any(model.trainable for model in self.models)

    @property
    def predicts(self) -> bool:
        """Whether any control can predict: it is simple, or has learned."""
        return any(not model.trainable or model.head_version() for model in self.models)

    def describe(self) -> str:
        """What an annotator should know of the version, without its number."""
        models = self.models
        if not models:
            return SKIPPED
        simple = sorted({model.backbone.name for model in models if not model.trainable})
        parts = [f"{name} classes" for name in simple]
        learners = [model for model in models if model.trainable]
        heads = [model.head_version() for model in learners]
        trained = [head for head in heads if head is not None]
        for model, head in zip(learners, heads, strict=True):
            if head is not None and model.kept_back() is not None:
                where = f"{model.config.name} " if len(learners) > 1 else ""
                parts.append(f"{where}kept back, v{head.number} stays")
        if trained:
            parts.append(_describe_heads(trained))
        if len(trained) < len(heads):
            parts.append(UNTRAINED)
        return " · ".join(parts)

    def sources(self, data: Mapping[str, Any]) -> set[FeatureSource]:
        """What a task needs features of.

        Raises:
            MediaError: the task's data names no video.
        """
        return {model.source_of(data) for model in self.models}

    def has_source(self, tasks: Iterable[AnnotatedTask], source: FeatureSource) -> bool:
        """Whether one of these tasks needs these features."""
        for task in tasks:
            try:
                if source in self.sources(task.data):
                    return True
            except MediaError:
                continue
        return False

    def lacks(self, media_hash: str) -> bool:
        """Whether the newest version of a control that learns never had this video before it."""
        return any(model.lacks(media_hash) for model in self.models if model.trainable)

    def predict(
        self, data: Mapping[str, Any], features_of: Mapping[FeatureSource, Features]
    ) -> dict[str, Any] | None:
        """One task's prediction in Label Studio's format, without its version.

        Args:
            data: the task's data.
            features_of: features of all `sources`.

        Returns:
            {"result": regions, "score": mean certainty}, or None where nothing can predict yet.

        Raises:
            ConfigError: the task's data lacks what the labeling config reads from it.
            VideoError: the file claims a length that no timeline can have.
        """
        regions: list[dict[str, Any]] = []
        certainties: list[float] = []
        for model in self.models:
            task_model = replace(model, config=model.config.for_task(data))
            prediction = task_model.predict(features_of[model.source_of(data)])
            if prediction is not None:
                regions.extend(prediction.regions)
                certainties.append(prediction.certainty)
        if not certainties:
            return None
        return {"result": regions, "score": round(sum(certainties) / len(certainties), 4)}

    def newest_written(self) -> int:
        """The highest number of a version that any control has on disk; 0 where there is none."""
        folders = [model.get_classifier_path(self.project) for model in self.models]
        return max((self.resources.registry.newest_number(path) for path in folders), default=0)

    def learn(
        self,
        tasks: Sequence[AnnotatedTask],
        number: int,
        *,
        even_if_worse: bool = False,
        on_epoch: TrainingHook | None = None,
    ) -> ProjectModel:
        """Train every trainable control and write its version; the result predicts with them.

        Nothing that a reader sees changes until the store publishes the returned `heads`. A control
        whose new version is clearly worse goes on predicting with the one before, unless
        `even_if_worse`.

        Raises:
            TrainingError: there is nothing to learn from.
        """
        heads: dict[str, int] = {}
        for model in self.models:
            if model.trainable:
                model.learn(tasks, number, even_if_worse=even_if_worse, on_epoch=on_epoch)
                heads[model.config.name] = number
        return self.with_heads(heads)

    def _model(self, config: TimelineLabelsConfig) -> TimelineLabelsModel:
        return TimelineLabelsModel.create(
            config,
            resources=self.resources,
            project=self.project,
            head_number=self.heads.get(config.name, NO_HEAD),
        )

    def _backbone_identity(self, config: TimelineLabelsConfig) -> str:
        return self.resources.backbones.open(config.model_path).fingerprint


def _describe_heads(heads: Sequence[ModelVersion]) -> str:
    """For example `12 videos · F1 0.83`; the lowest score where there are several controls."""
    manifest = min(
        (head.manifest for head in heads), key=lambda item: float(item["scores"]["frame_f1_macro"])
    )
    videos, scores = manifest["learned_from"]["videos"], manifest["scores"]
    measured = "F1" if scores["held_out_videos"] else "training F1"
    plural = "" if videos == 1 else "s"
    return f"{videos} video{plural} · {measured} {scores['frame_f1_macro']:.2f}"


def _fingerprint(parts: Any) -> str:
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()
