"""The service with a memory, a directory, a signer and a clock that tests move: everything real, nothing outside."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from joserfc.jwk import OKPKey

from approvals.card import card_of
from approvals.errors import NotConfirmed, SignerUnavailable, StoreUnavailable
from approvals.intake import ReportDocument, SpendDocument
from approvals.limits import Limits
from approvals.ports import Account, Change, Post, Store, Stored, Taken, Tell
from approvals.receipt import TYP
from approvals.request import Request
from approvals.service import Approvals, Click, Granted, NotGranted, Verdict
from bot.credentials import KnownCredentials
from bot.identity import TokenFiles
from bot.policies import AdoptedPolicy, Rulebook, parse_policy
from bot.signing import FileSigner
from bot.zones import is_zone
from storage.memory import MemoryStore
from tests.approvals.make import AGENT, NOW, a_document, a_policy_file, account
from tests.approvals.test_people import People

ISSUER = "https://sayso.example"
CHANNEL = "slack:C0OPS"
ATTEMPT = "attempt-" + "1" * 16
OTHER_ATTEMPT = "attempt-" + "2" * 16


class FlakyStore(MemoryStore):
    """The memory, with a switch for each way in which Redis fails."""

    down = False
    unconfirmed = False

    async def get(self, request: str) -> Stored:
        """Read, if the memory is up."""
        self._reach()
        return await super().get(request)

    async def create(
        self,
        request: str,
        make: Callable[[int, Sequence[Request]], Change],
        *,
        like: str = "",
        limits: Limits | None = None,
        taken: Taken | None = None,
    ) -> tuple[Stored, bool]:
        """Commit a new request, if the memory is up."""
        self._reach()
        return await super().create(request, make, like=like, limits=limits, taken=taken)

    async def update(
        self,
        request: str,
        change: Callable[[Stored], Change | None],
        *,
        known: Stored | None = None,
        tell: Tell | None = None,
    ) -> Stored:
        """Commit, and say so only when the replicas have it."""
        self._reach()
        after = await super().update(request, change, known=known, tell=tell)
        self._confirm()
        return after

    async def publish(self, request: Request, document: Mapping[str, Any], *, again: bool = False) -> None:
        """Publish what the replicas have."""
        self._reach()
        self._confirm()
        await super().publish(request, document, again=again)

    def _reach(self) -> None:
        if self.down:
            raise StoreUnavailable("switched off by the test")

    def _confirm(self) -> None:
        if self.unconfirmed:
            raise NotConfirmed("switched off by the test")


class SwitchedSigner(FileSigner):
    """The signer, with a switch."""

    down = False

    async def sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        """Sign, if the key can be used."""
        if self.down:
            raise SignerUnavailable("switched off by the test")
        return await super().sign(typ, claims)


@dataclass
class House:
    """A running service, and what the outside sees of it."""

    store: FlakyStore
    signer: SwitchedSigner
    policies: AdoptedPolicy
    clock: list[int]
    directory: People = field(default_factory=People)
    nudges: list[None] = field(default_factory=list)
    home: Path = Path("/nonexistent")  #: where the keys of identity tokens lie
    approvals: Approvals = field(init=False)

    def __post_init__(self) -> None:
        self.approvals = Approvals(
            store=self.store,
            directory=self.directory,
            policies=self.policies,
            signer=self.signer,
            issuer=ISSUER,
            is_zone=is_zone,
            detector=KnownCredentials(),
            identities=TokenFiles(self.home),
            nudge=lambda: self.nudges.append(None),
        )

    @property
    def now(self) -> int:
        """The time in the house."""
        return self.clock[0]

    def wait(self, milliseconds: int) -> None:
        """Let time pass."""
        self.clock[0] += milliseconds

    async def adopt(self, **sections: Any) -> None:
        """Put another policy in force, as another bot does: the service has not heard of it yet."""
        await adopted(self.store, **sections).put_in_force()

    async def asked(self, call: str = "run-118/release", *, posted: bool = True, **changes: Any) -> Request:
        """A request that was submitted, and whose card stands in its channel."""
        request = await self.approvals.submit(a_document(call, **changes), AGENT)
        if posted and request.decision is None:
            for place in request.terms.destinations:
                await self.store.intend(request.id, place, "courier")
                shown = card_of(request).digest()
                await self.store.record_post(request.id, Post(place, "posted", self.now, self.message(place), shown))
        return request

    @staticmethod
    def message(place: str = CHANNEL) -> Mapping[str, str]:
        """Where a card stands."""
        return {"channel": place.removeprefix("slack:"), "ts": "1780000000.000100"}

    async def click(
        self,
        request: Request,
        who: str | Account,
        answer: Literal["approve", "deny", "changes"] = "approve",
        **changes: Any,
    ) -> Verdict:
        """What somebody is told who clicks on the card."""
        members: dict[str, Any] = {
            "account": account(who) if isinstance(who, str) else who,
            "answer": answer,
            "shown": card_of(request).digest(),
            "places": request.terms.destinations,
            "reference": self.message(request.terms.destinations[0]),
        }
        return await self.approvals.vote(request.id, Click(**(members | changes)))

    async def retract(self, request: Request, who: str) -> Verdict:
        """What somebody is told who takes their answer back."""
        place = request.terms.destinations[0]
        click = Click(account(who), "approve", card_of(request).digest(), (place,), self.message(place))
        return await self.approvals.retract(request.id, click)

    async def now_is(self, request: Request) -> Request:
        """A request as it stands now."""
        return (await self.store.get(request.id)).request

    async def in_time(self, request: Request) -> Request:
        """The request after time has done to it everything that is due."""
        before = await self.now_is(request)
        while (due := before.next_due()) is not None and due <= self.now:
            before = await self.approvals.after_time(request.id)
        return before

    async def neighbour(self) -> House:
        """Another bot on the same memory: it knows the policy as it is now, and hears of no later one by itself."""
        found = await self.store.epoch()
        assert found is not None
        book = Rulebook.from_json(found[1])
        policies = AdoptedPolicy(self.store, book.policy(), book.text)
        return House(self.store, self.signer, policies, self.clock, directory=self.directory)

    async def approved(self, call: str = "run-118/release", **changes: Any) -> Request:
        """A request that alice has approved."""
        request = await self.asked(call, **changes)
        await self.click(request, "alice")
        return (await self.store.get(request.id)).request

    async def status(self, request: Request) -> str:
        """Where a request stands now."""
        return (await self.store.get(request.id)).request.status.value

    def decision(self, request: Request) -> dict[str, Any]:
        """The decision document the agent finds; empty before there is one."""
        raw = self.store.inbox().decision(request.agent, request.id)
        found: dict[str, Any] = json.loads(raw) if raw else {}
        return found

    def wakes(self) -> int:
        """How many decisions the agent was woken with."""
        return sum(1 for kind, _ in self.store.inbox().answers(AGENT) if kind == "decision")

    def claims(self, request: Request) -> Mapping[str, Any]:
        """The claims of the receipt the agent finds."""
        found = self.signer.verify(TYP, self.decision(request)["receipt"])
        return found or {}

    async def spend(
        self,
        request: Request,
        attempt: str = ATTEMPT,
        *,
        by: str = AGENT,
        receipt: str | None = None,
        partition: int = 0,
    ) -> Granted | NotGranted:
        """What a tool is told that uses the receipt."""
        used = receipt if receipt is not None else self.decision(request)["receipt"]
        return await self.approvals.spend(by, SpendDocument(v=1, receipt=used, attempt=attempt), partition=partition)

    async def report(
        self, request: Request, outcome: str = "succeeded", attempt: str = ATTEMPT, *, by: str = AGENT, note: str = ""
    ) -> Request | NotGranted:
        """What a tool is told that says how it ended."""
        members: dict[str, Any] = {"request": request.id, "attempt": attempt, "outcome": outcome, "note": note}
        return await self.approvals.report(by, ReportDocument(v=1, **members))

    async def journal(self) -> Sequence[dict[str, Any]]:
        """Everything that was written down."""
        return [json.loads(entry.record) async for entry in self.store.journal(0)]

    async def reached(self, status: str) -> Sequence[dict[str, Any]]:
        """What was written down when requests came to a status."""
        return [record for record in await self.journal() if record.get("to") == status != record["from"]]

    async def noted(self, event: str) -> Sequence[dict[str, Any]]:
        """What was written down about one kind of event."""
        return [record for record in await self.journal() if record["event"] == event]


ROLES: dict[str, Any] = {
    role: ["leads"] for role in ("freeze", "unfreeze", "revoke", "extend", "resolve", "see")
}  #: everything for carol and dave; not for those who are asked


def with_leads() -> dict[str, Any]:
    """Sections of a policy in which carol and dave hold every role, and nobody else."""
    file = a_policy_file()
    return {
        "people": file["people"] | {"dave": {"accounts": [account("dave").id]}},
        "groups": file["groups"] | {"leads": {"people": ["carol", "dave"]}},
        "roles": ROLES,
    }


def adopted(store: Store, **sections: Any) -> AdoptedPolicy:
    """The policy of `a_policy_file` as a bot has it, not yet in force."""
    text = json.dumps(a_policy_file(**sections))
    return AdoptedPolicy(store, parse_policy(text), text)


async def a_house(**sections: Any) -> House:
    """A house in which a policy is in force."""
    clock = [NOW]
    store = FlakyStore(lambda: clock[0])
    policies = adopted(store, **sections)
    await policies.put_in_force()
    return House(store=store, signer=SwitchedSigner(OKPKey.generate_key("Ed25519")), policies=policies, clock=clock)
