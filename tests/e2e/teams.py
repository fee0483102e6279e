"""The real bot between Slack's sandbox and the Agents Playground, tokens checked; and one page of the latter."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Locator, Page, expect

import sayso
from handlers.teams.cards import reason_field
from tests.e2e.browser import a_browser
from tests.e2e.playground import Playground, a_playground
from tests.e2e.processes import PATIENCE, Bot
from tests.e2e.world import AGENT, Lane, World, a_world
from tests.fakes.bot_framework import MESSAGES, BotFramework, Sent
from tests.fakes.entra import APP, TENANT, Entra
from tests.fakes.sign_in import SECRET, signing_in
from tests.handlers.teams.world import CHANNEL, CHAT, account, button, read
from tests.loopback import served

SLACK = Lane("both.small", "C0PAYMENTS")
PERSONAL, DEPLOYS, PAYMENTS = "Personal Chat", "Deploys", "Payments"  #: as the page names the conversations
#: Which destinations are asked about a kind, of which group, and how many yeses it needs.
KINDS = {
    "payments.release": ([f"teams:{CHANNEL}"], "finance", 1),
    "payments.large": ([f"teams:{CHANNEL}"], "finance", 2),
    "payments.foreign": ([f"teams:{CHANNEL}"], "treasury", 1),
    "payments.waiting": ([f"teams:{CHAT}"], "finance", 1),
    "payments.small": ([f"teams:{CHAT}"], "finance", 1),
    "both.small": ([f"slack:{SLACK.channel}", f"teams:{CHANNEL}"], "finance", 1),
    "both.large": ([f"slack:{SLACK.channel}", f"teams:{CHANNEL}"], "finance", 2),
}

Json = dict[str, Any]


def policy() -> str:
    """Alice, bob and carol are finance, bob and carol treasury, each with an account on both platforms."""
    wording = {"title": "Release a payment", "done": "Payment released", "not_done": "Not released"}
    people = {
        name: {"accounts": [f"slack:T0SAYSO:U0{name.upper()}", account(name)]} for name in ("alice", "bob", "carol")
    }
    rules = [
        {
            "id": kind.replace(".", "-"),
            "match": {"kind": [kind]},
            "exempts": ["defaults"],
            "factors": [{"name": group, "from": [group], "approvals": need}],
            "destinations": places,
        }
        for kind, (places, group, need) in KINDS.items()
    ]
    return json.dumps(
        {
            "version": 1,
            "defaults": {"factors": [{"from": ["finance"]}], "destinations": [f"teams:{CHANNEL}"]},
            "agents": {AGENT: {"owner": "dana", "principals": ["dana"], "kinds": ["*"]}},
            "kinds": {kind: {**wording, "effect": "transfer", "risk": "high"} for kind in KINDS},
            "people": people | {"dana": {"accounts": ["slack:T0SAYSO:U0DANA"]}},
            "groups": {"finance": {"people": ["alice", "bob", "carol"]}, "treasury": {"people": ["bob", "carol"]}},
            "rules": rules,
        }
    )


@dataclass
class Deployment:
    """The bot, what is at its doors, and the people who act without a page."""

    world: World
    framework: BotFramework
    playground: Playground

    async def bot(self) -> Bot:
        """A bot that is ready, and that Teams calls from now on."""
        bot = await self.world.bot()
        self.framework.bot = f"{bot.url}/teams/messages"
        return bot

    async def ask(self, client: sayso.Sayso, kind: str, target: str = "", **arguments: str) -> sayso.Pending:
        """An agent asks; the target tells its card from others."""
        found = arguments or {"invoice": "INV-2093", "amount": "12400.00", "currency": "EUR"}
        return await client.ask_nowait(kind, target=target or f"bank:{secrets.token_hex(4)}", arguments=found)

    async def sent(self, asked: sayso.Pending, *words: str) -> Sent:
        """Wait until a message of the bot shows a request, and these words."""
        return await self.said(asked.action.target, *words)

    async def said(self, *words: str) -> Sent:
        """Wait until a message of the bot says these words."""
        async with asyncio.timeout(PATIENCE):
            while not (found := [one for one in self.framework.sent.values() if _says(one, words)]):
                self.framework.changed.clear()
                await self.framework.changed.wait()
        return found[0]

    async def press(
        self, who: str, asked: sayso.Pending, title: str = "Approve", *, on: Sent | None = None, reason: str = ""
    ) -> str:
        """What somebody else reads who presses a button, by default of the card as it is now."""
        message = on or await self.sent(asked)
        action = button(message.card, title)
        action["data"] = action["data"] | {reason_field(action["verb"], asked.request): reason}
        answer = await self.playground.press(who, message.conversation, message.id, action)
        value = answer["value"]
        return value if isinstance(value, str) else read(value)

    async def opened(self, place: str) -> None:
        """Wait until somebody has opened a conversation: only then can the bot post there."""
        while not any(heard["conversation"]["id"] == place for heard, _ in self.framework.heard):
            self.framework.changed.clear()
            await self.framework.changed.wait()

    async def approve_in_slack(self, user: str, asked: sayso.Pending) -> None:
        """A click in the sandbox."""
        await self.world.click(user, SLACK, asked.request)

    async def in_slack(self, asked: sayso.Pending, *words: str) -> None:
        """Wait until the card in the sandbox shows these words."""
        await self.world.card(SLACK, asked.request, *words)


@dataclass
class Teams(Deployment):
    """Everything a test may want to touch. Alice sits at the page."""

    page: Page

    async def go(self, conversation: str) -> None:
        """Open a conversation."""
        await self.page.get_by_text(conversation, exact=True).first.click()

    async def card(self, asked: sayso.Pending, *words: str) -> Locator:
        """Wait until alice sees the card of a request, and these words on it."""
        card = self.page.locator(".ac-adaptiveCard").filter(has_text=asked.action.target)
        await expect(card).to_be_visible(timeout=PATIENCE * 1000)
        for word in words:
            await expect(card).to_contain_text(word, timeout=PATIENCE * 1000)
        return card

    async def write(self, words: str, *, mention: bool = False) -> None:
        """Write to the bot in the conversation that is open, mentioning it first if wished."""
        box = self.page.locator("[contenteditable=true]").first
        await box.click()
        if mention:
            await self.page.keyboard.type("@")
            await self.page.get_by_role("menuitem", name="Sayso").click()
        await self.page.keyboard.type(words)
        await self.page.keyboard.press("Control+Enter" if mention else "Enter")


def _says(sent: Sent, words: tuple[str, ...]) -> bool:
    text = read(sent.card) if sent.activity.get("attachments") else ""
    return all(word in text for word in words)


@asynccontextmanager
async def in_teams() -> AsyncIterator[Teams]:
    """Everything, and the page at which alice sits."""
    async with a_deployment() as made, a_browser() as browser:
        page = await browser.new_page(viewport={"width": 1280, "height": 1000})
        await page.goto(made.playground.url)
        yield Teams(made.world, made.framework, made.playground, page)


@asynccontextmanager
async def a_deployment() -> AsyncIterator[Deployment]:
    """One of everything, with a running bot; nothing of it is left at the end."""
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(a_world(policy=policy()))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        framework = BotFramework(session)
        framework.url = await stack.enter_async_context(served(framework.routes()))
        endpoint = f"{framework.url}{MESSAGES}"
        playground = await stack.enter_async_context(
            a_playground(world.folder, session, endpoint=endpoint, service=framework.service)
        )
        framework.client = playground.connector
        entra = Entra()
        entra.url = await stack.enter_async_context(served(entra.routes()))
        for name in ("alice", "bob", "carol", "mallory"):
            entra.add(name)
        world.settings = stack.enter_context(teams_settings(world.folder, entra, framework.service))
        made = Deployment(world, framework, playground)
        await made.bot()
        yield made


@contextmanager
def teams_settings(folder: Path, entra: Entra, services: str) -> Iterator[dict[str, str]]:
    """What a bot is told of Microsoft, all of it on this machine."""
    with signing_in(folder) as office:
        yield {
            "REQUESTS_CA_BUNDLE": str(office.ca),
            "SAYSO_TEAMS_APP_ID": APP,
            "SAYSO_TEAMS_TENANT_ID": TENANT,
            "SAYSO_TEAMS_CLIENT_SECRET": SECRET,
            "SAYSO_TEAMS_AUTHORITY": office.url,
            "SAYSO_TEAMS_OPENID_URL": f"{entra.url}/openid",
            "SAYSO_TEAMS_GRAPH_URL": f"{entra.url}/graph",
            "SAYSO_TEAMS_SERVICES": services,
        }
