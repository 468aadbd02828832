"""Documentation that cannot rot: tables and names are checked against the code."""

import importlib
import re
from pathlib import Path

import pytest

from timelinelabels.labelstudio.config_attributes import ATTRIBUTES

ROOT = Path(__file__).parent.parent
GUIDE_NAMES = {
    "control_models.control_model": ["ControlModel"],
    "control_models.timeline_labels": ["TimelineLabelsModel"],
    "neural_nets.base": ["BaseNN"],
    "neural_nets.lstm": ["MultiLabelLSTM"],
    "features": ["cached_feature_extraction", "cached_yolo_predict"],
    "labelstudio.regions": ["convert_timelinelabels_to_probs", "convert_probs_to_timelinelabels"],
}


def attribute_table():
    rows = ["| Attribute | Accepts | Default | What it does |", "|---|---|---|---|"]
    for attribute in ATTRIBUTES:
        default = attribute.default
        shown = (
            "none"
            if default is None
            else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        )
        rows.append(
            f"| `{attribute.name}` | {attribute.values.accepted} | {shown} | {attribute.help} |"
        )
    return "\n".join(rows)


def test_the_readme_documents_every_attribute_as_the_code_has_it():
    assert attribute_table() in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("module", GUIDE_NAMES)
def test_the_guides_names_are_documented_where_they_are(module):
    guide = (ROOT / "docs" / "developer-guide.md").read_text()
    for name in GUIDE_NAMES[module]:
        item = getattr(importlib.import_module(f"timelinelabels.{module}"), name)
        assert item.__doc__, name
        path = f"{module.replace('.', '/')}.py"
        assert re.search(rf"`{name}`.*`{path}`|`{name}`.*`.*`.*`{path}`", guide), (name, path)


def test_every_test_file_that_the_guide_names_exists():
    guide = (ROOT / "docs" / "developer-guide.md").read_text()
    for name in re.findall(r"`(tests/[^`]+\.py)`", guide):
        assert (ROOT / name).is_file(), name


def test_links_between_documents_lead_somewhere():
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_decision_is_listed():
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()
    for path in (ROOT / "docs" / "decisions").glob("0*.md"):
        assert path.name in index


def test_every_test_that_holds_one_of_label_studios_ways_exists():
    table = (ROOT / "docs" / "reference" / "label-studio.md").read_text()
    named = re.findall(r"`(tests/[^`:]+\.py)::(test_\w+)`", table)
    assert len(named) > 20
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(), name
