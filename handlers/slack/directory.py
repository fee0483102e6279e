"""Slack as the directory: who is a full member of our workspace, and who is in a user group."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from approvals.errors import DirectoryUnavailable
from approvals.ports import Account
from handlers.slack.api import called
from handlers.slack.errors import ApiProblem
from handlers.slack.identity import Identity
from handlers.slack.tasks import Tasks

log = structlog.get_logger(__name__)

T = TypeVar("T")

GROUP = "slack:usergroup:"
FRESH = 60.0  #: seconds for which an answer is believed
PATIENCE = 1.2  #: seconds a click waits for a look-up; Slack gives the whole click three

_FOREIGN = "from another workspace"
#: Flags that users.info gives for every active member; each must be there, and false.
_FLAGS = {"is_bot": "a bot", "is_restricted": "a guest", "is_ultra_restricted": "a single-channel guest"}
#: Flags that are there only where they are true. `is_app_user` is none of them: it marks people who installed us.
_RARE_FLAGS = {"is_stranger": _FOREIGN, "is_workflow_bot": "a bot", "is_invited_user": "invited, not yet a member"}
_SLACKBOT = "USLACKBOT"


class SlackDirectory:
    """Directory for one workspace. `now` is a monotonic clock in seconds; call `close` on the way out."""

    def __init__(
        self, client: AsyncWebClient, identity: Identity, *, now: Callable[[], float], patience: float = PATIENCE
    ) -> None:
        self._client = client
        self._identity = identity
        self._tasks = Tasks()
        self._standings: _Recent[str | None] = _Recent(now, self._tasks, patience)
        self._groups: _Recent[frozenset[str]] = _Recent(now, self._tasks, patience)

    async def standing(self, account: Account) -> str | None:
        """None for a full, active, human member; else what the account is instead."""
        if not self._is_ours(account):
            return _FOREIGN
        return await self._standings.get(account.user, lambda: self._look_up(account.user))

    async def is_member(self, account: Account, source: str) -> bool:
        """Whether the account is in a user group; sources of other kinds hold nobody of ours."""
        if not self._is_ours(account) or not source.startswith(GROUP):
            return False
        return account.user in await self._members(source)

    async def warm(self, sources: Iterable[str]) -> None:
        """Look user groups up before anybody clicks; a failure here is a later look-up's problem."""
        wanted = [source for source in dict.fromkeys(sources) if source.startswith(GROUP)]
        for found in await asyncio.gather(*map(self._members, wanted), return_exceptions=True):
            if isinstance(found, BaseException) and not isinstance(found, DirectoryUnavailable):
                raise found

    async def close(self) -> None:
        """End the look-ups that nobody waits for any more."""
        await self._tasks.drain(0)

    def _is_ours(self, account: Account) -> bool:
        return account.via == "slack" and account.tenant == self._identity.team

    async def _members(self, source: str) -> frozenset[str]:
        group = source.removeprefix(GROUP)
        return await self._groups.get(group, lambda: self._list(group))

    async def _look_up(self, user: str) -> str | None:
        answer = await called(self._client.users_info(user=user))
        return standing_of(answer.get("user"), self._identity)

    async def _list(self, group: str) -> frozenset[str]:
        answer = await called(self._client.usergroups_users_list(usergroup=group))
        return frozenset(answer["users"])


def standing_of(user: Any, identity: Identity) -> str | None:
    """What a user object of users.info says; a flag that is missing counts against the account.

    https://docs.slack.dev/reference/objects/user-object
    """
    if not isinstance(user, dict):
        return "unknown"
    if user.get("deleted") is not False:
        return "deactivated"
    if user.get("id") == _SLACKBOT:
        return "a bot"
    for flag, words in _FLAGS.items():
        if user.get(flag) is not False:
            return words
    for flag, words in _RARE_FLAGS.items():
        if user.get(flag, False) is not False:
            return words
    return None if _in_our_team(user, identity) else _FOREIGN


def _in_our_team(user: Mapping[str, Any], identity: Identity) -> bool:
    """On Enterprise Grid a person belongs to the organisation and is a member of some of its workspaces."""
    if user.get("team_id") == identity.team:
        return True
    grid = user.get("enterprise_user")
    if not identity.enterprise or not isinstance(grid, dict):
        return False
    return grid.get("enterprise_id") == identity.enterprise and identity.team in (grid.get("teams") or [])


class _Recent(Generic[T]):
    """Answers of the last minute; of many who ask for the same thing at once, one asks Slack."""

    def __init__(self, now: Callable[[], float], tasks: Tasks, patience: float) -> None:
        self._now = now
        self._tasks = tasks
        self._patience = patience
        self._known: dict[str, tuple[float, T]] = {}
        self._asked: dict[str, asyncio.Future[T]] = {}

    async def get(self, key: str, look_up: Callable[[], Awaitable[T]]) -> T:
        """What is known, or what the look-up finds in time; raises DirectoryUnavailable."""
        known = self._known.get(key)
        if known is not None and self._now() - known[0] < FRESH:
            return known[1]
        if key not in self._asked:
            self._ask(key, look_up)
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.shield(self._asked[key])
        except TimeoutError as exc:
            raise DirectoryUnavailable("Slack took too long to say who this is") from exc

    def _ask(self, key: str, look_up: Callable[[], Awaitable[T]]) -> None:
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_seen)
        self._asked[key] = answer
        self._tasks.start(self._find(key, look_up, answer), f"slack directory: {key}")

    async def _find(self, key: str, look_up: Callable[[], Awaitable[T]], answer: asyncio.Future[T]) -> None:
        began = self._now()  # an answer is as old as its question
        try:
            found = await look_up()
            self._known[key] = (began, found)
            answer.set_result(found)
        except (ApiProblem, KeyError, TypeError) as exc:
            log.warning("slack_directory_failed", key=key, error=str(exc))
            answer.set_exception(DirectoryUnavailable(str(exc)))
        finally:
            self._asked.pop(key, None)
            if not answer.done():
                answer.set_exception(DirectoryUnavailable("the look-up was given up"))


def _seen(answer: asyncio.Future[Any]) -> None:
    """Mark a failure as looked at, for the case that everybody who waited has given up."""
    if not answer.cancelled():
        answer.exception()
