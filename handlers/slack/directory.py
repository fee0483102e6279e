"""Slack as the directory: who is a full member of our workspace, and who is in a user group."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from approvals.errors import DirectoryUnavailable
from approvals.ports import Account
from handlers.recent import PATIENCE, Recent
from handlers.slack.api import called
from handlers.slack.errors import ApiProblem
from handlers.slack.identity import Identity
from handlers.tasks import Tasks

GROUP = "slack:usergroup:"

_PROBLEMS = (ApiProblem, KeyError, TypeError)  #: the last two: an answer that is not shaped as documented

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
        self._standings: Recent[str | None] = Recent("Slack", now, self._tasks, problems=_PROBLEMS, patience=patience)
        self._groups: Recent[frozenset[str]] = Recent("Slack", now, self._tasks, problems=_PROBLEMS, patience=patience)

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

    async def accounts(self, source: str) -> Iterable[str]:
        """The accounts in one of our user groups. Raises DirectoryUnavailable."""
        if not source.startswith(GROUP):
            raise DirectoryUnavailable(f"{source} is no user group")
        return [f"slack:{self._identity.team}:{user}" for user in await self._members(source)]

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
