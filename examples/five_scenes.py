"""Five agents, five actions that must not happen without a human yes; each acts for real, in a folder.

    python examples/five_scenes.py --redis redis://127.0.0.1:6379/0 --trust .sayso/jwks.json --world /tmp/world

Each scene prepares what its tool works on, asks, goes on with low-risk work while people think, and acts only inside
`spend()`: on exactly the arguments that were approved, once.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import hashlib
import json
import re
import shutil
import time
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from pathlib import Path

import sayso

Scene = Callable[["Stage"], Awaitable[str]]


class Stage:
    """What a scene needs: where Redis and the trust document are, a folder to act in, a run's name, a way to talk."""

    def __init__(self, redis: str, trust: str, world: Path, run: str) -> None:
        self.redis, self.trust, self.world, self.run = redis, trust, world, run

    def client(self, agent: str, *, audience: str | None = None) -> sayso.Sayso:
        """A client for one of the agents."""
        return sayso.Sayso.connect(self.redis, agent=agent, trust=self.trust, audience=audience)

    def say(self, who: str, what: str) -> None:
        """Print a line of the story."""
        print(f"{time.strftime('%H:%M:%S')}  {who:<17} {what}", flush=True)

    async def answer(self, who: str, pending: sayso.Pending) -> sayso.Approval:
        """Tell that it waits, then wait."""
        self.say(who, f"asked ({pending.request}); goes on with low-risk work meanwhile")
        approval = await pending.decision()
        names = ", ".join(str(voter.person or voter.policy) for voter in approval.by)
        self.say(who, f"approved by {names}; the tool now checks the receipt")
        return approval


async def deploy_config(stage: Stage) -> str:
    """Deploy a production config change; asked for changes, it asks again with the number it reads there."""
    live = stage.world / "production.json"
    live.write_text(json.dumps({"rate_limit": 100, "region": "eu-west-1"}))
    async with stage.client("deploy-bot") as client:
        approval = await _rate_limit(stage, client, live, 250)
        async with approval.spend(preconditions=lambda shown: bool(shown["sha256"] == _fingerprint(live))) as action:
            config = json.loads(live.read_text())
            config["rate_limit"] = action.arguments["rate_limit"]["to"]
            live.write_text(json.dumps(config))
    return f"rate_limit is now {config['rate_limit']}"


async def _rate_limit(
    stage: Stage, client: sayso.Sayso, live: Path, limit: int, instead_of: str | None = None
) -> sayso.Approval:
    """Ask for a rate limit, as long as people name another one."""
    pending = await client.ask_nowait(
        "deploy.config",
        call=f"{stage.run}/deploy/{limit}",
        target="production/api-gateway",
        arguments={"cluster": "prod-eu", "rate_limit": {"from": 100, "to": limit}, "file": live.name},
        preconditions={"sha256": _fingerprint(live)},  # only if production is still what people were shown
        because=f"p95 latency is fine at {limit} in staging",
        supersedes=instead_of,
    )
    try:
        return await stage.answer("deploy-bot", pending)
    except sayso.ChangesRequested as no:
        number = re.search(r"\d{1,4}", no.changes)
        if number is None or int(number[0]) == limit:
            raise
        stage.say("deploy-bot", f"asked for changes: {no.changes}")
        return await _rate_limit(stage, client, live, int(number[0]), pending.request)


def _fingerprint(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


async def release_payment(stage: Stage) -> str:
    """Release a payment, when finance and security agree, through a tool that alone can spend the receipt."""
    ledger = stage.world / "ledger.csv"
    async with stage.client("payments-bot", audience="payments-gateway") as client:
        pending = await client.ask_nowait(
            "payments.release",
            call=f"{stage.run}/release",
            target="bank:acme-gmbh",
            arguments={
                "invoice": "INV-2093",
                "amount": "12400.00",
                "currency": "EUR",
                "iban": "DE89 3704 0044 0532 0130 00",
            },
            because="matches PO 118, due tomorrow; <https://evil.example|see invoice> *Approved by CFO*",
        )
        approval = await stage.answer("payments-bot", pending)

    async with (
        sayso.Tool.connect(stage.redis, audience="payments-gateway", trust=stage.trust) as gateway,
        gateway.spend(approval.receipt, approval.action, agent="payments-bot") as action,
    ):
        with ledger.open("a", newline="") as file:
            csv.writer(file).writerow(action.arguments.values())
    return f"{action.arguments['amount']} {action.arguments['currency']} released"


async def export_data(stage: Stage) -> str:
    """Export customer data: the owner of the data says so, and nobody of the team that wants it."""
    rows = [{"id": str(number), "country": "DE", "plan": "pro"} for number in range(1, 1205)]
    async with stage.client("data-bot") as client:
        pending = await client.ask_nowait(
            "data.export",
            call=f"{stage.run}/export",
            target="customers/eu",
            arguments={"columns": ["id", "country", "plan"], "rows": len(rows), "to": "s3://acme-exports/eu.csv"},
            because="quarterly churn analysis",
        )
        approval = await stage.answer("data-bot", pending)
        async with approval.spend() as action:
            with (stage.world / "eu.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, fieldnames=action.arguments["columns"])
                writer.writeheader()
                writer.writerows(rows)
    return f"{len(rows)} rows exported"


async def delete_credentials(stage: Stage) -> str:
    """Delete an old credential store: cannot be undone, so two people type the code they were shown."""
    store = stage.world / "legacy-kv"
    store.mkdir(exist_ok=True)
    for number in range(41):
        (store / f"key-{number:02}").write_text("rotated")
    async with stage.client("janitor-bot") as client:
        pending = await client.ask_nowait(
            "secrets.delete",
            call=f"{stage.run}/delete",
            target="vault:legacy-kv",
            arguments={"keys": 41, "last_read": "2025-03-02", "backup": "none"},
            because="nothing has read it for 20 months",
        )
        approval = await stage.answer("janitor-bot", pending)
        async with approval.spend() as action:
            if len(list(store.iterdir())) != action.arguments["keys"]:
                raise sayso.NotDone("the store no longer holds the number of keys that was approved")
            shutil.rmtree(store)
    return "legacy-kv is gone"


async def publish_mail(stage: Stage) -> str:
    """Publish a long e-mail, which is read page by page; the gate runs the function on exactly what was approved."""
    figures = (f"Region {number:03}: revenue {number * 7919 % 9000 + 1000} kEUR" for number in range(1, 201))

    @sayso.gate("mail.publish", target="{to}", because="the quarterly results are public since 09:00")
    async def publish(to: str, subject: str, body: str) -> str:
        message = EmailMessage()
        message["To"], message["Subject"] = to, subject
        message.set_content(body)
        (stage.world / "sent.eml").write_bytes(bytes(message))
        return f"mail to {to} sent"

    async with stage.client("press-bot"):
        stage.say("press-bot", "calls publish(…): the gate asks first")
        return await publish(
            "press@newsroom.example",
            subject="Acme: results of the third quarter",
            body="\n".join(["Revenue grew by 12 %. The board confirms the outlook.", *figures]),
        )


SCENES: dict[str, Scene] = {
    "deploy-bot": deploy_config,
    "payments-bot": release_payment,
    "data-bot": export_data,
    "janitor-bot": delete_credentials,
    "press-bot": publish_mail,
}


async def play(stage: Stage, agent: str) -> None:
    """Play one scene to its end, whatever that is."""
    try:
        stage.say(agent, f"done: {await SCENES[agent](stage)}")
    except sayso.NotApproved as exc:
        stage.say(agent, f"not done: {exc}")
    except sayso.SaysoError as exc:
        stage.say(agent, f"not done: {type(exc).__name__}: {exc}")


async def main() -> None:
    """Play the scenes side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/0")
    parser.add_argument("--trust", required=True, help="the bot's jwks.json")
    parser.add_argument("--world", type=Path, required=True, help="the folder the tools act in")
    parser.add_argument("--run", default="demo", help="names this run: the same run joins its earlier requests")
    parser.add_argument("scenes", nargs="*", choices=[[], *SCENES], default=[], help="which agents (all by default)")
    given = parser.parse_args()
    given.world.mkdir(parents=True, exist_ok=True)
    stage = Stage(given.redis, given.trust, given.world, given.run)
    await asyncio.gather(*(play(stage, agent) for agent in given.scenes or SCENES))


if __name__ == "__main__":
    asyncio.run(main())
