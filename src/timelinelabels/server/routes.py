"""The routes that Label Studio and administrators call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, current_app, jsonify, request
from werkzeug.exceptions import BadRequest

from timelinelabels.errors import PayloadError
from timelinelabels.labelstudio.payloads import parse_predict, parse_setup, parse_webhook

if TYPE_CHECKING:
    from timelinelabels.server.monitoring import Monitoring
    from timelinelabels.server.services import LazyServices, Services

blueprint = Blueprint("timelinelabels", __name__)

HEALTH = {"status": "UP", "model_class": "TimelineLabelsModel"}


def _services() -> Services:
    lazy: LazyServices = current_app.extensions["timelinelabels"]
    return lazy.get()


def _body() -> dict[str, Any]:
    """The request's JSON object.

    Raises:
        PayloadError: the body is not a JSON object.
    """
    try:
        body = request.get_json(force=True, silent=False)
    except BadRequest:
        raise PayloadError(f"{request.path}: the request body is not JSON.") from None
    except RecursionError:
        raise PayloadError("The request body is nested too deeply to be Label Studio's.") from None
    if not isinstance(body, dict):
        raise PayloadError(
            f"{request.path} takes a JSON object, got {type(body).__name__}. "
            "This address is for Label Studio's machine-learning backend calls."
        )
    return body


@blueprint.get("/")
def root() -> Response:
    """What runs here."""
    return jsonify(HEALTH)


@blueprint.get("/health")
def health() -> Response:
    """Whether the web process answers."""
    return jsonify(HEALTH)


@blueprint.post("/setup")
def setup() -> Response:
    """Label Studio names a project and its labeling config; it wants the model version."""
    payload = parse_setup(_body())
    version = _services().service.setup(payload.project, payload.label_config)
    return jsonify({"model_version": version})


@blueprint.post("/predict")
def predict() -> Response:
    """Label Studio wants predictions for tasks."""
    return jsonify(_services().predictions.predict(parse_predict(_body())))


@blueprint.post("/webhook")
def webhook() -> Response:
    """Label Studio tells of an event; it is kept durably before the answer."""
    event = parse_webhook(_body())
    _services().service.record(event)
    return jsonify({"status": "ok", "action": event.action})


@blueprint.get("/versions")
def versions() -> Response:
    """All model versions, newest first."""
    return jsonify({"versions": [row.text for row in _services().service.store.versions()]})


@blueprint.get("/metrics")
def metrics() -> Response:
    """Prometheus metrics."""
    monitoring: Monitoring = current_app.extensions["timelinelabels_monitoring"]
    body, content_type = monitoring.render()
    return Response(body, content_type=content_type)
