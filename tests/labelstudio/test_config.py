"""The labeling config: what is read, what is refused and in which words, what the fingerprints cover."""

import logging
import os
import subprocess
import sys
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import pytest

from timelinelabels.errors import ConfigError, MediaError
from timelinelabels.labelstudio.config import (
    ClassifierParams,
    LabelConfig,
    TimelineLabelsConfig,
    parse_label_config,
)
from timelinelabels.labelstudio.config_attributes import ATTRIBUTES
from timelinelabels.labelstudio.config_xml import MAX_CONFIG_BYTES

LABELS = '<Label value="Ball touch" background="red"/><Label value="Ball in frame"/>'
VIDEO = '<Video name="video" value="$video" height="700" frameRate="25.0"/>'


def config_of(attributes: str = "", *, labels: str = LABELS, video: str = VIDEO) -> str:
    control = f'<TimelineLabels name="label" toName="video" {attributes}>{labels}</TimelineLabels>'
    return f"<View>{control}{video}</View>"


def one(attributes: str = "", *, labels: str = LABELS, video: str = VIDEO) -> TimelineLabelsConfig:
    (config,) = parse_label_config(config_of(attributes, labels=labels, video=video))
    return config


def refusal(xml: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_label_config(xml)
    return str(caught.value)


# What is read


def test_the_guides_config_is_read_with_every_parameter():
    config = one(
        """model_trainable="true" model_classifier_epochs="100"
        model_classifier_sequence_size="8" model_classifier_hidden_size="64"
        model_classifier_num_layers="2" model_classifier_f1_threshold="0.9"
        model_classifier_accuracy_threshold="0.99" model_score_threshold="0.25"
        model_sample_fps="12.5" model_path="mine-cls.pt\""""
    )
    assert config == TimelineLabelsConfig(
        name="label",
        to_name="video",
        video_field="video",
        labels=(LabelConfig(value="Ball touch"), LabelConfig(value="Ball in frame")),
        frame_rate=Fraction(25),
        trainable=True,
        classifier=ClassifierParams(
            epochs=100,
            sequence_size=8,
            hidden_size=64,
            num_layers=2,
            f1_threshold=0.9,
            accuracy_threshold=0.99,
        ),
        score_threshold=0.25,
        sample_fps=Fraction(25, 2),
        model_path="mine-cls.pt",
    )
    assert config.label_map == {"Ball touch": 0, "Ball in frame": 1}


def test_parameters_left_out_have_the_guides_defaults():
    config = one()
    assert (config.trainable, config.skip, config.model_path) == (False, False, None)
    assert config.score_threshold is None  # 0.5, or what was fitted for learned labels
    assert not config.ignores_unlabeled
    assert asdict(config.classifier) == {
        "type": "auto",
        "epochs": 1000,
        "sequence_size": 16,
        "hidden_size": 32,
        "num_layers": 1,
        "f1_threshold": 0.95,
        "accuracy_threshold": 1.0,
    }


def test_every_attribute_of_the_table_has_a_sentence_for_the_documentation():
    assert len({attribute.name for attribute in ATTRIBUTES}) == len(ATTRIBUTES) == 13
    assert all(
        attribute.help.endswith(".") and attribute.values.accepted for attribute in ATTRIBUTES
    )


@pytest.mark.parametrize("text", ["1", "true", "yes", "TRUE", "Yes", " true "])
def test_truth_is_written_in_several_ways(text):
    assert one(f'model_trainable="{text}"').trainable


@pytest.mark.parametrize("text", ["0", "false", "no", "FALSE", "No"])
def test_falsehood_is_written_in_several_ways(text):
    assert not one(f'model_trainable="{text}"').trainable


def test_the_environments_threshold_holds_where_the_config_gives_none():
    (config,) = parse_label_config(config_of(), default_score_threshold=0.8)
    assert config.score_threshold == 0.8
    (config,) = parse_label_config(
        config_of('model_score_threshold="0.3"'), default_score_threshold=0.8
    )
    assert config.score_threshold == 0.3


def test_the_deprecated_threshold_is_read_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        assert one('score_threshold="0.3"').score_threshold == 0.3
    assert "score_threshold is deprecated" in caplog.text
    assert one('score_threshold="0.3" model_score_threshold="0.30"').score_threshold == 0.3


def test_two_different_thresholds_are_refused():
    message = refusal(config_of('score_threshold="0.3" model_score_threshold="0.4"'))
    assert "differ" in message
    assert "score_threshold" in message


def test_several_controls_videos_and_other_tags_live_side_by_side():
    configs = parse_label_config(
        """<View>
        <Header value="Two cameras"/>
        <Video name="left" value="$left_url" frameRate="30"/>
        <Video name="right" value="$right_url" frameRate="0.04"/>
        <TimelineLabels name="a" toName="left"><Label value="x"/></TimelineLabels>
        <TimelineLabels name="b" toName="right" model_trainable="1"><Label value="x"/></TimelineLabels>
        <TimelineLabels name="c" toName="left" model_skip="yes"><Label value="x"/></TimelineLabels>
        <Labels name="box" toName="left" model_conf="0.1"><Label value="x" model_x="1"/></Labels>
        <VideoRectangle name="rect" toName="left"/>
        <Image name="image" value="$image"/>
        <RectangleLabels name="boxes" toName="image"><Label value="x"/></RectangleLabels>
        <Choices name="choice" toName="left"><Choice value="x"/></Choices>
        <Audio name="sound" value="$sound"/>
        <TimelineLabels name="d" toName="sound" model_skip="true"><Label value="x"/></TimelineLabels>
        </View>"""
    )
    read = [(c.name, c.to_name, c.video_field, c.frame_rate, c.trainable, c.skip) for c in configs]
    assert read == [
        ("a", "left", "left_url", 30, False, False),
        ("b", "right", "right_url", 25, True, False),
        ("c", "left", "left_url", 30, False, True),
    ]


def test_labels_may_stand_in_nested_views():
    config = one(labels='<View><View><Label value="a"/></View><Label value="b"/></View>')
    assert list(config.label_map) == ["a", "b"]


def test_tags_and_attributes_are_read_in_any_case_as_the_editor_does():
    config = one(
        labels='<label Value="a" ALIAS="b"/>',
        video='<video NAME="video" Value="$v" framerate="30"/>',
    )
    assert (config.video_field, config.frame_rate) == ("v", 30)
    assert config.labels == (LabelConfig(value="a", alias="b"),)


def test_an_attribute_in_two_spellings_is_refused():
    video = '<Video name="video" value="$v" frameRate="30" framerate="25"/>'
    assert "frameRate is given twice" in refusal(config_of(video=video))


def test_an_attribute_that_is_written_twice_is_named_with_its_tag():
    text = config_of(video='<Video value="$v" frameRate=">" name="v\'s" frameRate="25"/>')
    assert refusal(text) == 'Video "v\'s": frameRate is given twice; keep one'
    text = config_of().replace("<Label ", "<Label  value='frameRate=1' alias='a' alias = 'b' ", 1)
    assert "is given twice; keep one" in refusal(text)


def test_an_attribute_of_ours_on_the_video_is_refused():
    video = '<Video name="video" value="$v" model_trainable="true"/>'
    assert "model_trainable belongs on <TimelineLabels>" in refusal(config_of(video=video))


def test_a_network_that_no_machine_could_train_is_refused():
    large = 'model_classifier_hidden_size="1250" model_classifier_num_layers="16"'
    said = refusal(config_of(attributes=large))
    assert "model_classifier_hidden_size=1250 and model_classifier_num_layers=16" in said
    assert "at most 100,000,000" in said
    assert one(attributes='model_classifier_hidden_size="1024"').classifier.weights < 1e8


# Labels


def test_an_alias_replaces_the_value_in_regions():
    config = one(labels='<Label value="Ball touch" alias="touch"/><Label value="b" alias=""/>')
    assert config.label_map == {"touch": 0, "b": 1}
    assert config.labels[1].alias is None


@pytest.mark.parametrize(
    "text, names",
    [
        ("soccer_ball", ("soccer_ball",)),
        ("a, b,c", ("a", "b", "c")),
        (
            '"goldfish, Carassius auratus", tiger_shark',
            ("goldfish, Carassius auratus", "tiger_shark"),
        ),
        ("a,,a, ", ("a",)),
        ("", ()),
    ],
)
def test_predicted_values_are_separated_by_commas_outside_quotes(text, names):
    config = one(labels=f"<Label value='a' predicted_values='{text}'/>")
    assert config.labels[0].predicted_values == names


def test_predicted_values_with_an_open_quote_are_refused():
    message = refusal(config_of(labels="<Label value='Ball' predicted_values='\"a, b'/>"))
    assert "predicted_values" in message
    assert '"Ball"' in message


@pytest.mark.parametrize(
    "labels, shared",
    [
        ('<Label value="a"/><Label value="a"/>', "a"),
        ('<Label value="a" alias="x"/><Label value="b" alias="x"/>', "x"),
        ('<Label value="a" alias="x"/><Label value="a" alias="y"/>', "a"),
        ('<Label value="a"/><Label value="b" alias="a"/>', "a"),
        ('<Label value="b" alias="a"/><Label value="a" alias="z"/>', "a"),
    ],
)
def test_labels_that_share_a_value_or_alias_are_refused(labels, shared):
    assert f'"{shared}" is the value or alias of two labels' in refusal(config_of(labels=labels))


def test_an_alias_equal_to_its_own_value_is_fine():
    assert one(labels='<Label value="a" alias="a"/>').label_map == {"a": 0}


@pytest.mark.parametrize("labels", ["<Label/>", '<Label value=" "/>', "<Label>Ball</Label>"])
def test_a_label_without_a_value_is_refused(labels):
    assert "a <Label> has no value" in refusal(config_of(labels=labels))


def test_no_labels_at_all_are_refused():
    assert "no labels" in refusal(config_of(labels=""))


def test_a_label_whose_value_is_task_data_is_refused_unless_it_has_an_alias():
    assert "on <TimelineLabels> itself" in refusal(config_of(labels='<Label value="$labels"/>'))
    assert one(labels='<Label value="$word" alias="a"/>').label_map == {"a": 0}


def test_parameters_on_a_label_are_refused():
    message = refusal(config_of(labels='<Label value="a" model_score_threshold="0.1"/>'))
    assert "belongs on <TimelineLabels>" in message
    message = refusal(config_of(labels='<Label value="a" predictedValues="b"/>'))
    assert "write predicted_values" in message


# Labels from task data


def test_labels_from_task_data_follow_the_static_ones():
    config = one('value="$labels"', labels='<Label value="first"/>')
    assert config.labels_field == "labels"
    resolved = config.for_task(
        {
            "labels": [
                "second",
                {"value": "third", "alias": "3", "background": "red", "predicted_values": "x, y"},
                {"value": "fourth", "predicted_values": ["a, b", "c"]},
            ]
        }
    )
    assert resolved.label_map == {"first": 0, "second": 1, "3": 2, "fourth": 3}
    assert resolved.labels[2].predicted_values == ("x", "y")
    assert resolved.labels[3].predicted_values == ("a, b", "c")
    assert resolved.for_task({}) is resolved


def test_the_label_map_of_labels_from_task_data_is_known_for_a_task_only():
    with pytest.raises(ConfigError, match="for_task"):
        _ = one('value="$labels"', labels="").label_map


def test_labels_from_task_data_cannot_be_trained_on():
    message = refusal(config_of('value="$labels" model_trainable="true"', labels=""))
    assert "labels from task data" in message
    assert "one fixed list of labels" in message


@pytest.mark.parametrize(
    "data, words",
    [
        ({}, '"labels" \\(labels\\) is missing'),
        ({"labels": "a,b"}, "is not a list"),
        ({"labels": None}, "is not a list"),
        ({"labels": []}, "has no label"),
        ({"labels": [3]}, "label 1 is neither"),
        ({"labels": ["a", {"alias": "b"}]}, "label 2 has no value"),
        ({"labels": [{"value": "a", "alias": 3}]}, "the alias of label 1"),
        ({"labels": ["a", "a"]}, "two labels"),
        ({"labels": [{"value": "a", "predicted_values": 3}]}, "predicted_values"),
    ],
)
def test_wrong_labels_in_task_data_are_refused_with_the_fields_name(data, words):
    config = one('value="$labels"', labels="")
    with pytest.raises(ConfigError, match=words) as caught:
        config.for_task(data)
    assert '"labels"' in str(caught.value)


def test_a_control_value_that_names_no_field_is_refused():
    assert 'value="$labels"' in refusal(config_of('value="labels"'))


# Frame rate


@pytest.mark.parametrize(
    "attribute, rate",
    [
        ("", Fraction(24)),
        ('frameRate=""', Fraction(24)),
        ('frameRate="25.0"', Fraction(25)),
        ('frameRate="29.97"', Fraction("29.97")),
        ('frameRate="0.04"', Fraction(25)),
        ('frameRate="0.02"', Fraction(50)),
        ('frameRate="1"', Fraction(1)),
        ('framerate=" 60 "', Fraction(60)),
        ('FRAMERATE="6e1"', Fraction(60)),
    ],
)
def test_the_frame_rate_is_exact_and_inverted_below_one(attribute, rate):
    config = one(video=f'<Video name="video" value="$video" {attribute}/>')
    assert (config.frame_rate, config.frame_rate_field) == (rate, None)


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-25",
        "nan",
        "inf",
        "1e99",
        "1001",
        "0.0001",
        "25fps",
        "30000/1001",
        "0x18",
        "1e999999999",
    ],
)
def test_a_frame_rate_that_is_none_is_refused(text):
    message = refusal(config_of(video=f'<Video name="video" value="$video" frameRate="{text}"/>'))
    assert 'Video "video": frameRate=' in message
    assert "frames a second" in message


@pytest.mark.parametrize(
    "value, rate",
    [
        (29.97, Fraction("29.97")),
        ("29.97", Fraction("29.97")),
        (50, Fraction(50)),
        (0.04, Fraction(25)),
    ],
)
def test_the_frame_rate_may_come_from_task_data(value, rate):
    config = one(video='<Video name="video" value="$video" frameRate="$fps"/>')
    assert (config.frame_rate, config.frame_rate_field) == (None, "fps")
    resolved = config.for_task({"fps": value})
    assert (resolved.frame_rate, resolved.frame_rate_field) == (rate, None)


@pytest.mark.parametrize(
    "data",
    [{}, *({"fps": value} for value in (None, True, "", "fast", 0, -1, 2000, [25], float("nan")))],
)
def test_a_wrong_frame_rate_in_task_data_is_refused_with_the_fields_name(data):
    config = one(video='<Video name="video" value="$video" frameRate="$fps"/>')
    with pytest.raises(ConfigError, match='task data field "fps"'):
        config.for_task(data)


def test_problems_of_a_task_are_reported_together():
    config = one(
        'value="$labels"', video='<Video name="video" value="$video" frameRate="$fps"/>', labels=""
    )
    with pytest.raises(ConfigError) as caught:
        config.for_task({})
    assert '"fps"' in str(caught.value)
    assert '"labels"' in str(caught.value)


# The video


def test_the_videos_address_is_found_in_task_data():
    assert one().video_source({"video": "/data/upload/1/a.mp4"}) == "/data/upload/1/a.mp4"
    nested = one(video='<Video name="video" value="$media.files[1].url"/>')
    assert nested.video_source({"media": {"files": [{}, {"url": "b.mp4"}]}}) == "b.mp4"
    assert nested.video_source({"media.files[1].url": "c.mp4"}) == "c.mp4"


@pytest.mark.parametrize("data", [{}, {"video": None}, {"video": " "}, {"video": ["a.mp4"]}])
def test_a_task_without_the_videos_address_is_refused_with_the_fields_name(data):
    with pytest.raises(MediaError, match='field "video"'):
        one().video_source(data)


@pytest.mark.parametrize(
    "value", ["video.mp4", "http://host/a.mp4", "$a and $b", "$", "$v[{{idx}}]"]
)
def test_a_video_whose_value_names_no_field_is_refused(value):
    message = refusal(config_of(video=f'<Video name="video" value="{value}"/>'))
    assert 'value="$video"' in message


@pytest.mark.parametrize(
    "video, words",
    [
        ("", "names no tag that shows data"),
        ('<Video name="other" value="$video"/>', "names no tag that shows data"),
        ('<Video name="video"/>', "names no tag that shows data"),
        ('<Audio name="video" value="$audio"/>', "is of type Audio; only Video is supported"),
        ('<Header name="video" value="Title"/>', "is of type Header; only Video is supported"),
        (VIDEO + VIDEO, '2 tags have the name "video"'),
        (VIDEO + '<Choices name="label" toName="video"/>', '2 tags have the name "label"'),
    ],
)
def test_a_control_that_is_not_attached_to_one_video_is_refused(video, words):
    message = refusal(config_of(video=video))
    assert words in message
    assert 'TimelineLabels "label"' in message


def test_a_control_attached_to_two_videos_is_refused():
    xml = (
        '<View><TimelineLabels name="a" toName="v,w"><Label value="x"/></TimelineLabels>'
        '<Video name="v" value="$v"/><Video name="w" value="$w"/></View>'
    )
    assert "one Video tag" in refusal(xml)


def test_controls_of_the_same_name_are_refused():
    control = '<TimelineLabels name="a" toName="video"><Label value="x"/></TimelineLabels>'
    assert '2 tags have the name "a"' in refusal(f"<View>{control}{control}{VIDEO}</View>")


@pytest.mark.parametrize("attributes", ['toName="video"', 'name="a"', ""])
def test_a_control_without_name_or_target_is_refused(attributes):
    xml = f'<View><TimelineLabels {attributes}><Label value="x"/></TimelineLabels>{VIDEO}</View>'
    assert "name and toName are needed" in refusal(xml)


def test_a_control_in_a_repeater_is_refused():
    xml = (
        config_of().replace("View>", 'Repeater on="$videos">', 1).replace("</View>", "</Repeater>")
    )
    assert "<Repeater> is not supported" in refusal(xml)


# Attributes that are wrong


@pytest.mark.parametrize("name", [a.name for a in ATTRIBUTES if a.name != "model_path"])
@pytest.mark.parametrize(
    "text", ["many", "", "nan", "inf", "-1", "1e400", "9" * 5000, "٣", "0,5", "1_0"]
)
def test_a_value_that_is_not_accepted_names_control_attribute_and_what_is_accepted(name, text):
    message = refusal(config_of(f'{name}="{text}"'))
    (accepted,) = (a.values.accepted for a in ATTRIBUTES if a.name == name)
    assert message.startswith(f'TimelineLabels "label": {name}=')
    assert accepted in message


@pytest.mark.parametrize("text", ["0", "0.99", "1001", "-5", "1/5", "5 fps"])
def test_a_sampling_rate_out_of_range_is_refused_with_what_is_accepted(text):
    message = refusal(config_of(f'model_sample_fps="{text}"'))
    assert f'model_sample_fps="{text}"' in message
    assert "a number of frames a second from 1 to 1000" in message


@pytest.mark.parametrize(
    "attribute, nearest",
    [
        ("model_trainble", "model_trainable"),
        ("Model_Trainable", "model_trainable"),
        ("modelTrainable", "model_trainable"),
        ("MODEL_PATH", "model_path"),
        ("model_epochs", "model_classifier_epochs"),
        ("model_classifier_sequence_length", "model_classifier_sequence_size"),
        ("model_threshold", "model_score_threshold"),
        ("mode_trainable", "model_trainable"),
        ("model_fps", "model_sample_fps"),
        ("scoreThreshold", "score_threshold"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(attribute, nearest):
    message = refusal(config_of(f'{attribute}="1"'))
    assert f'unknown attribute "{attribute}"; the nearest known one is {nearest};' in message


@pytest.mark.parametrize("text", ["", "  "])
def test_a_blank_model_path_is_refused(text):
    assert "model_path" in refusal(config_of(f'model_path="{text}"'))


def test_label_studios_own_attributes_are_left_alone():
    one('choice="multiple" allowEmpty="true" maxUsages="3" opacity="0.5" perRegion="true"')


def test_all_problems_of_a_config_are_reported_together():
    message = refusal(
        config_of(
            'model_classifier_epochs="x" model_foo="1"',
            labels='<Label value="a"/><Label value="a"/>',
            video='<Video name="video" value="video" frameRate="x"/>',
        )
    )
    assert message.startswith("The labeling config has 5 problems: (1) ")
    for word in (
        "model_classifier_epochs",
        "model_foo",
        "two labels",
        "frameRate",
        'value="video"',
    ):
        assert word in message


def test_a_config_full_of_problems_is_refused_quickly_and_shortly():
    attributes = " ".join(f'model_x{number}="1"' for number in range(20_000))
    assert len(refusal(config_of(attributes))) < 20_000
    labels = "".join('<Label value="a" model_x="1"/>' for _ in range(20_000))
    assert len(refusal(config_of(labels=labels))) < 20_000


# Texts that are no labeling config


@pytest.mark.parametrize("text", ["", "  \n", "\ufeff"])
def test_an_empty_config_is_refused(text):
    assert refusal(text)


@pytest.mark.parametrize(
    "text", ["not xml", "<View>", "<View>\0</View>", "<View a='\ud800'/>", "&x;", "<a>" * 300, "{}"]
)
def test_a_text_that_is_not_xml_is_refused(text):
    assert "is not XML" in refusal(text)


def test_an_oversized_config_is_refused():
    labels = '<Label value="a"/>' + " " * MAX_CONFIG_BYTES
    assert "bytes" in refusal(config_of(labels=labels))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_an_encoding_declaration_means_nothing_in_a_decoded_text(encoding):
    xml = f'\ufeff <?xml version="1.0" encoding="{encoding}"?>\n' + config_of(
        labels='<Label value="Ballberührung – 球"/>'
    )
    (config,) = parse_label_config(xml)
    assert list(config.label_map) == ["Ballberührung – 球"]


def entity_bomb() -> str:
    entities = "".join(f'<!ENTITY a{n} "' + f"&a{n - 1};" * 10 + '">' for n in range(1, 9))
    bomb = config_of(labels="<Label value='&a8;'/>")
    return f'<!DOCTYPE View [<!ENTITY a0 "x">{entities}]>{bomb}'


@pytest.mark.parametrize(
    "xml",
    [
        entity_bomb(),
        '<!DOCTYPE View [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + config_of(labels="&x;"),
        '<!DOCTYPE View SYSTEM "http://127.0.0.1:9/x.dtd">' + config_of(),
        '<!DOCTYPE View [<!ENTITY x "Ball">]>' + config_of(labels='<Label value="&x;"/>'),
    ],
)
def test_entities_are_refused(xml):
    assert refusal(xml)


def test_comments_and_processing_instructions_are_passed_over():
    comment = '<!-- {"data": {"video": 1}} --><?pi name="a" toName="b"?>'
    assert parse_label_config(comment + config_of(labels=LABELS + comment))


@pytest.mark.parametrize("xml", ["<View/>", "<View><Video name='v' value='$v'/></View>"])
def test_a_config_without_timeline_labels_is_refused(xml):
    assert "no TimelineLabels" in refusal(xml)


def test_a_config_whose_only_control_is_skipped_on_another_tag_is_refused():
    xml = config_of('model_skip="true"', video='<Audio name="video" value="$audio"/>')
    assert "No TimelineLabels is attached to a Video" in refusal(xml)


# Fingerprints

CHANGES_BOTH = [
    config_of('model_trainable="true"'),
    config_of('model_classifier_epochs="5"'),
    config_of('model_path="other.pt"'),
    config_of('model_sample_fps="5"'),
    config_of(labels=LABELS + '<Label value="new"/>'),
    config_of(labels='<Label value="Ball touch" alias="x"/><Label value="Ball in frame"/>'),
    config_of(video='<Video name="video" value="$video" frameRate="30"/>'),
    config_of(video='<Video name="video" value="$video" frameRate="$fps"/>'),
    config_of(video='<Video name="video" value="$other" frameRate="25"/>'),
    config_of().replace('name="label"', 'name="other"'),
]
CHANGES_PREDICTIONS = [
    config_of('model_score_threshold="0.4"'),
    config_of('model_skip="true"'),
    config_of(
        labels='<Label value="Ball touch" predicted_values="a"/><Label value="Ball in frame"/>'
    ),
    config_of().replace('ame="video"', 'ame="film"'),
]
CHANGES_NOTHING = [
    config_of(labels=LABELS.replace("red", "blue")),
    config_of('choice="multiple"'),
    config_of(video='<Video timelineHeight="3" frameRate="25" value="$video" name="video"/>'),
    config_of('model_classifier_epochs="1000" model_unlabeled="Background" model_trainable="no"'),
    "<View><Header value='Hello'/>" + config_of() + "</View>",
]


@pytest.mark.parametrize("xml", CHANGES_BOTH)
def test_what_is_learned_changes_both_fingerprints(xml):
    (config,) = parse_label_config(xml)
    assert config.training_fingerprint != one().training_fingerprint
    assert config.prediction_fingerprint != one().prediction_fingerprint


@pytest.mark.parametrize("xml", CHANGES_PREDICTIONS)
def test_what_is_only_predicted_differently_keeps_the_training_fingerprint(xml):
    (config,) = parse_label_config(xml)
    assert config.training_fingerprint == one().training_fingerprint
    assert config.prediction_fingerprint != one().prediction_fingerprint


@pytest.mark.parametrize("xml", CHANGES_NOTHING)
def test_what_is_cosmetic_changes_no_fingerprint(xml):
    (config,) = parse_label_config(xml)
    assert config.training_fingerprint == one().training_fingerprint
    assert config.prediction_fingerprint == one().prediction_fingerprint


def test_fingerprints_are_the_same_in_another_process():
    script = (
        "import sys; from timelinelabels.labelstudio.config import parse_label_config\n"
        "(c,) = parse_label_config(sys.argv[1])\n"
        "print(c.training_fingerprint, c.prediction_fingerprint)"
    )
    xml = config_of(video='<Video name="video" value="$video" frameRate="29.97"/>')
    output = subprocess.run(
        [sys.executable, "-c", script, xml],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    ).stdout.split()
    (config,) = parse_label_config(xml)
    assert output == [config.training_fingerprint, config.prediction_fingerprint]


def test_importing_the_module_does_not_import_the_sdk():
    script = (
        "import sys, timelinelabels.labelstudio.config\n"
        "sys.exit(any(name.split('.')[0] == 'label_studio_sdk' for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_config_of_the_real_data_set_is_read(shared_data: Path):
    xml = (shared_data / "room_actions" / "config.xml").read_text()
    (config,) = parse_label_config(xml)
    assert config.trainable
    assert len(config.label_map) == 9
    assert config.frame_rate == 25
