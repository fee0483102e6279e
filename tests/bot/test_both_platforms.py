"""Slack and Teams as one, in the whole house: whoever decides wherever, every card settles, and people count once."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from approvals.action import Action
from approvals.commands.typed import USAGE
from approvals.intake import RequestDocument
from approvals.request import Request
from bot.house import House, open_house
from bot.settings import load
from sandbox import Sandbox
from tests.fakes.connector import FakeConnector, Fault
from tests.fakes.entra import APP, TENANT, Entra, a_token, person_id
from tests.fakes.sign_in import SECRET, signing_in
from tests.handlers.slack.test_called import mentioned
from tests.handlers.slack.world import words
from tests.handlers.teams.world import CHANNEL, an_activity, press, read
from tests.loopback import served
from tests.servers import Server

pytestmark = pytest.mark.redis

SLACK = "C0PAYMENTS"
OWN = "a:alice-and-sayso"  #: alice's chat with the bot in Teams
TEAM = "T0SAYSO"


def policy() -> dict[str, Any]:
    """Everything is asked in both; alice and bob have an account on each, and payments need both of them."""
    people = {
        name: {"accounts": [f"slack:{TEAM}:U0{name.upper()}", f"teams:{TENANT}:{person_id(name)}"]}
        for name in ("alice", "bob", "dana")
    }
    return {
        "version": 1,
        "defaults": {
            "factors": [{"name": "finance", "from": ["finance"]}],
            "destinations": [f"slack:{SLACK}", f"teams:{CHANNEL}"],
        },
        "agents": {"payments-bot": {"owner": "dana", "principals": ["dana"], "kinds": ["*"]}},
        "kinds": {
            kind: {"title": "Pay", "done": "Paid", "not_done": "Not paid", "effect": "transfer"}
            for kind in ("payments.release", "payments.small", "payments.slow", "payments.grouped")
        },
        "people": people,
        "groups": {"finance": {"people": ["alice", "bob"]}, "sre": {"slack_usergroup": "S0SRE"}},
        "rules": [
            {
                "id": "two",
                "match": {"kind": ["payments.release"]},
                "factors": [{"name": "finance", "from": ["finance"], "approvals": 2}],
            },
            {
                "id": "grouped",
                "match": {"kind": ["payments.grouped"]},
                "exempts": ["defaults"],
                "factors": [{"name": "sre", "from": ["sre"]}],
                "destinations": [f"slack:{SLACK}", f"teams:{CHANNEL}"],
            },
            {
                "id": "slow",
                "match": {"kind": ["payments.slow"]},
                "destinations": [f"slack:{SLACK}"],
                "reminders": {"first": "1s", "most": 1},
                "escalate": [{"after": "2s", "destinations": [f"teams:{CHANNEL}"]}],
            },
        ],
    }


@dataclass
class Both:
    """One house with both platforms at its doors."""

    house: House
    sandbox: Sandbox
    connector: FakeConnector
    session: aiohttp.ClientSession

    async def ask(self, kind: str = "payments.small") -> Request:
        """A request whose card stands on both."""
        request = await self.submit(kind)
        await self.settled(request, "code " + request.code)
        return request

    async def submit(self, kind: str) -> Request:
        """A request, whose cards will come."""
        action = Action(kind=kind, target="bank:acme", arguments={}, preconditions={}, nonce=secrets.token_urlsafe(16))
        document = RequestDocument(v=1, call=f"run/{secrets.token_hex(4)}", action=action, because="")
        return await self.house.approvals.submit(document, "payments-bot")

    async def by_slack(self, who: str, request: Request) -> None:
        card = next(one for one in self._in_slack() if request.code in words(one.blocks))  # a note may stand under it
        await self.sandbox.click(f"U0{who.upper()}", SLACK, card.ts, "sayso:approve")

    async def by_teams(self, who: str, request: Request) -> str:
        service = self.connector.service
        card = next(one for one in self.connector.cards(CHANNEL) if request.code in read(one.card))
        activity = press(who, card, "Approve", service=service)
        headers = {"Authorization": f"Bearer {a_token(service)}"}
        url = f"{self.house.url}/teams/messages"
        async with self.session.post(url, json=activity, headers=headers) as answer:
            found = (await answer.json())["value"]
        return found if isinstance(found, str) else read(found)

    async def says_slack(self, command: str) -> str:
        """What alice is answered to a slash command."""
        delivery = await self.sandbox.command("U0ALICE", SLACK, "/sayso", command)
        assert delivery.ok
        return words(self.sandbox.ephemerals("U0ALICE")[-1].blocks)

    async def says_teams(self, written: str, place: str = OWN) -> str:
        """What alice is answered in her own chat to something that she wrote there, or elsewhere."""
        before = len(self.connector.cards(OWN))
        await self._send(an_activity("alice", place, service=self.connector.service, text=written))
        async with asyncio.timeout(15):
            while len(found := self.connector.cards(OWN)) == before:
                self.connector.changed.clear()
                await self.connector.changed.wait()
        return read(found[-1].card)

    async def installed(self, place: str) -> None:
        """Teams tells the bot that alice added it somewhere."""
        self.connector.installed.add(place)
        event = an_activity("alice", place, service=self.connector.service)
        await self._send(event | {"type": "installationUpdate", "action": "add"})

    async def _send(self, activity: dict[str, Any]) -> None:
        headers = {"Authorization": f"Bearer {a_token(self.connector.service)}"}
        url = f"{self.house.url}/teams/messages"
        async with self.session.post(url, json=activity, headers=headers) as answer:
            assert answer.status == 200

    async def settled(self, request: Request, said: str) -> None:
        """Wait until the cards on both say so."""
        await self.in_slack(request, said)
        await self.in_teams(request, said)

    async def in_slack(self, request: Request, said: str) -> None:
        """Wait until a message in Slack says so of a request."""
        await self.sandbox.wait_for(lambda: any(_says(words(one.blocks), request, said) for one in self._in_slack()))

    async def in_teams(self, request: Request, said: str) -> None:
        """Wait until a card in Teams says so of a request."""
        async with asyncio.timeout(15):
            while not any(_says(read(one.card), request, said) for one in self.connector.cards(CHANNEL)):
                self.connector.changed.clear()
                await self.connector.changed.wait()

    async def status(self, request: Request) -> str:
        return (await self.house.store.get(request.id)).request.status.value

    def _in_slack(self) -> Sequence[Any]:
        return self.sandbox.messages(SLACK)


def plain(answer: str) -> str:
    """An answer without buttons, and without what each platform writes in its own way: times, people, how to begin."""
    answer = re.sub(r"@U0([A-Z]+)", lambda found: found[1].lower(), answer.replace("/sayso ", ""))
    lines = [line for line in answer.splitlines() if not line.startswith("[")]
    return re.sub(r"<date>|\d{4}-\d\d-\d\d \d\d:\d\d UTC", "<time>", "\n".join(lines))


def _says(text: str, request: Request, said: str) -> bool:
    return request.code in text and said in text.replace("*", "")


@pytest.fixture
async def both(redis: Server, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Both]:
    entra, connector = Entra(), FakeConnector(time.monotonic)
    connector.installed = {CHANNEL}
    for name in ("alice", "bob", "dana"):
        entra.add(name)
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy()))
    async with AsyncExitStack() as stack:
        office = stack.enter_context(signing_in(tmp_path))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(office.ca))
        entra.url = await stack.enter_async_context(served(entra.routes()))
        connector.url = await stack.enter_async_context(served(connector.routes()))
        sandbox = await stack.enter_async_context(Sandbox())
        session = await stack.enter_async_context(aiohttp.ClientSession())
        teams = {"teams_app_id": APP, "teams_tenant_id": TENANT, "teams_client_secret": SECRET}
        teams |= {"teams_authority": office.url, "teams_openid_url": f"{entra.url}/openid"}
        teams |= {"teams_graph_url": f"{entra.url}/graph", "teams_services": f"{connector.url}/"}
        slack = {"slack_bot_token": sandbox.bot_token, "slack_app_token": sandbox.app_token}
        settings = load(redis_url=redis.url, port=0, slack_api_url=sandbox.api_url, **slack, **teams)
        house = await stack.enter_async_context(open_house(settings))
        made = Both(house, sandbox, connector, session)
        await made.installed(CHANNEL)
        yield made


async def test_what_is_approved_on_one_platform_settles_on_the_other(both: Both) -> None:
    first, second = await both.ask(), await both.ask()

    await both.by_slack("alice", first)
    assert "Approved" in await both.by_teams("bob", second)

    await both.settled(first, "Approved: Pay")
    await both.settled(second, "Approved: Pay")
    assert await both.status(first) == await both.status(second) == "approved"


async def test_two_people_on_two_platforms_are_two(both: Both) -> None:
    request = await both.ask("payments.release")

    await both.by_slack("alice", request)
    await both.settled(request, "finance 1 of 2")
    assert "Approved" in await both.by_teams("bob", request)

    await both.settled(request, "Approved: Pay")


async def test_one_person_with_two_accounts_counts_once(both: Both) -> None:
    request = await both.ask("payments.release")

    await both.by_slack("alice", request)
    await both.settled(request, "finance 1 of 2")
    assert "Your approval counts: 1 of 2." in await both.by_teams("alice", request)

    assert await both.status(request) == "pending"
    assert len((await both.house.store.get(request.id)).request.votes) == 1


async def test_what_nobody_answers_in_slack_is_reminded_there_and_escalates_to_teams(both: Both) -> None:
    request = await both.submit("payments.slow")
    await both.in_slack(request, request.code)
    assert both.connector.cards(CHANNEL) == []

    await both.in_slack(request, "this still waits for you")
    await both.in_teams(request, f"code {request.code}")
    assert "Approved" in await both.by_teams("bob", request)
    await both.settled(request, "Approved: Pay")


async def test_what_teams_does_not_take_now_is_posted_once_later_and_changed_until_it_is_right(both: Both) -> None:
    both.connector.fail("send", Fault(429, "TooManyRequests", {"Retry-After": "1"}), Fault(412, "PreconditionFailed"))
    request = await both.ask()
    assert both.connector.asked.count("send") == 3

    lost = Fault(404, "ActivityNotFoundInConversation")
    both.connector.fail("update", lost, Fault(502), Fault(429, "TooManyRequests"), Fault(504, done=True))
    await both.by_slack("alice", request)
    await both.settled(request, "Approved: Pay")

    assert both.connector.asked.count("send") == 3
    assert len([one for one in both.connector.cards(CHANNEL) if request.code in read(one.card)]) == 1


async def test_every_command_is_answered_alike_in_slack_in_teams_and_when_the_bot_is_mentioned(both: Both) -> None:
    await both.installed(OWN)
    both.connector.limits = ()  # nobody types so fast
    request = await both.ask()
    given = [*USAGE, "pednign", "", f"show {request.code}", f"why {request.code}", "delegate bob until 3d", "quiet off"]

    for command in given:
        expected = plain(await both.says_slack(command))
        assert plain(await both.says_teams(command)) == expected
        assert plain(await both.says_teams(f"<at>Sayso</at> {command}", CHANNEL)) == expected


async def test_a_group_of_slack_is_mentioned_there_and_in_teams_those_of_it_who_are_in_both(both: Both) -> None:
    request = await both.ask("payments.grouped")

    (in_slack,) = [one for one in both.sandbox.messages(SLACK) if request.code in words(one.blocks)]
    assert mentioned(in_slack.blocks) == ["S0SRE"]
    (in_teams,) = [one for one in both.connector.cards(CHANNEL) if request.code in read(one.card)]
    entities = in_teams.versions[0]["attachments"][0]["content"]["msteams"]["entities"]
    assert {one["mentioned"]["id"] for one in entities} == {person_id("alice"), person_id("bob")}
    await both.by_slack("alice", request)
    await both.settled(request, "Approved: Pay")


async def test_the_house_says_that_it_is_ready_with_both(both: Both) -> None:
    async with both.session.get(f"{both.house.url}/readyz") as answer:
        checks = (await answer.json())["checks"]
    assert (checks["slack"], checks["teams"], checks["directory"]) == (True, True, True)
    async with both.session.get(f"{both.house.url}/metrics") as answer:
        assert "sayso_teams_calls_total" in await answer.text()
