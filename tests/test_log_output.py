"""What reaches the log, and what never does."""

import base64
import logging

import pytest

from timelinelabels.log_output import configure_logging
from timelinelabels.settings import Settings


@pytest.fixture(autouse=True)
def root_logger():
    """The root logger as it was before the test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_no_secret_is_written_neither_in_a_line_nor_in_a_traceback(capsys):
    configure_logging(
        Settings(label_studio_api_key="key-abc", basic_auth_user="me", basic_auth_pass="pass-abc")
    )
    logger = logging.getLogger("anything")
    logger.warning("sent %s", "Token key-abc")
    try:
        raise ValueError("refused: me:pass-abc")
    except ValueError:
        logger.exception("a request failed")
    written = capsys.readouterr().err
    assert "sent Token ***" in written
    assert "ValueError: refused: me:***" in written
    assert "abc" not in written


def test_no_spelling_of_a_secret_is_written(capsys):
    configure_logging(
        Settings(
            basic_auth_user="me",
            basic_auth_pass="pass/abc",
            database_url="postgresql://user:data%2Fabc@host/db",
            label_studio_url="https://user:web-abc@host",
        )
    )
    login = base64.b64encode(b"me:pass/abc").decode()
    for text in ("pass%2Fabc", "data%2Fabc", "data/abc", "https://user:web-abc@host", login):
        logging.getLogger("anything").warning("it was %s", text)
    written = capsys.readouterr().err
    assert written.count("***") == 5
    assert "abc" not in written
    assert login not in written
