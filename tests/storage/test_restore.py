"""A back-up that is put back must not let a receipt be used twice."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from approvals.intake import SpendDocument
from approvals.lifecycle import Status
from approvals.request import Request
from approvals.service import Approvals, Granted, NotGranted
from bot.rollback import RollBack
from bot.sealer import HOLD_SECONDS, HeadsFile, Sealer
from bot.signing import FileSigner, create_key
from storage.redis import RedisStore
from storage.redis.keys import Keys
from tests.approvals.house import ATTEMPT, ISSUER, OTHER_ATTEMPT, adopted
from tests.approvals.make import AGENT, a_document, a_rule
from tests.servers import Server, running
from tests.service import a_service

pytestmark = [pytest.mark.redis, pytest.mark.timeout(120)]


@dataclass
class Bot:
    """A bot that has just started: its sealer has looked at Redis once."""

    store: RedisStore
    approvals: Approvals
    sealer: Sealer
    clock: list[float]

    async def spend(self, receipt: str, attempt: str) -> Granted | NotGranted:
        """Use a receipt."""
        document = SpendDocument(v=1, receipt=receipt, attempt=attempt)
        return await self.approvals.spend(AGENT, document, partition=0)


@asynccontextmanager
async def a_bot(server: Server, folder: Path, signer: FileSigner) -> AsyncIterator[Bot]:
    """A bot on the server, with the state directory that all bots of the test share."""
    clock = [0.0]
    async with await RedisStore.connect(server.url) as store:
        policies = adopted(store, rules=[a_rule(effect="allow")])
        await policies.put_in_force()
        sealer = Sealer(store, signer, HeadsFile(folder / "heads.jsonl"), issuer=ISSUER, now=lambda: clock[0])
        await sealer.step()
        approvals = a_service(store, policies, signer, issuer=ISSUER, held=sealer.holds_spends)
        yield Bot(store, approvals, sealer, clock)


def back_up(server: Server, to: Path) -> None:
    """Copy what the server has on disk."""
    if "no" in server.options:
        assert "+OK" in server.command("SAVE")
    shutil.copytree(server.directory, to)


def restore(server: Server, copy: Path) -> None:
    """Put a copy in the place of everything, as after a disaster."""
    server.kill()
    shutil.rmtree(server.directory)
    shutil.copytree(copy, server.directory)
    server.start()


async def receipt_of(server: Server, request: Request) -> str:
    """The receipt that the agent finds."""
    text = server.command("GET", Keys(0).decision(AGENT, request.id))
    return text.split('"receipt":"')[1].split('"')[0]


@pytest.fixture
def signer(tmp_path: Path) -> FileSigner:
    return FileSigner(create_key(tmp_path / "key.pem"))


@pytest.mark.parametrize("appendonly", ["yes", "no"], ids=["append-only file", "snapshot"])
async def test_a_receipt_that_was_spent_stays_spent_when_an_older_copy_is_put_back(
    tmp_path: Path, signer: FileSigner, appendonly: str
) -> None:
    with running("--appendonly", appendonly, "--appendfsync", "always") as server:
        async with a_bot(server, tmp_path, signer) as bot:
            request = await bot.approvals.submit(a_document(), AGENT)
            assert request.status is Status.APPROVED
            receipt = await receipt_of(server, request)
            await bot.sealer.step()
            back_up(server, tmp_path / "copy")
            assert isinstance(await bot.spend(receipt, ATTEMPT), Granted)
            await bot.sealer.step()
        restore(server, tmp_path / "copy")

        async with a_bot(server, tmp_path, signer) as bot:
            assert (await bot.store.get(request.id)).request.status is Status.APPROVED  # Redis has forgotten
            assert bot.sealer.behind
            refused = await bot.spend(receipt, OTHER_ATTEMPT)
            assert isinstance(refused, NotGranted)
            assert refused.reason == "held"
            rollback = RollBack(bot.store, bot.sealer, bot.approvals)
            await rollback.step()
            later = await bot.approvals.submit(a_document("run-119/release"), AGENT)
            await rollback.step()

            bot.clock[0] += HOLD_SECONDS + 1
            await rollback.step()
            refused = await bot.spend(receipt, OTHER_ATTEMPT)
            assert isinstance(refused, NotGranted)
            assert refused.reason == "lapsed"
            assert (await bot.approvals.collect(AGENT, request.id)).status is Status.LAPSED  # there is no fresh receipt
            assert isinstance(await bot.spend(await receipt_of(server, later), ATTEMPT), Granted)


async def test_a_restart_that_loses_nothing_holds_nothing(tmp_path: Path, signer: FileSigner) -> None:
    with running("--appendonly", "yes", "--appendfsync", "always") as server:
        async with a_bot(server, tmp_path, signer) as bot:
            request = await bot.approvals.submit(a_document(), AGENT)
            receipt = await receipt_of(server, request)
            await bot.sealer.step()
        server.kill()
        server.start()
        async with a_bot(server, tmp_path, signer) as bot:
            await RollBack(bot.store, bot.sealer, bot.approvals).step()
            assert isinstance(await bot.spend(receipt, ATTEMPT), Granted)
