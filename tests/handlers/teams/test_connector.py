"""The connector's calls one by one: what every answer, and every kind of silence, means for whoever called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from handlers.teams.addresses import BOTS
from handlers.teams.connector import Connector, Rest
from handlers.teams.errors import ApiLimited, ApiRefused, ApiSilent
from handlers.teams.tokens import Tokens
from tests.fakes.entra import TokenOffice
from tests.loopback import served

CONVERSATION = "19:payments@thread.tacv2;messageid=17"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Microsoft:
    """Answers every call as it is told, and remembers the address and the method of each."""

    answer: Handler
    connector: Connector
    url: str
    asked: list[str] = field(default_factory=list)


@pytest.fixture
async def microsoft() -> AsyncIterator[Microsoft]:
    async def handle(request: web.Request) -> web.StreamResponse:
        made.asked.append(f"{request.method} {request.raw_path}")
        return await made.answer(request)

    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(served([web.route("*", "/{path:.*}", handle)]))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        tokens = Tokens(lambda http: TokenOffice(), now=lambda: 0.0)
        made = Microsoft(answering(), Connector(Rest(session, tokens, BOTS, patience=0.3)), url)
        yield made


def answering(status: int = 200, text: str = "{}", **headers: str) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=text, headers=named)

    return answer


async def hanging(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def breaking_off(request: web.Request) -> web.StreamResponse:
    """The message was posted, and the connection ends before anybody hears of it."""
    await request.read()
    assert request.transport is not None
    request.transport.close()
    return web.Response()


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("7", 7.0),
        ("0.2", 1.0),
        ("-3", 1.0),
        ("nan", 1.0),
        ("inf", 600.0),
        ("86400", 600.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0),
        (None, 1.0),
    ],
)
@pytest.mark.parametrize("status", [429, 412])
async def test_not_now_says_how_long_to_wait_and_is_sent_once(
    microsoft: Microsoft, status: int, retry_after: str | None, seconds: float
) -> None:
    microsoft.answer = answering(status, **({"Retry_After": retry_after} if retry_after else {}))

    with pytest.raises(ApiLimited) as caught:
        await microsoft.connector.send(microsoft.url, CONVERSATION, {})
    assert caught.value.retry_after == seconds
    assert len(microsoft.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [hanging, breaking_off, answering(502), answering(504), answering(500), answering(408), answering(200, "")],
)
async def test_silence_after_a_post_may_mean_that_it_was_done_and_it_is_sent_once(
    microsoft: Microsoft, answer: Handler
) -> None:
    await microsoft.connector.update(microsoft.url, CONVERSATION, "17", {})  # the connection is open, as it mostly is
    microsoft.answer = answer

    with pytest.raises(ApiSilent) as caught:
        await microsoft.connector.send(microsoft.url, CONVERSATION, {})
    assert caught.value.maybe_done
    assert len(microsoft.asked) == 2


async def test_where_nobody_listens_nothing_was_done(microsoft: Microsoft) -> None:
    with pytest.raises(ApiSilent) as caught:
        await microsoft.connector.send("http://127.0.0.1:1", CONVERSATION, {})
    assert not caught.value.maybe_done


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_nobody_is_led_elsewhere_with_our_token(microsoft: Microsoft, status: int) -> None:
    microsoft.answer = answering(status, Location=f"{microsoft.url}/elsewhere")

    with pytest.raises(ApiRefused):
        await microsoft.connector.update(microsoft.url, CONVERSATION, "17", {})
    assert len(microsoft.asked) == 1


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [
        (403, '{"error":{"code":"MessageWritesBlocked"}}', "MessageWritesBlocked"),
        (404, '{"error":{"code":"ActivityNotFoundInConversation"}}', "ActivityNotFoundInConversation"),
        (413, '{"error":{"code":"MessageSizeTooBig"}}', "MessageSizeTooBig"),
        (403, '{"error":{"code":"two words <b>"}}', "http_403"),
        (403, '{"error":"x"}', "http_403"),
        (404, "<html>", "http_404"),
        (400, "[1]", "http_400"),
    ],
)
async def test_a_no_is_told_by_microsofts_one_word_for_it(
    microsoft: Microsoft, status: int, text: str, code: str
) -> None:
    microsoft.answer = answering(status, text)

    with pytest.raises(ApiRefused) as caught:
        await microsoft.connector.send(microsoft.url, CONVERSATION, {})
    assert (caught.value.status, caught.value.code) == (status, code)
    assert len(microsoft.asked) == 1


async def test_what_stands_in_an_id_does_not_lead_to_another_address(microsoft: Microsoft) -> None:
    await microsoft.connector.update(f"{microsoft.url}/emea//", "19:a/../b?c#d;e", "1/2", {})

    assert microsoft.asked == ["PUT /emea/v3/conversations/19:a%2F..%2Fb%3Fc%23d;e/activities/1%2F2"]
    for nothing in ("", ".", ".."):
        with pytest.raises(ApiRefused):
            await microsoft.connector.member(microsoft.url, nothing, "29:x")
    assert len(microsoft.asked) == 1


async def test_a_roster_without_an_end_is_given_up(microsoft: Microsoft) -> None:
    microsoft.answer = answering(200, '{"members":[{"id":"29:x"}],"continuationToken":"again"}')

    with pytest.raises(ApiRefused) as caught:
        await microsoft.connector.members(microsoft.url, CONVERSATION)
    assert caught.value.code == "roster_too_long"
    assert len(microsoft.asked) == 20
