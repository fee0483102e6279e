"""Modals: what an app may answer to a submission, stacks, hashes, closing; and what the client checks itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from sandbox import CannotDo, IncompleteForm, NotOnScreen, Sandbox, View
from tests.sandbox.conftest import http_app, over_http
from tests.sandbox.test_web_api import refusal

Json = dict[str, Any]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def option(value: str) -> Json:
    return {"text": plain(value.title()), "value": value}


def question(block_id: str, element: Json, **more: Any) -> Json:
    return {"type": "input", "block_id": block_id, "label": plain(block_id), "element": element, **more}


REASON = question("why", {"type": "plain_text_input", "action_id": "t", "min_length": 3, "max_length": 20})
FORM: Json = {
    "type": "modal",
    "callback_id": "form",
    "title": plain("Form"),
    "submit": plain("Send"),
    "blocks": [
        REASON,
        question("team", {"type": "static_select", "action_id": "s", "options": [option("sre")]}, optional=True),
        question("when", {"type": "radio_buttons", "action_id": "r", "options": [option("now"), option("later")]}),
        question("also", {"type": "checkboxes", "action_id": "c", "options": [option("tell")]}, optional=True),
    ],
}
SMALL: Json = {"type": "modal", "title": plain("Small"), "blocks": []}


@pytest.fixture
async def app(sandbox: Sandbox, client: AsyncWebClient) -> AsyncIterator[AsyncApp]:
    bolt = http_app(sandbox, client)
    async with over_http(sandbox, bolt):
        yield bolt


async def opened(sandbox: Sandbox, client: AsyncWebClient, view: Json | None = None) -> View:
    await client.views_open(trigger_id=sandbox.slack.triggers.issue("U0DANA"), view=view or FORM)
    return sandbox.views("U0DANA")[-1]


GOOD = {"why": "because", "when": "later", "also": ["tell"]}


async def test_state_has_slacks_shape_for_every_input(sandbox: Sandbox, client: AsyncWebClient, app: AsyncApp) -> None:
    states: list[Json] = []

    @app.view("form")
    async def form(ack: AsyncAck, view: Json) -> None:
        states.append(view["state"]["values"])
        await ack()

    view = await opened(sandbox, client)
    await sandbox.submit_view("U0DANA", view.id, GOOD)
    assert states == [
        {
            "why": {"t": {"type": "plain_text_input", "value": "because"}},
            "team": {"s": {"type": "static_select", "selected_option": None}},
            "when": {"r": {"type": "radio_buttons", "selected_option": option("later")}},
            "also": {"c": {"type": "checkboxes", "selected_options": [option("tell")]}},
        }
    ]


async def test_the_client_keeps_incomplete_forms_back(sandbox: Sandbox, client: AsyncWebClient) -> None:
    view = await opened(sandbox, client)
    with pytest.raises(IncompleteForm) as caught:
        await sandbox.submit_view("U0DANA", view.id, {"why": "no"})
    assert set(caught.value.errors) == {"why", "when"}
    with pytest.raises(IncompleteForm):
        await sandbox.submit_view("U0DANA", view.id, GOOD | {"why": "x" * 21})
    with pytest.raises(NotOnScreen):
        await sandbox.submit_view("U0DANA", view.id, GOOD | {"when": "never"})
    with pytest.raises(NotOnScreen):
        await sandbox.submit_view("U0ALICE", view.id, GOOD)
    assert sandbox.deliveries == []


ANSWERS: dict[str, tuple[Json, list[str]]] = {
    "nothing closes this one": ({}, ["Small"]),
    "clear closes all": ({"response_action": "clear"}, []),
    "update replaces it": ({"response_action": "update", "view": SMALL}, ["Small", "Small"]),
    "push stacks": ({"response_action": "push", "view": SMALL}, ["Small", "Form", "Small"]),
    "errors keep it": ({"response_action": "errors", "errors": {"why": "Say more."}}, ["Small", "Form"]),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_the_answer_to_a_submission_is_carried_out(
    sandbox: Sandbox, client: AsyncWebClient, app: AsyncApp, name: str
) -> None:
    answer, titles = ANSWERS[name]

    @app.view("form")
    async def form(ack: AsyncAck) -> None:
        await ack(**answer)

    await opened(sandbox, client, SMALL)
    await client.views_push(trigger_id=sandbox.slack.triggers.issue("U0DANA"), view=FORM)
    top = sandbox.views("U0DANA")[-1]
    assert (await sandbox.submit_view("U0DANA", top.id, GOOD)).ok
    assert [view.definition["title"]["text"] for view in sandbox.views("U0DANA")] == titles
    assert top.errors == answer.get("errors", {})


@pytest.mark.parametrize(
    "answer",
    [
        {"response_action": "errors", "errors": {"nowhere": "x"}},
        {"response_action": "update", "view": {"type": "modal", "title": plain("x" * 25), "blocks": []}},
        {"response_action": "dance"},
    ],
)
async def test_an_answer_slack_would_not_take_leaves_the_modal_open(
    sandbox: Sandbox, client: AsyncWebClient, app: AsyncApp, answer: Json
) -> None:
    @app.view("form")
    async def form(ack: AsyncAck) -> None:
        await ack(**answer)

    view = await opened(sandbox, client)
    delivery = await sandbox.submit_view("U0DANA", view.id, GOOD)
    assert delivery.error is not None
    assert delivery.error.startswith("invalid_response")
    assert sandbox.views("U0DANA") == [view]


async def test_three_modals_are_the_most(sandbox: Sandbox, client: AsyncWebClient) -> None:
    await opened(sandbox, client)
    for _ in range(2):
        await client.views_push(trigger_id=sandbox.slack.triggers.issue("U0DANA"), view=SMALL)
    fourth = client.views_push(trigger_id=sandbox.slack.triggers.issue("U0DANA"), view=SMALL)
    assert (await refusal(fourth))["error"] == "push_limit_reached"
    first, second, third = sandbox.views("U0DANA")
    assert (third.root, third.previous, second.previous) == (first.id, second.id, first.id)
    nothing_open = client.views_push(trigger_id=sandbox.slack.triggers.issue("U0BOB"), view=SMALL)
    assert (await refusal(nothing_open))["error"] == "not_found"


async def test_an_update_with_an_old_hash_is_a_conflict(sandbox: Sandbox, client: AsyncWebClient) -> None:
    view = await opened(sandbox, client)
    old = view.hash
    await client.views_update(view_id=view.id, view=SMALL, hash=old)
    assert view.hash != old
    late = client.views_update(view_id=view.id, view=FORM, hash=old)
    assert (await refusal(late))["error"] == "hash_conflict"
    missing = client.views_update(view_id="V0", view=SMALL)
    assert (await refusal(missing))["error"] == "not_found"


async def test_external_ids_find_views_and_are_unique(sandbox: Sandbox, client: AsyncWebClient) -> None:
    view = await opened(sandbox, client, SMALL | {"external_id": "e1"})
    await client.views_update(external_id="e1", view=FORM | {"external_id": "e1"})
    assert view.definition["title"]["text"] == "Form"
    twice = client.views_open(trigger_id=sandbox.slack.triggers.issue("U0BOB"), view=SMALL | {"external_id": "e1"})
    assert (await refusal(twice))["error"] == "duplicate_external_id"


async def test_what_was_typed_survives_an_update(sandbox: Sandbox, client: AsyncWebClient, app: AsyncApp) -> None:
    @app.action("more")
    async def more(ack: AsyncAck, body: Json) -> None:
        await client.views_update(view_id=body["view"]["id"], view=FORM)
        await ack()

    more_button = {"type": "button", "action_id": "more", "text": plain("More")}
    row: Json = {"type": "actions", "elements": [more_button]}
    view = await opened(sandbox, client, FORM | {"blocks": [REASON, row]})
    delivery = await sandbox.click_in_view("U0DANA", view.id, "more", values={"why": "typed"})
    assert delivery.ok
    assert delivery.payload["container"] == {"type": "view", "view_id": view.id}
    assert view.values["why"]["t"]["value"] == "typed"


async def test_a_view_may_not_be_huge(sandbox: Sandbox, client: AsyncWebClient) -> None:
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3000}}
    huge = SMALL | {"blocks": [section] * 90}
    opening = client.views_open(trigger_id=sandbox.slack.triggers.issue("U0DANA"), view=huge)
    assert (await refusal(opening))["error"] == "view_too_large"


async def test_closing_tells_the_app_only_if_it_asked(sandbox: Sandbox, client: AsyncWebClient, app: AsyncApp) -> None:
    closed: list[bool] = []

    @app.view_closed("form")
    async def gone(ack: AsyncAck, body: Json) -> None:
        closed.append(body["is_cleared"])
        await ack()

    view = await opened(sandbox, client)
    assert await sandbox.close_view("U0DANA", view.id) == []
    view = await opened(sandbox, client, FORM | {"notify_on_close": True})
    (delivery,) = await sandbox.close_view("U0DANA", view.id)
    assert delivery.ok
    await opened(sandbox, client, FORM | {"notify_on_close": True})
    await client.views_push(trigger_id=sandbox.slack.triggers.issue("U0DANA"), view=SMALL)
    await sandbox.close_view("U0DANA", sandbox.views("U0DANA")[-1].id, everything=True)
    assert closed == [False, True]
    assert sandbox.views("U0DANA") == []


async def test_a_home_tab_is_published_per_person(sandbox: Sandbox, client: AsyncWebClient) -> None:
    home: Json = {"type": "home", "blocks": [{"type": "divider"}]}
    answer = await client.views_publish(user_id="U0DANA", view=home)
    assert sandbox.home("U0ALICE") is None
    view = sandbox.home("U0DANA")
    assert view is not None
    assert view.id == answer["view"]["id"]
    stale = client.views_publish(user_id="U0DANA", view=home, hash="0.old")
    assert (await refusal(stale))["error"] == "hash_conflict"
    nobody = client.views_publish(user_id="U0LEFT", view=home)
    assert (await refusal(nobody))["error"] == "user_not_found"
    modal = client.views_publish(user_id="U0DANA", view=SMALL)
    assert (await refusal(modal))["error"] == "invalid_arguments"


async def test_a_view_without_submit_cannot_be_submitted(sandbox: Sandbox, client: AsyncWebClient) -> None:
    view = await opened(sandbox, client, SMALL)
    with pytest.raises(CannotDo):
        await sandbox.submit_view("U0DANA", view.id, {})
