"""Who could answer a request right now, by the check that a click goes through; and whatever could not be looked up."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final, TypeVar

import aiohttp

from approvals.arrangements import NOTHING, Arranged, Arrangements
from approvals.errors import ApprovalsError, DirectoryUnavailable
from approvals.people import UNCHECKED, Voter, account_of, may_answer
from approvals.policy import Policy
from approvals.ports import Account, Directory
from approvals.terms import Terms
from bot.doors import Directories, Known, teams_door
from bot.house import open_store
from bot.oncall import open_oncall, unasked
from bot.settings import Settings
from handlers.slack.api import new_client
from handlers.slack.directory import SlackDirectory
from handlers.slack.errors import ApiProblem, SlackProblem
from handlers.slack.identity import identify
from handlers.teams.watch import TeamsWatch
from storage.redis import RedisStore

_CHATS: Final = {"slack": "Slack", "teams": "Teams"}
_Found = TypeVar("_Found")


async def people_now(terms: Terms, policy: Policy, settings: Settings | None, kind: str) -> str:
    """Everybody the policy knows, with whether their yes would count; without settings, whom the file names."""
    if settings is None:
        return "\n".join(["right now", *_by_file(terms, "nobody was asked")])
    async with AsyncExitStack() as stack:
        known, missing = dict[str, Known](), list[str]()
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)))
        store = await _store(stack, settings, missing)
        known |= await _slack(stack, session, settings, missing)
        known |= await _teams(stack, session, settings, store, policy, missing)
        known |= open_oncall(stack, session, settings)
        missing += [f"{one}: no on-call service is set up that knows it" for one in unasked(policy.sources, settings)]
        arranged = await _arranged(store, policy, kind, missing)
        return "\n".join(["right now", *[row async for row in rows(terms, policy, known, arranged, missing)]])


async def rows(
    terms: Terms, policy: Policy, known: Mapping[str, Known], arranged: Arranged, missing: list[str]
) -> AsyncIterator[str]:
    """A line for each account of everybody, then one for everything that could not be looked up."""
    directory = Noting(Directories(known))
    if not known.keys() & _CHATS:
        for row in _by_file(terms, "nobody could be asked"):
            yield row
    for account in (account_of(name) for person in policy.people for name in policy.accounts_of(person)):
        if account.via in known and account.via in _CHATS:
            yield f"  {policy.person_of(account.id):<14}{await _could(account, terms, policy, directory, arranged)}"
        elif account.via in _CHATS:
            yield f"  {policy.person_of(account.id):<14}was not asked ({account.id})"
    for what in dict.fromkeys([*missing, *directory.failed]):
        yield f"  not looked up: {what}"


@dataclass
class Noting:
    """A directory that remembers what it could not say."""

    directory: Directory
    failed: list[str] = field(default_factory=list)

    async def standing(self, account: Account) -> str | None:
        """As the directory says."""
        return await self._noting(f"who {account.id} is", self.directory.standing(account))

    async def is_member(self, account: Account, source: str) -> bool:
        """As the directory says."""
        return await self._noting(f"who is in {source}", self.directory.is_member(account, source))

    async def _noting(self, what: str, look: Awaitable[_Found]) -> _Found:
        try:
            return await look
        except DirectoryUnavailable as exc:
            self.failed.append(f"{what}: {exc}")
            raise


async def _could(account: Account, terms: Terms, policy: Policy, directory: Noting, arranged: Arranged) -> str:
    found = await may_answer(account, terms, policy, directory, arranged=arranged)
    if found is UNCHECKED:
        return f"could not be looked up ({account.id})"
    if not isinstance(found, Voter):
        return f"may not: {found.sentence} ({account.id})"
    own = [", ".join(found.factors)] if found.factors else []
    handed = [f"{', '.join(seat.factors)} in {seat.person}'s place" for seat in found.behalf]
    return f"may answer for {', and for '.join([*own, *handed])} ({account.id})"


def _by_file(terms: Terms, why: str) -> Iterator[str]:
    """Who is named in the file; who is in a group of a chat platform is not known."""
    for factor in terms.factors:
        named = [source.removeprefix("person:") for source in factor.sources if source.startswith("person:")]
        able = [name for name in named if name not in terms.excluded and f"person:{name}" not in terms.barred]
        others = [source for source in factor.sources if not source.startswith("person:")]
        said = [*able, *(f"whoever is in {source} ({why})" for source in others)]
        yield f"  {factor.name:<14}{', '.join(said) or 'nobody'}"


# -- who is asked -------------------------------------------------------------------------------------------------


async def _store(stack: AsyncExitStack, settings: Settings, missing: list[str]) -> RedisStore | None:
    try:
        return await stack.enter_async_context(open_store(settings, read_only=True))
    except ApprovalsError as exc:
        missing.append(f"who handed a seat over: Redis could not be read ({type(exc).__name__})")
        return None


async def _arranged(store: RedisStore | None, policy: Policy, kind: str, missing: list[str]) -> Arranged:
    """The seats that are handed over now, for a kind, and the accounts that were linked."""
    if store is None:
        return NOTHING
    accounts = [name for person in policy.people for name in policy.accounts_of(person)]
    try:
        return (await Arrangements(store.shelf).now(policy, accounts, await store.now())).covering(kind)
    except ApprovalsError as exc:
        missing.append(f"who handed a seat over: {type(exc).__name__}")
        return NOTHING


async def _slack(
    stack: AsyncExitStack, session: aiohttp.ClientSession, settings: Settings, missing: list[str]
) -> dict[str, Known]:
    if settings.resolved_slack_mode() == "off" or settings.slack_bot_token is None:
        return {}
    client = new_client(settings.slack_bot_token.get_secret_value(), session, base_url=settings.slack_api_url)
    try:
        directory = SlackDirectory(client, await identify(client), now=time.monotonic)
    except (ApprovalsError, SlackProblem, ApiProblem, aiohttp.ClientError) as exc:
        missing.append(f"who is who in Slack: it could not be asked ({type(exc).__name__})")
        return {}
    stack.push_async_callback(directory.close)
    return {"slack": directory}


async def _teams(
    stack: AsyncExitStack,
    session: aiohttp.ClientSession,
    settings: Settings,
    store: RedisStore | None,
    policy: Policy,
    missing: list[str],
) -> dict[str, Known]:
    """What Entra, or the roster of a team, says; where it knows the people is kept in Redis."""
    if settings.teams_app_id is None:
        return {}
    if store is None:
        missing.append("who is who in Teams: Redis could not be read")
        return {}
    seal_key = secrets.token_bytes(32)  # it never opens a button, so any will do
    door = teams_door(
        session, settings, store, seal_key=seal_key, watch=TeamsWatch(), fallback=lambda: policy.teams_roster
    )
    if door is None:
        return {}
    await stack.enter_async_context(door.receiving())
    return {"teams": door.directory}
