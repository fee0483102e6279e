"""Ask for changes, notes in threads, and the cards that follow: the real door in front of a Slack that checks."""

from __future__ import annotations

import pytest

from approvals.card import Who
from approvals.errors import ChatRefused, ChatUnavailable
from approvals.notes import Note
from approvals.request import Request
from handlers.slack.blocks import APPROVE, CHANGES
from handlers.slack.notes import draw_note
from handlers.slack.reason import CHANGES_FORM, REASON
from sandbox.blocks import check_message
from tests.handlers.slack.cards import ALICE, BOB, NOW
from tests.handlers.slack.world import TEAM, World, words

WISH = "Half of it now; *the rest* after <https://evil.example|the audit>"
LESS = {"invoice": "INV-2093", "amount": "6200.00", "currency": "EUR"}


async def wished(world: World, request: Request, wish: str = WISH, who: str = "U0BOB") -> None:
    """Somebody asks for changes."""
    await world.click(who, request, CHANGES)
    (view,) = world.sandbox.views(who)
    assert (await world.sandbox.submit_view(who, view.id, {REASON: wish})).ok


async def card_text(world: World, request: Request) -> str:
    """What people read on the card as it stands in the channel."""
    channel, ts = await world.card(request)
    (message,) = [one for one in world.sandbox.messages(channel) if one.ts == ts]
    return words(message.blocks)


# -- the button and its form --------------------------------------------------------------------------------------


async def test_asking_for_changes_denies_and_the_agent_gets_the_words(world: World) -> None:
    request = await world.ask(kind="deploy.run")
    await wished(world, request)

    decision = (await world.store.get(request.id)).request.decision

    assert decision is not None
    assert (decision.status.value, decision.changes) == ("denied", WISH)
    assert [vote.answer for vote in decision.by] == ["changes"]
    assert await world.told("U0BOB") == ["Denied. The agent has been told."]
    assert world.sandbox.views("U0BOB") == []


async def test_the_card_says_what_to_change_literally(world: World) -> None:
    request = await world.ask()
    await wished(world, request)
    await world.refresh(request)

    shown = await card_text(world, request)

    assert f"Please change: {WISH}" in shown
    assert "[Approve]" not in shown


async def test_the_form_asks_what_should_be_different_and_wants_an_answer(world: World) -> None:
    request = await world.ask()
    await world.click("U0BOB", request, CHANGES)
    (view,) = world.sandbox.views("U0BOB")

    (block,) = view.blocks

    assert (view.definition["callback_id"], block["optional"]) == (CHANGES_FORM, False)
    assert block["label"]["text"] == "What should be different?"
    assert await world.status(request) == "pending"


async def test_who_may_not_answer_gets_no_form(world: World) -> None:
    request = await world.ask()

    assert (await world.click("U0MALLORY", request, CHANGES)).ok

    assert await world.told("U0MALLORY") == ["You are not among those asked here: finance."]
    assert world.sandbox.views("U0MALLORY") == []


async def test_a_form_that_comes_after_the_decision_counts_nothing(world: World) -> None:
    request = await world.ask(kind="deploy.run")
    await world.click("U0BOB", request, CHANGES)
    (view,) = world.sandbox.views("U0BOB")
    await world.click("U0ALICE", request, APPROVE)

    await world.sandbox.submit_view("U0BOB", view.id, {REASON: WISH})

    (left,) = world.sandbox.views("U0BOB")
    assert words(left.blocks).startswith("@U0ALICE approved this")
    assert await world.status(request) == "approved"


async def test_the_form_of_one_button_is_not_the_other_ones(world: World) -> None:
    """What is carried is sealed for a press, and the answer is the form's, so both must have been ours."""
    request = await world.ask()
    await wished(world, request, wish="   leave out the fee   ")
    decision = (await world.store.get(request.id)).request.decision
    assert decision is not None
    assert decision.changes == "leave out the fee"


# -- asked anew ---------------------------------------------------------------------------------------------------


async def test_the_card_that_follows_says_what_changed_and_who_denied_before(world: World) -> None:
    request = await world.ask()
    await wished(world, request)
    again = await world.ask(arguments=LESS, supersedes=request.id)

    lines = (await card_text(world, again)).split("\n")

    anew = f":arrows_counterclockwise: asked anew after {request.code} was denied by "
    assert any(line.startswith(anew) and line.endswith("; what changed:") for line in lines)
    assert any(line.split() == ["amount", "12400.00", "→", "6200.00"] for line in lines)
    assert not any("asked before for the same target" in line for line in lines)


async def test_a_card_that_changed_while_it_was_read_can_still_be_answered(world: World) -> None:
    request = await world.ask()
    await world.click("U0ALICE", request, APPROVE)
    await wished(world, request)
    assert await world.status(request) == "denied"


# -- notes --------------------------------------------------------------------------------------------------------


def a_note(**changes: object) -> Note:
    """A reminder for alice, bob, the user group S0SRE and somebody without an account."""
    members: dict[str, object] = {
        "key": "reminder-1",
        "what": "reminder",
        "code": "7F3K-9Q",
        "factors": ("finance", "sre"),
        "expires_at": NOW,
        "asked": (ALICE, BOB, Who(person="<!channel>", accounts=())),
        "groups": ({"source": "slack:usergroup:S0SRE"}, {"source": "teams:group:x"}),
    }
    return Note.model_validate(members | changes)


def test_a_note_mentions_those_it_is_for_and_nobody_else() -> None:
    (block,) = draw_note(a_note(), team=TEAM).blocks
    elements = block["elements"][0]["elements"]
    assert [one["user_id"] for one in elements if one["type"] == "user"] == ["U0ALICE", "U0BOB"]
    assert [one["usergroup_id"] for one in elements if one["type"] == "usergroup"] == ["S0SRE"]
    assert {one["type"] for one in elements} <= {"user", "usergroup", "text", "date"}
    assert "<!channel>" in [one["text"] for one in elements if one["type"] == "text" and "style" in one]


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("reminder", "this still waits for you"),
        ("escalation", "nobody has answered, so you are asked too"),
        ("lapsed", "nobody used the approval in time"),
        ("unknown", "check what happened before anyone tries again"),
    ],
)
def test_a_note_says_what_is_the_matter(what: str, says: str) -> None:
    drawing = draw_note(a_note(what=what), team=TEAM)
    assert says in words(drawing.blocks)
    assert says in drawing.text
    assert "7F3K-9Q" in drawing.text
    assert check_message(drawing.blocks) == []


def test_a_note_for_nobody_in_particular_mentions_nobody() -> None:
    drawing = draw_note(a_note(asked=(), groups=(), factors=(), expires_at=None), team=TEAM)
    assert words(drawing.blocks) == "this still waits for you · code 7F3K-9Q"


async def test_a_note_stands_in_the_thread_of_its_card(world: World) -> None:
    request = await world.ask()
    channel, ts = await world.card(request)
    (post,) = (await world.store.get(request.id)).posts.values()

    await world.door.platform.reply(post.reference, a_note())

    (reply,) = [message for message in world.sandbox.messages(channel) if message.thread_ts == ts]
    assert "this still waits for you" in words(reply.blocks)


async def test_a_note_is_sent_once_and_its_troubles_are_named(world: World) -> None:
    request = await world.ask()
    (post,) = (await world.store.get(request.id)).posts.values()
    world.sandbox.faults.add(method="chat.postMessage", ratelimited=7)
    with pytest.raises(ChatUnavailable) as limited:
        await world.door.platform.reply(post.reference, a_note())
    assert (limited.value.retry_after, limited.value.maybe_done) == (7, False)
    world.sandbox.faults.add(method="chat.postMessage", error="is_archived")
    with pytest.raises(ChatRefused):
        await world.door.platform.reply(post.reference, a_note())
