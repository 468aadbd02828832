"""The environment as settings, and their documentation."""

import re
from pathlib import Path

import pytest

from timelinelabels.errors import SettingsError
from timelinelabels.settings import Settings, load_settings

TABLE = Path(__file__).parent.parent / "docs" / "configuration.md"


@pytest.fixture
def environment(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch.setenv


def test_every_setting_is_in_the_documented_table_with_its_default():
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|", TABLE.read_text(), re.MULTILINE)
    documented = dict(rows)
    assert list(documented) == [name.upper() for name in Settings.model_fields]
    for name, field in Settings.model_fields.items():
        stated = documented[name.upper()].strip("`")
        if name == "database_url":
            assert stated == "sqlite:///MODEL_ROOT/store.sqlite3"
        elif field.default in (None, (), frozenset()):
            assert stated == "none"
        else:
            default = field.default
            assert stated == (str(default).lower() if isinstance(default, bool) else str(default))


def test_lists_are_split_and_empty_variables_count_as_unset(environment):
    environment("MEDIA_ROOTS", "/a/b:/c d")
    environment("ALLOWED_MEDIA_HOSTS", "Media.example, cdn.example:8443")
    environment("PORT", "")
    settings = load_settings()
    assert settings.media_roots == (Path("/a/b"), Path("/c d"))
    assert settings.allowed_media_hosts == {"media.example", "cdn.example:8443"}
    assert settings.port == 9090


def test_the_command_line_wins_over_the_environment(environment):
    environment("PORT", "8000")
    assert load_settings(port=9000).port == 9000
    assert load_settings(port=None).port == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "no"),
        ("PORT", "70000"),
        ("MODEL_SCORE_THRESHOLD", "1.5"),
        ("LABEL_STUDIO_URL", "label-studio:8080"),
        ("LOG_LEVEL", "loud"),
        ("BASIC_AUTH_USER", "only-the-user"),
        ("CACHE_MAX_GB", "-1"),
    ],
)
def test_a_value_that_is_not_accepted_is_named(environment, name, value):
    environment(name, value)
    with pytest.raises(SettingsError, match=name.split("_")[0]):
        load_settings()


def test_secrets_are_not_shown(environment):
    environment("LABEL_STUDIO_API_KEY", "very-secret")
    environment("BASIC_AUTH_USER", "me")
    environment("BASIC_AUTH_PASS", "hidden-too")
    shown = repr(load_settings())
    assert "very-secret" not in shown
    assert "hidden-too" not in shown


@pytest.mark.parametrize(
    ("variables", "pushes"),
    [
        ({}, False),
        ({"LABEL_STUDIO_URL": "http://ls", "LABEL_STUDIO_API_KEY": "k"}, True),
        ({"LABEL_STUDIO_API_KEY": "k"}, False),
        (
            {
                "LABEL_STUDIO_URL": "http://ls",
                "LABEL_STUDIO_API_KEY": "k",
                "PUSH_PREDICTIONS": "false",
            },
            False,
        ),
    ],
)
def test_predictions_are_pushed_by_default_where_there_is_a_key(monkeypatch, variables, pushes):
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "PUSH_PREDICTIONS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert load_settings().pushes_predictions is pushes
