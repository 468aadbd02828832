"""What a webhook must be to teach anything, and why an address may be refused."""

import pytest

from timelinelabels.labelstudio.api_records import RegisteredWebhook
from timelinelabels.labelstudio.connecting import (
    ONE_LABEL_HELP,
    PRIVATE_HELP,
    address_help,
    find_webhooks,
    refusal_help,
    webhook_fault,
)


def hook(**changes):
    fields = {
        "id": 1,
        "url": "http://backend.example:9090/webhook",
        "project": 1,
        "active": True,
        "all_actions": True,
        "actions": frozenset(),
        "with_payload": True,
        "headers": {},
    }
    return RegisteredWebhook(**fields | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"active": False}, "switched off"),
        ({"all_actions": False, "actions": frozenset({"A"})}, "1 kinds of events"),
        ({"with_payload": False}, "payload"),
        ({"headers": {}}, "Authorization"),
        ({"headers": {"Authorization": "Basic d3Jvbmc6d3Jvbmc="}}, "Authorization"),
    ],
)
def test_a_webhook_that_teaches_nothing_is_found_out(changes, words):
    assert words in webhook_fault(hook(**changes), ("user", "pass"))


def test_a_webhook_with_the_credentials_teaches_whatever_the_headers_case():
    good = hook(headers={"authorization": "Basic dXNlcjpwYXNz", "X-Other": "1"})
    assert webhook_fault(good, ("user", "pass")) is None
    assert webhook_fault(hook(), None) is None


@pytest.mark.parametrize(
    ("backend", "leads"),
    [
        ("http://backend.example:9090", True),
        ("http://BACKEND.example:9090/", True),
        ("https://backend.example:9090", False),
        ("http://backend.example", False),
        ("http://other.example:9090", False),
    ],
)
def test_a_webhook_belongs_to_the_backend_whose_address_it_has(backend, leads):
    assert bool(find_webhooks([hook()], backend)) is leads


@pytest.mark.parametrize(
    ("url", "help_"),
    [
        ("http://localhost:9090", PRIVATE_HELP),
        ("http://127.0.0.1:9090", PRIVATE_HELP),
        ("http://[::1]:9090", PRIVATE_HELP),
        ("http://192.168.1.5", PRIVATE_HELP),
        ("http://ml-backend:9090", ONE_LABEL_HELP),
        ("http://ml.internal:9090", None),
        ("http://8.8.8.8:9090", None),
    ],
)
def test_addresses_that_label_studio_refuses_are_explained(url, help_):
    assert address_help(url) == help_


@pytest.mark.parametrize(
    ("said", "url", "help_"),
    [
        ("HTTP 403. URL resolves to a reserved network address", "http://a.b", PRIVATE_HELP),
        ('HTTP 400. {"url": ["Enter a valid URL."]}', "http://ml-backend:9090", ONE_LABEL_HELP),
        ("HTTP 401. Invalid token", "http://127.0.0.1:9090", None),
        ("Setup failed: model_score_threshold must be 0..1", "http://localhost:9090", None),
    ],
)
def test_a_refusal_is_explained_by_what_was_refused(said, url, help_):
    assert refusal_help(said, url) == help_
