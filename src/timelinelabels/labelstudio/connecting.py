"""Connecting a project to a backend: the backend itself, and the webhook that it learns by.

Label Studio registers the webhook by itself when a backend is added, but without headers (a backend with
Basic auth then refuses it), and not at all, silently, for addresses that it does not accept.
"""

import base64
import ipaddress
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from timelinelabels.labelstudio.api_records import ConnectedBackend, RegisteredWebhook
from timelinelabels.labelstudio.client import LabelStudioClient

TITLE = "timelinelabels"
CONNECTED = "CO"
BasicAuth = tuple[str, str]

PRIVATE_HELP = (
    "Label Studio refuses loopback and private addresses unless it is started with "
    "LABEL_STUDIO_ML_BLOCK_LOCAL_IP=false and LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false"
)
ONE_LABEL_HELP = (
    "Label Studio accepts no webhook for a host name without a dot: give the backend's container "
    'another name with one (in docker-compose.yml a network alias, such as "timelinelabels.internal")'
)


def webhook_url(backend_url: str) -> str:
    """Where a backend takes webhooks."""
    return f"{backend_url.rstrip('/')}/webhook"


def webhook_headers(basic_auth: BasicAuth | None) -> dict[str, str]:
    """What a webhook must carry: Label Studio sends no Basic auth with webhooks by itself."""
    if basic_auth is None:
        return {}
    secret = base64.b64encode(":".join(basic_auth).encode()).decode()
    return {"Authorization": f"Basic {secret}"}


def address_help(backend_url: str) -> str | None:
    """Why Label Studio may refuse an address, and what to do; None where nothing speaks against it."""
    host = urlsplit(backend_url).hostname or ""
    try:
        return PRIVATE_HELP if not ipaddress.ip_address(host).is_global else None
    except ValueError:
        pass
    if host == "localhost":
        return PRIVATE_HELP
    return None if "." in host else ONE_LABEL_HELP


def refusal_help(said: str, url: str) -> str | None:
    """What to do when Label Studio says this of an address; None where the address is not at fault."""
    if "reserved network address" in said:
        return PRIVATE_HELP
    return address_help(url) if "valid URL" in said else None


def find_backend(backends: Sequence[ConnectedBackend], url: str) -> ConnectedBackend | None:
    """The connected backend with this address."""
    return next((item for item in backends if _same(item.url, url)), None)


def find_webhooks(hooks: Sequence[RegisteredWebhook], backend_url: str) -> list[RegisteredWebhook]:
    """The webhooks that lead to a backend."""
    return [hook for hook in hooks if _same(hook.url, webhook_url(backend_url))]


def webhook_fault(hook: RegisteredWebhook, basic_auth: BasicAuth | None) -> str | None:
    """What keeps a webhook from teaching anything; None where nothing does."""
    if not hook.active:
        return "is switched off"
    if not hook.all_actions:
        return f"is sent for {len(hook.actions)} kinds of events only"
    if not hook.with_payload:
        return "is sent without its payload"
    if not _carries(hook.headers, webhook_headers(basic_auth)):
        return (
            "lacks the Authorization header with this backend's BASIC_AUTH_USER and BASIC_AUTH_PASS"
        )
    return None


def connect_backend(
    client: LabelStudioClient, project_id: int, url: str, basic_auth: BasicAuth | None
) -> tuple[ConnectedBackend, bool]:
    """Add the backend to the project, or let Label Studio connect anew to the one that is there.

    Returns:
        The backend, and whether it is new.

    Raises:
        LabelStudioError: Label Studio refuses; it says in its words why.
    """
    found = find_backend(client.backends(project_id), url)
    if found is None:
        created = client.create_backend(project_id, url, title=TITLE, basic_auth=basic_auth)
        return created, True
    return client.update_backend(found, project_id, found.url, basic_auth=basic_auth), False


def mend_webhook(
    client: LabelStudioClient, project_id: int, backend_url: str, basic_auth: BasicAuth | None
) -> str | None:
    """Let the project have a webhook to the backend that teaches; what was done, None: nothing.

    Raises:
        LabelStudioError: Label Studio refuses; it says in its words why.
    """
    found = find_webhooks(client.webhooks(project_id), backend_url)
    faults = [webhook_fault(hook, basic_auth) for hook in found]
    if None in faults:
        return None
    headers = webhook_headers(basic_auth)
    own = [hook for hook in found if hook.project == project_id]
    if own:
        client.update_webhook(own[0], own[0].url, {**own[0].headers, **headers})
        return f"mended: it {faults[found.index(own[0])]}"
    client.create_webhook(project_id, webhook_url(backend_url), headers)
    return "created"


def _carries(given: Mapping[str, str], needed: Mapping[str, str]) -> bool:
    lower = {name.lower(): value for name, value in given.items()}
    return all(lower.get(name.lower()) == value for name, value in needed.items())


def _same(one: str, other: str) -> bool:
    return _parts(one) == _parts(other)


def _parts(url: str) -> tuple[str, str, int | None, str]:
    split = urlsplit(url)
    port = split.port or {"http": 80, "https": 443}.get(split.scheme)
    return split.scheme, (split.hostname or ""), port, split.path.rstrip("/")
