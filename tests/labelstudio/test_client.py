"""The API client: tokens, pages, and errors in words. `tests/e2e/` tries it on a real Label Studio."""

import json
from types import SimpleNamespace

import httpx
import pytest

from timelinelabels.errors import (
    LabelStudioError,
    LabelStudioNotFoundError,
    LabelStudioRefusedError,
    LabelStudioUnreachableError,
)
from timelinelabels.labelstudio import access
from timelinelabels.labelstudio.client import LabelStudioClient

LEGACY_KEY = "0123456789abcdef0123456789abcdef01234567"
PERSONAL_KEY = "eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2lnbmF0dXJl"
ACCESS_TOKENS = [f"eyJhbGciOiJIUzI1NiJ9.eyJu{n}.c2lnbmF0dXJl" for n in range(3)]


class LabelStudio:
    """Answers by path; remembers (method, path, Authorization)."""

    def __init__(self, answer):
        self.answer = answer
        self.requests = []

    def __call__(self, request):
        self.requests.append(
            (request.method, request.url.path, request.headers.get("Authorization"))
        )
        return self.answer(request)

    def client(self, key=LEGACY_KEY, url="http://label-studio"):
        return LabelStudioClient(url, key, transport=httpx.MockTransport(self))


def user(request):
    return httpx.Response(200, json={"id": 1, "email": "me@example.org"})


def with_tokens(answer, refused=()):
    """Exchanges personal tokens for one access token after the other; refuses some of those."""
    given = iter(ACCESS_TOKENS)

    def answered(request):
        if request.url.path.startswith("/api/token/refresh"):
            assert json.loads(request.content) == {"refresh": PERSONAL_KEY}
            return httpx.Response(200, json={"access": next(given)})
        if request.headers["Authorization"].removeprefix("Bearer ") in refused:
            return httpx.Response(401, json={"detail": "expired"})
        return answer(request)

    return LabelStudio(answered)


def test_a_legacy_token_is_sent_as_it_is():
    server = LabelStudio(user)
    client = server.client()
    assert client.user() == "me@example.org"
    assert client.access.kind == "legacy token"
    assert server.requests == [("GET", "/api/current-user/whoami", f"Token {LEGACY_KEY}")]


def test_a_personal_token_is_exchanged_once():
    server = with_tokens(user)
    client = server.client(PERSONAL_KEY)
    assert client.user() == client.user() == "me@example.org"
    assert client.access.kind == "personal access token"
    assert [(path, sent) for _, path, sent in server.requests] == [
        ("/api/token/refresh", None),
        ("/api/current-user/whoami", f"Bearer {ACCESS_TOKENS[0]}"),
        ("/api/current-user/whoami", f"Bearer {ACCESS_TOKENS[0]}"),
    ]


def test_an_access_token_that_is_refused_is_renewed_within_the_call():
    server = with_tokens(user, refused=ACCESS_TOKENS[:1])
    assert server.client(PERSONAL_KEY).user() == "me@example.org"
    assert server.requests[-1][2] == f"Bearer {ACCESS_TOKENS[1]}"


def test_an_access_token_is_renewed_before_it_ends(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(access, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    server = with_tokens(user)
    client = server.client(PERSONAL_KEY)
    for passed in (0, access.ACCESS_TOKEN_SECONDS - 1, 2):
        clock[0] += passed
        client.user()
    sent = [token for _, path, token in server.requests if "refresh" not in path]
    assert sent == [f"Bearer {ACCESS_TOKENS[number]}" for number in (0, 0, 1)]


def test_a_token_that_stays_refused_is_an_error_that_says_which_tokens_there_are():
    server = with_tokens(user, refused=ACCESS_TOKENS)
    with pytest.raises(LabelStudioRefusedError, match="personal access token") as caught:
        server.client(PERSONAL_KEY).user()
    assert len(server.requests) == 4
    assert not any(token in str(caught.value) for token in [PERSONAL_KEY, *ACCESS_TOKENS])


def page_of(tasks, total):
    body = {"tasks": tasks, "total": total, "total_annotations": 0, "total_predictions": 0}
    return httpx.Response(200, json=body)


def test_tasks_are_read_page_by_page_and_never_past_the_end():
    asked = []

    def answer(request):
        params = request.url.params
        asked.append(int(params["page"]))
        query = json.loads(params["query"])
        assert query["ordering"] == ["tasks:id"]
        assert [item["filter"] for item in query["filters"]["items"]] == [
            "filter:tasks:total_annotations"
        ]
        first = 100 * (asked[-1] - 1)
        if first >= 250:
            return httpx.Response(404, json={"detail": "Invalid page."})
        numbers = range(first, min(first + 100, 250))
        annotations = [
            {"id": 1, "result": [], "was_cancelled": False, "created_at": "2026-11-22T10:00:00Z"},
            {"id": 2, "result": [], "was_cancelled": True, "created_at": "2026-11-22T10:00:00Z"},
        ]
        tasks = [{"id": n, "data": {"clip": "a"}, "annotations": annotations} for n in numbers]
        return page_of(tasks, 250)

    tasks = list(LabelStudio(answer).client().annotated_tasks(1))
    assert [int(task.task_id) for task in tasks] == list(range(250))
    assert asked == [1, 2, 3]
    assert [record.id for record in tasks[0].annotations] == ["1"]
    assert [record.id for record in tasks[0].cancelled] == ["2"]


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (401, {"detail": "Invalid token."}, LabelStudioRefusedError, "LABEL_STUDIO_API_KEY"),
        (403, {"detail": "Not yours"}, LabelStudioRefusedError, "Not yours"),
        (404, {"detail": "No Project"}, LabelStudioNotFoundError, "may not see it"),
        (400, {"project": ["is wrong"]}, LabelStudioError, "is wrong"),
        (500, {"detail": "Oh"}, LabelStudioUnreachableError, "HTTP 500"),
        (302, {}, LabelStudioError, "LABEL_STUDIO_URL"),
        (200, "<html>", LabelStudioError, "not Label Studio's"),
        (200, {"id": 7}, LabelStudioError, "created_at"),
    ],
)
def test_what_goes_wrong_is_said_in_words(monkeypatch, status, body, error, words):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between repeated attempts

    def answer(request):
        if isinstance(body, str):
            return httpx.Response(status, text=body)
        return httpx.Response(status, json=body)

    with pytest.raises(error, match=words) as caught:
        LabelStudio(answer).client().project(7)
    assert "http://label-studio" in str(caught.value)
    assert LEGACY_KEY not in str(caught.value)


def test_a_label_studio_that_is_away_or_silent_is_unreachable(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(LabelStudioUnreachableError, match="LABEL_STUDIO_URL"):
        LabelStudioClient("http://127.0.0.1:9", LEGACY_KEY).user()

    def silent(request):
        raise httpx.ReadTimeout("", request=request)

    with pytest.raises(LabelStudioUnreachableError, match="no answer in time"):
        LabelStudio(silent).client().user()


def test_a_request_that_writes_is_sent_once():
    server = LabelStudio(lambda request: httpx.Response(503, json={}))
    client = server.client()
    for write in (
        lambda: client.create_prediction(1, result=[], score=0.5, model_version="v1"),
        lambda: client.delete_prediction(1),
        lambda: client.create_webhook(1, "http://backend/webhook", {}),
        lambda: client.create_backend(1, "http://backend", title="t", basic_auth=None),
    ):
        server.requests.clear()
        with pytest.raises(LabelStudioUnreachableError):
            write()
        assert len(server.requests) == 1


def test_webhooks_of_the_organisation_count_and_those_of_other_projects_do_not():
    hooks = [
        {"id": 1, "url": "http://a", "project": None},
        {"id": 2, "url": "http://b", "project": 7},
        {"id": 3, "url": "http://c", "project": 8},
    ]
    found = LabelStudio(lambda request: httpx.Response(200, json=hooks)).client().webhooks(7)
    assert [hook.id for hook in found] == [1, 2]
