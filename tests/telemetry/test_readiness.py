"""/readyz says no whenever clicks could not be decided, whatever the reason."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from approvals.errors import DirectoryUnavailable, StoreUnavailable
from approvals.freeze import Freeze
from approvals.ports import Account
from bot.loops import Loop
from bot.telemetry.metrics import Metrics
from bot.telemetry.readiness import PATIENCE, Check, Draining, checks_of, directory_check, look
from bot.telemetry.watched import WatchedDirectory
from tests.approvals.house import FlakyStore, House, a_house, adopted
from tests.approvals.make import account
from tests.approvals.test_people import People

BOT = Account("slack", "T0SAYSO", "U0BOT")


@dataclass
class Seal:
    """A journal that is whole, or not."""

    behind: bool = False


class Parts:
    """A house, and the checks over it."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.journal = Seal()
        self.draining = Draining()
        self.seconds = [1_000.0]
        self.broken = False
        self.loop = Loop("timers", self._step, monotonic=lambda: self.seconds[0])
        self.checks = checks_of(
            store=house.store,
            policies=house.policies,
            signer=house.signer,
            journal=self.journal,
            loops=[self.loop],
            draining=self.draining,
        )

    async def no(self) -> list[str]:
        """The names of the checks that say no."""
        return [name for name, says in (await look(self.checks)).items() if not says]

    async def _step(self) -> bool:
        if self.broken:
            raise StoreUnavailable("down")
        return False


async def test_ready_when_everything_works() -> None:
    parts = Parts(await a_house())

    assert await parts.no() == []
    assert list(parts.checks) == ["redis", "policy", "signer", "journal", "loops", "draining"]


async def test_not_ready_when_redis_takes_no_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(self: FlakyStore, *_: object) -> int:
        raise StoreUnavailable("READONLY You can't write against a read only replica")

    parts = Parts(await a_house())
    monkeypatch.setattr(FlakyStore, "may_post", refused)

    assert await parts.no() == ["redis"]


async def test_not_ready_without_a_policy_in_force_or_with_one_nobody_can_read() -> None:
    parts = Parts(await a_house())
    await parts.house.store.adopt("sha256:future", '{"v": 9}', {"event": "policy"})
    assert await parts.no() == ["policy"]

    empty = await a_house()
    forgetful = Parts(empty)
    empty.store._epoch = ""
    assert await forgetful.no() == ["policy"]


async def test_a_policy_that_another_replica_put_in_force_is_taken_over() -> None:
    parts = Parts(await a_house())
    await parts.house.adopt(rules=[{"id": "new", "match": {"kind": ["reports.*"]}}])
    before = parts.house.policies.current().digest

    assert await parts.no() == []
    assert parts.house.policies.current().digest != before


async def test_a_freeze_is_no_reason_not_to_be_ready() -> None:
    parts = Parts(await a_house())
    other = adopted(parts.house.store)
    await other.put_in_force()
    freeze = Freeze(scope="all", by="carol", at=1)
    await other.put_freezes((freeze,), {"event": "freeze"}, instead_of=other.current().epoch)

    assert await parts.no() == []
    assert parts.house.policies.current().freezes


async def test_not_ready_when_nothing_can_be_signed() -> None:
    parts = Parts(await a_house())
    parts.house.signer.down = True

    assert await parts.no() == ["signer"]
    parts.house.signer.down = False
    assert await parts.no() == []


async def test_not_ready_when_what_is_signed_does_not_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    house = await a_house()
    monkeypatch.setattr(house.signer, "verify", lambda typ, token: None)

    assert await Parts(house).no() == ["signer"]


async def test_a_signature_that_worked_is_not_asked_for_at_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    house, signed = await a_house(), list[str]()
    original: Callable[[str, Mapping[str, Any]], Awaitable[str]] = house.signer.sign

    async def counted(typ: str, claims: Mapping[str, Any]) -> str:
        signed.append(typ)
        return await original(typ, claims)

    monkeypatch.setattr(house.signer, "sign", counted)
    parts = Parts(house)
    for _ in range(3):
        assert await parts.no() == []
    assert signed == ["readiness+jwt"]


async def test_not_ready_when_redis_is_behind_the_sealed_journal() -> None:
    parts = Parts(await a_house())
    parts.journal.behind = True

    assert await parts.no() == ["journal"]


async def test_a_loop_may_stumble_but_not_lie_down() -> None:
    parts = Parts(await a_house())
    parts.broken = True
    await parts.loop._once()
    parts.seconds[0] += PATIENCE - 1
    await parts.loop._once()
    assert await parts.no() == []
    parts.seconds[0] += 2
    assert await parts.no() == ["loops"]
    parts.broken = False
    await parts.loop._once()
    assert await parts.no() == []


async def test_not_ready_while_draining() -> None:
    parts = Parts(await a_house())
    parts.draining.begun = True

    assert await parts.no() == ["draining"]


class Looks:
    """A directory, the check over it, and a clock."""

    def __init__(self) -> None:
        self.people = People()
        self.seconds = [1_000.0]
        self.directory = WatchedDirectory(self.people, Metrics(), lambda: self.seconds[0])
        self.check: Check = directory_check(self.directory, BOT)

    async def fails(self) -> None:
        """Somebody clicks, and cannot be looked up."""
        with pytest.raises(DirectoryUnavailable):
            await self.directory.standing(account("alice"))


async def test_a_directory_that_fails_for_long_is_not_ready_and_a_success_ends_that() -> None:
    looks = Looks()
    looks.people.unreachable = {account("alice").id, BOT.id}
    await looks.fails()
    assert await looks.check()
    looks.seconds[0] += PATIENCE
    assert not await looks.check()
    looks.people.unreachable = set()
    assert await looks.check()


async def test_one_account_that_cannot_be_looked_up_takes_nobody_out() -> None:
    looks = Looks()
    looks.people.unreachable = {account("alice").id}
    await looks.fails()
    looks.seconds[0] += PATIENCE
    await looks.fails()

    assert await looks.check()


async def test_a_directory_that_nobody_asks_is_tried_out() -> None:
    looks = Looks()
    looks.people.unreachable = {BOT.id}
    assert await looks.check()
    looks.seconds[0] += PATIENCE
    assert await looks.check()
    assert looks.directory.failing_for() == 0
    looks.seconds[0] += PATIENCE
    assert not await looks.check()
