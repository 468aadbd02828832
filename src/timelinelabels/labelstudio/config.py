"""A project's labeling config → one `TimelineLabelsConfig` for each control that this backend serves.

Reading goes in three steps: the text becomes a checked tree (`config_xml`), the `model_*` attributes
are validated against one table (`config_attributes`), and labels and frame rate are read
(`config_labels`, `config_values`), as far as they do not come from task data: `for_task` resolves
those. All problems of a config are reported together, in one `ConfigError`.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from typing import Any

from timelinelabels.errors import ConfigError, MediaError
from timelinelabels.labelstudio.config_attributes import (
    ClassifierParams,
    claims_to_be_ours,
    read_attributes,
)
from timelinelabels.labelstudio.config_labels import (
    LabelConfig,
    ambiguities,
    labels_of_data,
    labels_of_element,
)
from timelinelabels.labelstudio.config_values import (
    DEFAULT_FRAME_RATE,
    find_field,
    read_frame_rate,
    referenced_field,
    shown,
)
from timelinelabels.labelstudio.config_xml import (
    Element,
    describe,
    label_interface,
    read_tree,
    tag_of,
    unify_spellings,
)

__all__ = ["ClassifierParams", "LabelConfig", "TimelineLabelsConfig", "parse_label_config"]

MAX_PROBLEMS_LISTED = 20
EXAMPLE = '<TimelineLabels name="label" toName="video"> and <Video name="video" value="$video"/>'


@dataclass(frozen=True, kw_only=True)
class TimelineLabelsConfig:
    """One `<TimelineLabels>` control and the `<Video>` that it is attached to."""

    # The control's name: `from_name` of regions.
    name: str
    # The Video's name: `to_name` of regions.
    to_name: str
    # The field of task data that holds the video's address.
    video_field: str
    labels: tuple[LabelConfig, ...]
    # The field of task data that holds further labels; None: `labels` has them all.
    labels_field: str | None = None
    # Ticks of Label Studio's timeline a second; None: `frame_rate_field` of task data has it.
    frame_rate: Fraction | None = DEFAULT_FRAME_RATE
    frame_rate_field: str | None = None
    trainable: bool = False
    classifier: ClassifierParams = field(default_factory=ClassifierParams)
    # Time without a region says nothing about labels, in place of "no label".
    ignores_unlabeled: bool = False
    # A label is predicted where its probability is at least this; None: 0.5, or the learned rules.
    score_threshold: float | None = None
    # Frames of a video to look at in a second; None: every frame.
    sample_fps: Fraction | None = None
    # Weights chosen by the config, relative to MODEL_ROOT; None: the default ones.
    model_path: str | None = None
    # The control is left to people.
    skip: bool = False

    @property
    def label_map(self) -> dict[str, int]:
        """Label name as regions carry it → column, in the order of the config.

        Raises:
            ConfigError: some labels come from task data; `for_task` gives the config that has them.
        """
        if self.labels_field is not None:
            raise ConfigError(
                f"{self._where}: labels come from the task data field {shown(self.labels_field)}; "
                "they are known for a task only (for_task)"
            )
        return {label.name: column for column, label in enumerate(self.labels)}

    @property
    def training_fingerprint(self) -> str:
        """SHA-256 (hex) over all that changes what is learned; the same in every process."""
        return _fingerprint(
            {
                "name": self.name,
                "video_field": self.video_field,
                "labels": [label.name for label in self.labels],
                "labels_field": self.labels_field,
                "frame_rate": self.frame_rate,
                "frame_rate_field": self.frame_rate_field,
                "trainable": self.trainable,
                "classifier": asdict(self.classifier),
                "ignores_unlabeled": self.ignores_unlabeled,
                "sample_fps": self.sample_fps,
                "model_path": self.model_path,
            }
        )

    @property
    def prediction_fingerprint(self) -> str:
        """SHA-256 (hex) over all that changes predictions; the same in every process."""
        return _fingerprint(asdict(self))

    def for_task(self, data: Mapping[str, Any]) -> "TimelineLabelsConfig":
        """This config with the labels and the frame rate that a task's data give.

        Args:
            data: `task["data"]`.

        Raises:
            ConfigError: a field that the config names is missing or holds something else.
        """
        problems: list[str] = []
        resolved = self
        if self.frame_rate_field is not None:
            place = f"{self._where}: task data field {shown(self.frame_rate_field)} (frameRate)"
            try:
                rate = read_frame_rate(find_field(data, self.frame_rate_field))
                resolved = replace(resolved, frame_rate=rate, frame_rate_field=None)
            except KeyError:
                problems.append(f"{place} is missing")
            except ValueError as error:
                problems.append(f"{place}: {error}")
        if self.labels_field is not None:
            place = f"{self._where}: task data field {shown(self.labels_field)} (labels)"
            try:
                found = labels_of_data(find_field(data, self.labels_field), place, problems)
                labels = (*self.labels, *found)
                problems.extend(ambiguities(labels, place))
                if not labels:
                    problems.append(f"{place} has no label")
                resolved = replace(resolved, labels=labels, labels_field=None)
            except KeyError:
                problems.append(f"{place} is missing")
        _raise_all(problems, "The task")
        return resolved

    def video_source(self, data: Mapping[str, Any]) -> str:
        """The address of a task's video, as `MediaResolver` takes it.

        Raises:
            MediaError: the task has none.
        """
        try:
            source = find_field(data, self.video_field)
        except KeyError:
            source = None
        if not isinstance(source, str) or not source.strip():
            raise MediaError(
                f"The task data have no address of a video in the field {shown(self.video_field)}, "
                f"which the Video tag {shown(self.to_name)} names"
            )
        return source

    @property
    def _where(self) -> str:
        return f"TimelineLabels {shown(self.name)}"


def parse_label_config(
    xml: str, *, default_score_threshold: float | None = None
) -> tuple[TimelineLabelsConfig, ...]:
    """Read a labeling config.

    Args:
        xml: the labeling config as Label Studio sends it.
        default_score_threshold: holds where a control gives no `model_score_threshold`.

    Returns:
        One config for each `<TimelineLabels>` attached to a `<Video>`, in the order of the text, also
        for those with `model_skip`. A skipped control attached to another tag is left out.

    Raises:
        ConfigError: the text is not a labeling config, has no such control, or has one whose
            attributes, labels or Video are wrong; the message lists every problem.
    """
    root = read_tree(xml)
    problems: list[str] = []
    unify_spellings(root, problems)
    elements = [element for element in root.iter() if tag_of(element) == "timelinelabels"]
    if not elements:
        raise ConfigError(f"The labeling config has no TimelineLabels; it needs {EXAMPLE}")
    uses = Counter(element.get("name") for element in root.iter() if element.get("name"))
    controls = {control.name: control for control in label_interface(root).controls}
    configs = []
    for element in elements:
        where = describe(element)
        attributes = read_attributes(
            element.attrib, where, problems, default_score_threshold=default_score_threshold
        )
        labels = labels_of_element(element, where, problems)
        video = _video_of(element, controls, uses, problems, skip=attributes.skip)
        if video is None:
            continue
        frame_rate, frame_rate_field = _frame_rate_of(video, problems)
        configs.append(
            TimelineLabelsConfig(
                name=element.get("name"),
                to_name=video["name"],
                video_field=_video_field_of(video, problems),
                labels=tuple(labels),
                labels_field=_labels_field_of(
                    element, where, problems, labels, trainable=attributes.trainable
                ),
                frame_rate=frame_rate,
                frame_rate_field=frame_rate_field,
                trainable=attributes.trainable,
                classifier=attributes.classifier,
                ignores_unlabeled=attributes.ignores_unlabeled,
                score_threshold=attributes.score_threshold,
                sample_fps=attributes.sample_fps,
                model_path=attributes.model_path,
                skip=attributes.skip,
            )
        )
    _raise_all(problems, "The labeling config")
    if not configs:
        raise ConfigError(f"No TimelineLabels is attached to a Video; it needs {EXAMPLE}")
    return tuple(configs)


def _video_of(
    element: Element,
    controls: Mapping[str, Any],
    uses: Counter[str],
    problems: list[str],
    *,
    skip: bool,
) -> dict[str, str] | None:
    """The attributes of the Video that a control is attached to, None where there is none."""
    where, name, target = describe(element), element.get("name"), element.get("toName")
    if not name or not target:
        problems.append(f"{where}: name and toName are needed; write {EXAMPLE}")
        return None
    if any(tag_of(ancestor) == "repeater" for ancestor in element.iterancestors()):
        problems.append(f"{where}: TimelineLabels inside a <Repeater> is not supported")
        return None
    for used in (name, target):
        if uses[used] > 1:
            problems.append(f"{where}: {uses[used]} tags have the name {shown(used)}; rename them")
    objects = controls[name].objects
    if len(controls[name].to_name) != 1 or len(objects) != 1:
        problems.append(
            f"{where}: toName={shown(target)} names no tag that shows data; "
            "give the name of one Video tag that has a value"
        )
        return None
    if objects[0].tag.lower() != "video":
        if not skip:
            problems.append(
                f"{where}: toName={shown(target)} is of type {objects[0].tag}; only Video is supported "
                '(model_skip="true" leaves this control to people)'
            )
        return None
    video = dict(objects[0].attr)
    problems.extend(
        f"{where}: {attribute} belongs on <TimelineLabels>, not on the <Video>"
        for attribute in video
        if claims_to_be_ours(attribute)
    )
    return video


def _video_field_of(video: Mapping[str, str], problems: list[str]) -> str:
    value = video.get("value", "")
    field = referenced_field(value)
    if field is None:
        problems.append(
            f"Video {shown(video['name'])}: value={shown(value)} is not accepted; give the field of "
            'the task data that has the address, such as value="$video"'
        )
    return field or ""


def _frame_rate_of(
    video: Mapping[str, str], problems: list[str]
) -> tuple[Fraction | None, str | None]:
    """The frame rate, or the field of task data that has it; blank means the default, as in the editor."""
    text = video.get("frameRate", "").strip()
    field = referenced_field(text)
    if field is not None:
        return None, field
    try:
        return (read_frame_rate(text) if text else DEFAULT_FRAME_RATE), None
    except ValueError as error:
        problems.append(
            f"Video {shown(video['name'])}: frameRate={error}, "
            'or "$field" for a number in the task data'
        )
        return None, None


def _labels_field_of(
    element: Element,
    where: str,
    problems: list[str],
    labels: Sequence[LabelConfig],
    *,
    trainable: bool,
) -> str | None:
    value = element.get("value", "").strip()
    field = referenced_field(value)
    if field is not None and trainable:
        problems.append(
            f"{where}: labels from task data (value={shown(value)}) and model_trainable do not go "
            "together: a model learns one fixed list of labels; write them as <Label> tags, or set "
            'model_trainable="false"'
        )
    elif value and field is None:
        problems.append(
            f"{where}: value={shown(value)} is not accepted; give the field of the task data that "
            'has the labels, such as value="$labels", or leave it out'
        )
    elif not value and not labels:
        problems.append(
            f'{where}: no labels; write them as <Label value="…"/> tags inside, or name the field of '
            'the task data that has them, such as value="$labels"'
        )
    return field


def _raise_all(problems: Sequence[str], subject: str) -> None:
    """One error for all problems: alone as it is, several numbered."""
    unique = list(dict.fromkeys(problems))
    if len(unique) == 1:
        raise ConfigError(unique[0])
    if unique:
        listed = unique[:MAX_PROBLEMS_LISTED]
        numbered = "; ".join(f"({number}) {text}" for number, text in enumerate(listed, start=1))
        raise ConfigError(f"{subject} has {len(unique)} problems: {numbered}")


def _fingerprint(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, default=str)  # str of a Fraction is exact: 2997/100
    return hashlib.sha256(text.encode()).hexdigest()
