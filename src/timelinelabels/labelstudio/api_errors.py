"""What goes wrong with a request to Label Studio's API, as this backend's own errors."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from timelinelabels.errors import (
    LabelStudioError,
    LabelStudioNotFoundError,
    LabelStudioRefusedError,
    LabelStudioUnreachableError,
)
from timelinelabels.labelstudio.access import ACCESS_HELP

_SHOWN_CHARACTERS = 300


@contextmanager
def asking(url: str, what: str) -> Iterator[None]:
    """Turn whatever goes wrong with a request into our errors.

    Args:
        url: of Label Studio, for people to read.
        what: is asked for.

    Raises:
        LabelStudioError: whatever went wrong; the subclass says whether Label Studio is away, refuses or
            has no such thing.
    """
    from label_studio_sdk.core.api_error import ApiError  # half a second

    where = f"Label Studio at {url}, asked for {what}"
    try:
        yield
    except ApiError as error:
        raise _of_status(where, error.status_code, error.body) from None
    except httpx.TimeoutException as error:
        raise LabelStudioUnreachableError(
            f"{where}: no answer in time ({type(error).__name__})"
        ) from None
    except httpx.HTTPError as error:
        raise LabelStudioUnreachableError(
            f"{where}: {error or type(error).__name__}. Is LABEL_STUDIO_URL its address as this "
            "machine reaches it, and does it run?"
        ) from None
    except ValueError as error:  # no JSON, or not the fields that the SDK expects
        raise _not_label_studio(where, type(error).__name__) from None


@contextmanager
def understanding(url: str, what: str) -> Iterator[None]:
    """Turn an answer that lacks something into our error.

    Args:
        url: of Label Studio, for people to read.
        what: the answer tells of.

    Raises:
        LabelStudioError: the answer lacks something.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise LabelStudioError(
            f"Label Studio at {url} tells of {what} in a way that is not understood: {error}"
        ) from None


def _not_label_studio(where: str, why: str) -> LabelStudioError:
    return LabelStudioError(
        f"{where}: the answer is not Label Studio's ({why}); does LABEL_STUDIO_URL lead to it?"
    )


def _of_status(where: str, status: int | None, body: Any) -> LabelStudioError:
    """The error for an HTTP status; it shows Label Studio's own words where there are any."""
    detail = body.get("detail") if isinstance(body, Mapping) else None
    if isinstance(body, Mapping) and body.get("validation_errors"):
        detail = json.dumps(body["validation_errors"], ensure_ascii=False)
    elif detail is None and isinstance(body, Mapping | list) and status == httpx.codes.BAD_REQUEST:
        detail = json.dumps(body, ensure_ascii=False, default=str)
    said = f" {str(detail)[:_SHOWN_CHARACTERS]}" if detail else ""
    text = f"{where}: HTTP {status}.{said}"
    if status is not None and status < 300:  # the SDK could not read the body
        return _not_label_studio(where, "no JSON")
    if status == httpx.codes.UNAUTHORIZED:
        return LabelStudioRefusedError(f"{text} {ACCESS_HELP}")
    if status == httpx.codes.FORBIDDEN:
        return LabelStudioRefusedError(text)
    if status == httpx.codes.NOT_FOUND:
        return LabelStudioNotFoundError(
            f"{text} It is not there, or the token's user may not see it"
        )
    if status is not None and 300 <= status < 400:
        return LabelStudioError(f"{text} It redirects: set LABEL_STUDIO_URL to the address behind")
    if status is None or status >= 500:
        return LabelStudioUnreachableError(text)
    return LabelStudioError(text)
