"""The `Authorization` header for Label Studio, from either kind of its tokens.

A *legacy token* (40 hexadecimal digits) is sent as it is; Label Studio refuses it unless the
organisation has switched legacy tokens on. A *personal access token* is a JWT that only buys access
tokens: it is exchanged for one that is valid for 300 s and sent as Bearer.
"""

import re
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import httpx

from timelinelabels.errors import LabelStudioRefusedError

# Of the 300 s: a download that starts at the last moment must still be let in.
ACCESS_TOKEN_SECONDS = 240
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)

ACCESS_HELP = (
    "LABEL_STUDIO_API_KEY must be a personal access token of a user who may see the project "
    "(Label Studio: Account & Settings), or a legacy token where the organisation allows those"
)


class LabelStudioAccess:
    """Makes `Authorization` headers; one for all threads of a process.

    Args:
        label_studio_url: where tokens are exchanged.
        api_key: a legacy token or a personal access token.
        send: sends one request and reads the answer; its errors pass through.
    """

    def __init__(
        self, label_studio_url: str, api_key: str, send: Callable[[httpx.Request], httpx.Response]
    ) -> None:
        self._refresh_url = f"{label_studio_url.rstrip('/')}/api/token/refresh"
        self._api_key = api_key
        self._send = send
        self._lock = threading.Lock()
        self._access_token: str | None = None
        self._renew_at = 0.0

    @property
    def kind(self) -> str:
        """What kind of token this is, in Label Studio's words."""
        return "personal access token" if _JWT.fullmatch(self._api_key) else "legacy token"

    def authorization(self) -> str:
        """The header's value.

        Raises:
            LabelStudioRefusedError: Label Studio does not exchange the personal access token.
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
            raise LabelStudioRefusedError(
                f"Label Studio did not exchange the personal access token (HTTP "
                f"{response.status_code} of {self._refresh_url}): it is wrong, revoked or has "
                f"expired. {ACCESS_HELP}"
            )
        return token


class AccessAuth(httpx.Auth):
    """Puts the header on every request of an httpx client; a refused access token is renewed once."""

    def __init__(self, access: LabelStudioAccess) -> None:
        self._access = access

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """httpx's protocol: yield the request, look at the answer."""
        request.headers["Authorization"] = self._access.authorization()
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED and self._access.kind != "legacy token":
            self._access.forget()
            request.headers["Authorization"] = self._access.authorization()
            yield request
