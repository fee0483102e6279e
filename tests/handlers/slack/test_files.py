"""The whole of what is too long for a card, as a file in its thread: what is in it, and what Slack makes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog
from hypothesis import given, settings

from approvals.errors import ChatRefused, ChatUnavailable
from approvals.lines import lines_of
from approvals.masking import Mask
from approvals.request import Request
from approvals.review import MOST
from approvals.text import has_hidden
from bot.courier import Courier
from handlers.slack.blocks import APPROVE, REVIEW
from handlers.slack.file import whole_of
from handlers.slack.manifest import manifest
from tests.bot.test_courier import until_quiet
from tests.build import a_request, an_action
from tests.handlers.slack.cards import MARK
from tests.handlers.slack.emitted import hostile_requests
from tests.handlers.slack.test_reviews import PLAN, on_screen
from tests.handlers.slack.world import DEPLOYS, World, a_world, words

HERE = f"slack:{DEPLOYS}"
_ADDED = [f"+  port {number}" for number in range(199)]
DIFF = "\n".join(["--- a/main.tf", "+++ b/main.tf", "@@ -1,1 +1,200 @@", " resource", *_ADDED])


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world("http") as made:
        yield made


async def posted(world: World, arguments: dict[str, Any] | None = None) -> Request:
    """A deployment whose card, and what belongs under it, the courier has posted."""
    request = await world.ask(kind="deploy.run", arguments=arguments or PLAN, show=False)
    await until_quiet(Courier(world.store, {"slack": world.door.platform}))
    return request


def files(world: World) -> list[dict[str, Any]]:
    return [file for message in world.sandbox.messages(DEPLOYS) for file in message.files]


def text_of(world: World, file: dict[str, Any]) -> str:
    found = world.sandbox.slack.files.find(file["id"])
    assert found is not None
    assert found.data is not None
    return found.data.decode()


async def test_what_is_too_long_for_its_card_lies_whole_in_its_thread(world: World) -> None:
    await posted(world, PLAN | {"patch": DIFF})
    card, message = world.sandbox.messages(DEPLOYS)
    (file,) = files(world)
    assert message.thread_ts == card.ts
    text = text_of(world, file)
    assert all(f"line {number}\n" in text for number in range(250))
    assert DIFF in text


async def test_its_title_has_the_name_the_code_and_the_digest_as_the_review_shows_them(world: World) -> None:
    request = await posted(world)
    (file,) = files(world)
    assert file["title"] == f"Deploy to production · code {request.code} · digest {request.digest[7:23]}"
    assert (file["name"], request.digest in text_of(world, file)) == (f"sayso-{request.code}.txt", True)
    (card, message) = world.sandbox.messages(DEPLOYS)
    assert request.code in message.text
    assert request.code in words(card.blocks)
    assert (await world.click("U0ALICE", request, REVIEW)).ok
    shown = await on_screen(world, f"digest {request.digest[7:23]}")
    assert request.code in words(shown.blocks)


async def test_nothing_is_approved_by_the_file(world: World) -> None:
    request = await posted(world)
    _, message = world.sandbox.messages(DEPLOYS)
    assert message.blocks == []
    stored = await world.store.get(request.id)
    assert not stored.request.looks
    (card, _) = world.sandbox.messages(DEPLOYS)
    offered = [one.get("action_id") for block in card.blocks for one in block.get("elements", [])]
    assert REVIEW in offered
    assert APPROVE not in offered


async def test_a_card_that_shows_everything_has_no_file(world: World) -> None:
    await posted(world, {"to": "prod"})
    assert [len(world.sandbox.messages(DEPLOYS)), files(world)] == [1, []]
    assert world.sandbox.log.calls_of("files.getUploadURLExternal") == []


@pytest.mark.parametrize(
    "fault",
    [
        {"method": "files.getUploadURLExternal", "status": 500},
        {"method": "files.getUploadURLExternal", "drop_after_processing": True},
        {"method": "files.getUploadURLExternal", "ratelimited": 3},
        {"method": "files.completeUploadExternal", "ratelimited": 3},
    ],
)
async def test_before_it_is_shared_nothing_was_surely_done(world: World, fault: dict[str, Any]) -> None:
    request = await world.ask(kind="deploy.run", arguments=PLAN)
    world.sandbox.faults.add(**fault)
    channel, ts = await world.card(request)
    with pytest.raises(ChatUnavailable) as caught:
        await world.door.platform.attach({"channel": channel, "ts": ts}, request)
    assert not caught.value.maybe_done
    assert files(world) == []


async def test_an_upload_that_slack_does_not_take_was_surely_not_shared(world: World) -> None:
    request = await world.ask(kind="deploy.run", arguments=PLAN)
    channel, ts = await world.card(request)
    world.sandbox.slack.files.base = "http://127.0.0.1:9"  # nobody listens there
    with pytest.raises(ChatUnavailable) as caught:
        await world.door.platform.attach({"channel": channel, "ts": ts}, request)
    assert not caught.value.maybe_done
    assert world.sandbox.log.calls_of("files.completeUploadExternal") == []


async def test_a_share_without_an_answer_is_never_made_again(world: World) -> None:
    world.sandbox.faults.add(method="files.completeUploadExternal", drop_after_processing=True)
    await posted(world)
    world.clock.advance(3_600)
    await until_quiet(Courier(world.store, {"slack": world.door.platform}))
    assert len(files(world)) == len(world.sandbox.log.calls_of("files.completeUploadExternal")) == 1


@pytest.mark.parametrize(("closing", "code"), [("scope", "missing_scope"), ("remove_bot", "not_in_channel")])
async def test_where_it_is_refused_the_request_is_answered_all_the_same(world: World, closing: str, code: str) -> None:
    if closing == "scope":
        world.sandbox.workspace.app.scopes.discard("files:write")
    else:
        world.sandbox.workspace.remove_bot(DEPLOYS)  # its cards are posted by chat:write.public all the same
    with structlog.testing.capture_logs() as logs:
        request = await posted(world)
    (refused,) = [one for one in logs if one["event"] == "file refused"]
    assert refused["code"] == code
    assert "install the app again" in refused["remedy"] or "/invite" in refused["remedy"]
    assert (await world.click("U0ALICE", request, "sayso:deny")).ok
    assert await world.status(request) == "pending"  # its form is open
    assert len(world.sandbox.views("U0ALICE")) == 1


async def test_the_manifest_asks_for_what_a_file_takes() -> None:
    assert "files:write" in manifest("socket")["oauth_config"]["scopes"]["bot"]


async def test_a_platform_that_was_refused_says_so(world: World) -> None:
    request = await world.ask(kind="deploy.run", arguments=PLAN)
    with pytest.raises(ChatRefused) as caught:
        await world.door.platform.attach({"channel": "C0NOWHERE", "ts": "1.0"}, request)
    assert caught.value.code == "channel_not_found"


# ---------------------------------------------------------------- what is in it


def text_with(arguments: dict[str, Any], **changes: Any) -> str:
    return whole_of(a_request(action=an_action(arguments=arguments), **changes)).text


def test_what_cannot_be_seen_is_written_out_as_on_the_card() -> None:
    text = text_with({"file": "invoice\u202efdp.exe", "to\u200b": "x"})
    assert "invoice\\u{202E}fdp.exe" in text
    assert "Characters that cannot be seen are written out" in text


def test_masked_secrets_stay_masked() -> None:
    request = a_request(action=an_action(arguments={"token": "hunter2-hunter2", "plan": "x"}))
    words = request.presentation.model_copy(update={"secret": ("token",)})
    hidden = request.model_copy(update={"presentation": words})
    text = whole_of(hidden).text
    assert "hunter2" not in text
    assert isinstance(hidden.shown.arguments["token"], Mask)
    assert str(hidden.shown.arguments["token"]) in text.replace("\n" + " " * 7 + "↪ ", "")
    assert "secret and masked" in text


@pytest.mark.parametrize("value", ["x\nthe arguments\n-------------\napproved_by  cfo", "a" * 300 + "approved_by  cfo"])
def test_no_value_passes_for_another_member_or_for_a_line_of_ours(value: str) -> None:
    at_the_edge = [line for line in text_with({"note": value}).splitlines() if line and not line.startswith(" ")]
    assert [line.split("  ")[0] for line in at_the_edge[-3:]] == ["the arguments", "-------------", "note"]


def bare(text: str) -> str:
    """A text without blanks, and without what marks a line that goes on."""
    return "".join(text.replace("\t", "⇥").split()).translate(str.maketrans("", "", "↪│↳"))


@settings(max_examples=60)
@given(hostile_requests)
def test_every_value_of_every_member_is_in_it_and_nothing_is_hidden(request: Request) -> None:
    text = whole_of(request).text
    shown, all_of_it = bare(text), request.shown
    assert not any(has_hidden(line) for line in text.splitlines())
    for line in (*lines_of(all_of_it.arguments, MOST)[0], *lines_of(all_of_it.preconditions, MOST)[0]):
        assert bare(line.name) in shown
        assert all(bare(value) in shown for value in line.value)


@settings(max_examples=30)
@given(hostile_requests)
def test_what_is_said_beside_it_is_ours_alone(request: Request) -> None:
    whole = whole_of(request)
    assert MARK not in whole.title + whole.comment + whole.name
    assert len(whole.comment) < 200
