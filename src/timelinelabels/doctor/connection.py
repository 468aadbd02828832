"""Checks of a project's connection: the backend as Label Studio knows it, and its webhook."""

from collections.abc import Iterator, Sequence

import httpx

from timelinelabels.doctor.findings import Finding, fail, ok, warn
from timelinelabels.labelstudio.api_records import ConnectedBackend, LabelStudioProject
from timelinelabels.labelstudio.client import LabelStudioClient
from timelinelabels.labelstudio.connecting import (
    CONNECTED,
    BasicAuth,
    address_help,
    find_backend,
    find_webhooks,
    mend_webhook,
    refusal_help,
    webhook_fault,
    webhook_url,
)

ANSWER_SECONDS = 3.0


def check_connection(
    client: LabelStudioClient,
    project: LabelStudioProject,
    backend_url: str,
    basic_auth: BasicAuth | None,
) -> Iterator[Finding]:
    """Whether the project has the backend, and Label Studio reaches it.

    Raises:
        LabelStudioError: Label Studio does not say.
    """
    backends = client.backends(project.id)  # Label Studio asks each for /health now
    found = find_backend(backends, backend_url)
    connect = f"timelinelabels connect --project {project.id} --backend {backend_url}"
    if found is None:
        others = ", ".join(item.url for item in backends) or "none"
        hint = address_help(backend_url)
        yield fail(
            f"The backend {backend_url} is not connected (connected: {others})",
            connect + (f". If that is refused: {hint}" if hint else ""),
        )
        return
    if found.state == CONNECTED:
        yield ok(f'Label Studio reaches the backend "{found.title}"')
    else:
        said = found.error or found.state
        yield fail(
            f"Label Studio does not reach the backend: {said}",
            refusal_help(said, found.url)
            or "Is this its address as Label Studio's machine sees it? What the backend itself answered "
            "stands in its log",
        )
    yield from _other_backends(backends, found)
    if found.interactive:
        yield warn(
            "Interactive preannotations are on", "Switch them off: timelines have no use for them"
        )
    if basic_auth and found.basic_auth_user != basic_auth[0]:
        yield fail("Label Studio does not know the backend's BASIC_AUTH_USER", connect)


def _other_backends(
    backends: Sequence[ConnectedBackend], found: ConnectedBackend
) -> Iterator[Finding]:
    others = ", ".join(item.url for item in backends if item.id != found.id)
    if not others:
        return
    if backends[0].id == found.id:
        yield warn(
            f"Other backends are connected as well: {others}. Label Studio asks only this one, the "
            "first, for predictions; each Submit is told to all",
            "Delete those that are not needed in Settings → Model",
        )
    else:
        yield warn(
            f"Label Studio asks {backends[0].url} for predictions: it was connected first",
            "Delete the other backend in Settings → Model",
        )


def check_webhook(
    client: LabelStudioClient,
    project: LabelStudioProject,
    backend_url: str,
    basic_auth: BasicAuth | None,
    *,
    fix: bool,
) -> Iterator[Finding]:
    """Whether the backend hears of annotations; with `fix` it is seen to that it does.

    Raises:
        LabelStudioError: Label Studio does not say, or refuses the webhook.
    """
    if fix:
        done = mend_webhook(client, project.id, backend_url, basic_auth)
        if done is not None:
            yield ok(f"The webhook was {done}")
    hooks = client.webhooks(project.id)
    found = find_webhooks(hooks, backend_url)
    faults = [webhook_fault(hook, basic_auth) for hook in found]
    if not found:
        hint = address_help(backend_url)
        yield fail(
            f"There is no webhook to {webhook_url(backend_url)}, so nothing is learned "
            "when annotations are submitted",
            "--fix creates it" + (f". {hint}" if hint else ""),
        )
    elif None in faults:
        yield ok("The webhook tells the backend of annotations")
    else:
        yield fail(f"The webhook {faults[0]}", "--fix mends it")
    if faults.count(None) > 1:
        yield warn("Each event is sent more than once", "Delete all webhooks but one")
    known = [webhook_url(item.url) for item in client.backends(project.id)]
    for hook in hooks:
        orphaned = hook.active and hook.project and hook.url.endswith("/webhook")
        if not orphaned or hook in found or hook.url in known:
            continue
        if fix and not _answers(hook.url):
            client.switch_off_webhook(hook)
            yield ok(
                f"The webhook to {hook.url} was switched off: that is no backend of this project, and "
                "nobody answers there"
            )
        else:
            yield warn(
                f"A webhook leads to {hook.url}, which is no backend of this project",
                "Delete it in Settings → Webhooks: each Submit waits for it. --fix switches it off "
                "where nobody answers",
            )


def _answers(url: str) -> bool:
    """Whether anything answers at an address, whatever it says."""
    try:
        httpx.get(url, timeout=ANSWER_SECONDS, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
    return True
