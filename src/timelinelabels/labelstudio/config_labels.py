"""The labels of a `<TimelineLabels>` control: from its `<Label>` tags and from task data."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from timelinelabels.labelstudio.config_attributes import claims_to_be_ours, slip_of
from timelinelabels.labelstudio.config_values import referenced_field, shown
from timelinelabels.labelstudio.config_xml import Element, tag_of


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """One label that people may give to a range of frames."""

    # What the editor shows.
    value: str
    # Stands in regions instead of the value.
    alias: str | None = None
    # Classes of the YOLO model that mean this label in simple mode.
    predicted_values: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What regions carry."""
        return self.alias or self.value


def labels_of_element(control: Element, where: str, problems: list[str]) -> list[LabelConfig]:
    """The labels that a control's `<Label>` tags define, in their order."""
    elements = [element for element in control.iter() if tag_of(element) == "label"]
    for name in sorted({name for element in elements for name in element.attrib}):
        if claims_to_be_ours(name):
            problems.append(f"{where}: {name} belongs on <TimelineLabels>, not on a <Label>")
        elif slip_of(name, ["predicted_values"]):
            problems.append(f"{where}: a <Label> has {shown(name)}; write predicted_values")
    labels = []
    for element in elements:
        value, alias = element.get("value", ""), element.get("alias") or None
        if not value.strip():
            problems.append(f'{where}: a <Label> has no value; write <Label value="…"/>')
            continue
        if referenced_field(value) and alias is None:
            problems.append(
                f"{where}: the label {shown(value)} stands for task data, and regions would carry "
                f"that very text; for labels from task data write value={shown(value)} on "
                "<TimelineLabels> itself, or give this label an alias"
            )
            continue
        labels.append(_label(value, alias, element.get("predicted_values"), where, problems))
    problems.extend(ambiguities(labels, where))
    return labels


def labels_of_data(items: Any, where: str, problems: list[str]) -> list[LabelConfig]:
    """The labels that task data define: a list of texts, or of objects with a `value`.

    Objects have the keys of a `<Label>` tag's attributes (`value`, `alias`, `predicted_values`, the
    last also as a list); other keys are for the editor and are passed over.
    """
    if not isinstance(items, list):
        problems.append(f'{where} is not a list of labels such as [{{"value": "Ball"}}]')
        return []
    labels = []
    for number, item in enumerate(items, start=1):
        given = {"value": item} if isinstance(item, str) else item
        if not isinstance(given, Mapping):
            problems.append(f"{where}: label {number} is neither a text nor an object with a value")
            continue
        value, alias = given.get("value"), given.get("alias") or None
        if not isinstance(value, str) or not value.strip():
            problems.append(f"{where}: label {number} has no value")
        elif alias is not None and not isinstance(alias, str):
            problems.append(f"{where}: the alias of label {number} is not a text")
        else:
            labels.append(_label(value, alias, given.get("predicted_values"), where, problems))
    return labels


def ambiguities(labels: Iterable[LabelConfig], where: str) -> list[str]:
    """One sentence for each value or alias that two labels share (a region would not say which)."""
    owners: dict[str, LabelConfig] = {}
    problems = []
    for label in labels:
        for text in dict.fromkeys((label.value, label.name)):
            if text in owners:
                problems.append(
                    f"{where}: {shown(text)} is the value or alias of two labels; "
                    "values and aliases must differ from each other"
                )
            owners[text] = label
    return problems


def _label(
    value: str, alias: str | None, classes: Any, where: str, problems: list[str]
) -> LabelConfig:
    try:
        return LabelConfig(value=value, alias=alias, predicted_values=_class_names(classes))
    except ValueError:
        problems.append(
            f"{where}: predicted_values={shown(classes)} of the label {shown(value)} is not "
            'accepted; give class names separated by commas ("…" around a name that has one)'
        )
        return LabelConfig(value=value, alias=alias)


def _class_names(given: Any) -> tuple[str, ...]:
    """The class names in a `predicted_values`, each once.

    Ultralytics' own names have no commas (`tiger_shark`); those of other models may (`goldfish,
    Carassius auratus`), so that a name may stand in double quotes, as in a CSV line.

    Raises:
        ValueError: neither a text nor a list of texts, or its quotes are not closed.
    """
    if given is None:
        return ()
    if isinstance(given, list) and all(isinstance(name, str) for name in given):
        names = given
    elif isinstance(given, str):
        try:
            names = [
                name
                for row in csv.reader([given], skipinitialspace=True, strict=True)
                for name in row
            ]
        except csv.Error as error:
            raise ValueError(str(error)) from None
    else:
        raise ValueError("neither a text nor a list of texts")
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
