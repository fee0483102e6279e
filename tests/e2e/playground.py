"""Microsoft's Agents Playground: a client like Teams on this machine, and the people in it.

One of them sits at its page, the others act by its HTTP interface. It speaks for no tenant: it sends no tokens.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.processes import Process
from tests.fakes.entra import APP, TENANT, person_id
from tests.handlers.teams.world import CHANNEL, CHAT, TEAM
from tests.node import NODE, node
from tests.servers import free_port

PACKAGE = "@microsoft/m365agentsplayground"
AT_THE_PAGE = "alice"
OTHERS = ("bob", "carol", "dana", "mallory", "erin")  #: it wants exactly five
PERSONAL = "a:alice-and-sayso"

Json = dict[str, Any]


@dataclass(frozen=True)
class Playground:
    """A running one; `url` is its page's address."""

    url: str
    session: aiohttp.ClientSession

    @property
    def connector(self) -> str:
        """The address of its connector."""
        return f"{self.url}/_connector"

    async def press(self, who: str, place: str, message: str, action: Json) -> Json:
        """What somebody else is answered who presses a button of a message."""
        thread = f"{place};messageid={message}" if place.endswith("tacv2") else place
        invoke = {
            "name": "adaptiveCard/action",
            "value": {"action": action, "trigger": "manual"},
            "from": {"id": f"29:{who}"},
            "conversation": {"id": thread},
            "replyToId": message,
        }
        async with self.session.post(f"{self.url}/_conversation/v1/invoke", json=invoke) as answer:
            found: Json = await answer.json()
            return found


def configuration() -> Json:
    """The people, the team with its channel, the group chat and the personal chat. JSON is YAML."""
    return {
        "version": "0.1.1",
        "tenantId": TENANT,
        "bot": {"id": f"28:{APP}", "name": "Sayso"},
        "currentUser": _user(AT_THE_PAGE),
        "users": [_user(name) for name in OTHERS],
        "personalChat": {"id": PERSONAL},
        "groupChat": {"id": CHAT, "name": "Deploys"},
        "team": {
            "id": TEAM,
            "name": "Acme",
            "aadGroupId": person_id("acme"),
            "channels": [{"id": CHANNEL, "name": "Payments"}],
        },
    }


@asynccontextmanager
async def a_playground(
    folder: Path, session: aiohttp.ClientSession, *, endpoint: str, service: str
) -> AsyncIterator[Playground]:
    """The Playground in front of a bot's endpoint, which it tells to answer at `service`."""
    settings = folder / "playground.yml"
    settings.write_text(json.dumps(configuration()))
    port = free_port()
    process = Process({"TEAMSAPPTESTER_BROWSER": "none", "M365_AGENTS_PLAYGROUND_CONFIG_PATH": str(settings)}, folder)
    given = ["-e", endpoint, "-c", "msteams", "-p", str(port), "--service-url", service]
    await process.run(node(), str(NODE / PACKAGE / "cli.js"), "start", "--disable-telemetry", *given)
    try:
        await process.says(lambda line: "Listening" in line)
        yield Playground(f"http://localhost:{port}", session)
    finally:
        process.kill()
        await process.ended()


def _user(name: str) -> Json:
    return {
        "id": f"29:{name}",
        "name": name.title(),
        "userPrincipleName": f"{name}@acme.example",
        "aadObjectId": person_id(name),
        "givenName": name.title(),
        "surname": "Example",
        "email": f"{name}@acme.example",
    }
