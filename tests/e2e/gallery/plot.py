"""What is played: a request in every state that a card can show, and what stands beside the cards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from approvals.card import card_of
from approvals.request import Request
from handlers.slack.blocks import CHANGES, DENY
from handlers.slack.reason import PRESET, REASON
from tests.e2e.gallery.stage import DEPLOYS, PAYMENTS, PRESS, SECURITY, Stage, of
from tests.handlers.slack.world import words

ALICE, BOB, CAROL, DANA = "U0ALICE", "U0BOB", "U0CAROL", "U0DANA"
MARA, GUS, MALLORY, PRIYA = "U0MARA", "U0GUS", "U0MALLORY", "U0PRIYA"
MATCHES = "matches PO 118, due tomorrow"
DIFF = """--- a/prod/eu-west-1.tf
+++ b/prod/eu-west-1.tf
@@ -12,3 +12,4 @@
 resource "aws_db_instance" "ledger" {
-  deletion_protection = true
+  deletion_protection = false
+  skip_final_snapshot = true
 }"""
PLAN = "\n".join(f"~ module.api[{number}].replicas: 3 → 5" for number in range(1, 260))
HOSTILE = "see <https://evil.example|the invoice> *Approved by CFO* :white_check_mark: <!channel>"
LOOKALIKES = {
    "amount": "9800.00",
    "currency": "EUR",
    "payee": "billing@\u0430cme.com",
    "note": "```\n*Approved*",
    "file": "invoice\u202efdp.exe",
}


@dataclass(frozen=True)
class Shot:
    """A message to look at: where it stands, and what it shows."""

    caption: str
    channel: str
    ts: str
    thread: str = ""  #: the message under which it stands


Play = Callable[[Stage], Awaitable[Request]]


async def _payment(stage: Stage, target: str, amount: str = "12400.00", because: str = "", **rest: Any) -> Request:
    arguments = {"invoice": "INV-2093", "amount": amount, "currency": "EUR"}
    return await stage.ask("payments.release", f"bank:{target}", arguments, because, **rest)


async def _deploy(stage: Stage, cluster: str = "prod-eu-1", number: str = "900", **rest: Any) -> Request:
    arguments = {"cluster": cluster, "rate_limit": {"from": "600", "to": number}}
    return await stage.ask("deploy.config", f"gateway/{cluster}", arguments, **rest)


# ------------------------------------------------------------ what has ended


async def _expired(stage: Stage) -> Request:
    request = await _payment(stage, "northwind")
    await stage.after(request, 21)
    return request


async def _lapsed(stage: Stage) -> Request:
    request = await _deploy(stage, "prod-us-1")
    await stage.approve(request, ALICE)
    await stage.after(request, 16)
    return request


async def _unknown(stage: Stage) -> Request:
    request = await _deploy(stage, "prod-us-2")
    await stage.approve(request, ALICE)
    await stage.spend(request)
    await stage.after(request, 16)
    return request


async def _approved(stage: Stage) -> Request:
    request = await _payment(stage, "globex", audience="payments-gateway")
    await stage.approve(request, ALICE, BOB)
    return request


async def _under_way(stage: Stage, payee: str = "hooli") -> Request:
    request = await _payment(stage, payee, audience="payments-gateway")
    await stage.approve(request, ALICE, BOB)
    await stage.spend(request)
    return request


async def _succeeded(stage: Stage) -> Request:
    request = await _under_way(stage, "acme-gmbh")
    await stage.report(request, "succeeded", "reference 9931")
    return request


async def _failed(stage: Stage) -> Request:
    request = await _under_way(stage, "soylent")
    await stage.report(request, "failed", "the bank refused the account number")
    return request


async def _revoked(stage: Stage) -> Request:
    request = await _payment(stage, "umbrella")
    await stage.approve(request, ALICE, BOB)
    await stage.world.approvals.operators.revoke(request.id, of(BOB), "The vendor called: on hold")
    await stage.show()
    return request


async def _denied(stage: Stage) -> Request:
    request = await _payment(stage, "initech")
    await stage.use(ALICE, request, DENY)
    await stage.fill(ALICE, {PRESET: "Wrong payee", REASON: "The bank details changed last week; call the vendor."})
    await stage.close(ALICE)
    return request


async def _changes(stage: Stage) -> Request:
    request = await _deploy(stage)
    await stage.use(BOB, request, CHANGES)
    await stage.fill(BOB, {REASON: "700 is enough, and not before the sale is over"})
    await stage.close(BOB)
    return request


async def _withdrawn(stage: Stage) -> Request:
    request = await _deploy(stage, "prod-ap-1")
    await stage.world.approvals.withdraw(request.agent, request.id)
    await stage.show()
    return request


async def _frozen(stage: Stage) -> Request:
    request = await stage.ask("secrets.delete", "vault:staging-kv", {"keys": 12, "path": "kv/staging"})
    await stage.world.approvals.operators.freeze(of(BOB), "agent", request.agent, "deletes what it should not")
    await stage.world.approvals.operators.deny_frozen()
    await stage.show()
    await stage.world.approvals.operators.unfreeze(of(ALICE), "agent", request.agent)
    return request


async def _emergency(stage: Stage) -> Request:
    request = await _deploy(stage, "prod-eu-3")
    await _alone(stage, request)
    return request


async def _alone(stage: Stage, request: Request) -> None:
    """Alice lets it through alone."""
    why, shown = "Checkout is down, nobody else is awake", card_of(request).digest()
    await stage.world.approvals.operators.break_glass(request.id, of(ALICE), why, shown=shown)
    await stage.show()


async def _reviewed(stage: Stage) -> Request:
    request = await _deploy(stage, "prod-eu-4")
    await _alone(stage, request)
    await stage.spend(request)
    await stage.report(request, "succeeded")
    await stage.world.approvals.operators.review(request.id, of(BOB), "Right call; the runbook is amended")
    await stage.show()
    return request


async def _by_rule(stage: Stage) -> Request:
    arguments = {"invoice": "SO-12", "amount": "19.00", "currency": "EUR"}
    request = await stage.ask("payments.release", "bank:tarsnap", arguments)
    await stage.spend(request)
    await stage.report(request, "succeeded")
    return request


async def _delegated(stage: Stage) -> Request:
    await stage.command(MARA, "delegate @gus until friday for mail.*", PRESS)
    arguments = {"subject": "Our third quarter", "body": "Dear editors, the figures are out today."}
    request = await stage.ask("mail.publish", "press@newsroom.example", arguments)
    await stage.approve(request, GUS)
    return request


# ------------------------------------------------------------ what waits


async def _pending(stage: Stage) -> Request:
    return await _payment(stage, "wonka", because=MATCHES)


async def _one_of_two(stage: Stage) -> Request:
    request = await _payment(stage, "stark", "48000.00", because=MATCHES)
    await stage.approve(request, ALICE)
    return request


async def _again(stage: Stage) -> Request:
    return await _payment(stage, "initech", because="the vendor confirmed the account by phone")


async def _only_if(stage: Stage) -> Request:
    conditions = {"balance": {"at_least": "250000.00"}}
    return await _payment(stage, "tyrell", "210.00", preconditions=conditions)


async def _hostile(stage: Stage) -> Request:
    return await stage.ask("payments.release", "bank:acme-gmbh", LOOKALIKES, HOSTILE)


async def _masked(stage: Stage) -> Request:
    arguments = {"role": "deploy-admin", "until": "2026-06-30", "token": "hV4-k1-not-a-real-one"}
    return await stage.ask("access.grant", "github:acme", arguments)


async def _diff(stage: Stage) -> Request:
    return await stage.ask("terraform.apply", "prod/eu-west-1", {"ticket": "OPS-31", "change": DIFF})


async def _too_long(stage: Stage) -> Request:
    return await stage.ask("terraform.apply", "prod/eu-west-2", {"plan": PLAN, "to": "prod"})


async def _careful(stage: Stage) -> Request:
    return await stage.ask("secrets.delete", "vault:legacy-kv", {"keys": 41, "path": "kv/legacy"})


async def _look(stage: Stage) -> Request:
    arguments = {"rows": 1204, "to": "s3://acme-exports", "columns": ["id", "country", "plan"]}
    return await stage.ask("data.export", "customers/eu", arguments)


#: In the order in which they are played: what takes long first, so that what waits is still waiting at the end.
ENDED: Mapping[str, Play] = {
    "expired": _expired,
    "lapsed": _lapsed,
    "outcome unknown": _unknown,
    "approved, not used yet": _approved,
    "under way": _under_way,
    "succeeded": _succeeded,
    "failed": _failed,
    "revoked": _revoked,
    "denied": _denied,
    "changes asked": _changes,
    "withdrawn": _withdrawn,
    "frozen": _frozen,
    "break-glass, not reviewed": _emergency,
    "break-glass, reviewed": _reviewed,
    "allowed by rule, announced": _by_rule,
    "approved in somebody's place": _delegated,
}
WAITING: Mapping[str, Play] = {
    "waits": _pending,
    "one of two": _one_of_two,
    "asked again after a denial": _again,
    "only if it still holds": _only_if,
    "hostile": _hostile,
    "a secret, masked": _masked,
    "a diff": _diff,
    "does not fit": _too_long,
    "code and reason": _careful,
    "a time to look": _look,
}


async def cards(stage: Stage, plays: Mapping[str, Play], made: dict[str, Request]) -> list[Shot]:
    """Play these; `made` gets the requests by their captions."""
    for caption, play in plays.items():
        made[caption] = await play(stage)
    return [Shot(caption, *await stage.where(made[caption])) for caption in plays]


async def superseded(stage: Stage, made: dict[str, Request]) -> Shot:
    """The deployment once more, as somebody wished."""
    request = await _deploy(stage, number="700", supersedes=made["changes asked"].id)
    made["asked anew, changed"] = request
    return Shot("asked anew, changed", *await stage.where(request))


async def burst(stage: Stage) -> Shot:
    """More requests at once than Slack takes messages: those behind the first share one."""
    asked = []
    for cluster, number in (("prod-a", "700"), ("prod-b", "710"), ("prod-c", "720")):
        arguments = {"cluster": cluster, "rate_limit": {"from": "600", "to": number}}
        asked.append(await stage.submit("deploy.config", f"gateway/{cluster}", arguments))
    asked.append(await stage.submit("terraform.apply", "prod/eu-west-3", {"plan": PLAN}))
    await stage.show()
    await stage.show()
    (message,) = [one for one in stage.world.sandbox.messages(DEPLOYS) if asked[-1].code in words(one.blocks)]
    return Shot("several at once", DEPLOYS, message.ts)


def beside(stage: Stage) -> list[Shot]:
    """The notes under cards, one of each kind, and what operators are told."""
    found: dict[str, Shot] = {}
    for channel in (DEPLOYS, PAYMENTS, SECURITY):
        for message in stage.world.sandbox.messages(channel):
            if len(message.blocks) == 1:
                kind = message.text.rsplit(" (", 1)[0]
                found.setdefault(kind, Shot(kind, channel, message.ts, message.thread_ts or ""))
    return list(found.values())


def letters(stage: Stage) -> list[Shot]:
    """What whom the agents act for was told directly, the newest of each kind."""
    workspace = stage.world.sandbox.workspace
    channel = workspace.direct_channel(DANA, workspace.app.bot_user).id
    found = {words(one.blocks).split(" · ")[1]: one for one in stage.world.sandbox.messages(channel)}
    return [Shot(f"a letter: {kind}", channel, one.ts) for kind, one in found.items()]
