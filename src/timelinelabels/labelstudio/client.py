"""Label Studio's API, by its own SDK: what this backend reads from it and writes to it.

==================  ==================================================================================
read                projects, tasks with annotations, predictions, webhooks, machine-learning backends
write               predictions, webhooks, machine-learning backends
==================  ==================================================================================

The SDK makes the requests; tokens are ours (`access.py`), so that the media downloader and the API
share one implementation, and so are the time-outs, which the SDK leaves to its httpx client. A request
that writes is sent once: repeated after a lost answer it would write twice.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

import httpx

from timelinelabels.errors import LabelStudioNotFoundError
from timelinelabels.labelstudio.access import AccessAuth, LabelStudioAccess
from timelinelabels.labelstudio.api_errors import asking, understanding
from timelinelabels.labelstudio.api_records import (
    ConnectedBackend,
    LabelStudioProject,
    PredictedTask,
    RegisteredWebhook,
    StoredPrediction,
    fields_of,
    read_backend,
    read_created_at,
    read_prediction,
    read_task,
    read_webhook,
)
from timelinelabels.labelstudio.payloads import AnnotatedTask, parse_export

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0  # a page of a hundred tasks with long timelines takes Label Studio a while
PAGE_SIZE = 100
RETRIES = 2  # of requests that only read
_ONCE: Any = {"max_retries": 0}


class LabelStudioClient:
    """One Label Studio, as one of its users sees it; for all threads of a process.

    Every method may raise LabelStudioError; the subclass says whether Label Studio is away, refuses
    the token or has no such thing.

    Args:
        url: its address as this machine reaches it.
        api_key: a legacy token or a personal access token.
        transport: how requests are sent; default: over the network, proxies are not used.
        timeout: seconds to wait for an answer.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        transport: httpx.BaseTransport | None = None,
        timeout: float = ANSWER_SECONDS,
    ) -> None:
        self.url = url.rstrip("/")
        # A proxy of the environment is for the internet; Label Studio is mostly a neighbour.
        self._http = httpx.Client(
            transport=transport or httpx.HTTPTransport(),
            timeout=httpx.Timeout(timeout, connect=min(CONNECT_SECONDS, timeout)),
        )
        self.access = LabelStudioAccess(self.url, api_key, self._exchange)
        self._http.auth = AccessAuth(self.access)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # Who and what is there

    def version(self) -> str:
        """Label Studio's release."""
        with self._asking("its version"):
            return str(self._sdk.versions.get().release)

    def time(self) -> datetime | None:
        """What Label Studio's clock says, to the second; None where it does not tell."""
        with self._asking("the time"):
            told = self._http.get(f"{self.url}/health", auth=None).headers.get("Date")
        try:
            return parsedate_to_datetime(told) if told else None
        except ValueError:
            return None

    def user(self) -> str:
        """The e-mail address of the token's user."""
        with self._asking("who the token belongs to"):
            return str(self._sdk.users.whoami().email)

    def project(self, project_id: int) -> LabelStudioProject:
        """A project.

        Raises:
            LabelStudioNotFoundError: there is none, or the token's user may not see it.
        """
        with self._asking(f"project {project_id}"):
            found = fields_of(self._sdk.projects.get(id=project_id))
        with self._understanding(f"project {project_id}"):
            return LabelStudioProject(
                id=int(found["id"]),
                title=str(found.get("title") or ""),
                created_at=read_created_at(found),
                label_config=str(found.get("label_config") or ""),
                tasks=int(found.get("task_number") or 0),
                annotated_tasks=int(found.get("num_tasks_with_annotations") or 0),
            )

    # Tasks

    def annotated_tasks(self, project_id: int) -> Iterator[AnnotatedTask]:
        """All tasks that have annotations which are no skips, with those."""
        annotated = [_count_filter("total_annotations", "greater", 0)]
        for page in self._pages(project_id, annotated, PAGE_SIZE):
            with self._understanding(f"the tasks of project {project_id}"):
                tasks = parse_export(page)
            yield from tasks

    def tasks(
        self,
        project_id: int,
        *,
        only_unlabeled: bool = False,
        after_id: int = 0,
        page_size: int = PAGE_SIZE,
    ) -> Iterator[PredictedTask]:
        """Tasks in the order of their ids, with their predictions; nothing is predicted by this.

        Args:
            project_id: of the project.
            only_unlabeled: those without annotations; a skip is none.
            after_id: only tasks with larger ids.
            page_size: tasks that are asked for at a time.
        """
        filters = [_count_filter("id", "greater", after_id)] if after_id else []
        if only_unlabeled:
            filters.append(_count_filter("total_annotations", "equal", 0))
        for page in self._pages(project_id, filters, page_size):
            with self._understanding(f"the tasks of project {project_id}"):
                tasks = [read_task(item) for item in page]
            yield from tasks

    def task(self, project_id: int, task_id: int) -> PredictedTask | None:
        """A task of a project, if it is there.

        Asked for by its own address, Label Studio would call /predict before it answers.
        """
        found = self._pages(project_id, [_count_filter("id", "equal", task_id)], 1)
        with self._understanding(f"task {task_id}"):
            return next((read_task(item) for page in found for item in page), None)

    def _pages(
        self, project_id: int, filters: Sequence[Mapping[str, Any]], page_size: int
    ) -> Iterator[list[dict[str, Any]]]:
        query = {
            "filters": {"conjunction": "and", "items": list(filters)},
            "ordering": ["tasks:id"],  # else a page may repeat or leave out what another one has
        }
        page, seen = 1, 0
        while True:
            with self._asking(f"page {page} of the tasks of project {project_id}"):
                answer = self._sdk.tasks.list(
                    project=project_id,
                    query=json.dumps(query),
                    fields="all",
                    # Else addresses in cloud storages become ones of Label Studio's own: another
                    # video for the caches, and another task than webhooks and /predict tell of.
                    resolve_uri=False,
                    page=page,
                    page_size=page_size,
                )
                items = [fields_of(item) for item in answer.items or []]
                total = int(answer.response.total)
            yield items
            seen, page = seen + len(items), page + 1
            if not items or seen >= total:  # a page past the end is a 404
                return

    # Predictions

    def predictions(self, task_id: int) -> list[StoredPrediction]:
        """All predictions of a task."""
        with self._asking(f"the predictions of task {task_id}"):
            found = [fields_of(item) for item in self._sdk.predictions.list(task=task_id)]
        with self._understanding(f"the predictions of task {task_id}"):
            return [read_prediction(item) for item in found]

    def create_prediction(
        self, task_id: int, *, result: Sequence[Any], score: float, model_version: str
    ) -> StoredPrediction:
        """Store a prediction; Label Studio neither checks it nor looks for one like it."""
        with self._asking(f"a new prediction of task {task_id}"):
            return read_prediction(
                fields_of(
                    self._sdk.predictions.create(
                        task=task_id,
                        result=list(result),
                        score=score,
                        model_version=model_version,
                        request_options=_ONCE,
                    )
                )
            )

    def change_prediction(
        self, prediction_id: int, *, result: Sequence[Any], score: float, model_version: str
    ) -> None:
        """Replace what a prediction says; its id, which an open editor may hold, stays.

        Raises:
            LabelStudioNotFoundError: it is not there any more.
        """
        with self._asking(f"a change of prediction {prediction_id}"):
            self._sdk.predictions.update(
                prediction_id, result=list(result), score=score, model_version=model_version
            )

    def delete_prediction(self, prediction_id: int) -> None:
        """Delete a prediction; one that is not there any more is as good as deleted."""
        try:
            with self._asking(f"the deletion of prediction {prediction_id}"):
                self._sdk.predictions.delete(id=prediction_id, request_options=_ONCE)
        except LabelStudioNotFoundError:
            return

    # Webhooks and backends

    def webhooks(self, project_id: int) -> list[RegisteredWebhook]:
        """The webhooks that this project's events are sent to, those of the organisation too."""
        with self._asking(f"the webhooks of project {project_id}"):
            found = [fields_of(hook) for hook in self._sdk.webhooks.list()]
        with self._understanding("webhooks"):
            hooks = [read_webhook(item) for item in found]
        return [hook for hook in hooks if hook.project in (None, project_id)]

    def create_webhook(
        self, project_id: int, url: str, headers: Mapping[str, str]
    ) -> RegisteredWebhook:
        """Register a webhook for all events of a project, with their payloads."""
        with self._asking(f"a webhook of project {project_id}"):
            return read_webhook(
                fields_of(
                    self._sdk.webhooks.create(
                        url=url,
                        project=project_id,
                        headers=dict(headers),
                        is_active=True,
                        send_payload=True,
                        send_for_all_actions=True,
                        request_options=_ONCE,
                    )
                )
            )

    def update_webhook(self, hook: RegisteredWebhook, url: str, headers: Mapping[str, str]) -> None:
        """Make a webhook one for all events, with their payloads, to this address."""
        with self._asking(f"a change of webhook {hook.id}"):
            self._sdk.webhooks.update(
                hook.id,
                url=url,
                headers=dict(headers),
                is_active=True,
                send_payload=True,
                send_for_all_actions=True,
            )

    def switch_off_webhook(self, hook: RegisteredWebhook) -> None:
        """Let a webhook be sent no more; it stays, and a person may switch it on again."""
        with self._asking(f"a change of webhook {hook.id}"):
            self._sdk.webhooks.update(hook.id, url=hook.url, is_active=False)

    def backends(self, project_id: int) -> list[ConnectedBackend]:
        """The machine-learning backends of a project; only the first is asked for predictions."""
        with self._asking(f"the machine-learning backends of project {project_id}"):
            found = [fields_of(backend) for backend in self._sdk.ml.list(project=project_id)]
        with self._understanding("machine-learning backends"):
            return [read_backend(item) for item in found]

    def create_backend(
        self, project_id: int, url: str, *, title: str, basic_auth: tuple[str, str] | None
    ) -> ConnectedBackend:
        """Connect a backend; Label Studio calls its /health and /setup before it answers."""
        with self._asking(f"the connection of {url} to project {project_id}"):
            created = self._sdk.ml.create(
                project=project_id,
                url=url,
                title=title,
                is_interactive=False,
                **_credentials(basic_auth),
                request_options=_ONCE,
            )
            return read_backend(fields_of(created))

    def update_backend(
        self,
        backend: ConnectedBackend,
        project_id: int,
        url: str,
        *,
        basic_auth: tuple[str, str] | None,
    ) -> ConnectedBackend:
        """Change a backend's credentials and let Label Studio connect to it anew."""
        with self._asking(f"a change of backend {backend.id}"):
            changed = self._sdk.ml.update(
                str(backend.id), project=project_id, url=url, **_credentials(basic_auth)
            )
            return read_backend(fields_of(changed))

    # Requests

    @cached_property
    def _sdk(self) -> Any:
        from label_studio_sdk import LabelStudio  # half a second

        # The SDK insists on a key; the header that goes out is that of `AccessAuth`.
        return LabelStudio(
            base_url=self.url, api_key="unused", httpx_client=self._http, max_retries=RETRIES
        )

    def _exchange(self, request: httpx.Request) -> httpx.Response:
        with self._asking("an access token"):
            return self._http.send(request, auth=None)

    def _asking(self, what: str) -> AbstractContextManager[None]:
        return asking(self.url, what)

    def _understanding(self, what: str) -> AbstractContextManager[None]:
        return understanding(self.url, what)


def _count_filter(column: str, operator: str, value: int) -> dict[str, Any]:
    """A filter of Label Studio's Data Manager on a number."""
    return {
        "filter": f"filter:tasks:{column}",
        "operator": operator,
        "type": "Number",
        "value": value,
    }


def _credentials(basic_auth: tuple[str, str] | None) -> dict[str, str]:
    if basic_auth is None:
        return {"auth_method": "NONE"}
    user, password = basic_auth
    return {
        "auth_method": "BASIC_AUTH",
        "basic_auth_user": user,
        "basic_auth_pass": password,
    }
