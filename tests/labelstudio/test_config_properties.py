"""Properties of the labeling config's reader: whatever the text, it is read or refused in words."""

from collections.abc import Iterable
from dataclasses import asdict
from fractions import Fraction
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from timelinelabels.errors import ConfigError
from timelinelabels.labelstudio.config import (
    ClassifierParams,
    LabelConfig,
    TimelineLabelsConfig,
    parse_label_config,
)
from timelinelabels.labelstudio.config_attributes import ATTRIBUTES


def config_of(
    attributes: str = "", *, label: str = '<Label value="Ball"/>', video: str = ""
) -> str:
    video = video or '<Video name="video" value="$video"/>'
    control = f'<TimelineLabels name="label" toName="video" {attributes}>{label}</TimelineLabels>'
    return f"<View>{control}{video}</View>"


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30)
NAME = st.text(st.sampled_from("abcXYZ_.019 ü"), min_size=1, max_size=8).filter(str.strip)
LABEL_VALUE = TEXT.filter(lambda text: text.strip() and not text.lstrip().startswith("$"))


@given(
    attribute=st.sampled_from([a.name for a in ATTRIBUTES] + ["score_threshold", "value"]),
    text=TEXT,
)
@example(attribute="model_classifier_epochs", text="-0")
def test_any_text_as_an_attribute_is_read_or_refused(attribute, text):
    try:
        parse_label_config(config_of(f"{attribute}={quoteattr(text)}"))
    except ConfigError as error:
        assert "\n" not in str(error)


@given(value=TEXT, alias=TEXT, classes=TEXT, rate=TEXT, field=TEXT)
def test_any_text_in_labels_and_video_is_read_or_refused(value, alias, classes, rate, field):
    label = (
        f"<Label value={quoteattr(value)} alias={quoteattr(alias)} "
        f"predicted_values={quoteattr(classes)}/>"
    )
    video = f'<Video name="video" value={quoteattr("$" + field)} frameRate={quoteattr(rate)}/>'
    try:
        parse_label_config(config_of(label=label, video=video))
    except ConfigError as error:
        assert "\n" not in str(error)


@given(text=st.text(max_size=200))
def test_any_text_as_a_config_is_refused(text):
    with pytest.raises(ConfigError):
        parse_label_config(text)


TAGS = [
    "TimelineLabels",
    "Video",
    "View",
    "Label",
    "Choices",
    "Chat",
    "Repeater",
    "Filter",
    "Rating",
    "Text",
]
ATTRIBUTE_NAMES = [
    "name",
    "toName",
    "value",
    "toname",
    "alias",
    "frameRate",
    "indexFlag",
    "valueList",
]
ATTRIBUTE_VALUES = ["a", "b", "a,b", "$a", "", "$", "{{idx}}", "25", "true"]
TREES = st.recursive(
    st.just(""),
    lambda inner: st.builds(
        lambda tag, attributes, children: (
            f"<{tag} {' '.join(f'{k}={quoteattr(v)}' for k, v in attributes.items())}>"
            f"{''.join(children)}</{tag}>"
        ),
        st.sampled_from(TAGS),
        st.dictionaries(st.sampled_from(ATTRIBUTE_NAMES), st.sampled_from(ATTRIBUTE_VALUES)),
        st.lists(inner, max_size=4),
    ),
    max_leaves=12,
)


@given(tree=TREES)
def test_any_tree_of_tags_is_read_or_refused(tree):
    try:
        assert parse_label_config(f"<View>{tree}</View>")
    except ConfigError as error:
        assert str(error)


@given(
    data=st.dictionaries(
        st.sampled_from(["labels", "fps", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | TEXT,
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["value", "alias", "predicted_values"]), inner)
            ),
            max_leaves=6,
        ),
    )
)
def test_any_task_data_resolve_or_are_refused(data):
    video = '<Video name="video" value="$video" frameRate="$fps"/>'
    (config,) = parse_label_config(config_of('value="$labels"', label="", video=video))
    try:
        resolved = config.for_task(data)
    except ConfigError:
        return
    assert resolved.frame_rate > 0
    assert len(resolved.label_map) == len(resolved.labels) > 0
    assert len(resolved.prediction_fingerprint) == 64


CONFIGS = st.builds(
    TimelineLabelsConfig,
    name=NAME,
    to_name=st.just("the video"),
    video_field=st.sampled_from(["video", "media.url", "видео"]),
    labels=st.lists(
        st.builds(
            LabelConfig,
            value=LABEL_VALUE,
            predicted_values=st.lists(
                TEXT.map(lambda text: text.strip().replace('"', "")).filter(bool),
                unique=True,
                max_size=3,
            ).map(tuple),
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda label: label.value,
    ).map(tuple),
    frame_rate=st.decimals(1, 1000, places=3).map(Fraction),
    trainable=st.booleans(),
    classifier=st.builds(
        ClassifierParams,
        epochs=st.integers(1, 100_000),
        sequence_size=st.integers(1, 100_000),
        hidden_size=st.integers(1, 400),  # with 16 layers: larger ones are refused
        num_layers=st.integers(1, 16),
        f1_threshold=st.floats(0, 1),
        accuracy_threshold=st.floats(0, 1),
    ),
    score_threshold=st.floats(0, 1),
    sample_fps=st.none() | st.decimals(1, 1000, places=3).map(Fraction),
    model_path=st.none() | st.just("a b/ü-cls.pt"),
    skip=st.booleans(),
)


def quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def written(config: TimelineLabelsConfig) -> str:
    """A config as a person would write it."""
    classifier = {
        f"model_classifier_{name}": value for name, value in asdict(config.classifier).items()
    }
    attributes = {
        "name": config.name,
        "toName": config.to_name,
        "model_trainable": str(config.trainable),
        **classifier,
        "model_score_threshold": config.score_threshold,
        "model_skip": config.skip,
        **({"model_path": config.model_path} if config.model_path else {}),
        **({"model_sample_fps": f"{float(config.sample_fps):.3f}"} if config.sample_fps else {}),
    }
    labels = "".join(
        f"<Label value={quoteattr(label.value)} "
        + f"predicted_values={quoteattr(quoted(label.predicted_values))}/>"
        for label in config.labels
    )
    inside = " ".join(f"{name}={quoteattr(str(value))}" for name, value in attributes.items())
    rate = f"{float(config.frame_rate):.3f}"
    return (
        f"<View><TimelineLabels {inside}>{labels}</TimelineLabels>"
        f'<Video name="the video" value="${config.video_field}" frameRate="{rate}"/></View>'
    )


@given(config=CONFIGS)
def test_a_config_written_and_read_is_the_same(config):
    assert parse_label_config(written(config)) == (config,)
