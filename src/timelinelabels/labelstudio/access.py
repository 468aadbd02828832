"""The `Authorization` header for Label Studio, from either kind of its tokens.

A *legacy token* (40 hexadecimal digits) is sent as it is; Label Studio refuses it unless the
organisation has switched legacy tokens on. A *personal access token* is a JWT that only buys access
tokens: it is exchanged for one that is valid for 300 s and sent as Bearer.
"""

import re
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx

from timelinelabels.errors import DownloadError

# Of the 300 s: a download that starts at the last moment must still be let in.
ACCESS_TOKEN_SECONDS = 240
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)

ACCESS_HELP = (
    "LABEL_STUDIO_API_KEY must be a personal access token of a user who may see the project "
    "(Label Studio: Account & Settings), or a legacy token where the organisation allows those"
)


class LabelStudioAccess:
    """Makes `Authorization` headers; one for all threads of a process."""

    def __init__(
        self, label_studio_url: str, api_key: str, send: Callable[[httpx.Request], httpx.Response]
    ) -> None:
        self._refresh_url = f"{label_studio_url.rstrip('/')}/api/token/refresh"
        self._api_key = api_key
        self._send = send
        self._lock = threading.Lock()
        self._access_token: str | None = None
        self._renew_at = 0.0

    def authorization(self) -> str:
        """The header's value.

        Raises:
            DownloadError: Label Studio does not exchange the personal access token.
        """
        if not _JWT.fullmatch(self._api_key):
            return f"Token {self._api_key}"
        with self._lock:
            if self._access_token is None or time.monotonic() >= self._renew_at:
                self._access_token = self._exchange()
                self._renew_at = time.monotonic() + ACCESS_TOKEN_SECONDS
            return f"Bearer {self._access_token}"

    def forget(self) -> None:
        """Exchange the token anew next time: Label Studio has refused the access token."""
        with self._lock:
            self._access_token = None

    def _exchange(self) -> str:
        request = httpx.Request("POST", self._refresh_url, json={"refresh": self._api_key})
        response = self._send(request)
        try:
            answer: Any = response.json() if response.status_code == httpx.codes.OK else None
        except ValueError:
            answer = None
        token = answer.get("access") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not _JWT.fullmatch(token):
            raise DownloadError(
                f"Label Studio did not exchange the personal access token (HTTP "
                f"{response.status_code} of {self._refresh_url}): it is wrong, revoked or has "
                f"expired. {ACCESS_HELP}"
            )
        return token
