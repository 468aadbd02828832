"""The Flask application: parse → call → render."""

import logging
import time

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from timelinelabels.errors import TimelineLabelsError
from timelinelabels.log_output import configure_logging
from timelinelabels.server.auth import require_basic_auth
from timelinelabels.server.monitoring import Monitoring
from timelinelabels.server.routes import blueprint
from timelinelabels.server.services import LazyServices
from timelinelabels.settings import Settings, load_settings

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 256 * 1024**2  # hundreds of tasks with their annotations come in one request
MAX_REASON = 200


def create_app(settings: Settings) -> Flask:
    """The application for these settings; it answers health checks at once.

    It loads no weights and decodes no video. The store, torch and all else that takes seconds to import
    come with `LazyServices.warm_up`, or with the first request that needs them.
    """
    services = LazyServices(settings)
    app = Flask("timelinelabels")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.extensions["timelinelabels"] = services
    monitoring = Monitoring(services.statistics)
    app.extensions["timelinelabels_monitoring"] = monitoring
    app.register_blueprint(blueprint)
    app.register_error_handler(TimelineLabelsError, _expected_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected_error)

    @app.before_request
    def _before() -> Response | None:
        g.started = time.perf_counter()
        return require_basic_auth(settings)

    @app.after_request
    def _after(response: Response) -> Response:
        seconds = time.perf_counter() - g.get("started", time.perf_counter())
        route = request.url_rule.rule if request.url_rule else "unknown"
        monitoring.observe(request.method, route, response.status_code, seconds)
        logger.debug(
            "%s %s → %d in %.0f ms", request.method, route, response.status_code, 1000 * seconds
        )
        return response

    return app


def create_app_from_environment() -> Flask:
    """What gunicorn calls, before it opens the port."""
    settings = load_settings()
    configure_logging(settings)
    return create_app(settings)


def reason_phrase(message: str) -> str:
    """A message as an HTTP reason phrase: the only error text that Label Studio shows to a person.

    One line of printable ASCII, everything else backslash-escaped, cut to 200 characters: anything
    else would turn the whole answer into a bare 500.
    """
    escaped = " ".join(message.split()).encode("ascii", "backslashreplace").decode("ascii")
    printable = "".join(char if 32 <= ord(char) < 127 else " " for char in escaped)
    return printable if len(printable) <= MAX_REASON else printable[: MAX_REASON - 3] + "..."


def _error_response(status: int, name: str, message: str) -> Response:
    # A checkpoint's class names, for example, may hold half of a surrogate pair.
    detail = message.encode("utf-8", "backslashreplace").decode()
    response = jsonify({"error": name, "detail": detail})
    response.status = f"{status} {reason_phrase(message)}"
    return response


def _expected_error(error: TimelineLabelsError) -> Response:
    logger.warning("%s %s: %s", request.method, request.path, error)
    return _error_response(error.http_status, type(error).__name__, str(error))


def _http_error(error: HTTPException) -> Response:
    return _error_response(error.code or 500, type(error).__name__, error.description or error.name)


def _unexpected_error(error: Exception) -> Response:
    logger.exception("%s %s failed", request.method, request.path)
    return _error_response(
        500, type(error).__name__, "timelinelabels failed; its log holds the details"
    )
