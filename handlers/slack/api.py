"""One call of Slack's Web API: once, in bounded time, with errors that say what the caller can do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from handlers.slack.errors import ApiLimited, ApiProblem, ApiRefused, ApiSilent
from handlers.slack.watch import SlackWatch

BASE_URL = "https://slack.com/api/"

#: Codes that say "not now" although they come as a plain refusal.
_PASSING = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})
_LIMITED = frozenset({"ratelimited", "rate_limited"})


def new_client(
    token: str, session: aiohttp.ClientSession, *, base_url: str = BASE_URL, watch: SlackWatch | None = None
) -> AsyncWebClient:
    """A client that never retries by itself: the SDK's default handlers post twice when a connection breaks.

    The session is shared and stays the caller's; without one the SDK opens a connection for each call. `watch` is
    told of every call.
    """
    return _WatchedClient(watch or SlackWatch(), token=token, base_url=base_url, session=session, retry_handlers=[])


class _WatchedClient(AsyncWebClient):
    """The SDK's client, with somebody who counts the calls; each of its methods comes through `api_call`."""

    def __init__(self, watch: SlackWatch, **options: Any) -> None:
        super().__init__(**options)
        self._watch = watch

    async def api_call(self, api_method: str, **options: Any) -> AsyncSlackResponse:
        began, code = time.perf_counter(), "no_answer"
        try:
            answer = await super().api_call(api_method, **options)
            code = "ok"
            return answer
        except SlackApiError as exc:
            code = _code(exc)
            raise
        finally:
            self._watch.called(api_method, code, time.perf_counter() - began)


async def called(call: Awaitable[AsyncSlackResponse], *, timeout: float = 10.0) -> AsyncSlackResponse:
    """The answer to a call; raises ApiRefused, ApiLimited or ApiSilent (after `timeout` seconds at the latest).

    The SDK ignores its own time-out where a session is shared, hence ours.
    """
    try:
        async with asyncio.timeout(timeout):
            return await call
    except SlackApiError as exc:
        raise _problem(exc) from exc
    except aiohttp.ClientConnectorError as exc:
        raise ApiSilent("Slack cannot be reached", maybe_done=False) from exc
    except (aiohttp.ClientError, SlackClientError, TimeoutError, OSError) as exc:
        raise ApiSilent(f"no answer from Slack ({type(exc).__name__})") from exc


def _problem(error: SlackApiError) -> ApiProblem:
    status, headers, data = _parts(error.response)
    code = str(data.get("error") or "")
    if status == 429 or code in _LIMITED:
        return ApiLimited(_seconds(headers.get("Retry-After")))
    if status >= 500 or not code or code in _PASSING:
        return ApiSilent(f"Slack answered {code or status}")
    return ApiRefused(code, str(data.get("needed") or ""))


def _code(error: SlackApiError) -> str:
    """An error as it is counted: Slack's code, or what the HTTP status says."""
    status, _, data = _parts(error.response)
    return "ratelimited" if status == 429 else str(data.get("error") or f"http_{status}")


def _parts(response: Any) -> tuple[int, Any, dict[str, Any]]:
    """Status, headers and JSON of an error, which the SDK gives as its own response or as aiohttp's."""
    status = getattr(response, "status_code", None) or getattr(response, "status", None) or 0
    data = getattr(response, "data", None)
    return int(status), getattr(response, "headers", None) or {}, data if isinstance(data, dict) else {}


def _seconds(retry_after: str | None) -> float:
    try:
        return max(1.0, float(retry_after or 1))
    except ValueError:
        return 1.0
