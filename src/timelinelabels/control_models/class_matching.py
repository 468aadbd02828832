"""Simple mode: which of the backbone's classes stand for which label."""

import difflib
import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from timelinelabels.errors import ConfigError
from timelinelabels.labelstudio.config import LabelConfig

logger = logging.getLogger(__name__)


def match_classes(
    labels: Sequence[LabelConfig], class_names: Sequence[str], *, control: str
) -> dict[str, tuple[int, ...]]:
    """Label name → indices of its classes.

    A label's `predicted_values` name its classes; without them its value does. Names are compared as
    they are written first, then without regard to case.

    Raises:
        ConfigError: no label matches any class.
    """
    indices_of = _finder(class_names)
    matched: dict[str, tuple[int, ...]] = {}
    for label in labels:
        indices = {index for wanted in _wanted(label) for index in indices_of(wanted)}
        if indices:
            matched[label.name] = tuple(sorted(indices))
    unknown = _unknown(labels, indices_of)
    if not matched:
        raise ConfigError(_nothing_matched(unknown, class_names, control))
    if unknown:
        logger.warning(
            "<TimelineLabels name=%r>: no class is named %s", control, ", ".join(unknown)
        )
    return matched


def unknown_classes(labels: Sequence[LabelConfig], class_names: Sequence[str]) -> list[str]:
    """The names that labels ask for and no class has, as `match_classes` compares them."""
    return _unknown(labels, _finder(class_names))


def _unknown(
    labels: Sequence[LabelConfig], indices_of: Callable[[str], Sequence[int]]
) -> list[str]:
    return [wanted for label in labels for wanted in _wanted(label) if not indices_of(wanted)]


def _wanted(label: LabelConfig) -> Sequence[str]:
    return label.predicted_values or (label.value,)


def _finder(class_names: Sequence[str]) -> Callable[[str], Sequence[int]]:
    """Class name → indices."""
    exact: dict[str, list[int]] = {}
    folded: dict[str, list[int]] = {}
    for index, name in enumerate(class_names):
        exact.setdefault(name, []).append(index)
        folded.setdefault(name.casefold(), []).append(index)
    return lambda wanted: exact.get(wanted) or folded.get(wanted.casefold()) or ()


def label_probabilities(
    class_probabilities: npt.NDArray[np.floating],
    matched: Mapping[str, tuple[int, ...]],
    label_map: Mapping[str, int],
) -> npt.NDArray[np.float32]:
    """Probabilities of labels (T, C) from those of classes (T, n): a label's classes add up, at most 1."""
    result = np.zeros((len(class_probabilities), max(label_map.values()) + 1), dtype=np.float32)
    for name, indices in matched.items():
        result[:, label_map[name]] = class_probabilities[:, list(indices)].sum(axis=1)
    return np.clip(result, 0.0, 1.0)


def _nothing_matched(missing: Sequence[str], class_names: Sequence[str], control: str) -> str:
    by_folded = {name.casefold(): name for name in class_names}
    hints = []
    for wanted in missing[:10]:
        near = difflib.get_close_matches(wanted.casefold(), by_folded, n=3, cutoff=0.5)
        names = ", ".join(repr(by_folded[name]) for name in near) or "nothing similar"
        hints.append(f"{wanted!r} (nearest: {names})")
    return (
        f"<TimelineLabels name={control!r}>: none of its labels is a class of the backbone: "
        f"{'; '.join(hints)}. The backbone has {len(class_names)} classes, such as "
        f"{', '.join(class_names[:5])}. Set predicted_values "
        'of a <Label> to class names, or set model_trainable="true" to learn labels of your own.'
    )
