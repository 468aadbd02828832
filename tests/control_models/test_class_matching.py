"""Simple mode: labels ↔ classes."""

import numpy as np
import pytest

from timelinelabels.control_models.class_matching import (
    label_probabilities,
    match_classes,
    unknown_classes,
)
from timelinelabels.errors import ConfigError
from timelinelabels.labelstudio.config import LabelConfig

CLASSES = ("soccer_ball", "tiger_shark", "Tennis Ball", "goldfish", "Goldfish")


def label(value, *predicted, alias=None):
    return LabelConfig(value=value, alias=alias, predicted_values=predicted)


def test_a_label_is_matched_by_its_value_first_as_written_then_without_case():
    labels = [label("tiger_shark"), label("TENNIS BALL"), label("Goldfish")]
    assert match_classes(labels, CLASSES, control="c") == {
        "tiger_shark": (1,),
        "TENNIS BALL": (2,),
        "Goldfish": (4,),
    }


def test_predicted_values_name_several_classes_and_the_alias_names_the_label():
    matched = match_classes(
        [label("Ball", "soccer_ball", "tennis ball", alias="B")], CLASSES, control="c"
    )
    assert matched == {"B": (0, 2)}


def test_predicted_values_replace_the_value():
    labels = [label("goldfish", "tiger_shark")]
    assert match_classes(labels, CLASSES, control="c") == {"goldfish": (1,)}


def test_labels_without_a_class_are_logged_while_others_match(caplog):
    labels = [label("goldfish"), label("submarine")]
    assert match_classes(labels, CLASSES, control="c") == {"goldfish": (3,)}
    assert "submarine" in caplog.text
    assert unknown_classes(labels, CLASSES) == ["submarine"]


def test_no_match_at_all_is_an_error_with_the_labels_and_the_nearest_classes():
    with pytest.raises(ConfigError) as raised:
        match_classes([label("soccer ball"), label("qqq")], CLASSES, control="videoLabels")
    message = str(raised.value)
    for part in ("videoLabels", "'soccer ball'", "'soccer_ball'", "'qqq'", "predicted_values"):
        assert part in message


def test_probabilities_of_several_classes_add_up_to_at_most_1():
    probabilities = np.array([[0.6, 0.1, 0.6, 0, 0], [0.1, 0.2, 0.3, 0, 0]], dtype=np.float32)
    result = label_probabilities(probabilities, {"B": (0, 2), "S": (1,)}, {"B": 0, "S": 1, "-": 2})
    np.testing.assert_allclose(result, [[1.0, 0.1, 0.0], [0.4, 0.2, 0.0]], rtol=1e-6)
