"""Log lines of this process: where they go, how many, and never with a secret in them."""

import base64
import logging
import sys
from urllib.parse import quote, unquote, urlsplit

from timelinelabels.settings import Settings


class _RedactingFormatter(logging.Formatter):
    """Writes secrets as ***, whatever put them into a line or into the traceback below it."""

    def __init__(self, layout: str, secrets: list[str]) -> None:
        super().__init__(layout)
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def configure_logging(settings: Settings, *, quiet: bool = False) -> None:
    """Log lines of this process to standard error, without secrets.

    Args:
        settings: of this process.
        quiet: only warnings, unless LOG_LEVEL was set (commands show progress bars instead).
    """
    explicit = "log_level" in settings.model_fields_set
    level = "WARNING" if quiet and not explicit else settings.log_level
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s", _secrets(settings))
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # At DEBUG these would write request headers, with the tokens in them.
    for chatty in ("httpx", "httpcore", "urllib3", "PIL", "alembic", "filelock"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _secrets(settings: Settings) -> list[str]:
    """What must never be written, in every spelling that a URL or a header gives it; longest first."""
    keys = (settings.label_studio_api_key, settings.basic_auth_pass)
    plain = {key.get_secret_value() for key in keys if key}
    for url in (settings.database_url, settings.label_studio_url or ""):
        plain.add(unquote(_password(url)))
    plain.discard("")
    spelled = plain | {quote(secret, safe="") for secret in plain}
    if settings.basic_auth_pass:
        login = f"{settings.basic_auth_user}:{settings.basic_auth_pass.get_secret_value()}"
        spelled.add(base64.b64encode(login.encode()).decode())
    return sorted(spelled, key=len, reverse=True)


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""  # not a URL; who uses it says so
