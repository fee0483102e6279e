"""Notes under the cards: each once, wherever the card stands, whatever the platform does."""

from __future__ import annotations

from approvals.errors import ChatRefused
from approvals.request import Request
from approvals.terms import Escalation, Factor
from bot.courier import Courier
from storage.memory import MemoryStore
from tests.bot.chat import Chat, limited, silent
from tests.bot.conftest import Clock
from tests.bot.test_courier import ELSEWHERE, asked, changed, journal, post_of, until_quiet
from tests.build import CHANNEL, a_change, a_request, some_terms

LEADS = "slack:C0LEADS"
STEP = Escalation(after=60_000, sources=("person:dana",), destinations=(LEADS,), joins=("person:alice", "person:bob"))


async def reminded(store: MemoryStore, request: Request, number: int = 1) -> None:
    """The request after so many reminders."""
    await store.update(
        request.id,
        lambda now: (
            None
            if now.request.reminded >= number
            else a_change(now.request.model_copy(update={"reminded": number}), show=True)
        ),
    )


def keys(chat: Chat, destination: str = CHANNEL) -> list[str]:
    """The notes in the threads of one channel."""
    return [note.key for ts, note in chat.notes if chat.messages[ts].destination == destination]


async def test_a_reminder_is_given_once_under_every_card(store: MemoryStore, courier: Courier, chat: Chat) -> None:
    request = await asked(store, CHANNEL, ELSEWHERE)
    await until_quiet(courier)
    await reminded(store, request)
    for _ in range(3):
        await until_quiet(courier)
    assert (keys(chat), keys(chat, ELSEWHERE)) == (["reminder-1"], ["reminder-1"])
    assert "update" not in chat.calls


async def test_each_reminder_is_given(store: MemoryStore, courier: Courier, chat: Chat) -> None:
    request = await asked(store)
    await until_quiet(courier)
    for number in (1, 2, 3):
        await reminded(store, request, number)
        await until_quiet(courier)
    assert keys(chat) == ["reminder-1", "reminder-2", "reminder-3"]


async def test_two_couriers_give_a_note_once(store: MemoryStore, chat: Chat) -> None:
    request = await asked(store)
    one, two = Courier(store, {"slack": chat}), Courier(store, {"slack": chat})
    await until_quiet(one)
    await reminded(store, request)
    for courier in (one, two, one, two):
        await until_quiet(courier)
    assert keys(chat) == ["reminder-1"]


async def test_a_note_whose_fate_is_unknown_is_rather_missed_than_repeated(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    request = await asked(store)
    await until_quiet(courier)
    await reminded(store, request)
    chat.meets("reply", silent(), after=True)
    for _ in range(3):
        await until_quiet(courier)
        clock.advance(60)
    assert keys(chat) == ["reminder-1"]


async def test_a_note_that_was_surely_not_given_is_given_later(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    request = await asked(store)
    await until_quiet(courier)
    await reminded(store, request)
    chat.meets("reply", limited(30))
    await until_quiet(courier)
    clock.advance(29)
    await until_quiet(courier)
    assert keys(chat) == []
    clock.advance(2)
    await until_quiet(courier)
    assert keys(chat) == ["reminder-1"]


async def test_a_note_that_is_refused_leaves_its_card_in_peace(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    request = await asked(store)
    await until_quiet(courier)
    await reminded(store, request)
    chat.meets("reply", ChatRefused("restricted_action_thread_locked"))
    for _ in range(3):
        await until_quiet(courier)
        clock.advance(61)
    assert (await post_of(store, request)).state == "posted"
    assert await journal(store, "undeliverable") == []
    assert chat.calls.count("post") == 1


async def test_after_the_decision_nothing_is_said_any_more(store: MemoryStore, courier: Courier, chat: Chat) -> None:
    request = await asked(store)
    await until_quiet(courier)
    await reminded(store, request)
    await changed(store, request, "deny")
    await until_quiet(courier)
    assert keys(chat) == []


async def test_an_escalation_shows_the_card_in_the_other_places_too_and_says_so_there(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    request = a_request(terms=some_terms(escalation=(STEP,)), now=await store.now())
    await store.create(request.id, lambda *_: a_change(request, show=True))
    await until_quiet(courier)
    assert chat.at(LEADS) == []
    await store.update(
        request.id,
        lambda now: (
            None if now.request.escalated else a_change(now.request.model_copy(update={"escalated": 1}), show=True)
        ),
    )
    await until_quiet(courier)
    clock.advance(1)
    await until_quiet(courier)
    assert len(chat.at(LEADS)) == 1
    assert (keys(chat), keys(chat, LEADS)) == (["escalation-1"], ["escalation-1"])
    await changed(store, request, "deny")
    await until_quiet(courier)
    assert {message.card.status.value for message in (*chat.at(CHANNEL), *chat.at(LEADS))} == {"denied"}


async def test_notes_keep_to_the_platforms_pace(store: MemoryStore, clock: Clock) -> None:
    chat = Chat(clock, per_minute=60, burst=1)
    courier = Courier(store, {"slack": chat})
    request = await asked(store)
    await until_quiet(courier)
    await reminded(store, request)
    await until_quiet(courier)
    assert keys(chat) == []
    clock.advance(1)
    await until_quiet(courier)
    assert keys(chat) == ["reminder-1"]


async def test_whoever_is_asked_directly_gets_one_letter_once_a_card_stands(store: MemoryStore, chat: Chat) -> None:
    courier = Courier(store, {"slack": chat}, accounts=lambda person: (f"slack:T0SAYSO:U0{person.upper()}",))
    factor = Factor(name="ops", sources=("person:alice", "person:bob"), notify="dm")
    terms = some_terms(factors=(factor,), destinations=(CHANNEL, ELSEWHERE))
    request = a_request(now=await store.now(), terms=terms)
    await store.create(request.id, lambda now, earlier: a_change(request, show=True))
    for _ in range(3):
        await until_quiet(courier)
    assert sorted(place for place, _ in chat.announced) == ["slack:U0ALICE", "slack:U0BOB"]
    assert {chat.messages[note.reference["ts"]].request for _, note in chat.announced} == {request.id}


async def test_whom_the_agent_acts_for_is_told_once_how_it_was_decided(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    request = await asked(store, CHANNEL, ELSEWHERE)
    await until_quiet(courier)
    assert chat.announced == []
    await changed(store, request)
    for _ in range(3):
        await until_quiet(courier)
        clock.advance(60)
    ((place, note),) = chat.announced
    assert (place, note.status) == ("slack:U0DANA", "approved")
    assert chat.messages[note.reference["ts"]].request == request.id


async def test_a_letter_that_was_surely_not_given_is_given_later(
    store: MemoryStore, courier: Courier, chat: Chat, clock: Clock
) -> None:
    request = await asked(store)
    await until_quiet(courier)
    chat.meets("announce", limited(30))
    await changed(store, request, "deny")
    await until_quiet(courier)
    assert chat.announced == []
    clock.advance(31)
    await until_quiet(courier)
    assert [note.status for _, note in chat.announced] == ["denied"]
