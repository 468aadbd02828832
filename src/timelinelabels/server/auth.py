"""Basic auth for everything but the health checks."""

import hmac
import logging

from flask import Response, request

from timelinelabels.settings import Settings

logger = logging.getLogger(__name__)

# Health checks of Docker and of load balancers send no credentials, and the answer holds no data.
OPEN_ENDPOINTS = frozenset({"timelinelabels.health", "timelinelabels.root"})


def require_basic_auth(settings: Settings) -> Response | None:
    """401 where credentials are set and the request does not carry them, else None."""
    if settings.basic_auth_user is None or settings.basic_auth_pass is None:
        return None
    if request.endpoint in OPEN_ENDPOINTS:
        return None
    given = request.authorization
    user = (given.username or "") if given and given.type == "basic" else ""
    password = (given.password or "") if given and given.type == "basic" else ""
    # Both are always compared, in constant time, so that the time tells nothing.
    user_fits = hmac.compare_digest(user.encode(), settings.basic_auth_user.encode())
    password_fits = hmac.compare_digest(
        password.encode(), settings.basic_auth_pass.get_secret_value().encode()
    )
    if user_fits and password_fits:
        return None
    if request.path == "/webhook":
        logger.warning(
            "A webhook without valid credentials was REFUSED, so the model does not learn from it. "
            "Label Studio sends no Basic auth with webhooks: add the header 'Authorization: Basic …' "
            "to the webhook itself (docs/how-to/secure-the-backend.md)."
        )
    return Response(
        '{"error": "Unauthorized", "detail": "Basic auth is needed: BASIC_AUTH_USER and '
        'BASIC_AUTH_PASS are set on this backend."}\n',
        status="401 Basic auth is needed (BASIC_AUTH_USER and BASIC_AUTH_PASS are set)",
        mimetype="application/json",
        headers={"WWW-Authenticate": 'Basic realm="timelinelabels"'},
    )
