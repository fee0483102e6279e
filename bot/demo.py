"""The whole thing on one machine: a queue, a chat workspace, the bot, and agents that ask.

With SLACK_BOT_TOKEN and SLACK_APP_TOKEN in the environment the cards go to that real workspace instead, as direct
messages to one person, who can then be alone in it: the agents' owner is a made-up service.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import yaml
from rich.console import Console
from rich.markup import escape

from bot.house import open_house
from bot.own_redis import say_addresses
from bot.settings import Settings, SettingsInvalid, load
from handlers.slack.api import called, new_client
from handlers.slack.errors import ApiProblem
from handlers.slack.identity import identify
from sandbox import Sandbox
from storage.embedded import EmbeddedServer

ROOT = Path(__file__).resolve().parent.parent
POLICY = ROOT / "examples" / "policies" / "five-scenes.yaml"
AGENTS = ROOT / "examples" / "five_scenes.py"

#: Where each scene plays, who says yes there, and what there is to see.
SCENES = (
    ("#deploys", "Alice or Bob", "one SRE. Ask for changes and name another number: it asks again with that"),
    ("#payments", "Alice, then Bob", "more than 10,000: finance and security, two different people"),
    ("#data", "Carol", "after ten seconds with it; never Gus, who is of the team that asks"),
    ("#security", "Alice and Bob", "two people, each with a reason and the code they were shown"),
    ("#press", "Mara", "the manager, told directly; read page by page"),
)

out = Console(highlight=False)


@dataclass(frozen=True)
class Place:
    """Where the cards of this demo go, and what the bot needs to reach it."""

    policy: Path
    slack: dict[str, str]
    hint: str


async def run(*, port: int, agents: bool, policy: Path | None = None) -> None:
    """Run the demo until Ctrl-C; nothing keeps running afterwards. With a policy of its own it plays no examples."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    state = load(slack_mode="off").state / "demo"
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(EmbeddedServer(state / "redis"))
        place = await stack.enter_async_context(_place(state, port, policy))
        settings = load(
            redis_url=server.url, policy=place.policy, state=state, port=0, issuer="https://sayso.demo", **place.slack
        )
        await stack.enter_async_context(open_house(settings))
        _welcome(place, settings, examples=policy is None)
        if agents and policy is None:
            await stack.enter_async_context(_agents(settings, state / "world"))
        await stop.wait()
        out.print("\nclosing; nothing stays running")


@asynccontextmanager
async def _place(state: Path, port: int, policy: Path | None) -> AsyncIterator[Place]:
    """The sandbox, or the real workspace whose tokens are in the environment."""
    if os.environ.get("SLACK_BOT_TOKEN") and os.environ.get("SLACK_APP_TOKEN"):
        yield await _real_workspace(state) if policy is None else _as_the_policy_says(policy)
        return
    async with Sandbox(port=port) as sandbox:
        slack = {
            "slack_mode": "socket",
            "slack_bot_token": sandbox.bot_token,
            "slack_app_token": sandbox.app_token,
            "slack_api_url": sandbox.api_url,
        }
        hint = f"Open [bold]{sandbox.url}[/] and answer; who you are is chosen at the top right."
        yield Place(policy or POLICY, slack, hint if policy else f"{hint}\n\n{_scenes()}")


def _scenes() -> str:
    """What there is to try, a line each."""
    lines = [f"  [bold]{place:<11}[/]{who:<17}{what}" for place, who, what in SCENES]
    more = (
        "The agents act for Dana, so her own yes is refused; Mallory is nobody's approver.",
        "[bold]/sayso help[/] in any channel says what else you can do.",
    )
    return "\n".join((*lines, "", *more))


def _as_the_policy_says(policy: Path) -> Place:
    """The real workspace, asked as somebody's own policy says."""
    return Place(policy, {"slack_mode": "socket"}, f"The cards go where {escape(str(policy))} says.")


async def _real_workspace(state: Path) -> Place:
    """A policy in which one person of the real workspace approves everything, in direct messages."""
    settings = load(slack_mode="socket", policy=POLICY)
    if settings.slack_bot_token is None or settings.demo_approver is None:
        raise SettingsInvalid(
            ["SAYSO_DEMO_APPROVER: set it to your own Slack user id (U…): profile, ⋮, Copy member ID"]
        )
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        client = new_client(settings.slack_bot_token.get_secret_value(), session, base_url=settings.slack_api_url)
        identity = await identify(client)
        try:
            await called(client.users_info(user=settings.demo_approver))
        except ApiProblem as exc:
            raise SettingsInvalid(
                [f"SAYSO_DEMO_APPROVER: Slack does not know {settings.demo_approver} ({exc})"]
            ) from exc
    path = state / "policy.yaml"
    path.write_text(policy_for_one(identity.team, settings.demo_approver), encoding="utf-8")
    hint = (
        f"The cards come as direct messages to [bold]{escape(settings.demo_approver)}[/] in your workspace.\n"
        "You can approve alone because the agents are owned by a made-up service (service:demo), not by you;"
        " in a real policy the owner is a person, whose own yes never counts."
    )
    return Place(path, {"slack_mode": "socket"}, hint)


def policy_for_one(team: str, user: str) -> str:
    """The demo's policy with everybody replaced by one person of another workspace."""
    policy = yaml.safe_load(POLICY.read_text(encoding="utf-8"))
    policy["people"] = {"you": {"accounts": [f"slack:{team}:{user}"]}}
    policy["groups"] = {"you": {"people": ["you"]}}
    policy["roles"] = {role: ["you"] for role in policy["roles"]}
    del policy["break_glass"]  # it takes somebody else who looks at it afterwards
    for agent in policy["agents"].values():
        agent |= {"owner": "service:demo", "principals": ["service:demo"]}
    for demands in (policy["defaults"], *policy["rules"]):
        demands.pop("exclude_team_of", None)
        if demands.get("effect") != "allow":
            demands |= {"factors": [{"from": ["you"], "approvals": 1}], "destinations": [f"slack:{user}"]}
    return yaml.safe_dump(policy, sort_keys=False)


def _welcome(place: Place, settings: Settings, *, examples: bool) -> None:
    out.print("\n[bold]Sayso[/]: agents act only on a human's say-so.\n")
    out.print(place.hint, soft_wrap=True)
    out.print("\nAn agent of your own, in another terminal, needs this line:\n")
    say_addresses(settings.redis_url, settings.trust)
    if examples:
        command = Path(sys.executable).with_name("sayso")
        out.print(
            f"\nand can then ask, for example:\n\n  {escape(str(command))} ask payments.release --agent payments-bot"
            " --target bank:acme --arg amount=9.50 --arg currency=EUR",
            soft_wrap=True,
        )
    out.print("\nCtrl-C ends everything.\n")


@asynccontextmanager
async def _agents(settings: Settings, world: Path) -> AsyncIterator[None]:
    """The example agents in a process of their own, as real ones are; ended with the demo."""
    run_name = f"demo-{int(time.time())}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(AGENTS), "--redis", settings.redis_url, "--trust", str(settings.trust),
        "--world", str(world), "--run", run_name,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
