"""Power fails: the bot and Redis end together, and of Redis' last file only a part reached the disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import sayso
from bot.sealer import HeadsFile
from bot.signing import FileSigner, read_key
from sandbox import NotOnScreen
from storage.redis import RedisStore
from tests.e2e.processes import Bot
from tests.e2e.world import ALICE, Lane, World, a_world
from tests.faults.rows import Fault
from tests.faults.traffic import Traffic
from tests.servers import Server, running

CUTS = 4  #: places at which the file is cut
_EVERYSEC = ("--appendonly", "yes", "--appendfsync", "everysec")
SEED = int(os.environ.get("TESTS_FAULTS_SEED", "0")) or random.randrange(1, 2**31)


async def torn_always() -> str:
    """`always`: what was told is on disk before it is told, so only what came after can be torn."""
    chance = random.Random(SEED)
    async with _a_place() as place, await RedisStore.connect(place.world.url, replicas=0) as store:
        traffic = Traffic(place.world, store)
        async with place.world.agent() as client:
            await traffic.flow(client, 4)
            unused = [await place.approved(client, number) for number in (90, 91)]
            for approval in unused:
                await traffic.heard(approval)
            await place.bot_dies()
            safe = place.size()
            for _ in range(3):
                await client.ask_nowait(place.lane.kind, target="bank:later", arguments={"n": 1})
            place.redis.kill()
        ends = [chance.randrange(safe, place.size()) for _ in range(CUTS)]
        for end in ends[1:]:
            assert await _keeps(place.copy(end), traffic)
        place.cut(ends[0])
        await place.comes_back()
        assert await traffic.lost() == []
        async with place.world.agent() as client:
            for number in (90, 91):
                await place.use(client, number)
            for number in range(4):
                assert await place.is_used_up(client, number, lane=traffic.lanes[number])
    return f"cut at {CUTS} places after the last word to anybody: all {len(traffic.agents)} decisions and 4 spends kept"


async def decision_lost() -> str:
    """`everysec`: the last decision was told and did not reach the disk."""
    async with _a_place(*_EVERYSEC) as place:
        async with place.world.agent() as client:
            pending = await place.ask(client, 1)
            await place.world.card(place.lane, pending.request)
            safe = place.size()
            await place.world.click(ALICE, place.lane, pending.request)
            told = await pending.decision()
            await place.bot_dies()
            place.redis.kill()
        place.cut(random.Random(SEED).randrange(safe, safe + 200))
        await place.comes_back()
        async with await RedisStore.connect(place.world.url, replicas=0) as store:
            kept = (await store.get(pending.request)).request.decision
        assert kept is None
        async with place.world.agent(spend=5.0) as client:
            again = await place.approved(client, 1)
            came_to = await place.tried(again)
        assert place.acts <= 1
        assert again.request == told.request
    return f"the yes is lost, though the agent was told; asked again, it was decided again; {came_to}"


async def sealed_spend_lost() -> str:
    """`everysec`: a spend did not reach the disk, but a head outside Redis covers it."""
    return await _spend_lost(sealed=True)


async def fresh_spend_lost() -> str:
    """`everysec`: a spend did not reach the disk, and the power failed before any head covered it."""
    return await _spend_lost(sealed=False)


FAULTS = [
    Fault("power fails", "torn tail of the AOF (`always`)", torn_always),
    Fault("power fails just after a yes", "it is not on disk (`everysec`)", decision_lost, slow=True),
    Fault("power fails after a spend", "it is sealed, not on disk (`everysec`)", sealed_spend_lost, slow=True),
    Fault(
        "power fails just after a spend",
        "neither sealed nor on disk (`everysec`), and the tool forgot it too",
        fresh_spend_lost,
        slow=True,
    ),
]


async def _spend_lost(*, sealed: bool) -> str:
    async with _a_place(*_EVERYSEC) as place:
        async with place.world.agent() as client:
            approval = await place.approved(client, 1)
            safe = place.size()
            async with approval.spend():
                place.acts += 1
                if not sealed:
                    await place.bot_dies()
                    await client.aclose()
            if sealed:
                await place.is_sealed()
                await place.bot_dies()
        place.redis.kill()
        place.cut(safe)
        covered = place.sealed_up_to()
        await place.comes_back()
        reached = await place.journal_length()
        async with place.world.agent(spend=5.0) as client:
            came_to = await place.asked_again(client, 1)
    if covered > reached:
        assert place.acts == 1
    return f"the head outside covers {'more than' if covered > reached else 'only what'} came back: {came_to}"


@dataclass
class _Place:
    """A deployment on one machine whose power can fail."""

    world: World
    redis: Server
    bot: Bot
    lane: Lane
    acts: int = 0

    async def ask(self, client: sayso.Sayso, number: int, lane: Lane | None = None) -> sayso.Pending:
        """The question of a call; the same every time."""
        kind = (lane or self.lane).kind
        return await client.ask_nowait(kind, target=f"bank:{number}", arguments={"n": number}, call=f"run/{number}")

    async def approved(self, client: sayso.Sayso, number: int) -> sayso.Approval:
        """The yes to it: as it stands, or after a click."""
        pending = await self.ask(client, number)
        await self.world.card(self.lane, pending.request)
        decision = asyncio.create_task(pending.decision())
        while not decision.done():
            for card in self.world.cards(self.lane, pending.request):
                with contextlib.suppress(NotOnScreen):
                    await self.world.sandbox.click(ALICE, self.lane.channel, card.ts, "sayso:approve")
            await asyncio.wait([decision], timeout=0.3)
        return await decision

    async def use(self, client: sayso.Sayso, number: int) -> None:
        """Act on the yes that stands."""
        approval = await (await self.ask(client, number)).decision()
        async with approval.spend():
            self.acts += 1

    async def asked_again(self, client: sayso.Sayso, number: int) -> str:
        """Ask the same again, and act if that is approved; what came of it."""
        try:
            approval = await self.approved(client, number)
        except sayso.Lapsed:
            return "the yes that came back had lapsed, as had every other, so it is asked anew"
        return await self.tried(approval)

    async def tried(self, approval: sayso.Approval) -> str:
        """Act on a yes if the bot lets us; what came of it."""
        try:
            async with approval.spend():
                self.acts += 1
        except sayso.NotApproved as exc:
            return f"the spend was refused ({getattr(exc, 'code', '') or type(exc).__name__})"
        return "the spend was granted: done " + ("once" if self.acts == 1 else f"{self.acts} times")

    async def is_used_up(self, client: sayso.Sayso, number: int, lane: Lane) -> bool:
        """Whether a yes that was used cannot be used again."""
        try:
            approval = await (await self.ask(client, number, lane)).decision()
            async with approval.spend():
                return False
        except sayso.AlreadySpent:
            return True

    async def bot_dies(self) -> None:
        """The bot ends with the power."""
        self.bot.kill()
        await self.bot.ended()

    async def comes_back(self) -> None:
        """Power is back."""
        self.redis.start()
        self.bot = await self.world.bot(hasty=True)

    def size(self) -> int:
        """How long the file that Redis appends to is."""
        return _aof(self.redis.directory).stat().st_size

    def cut(self, end: int) -> None:
        """Only so much of it reached the disk."""
        os.truncate(_aof(self.redis.directory), end)

    def copy(self, end: int) -> Path:
        """The server's files with the last one cut."""
        made = self.world.folder / f"cut-{end}"
        shutil.copytree(self.redis.directory, made, dirs_exist_ok=True)
        os.truncate(_aof(made), end)
        return made

    def sealed_up_to(self) -> int:
        """The last entry that a head outside Redis covers."""
        state = self.world.trust.parent
        signer = FileSigner(read_key(state / "signing-key.pem"))
        return max((head.number for head in HeadsFile(state / "heads.jsonl").read(signer)), default=0)

    async def journal_length(self) -> int:
        """How many entries the journal has."""
        return len(await self.world.journal())

    async def is_sealed(self) -> None:
        """Wait until a head covers the whole journal; each look takes what reading the journal takes."""
        while await self.journal_length() > self.sealed_up_to():
            pass


@asynccontextmanager
async def _a_place(*options: str) -> AsyncIterator[_Place]:
    with running(*(options or ("--appendonly", "yes", "--appendfsync", "always"))) as server:
        async with a_world(redis=server) as world:
            yield _Place(world, server, await world.bot(hasty=True), world.lane())


async def _keeps(directory: Path, traffic: Traffic) -> bool:
    """Whether a server on these files has everything that anybody was told of."""
    server = Server(directory, "--appendonly", "yes")
    server.start()
    try:
        async with await RedisStore.connect(server.url, replicas=0) as store:
            return await Traffic(traffic.world, store, agents=traffic.agents, people=traffic.people).lost() == []
    finally:
        server.kill()


def _aof(directory: Path) -> Path:
    """The file that is appended to."""
    return max(directory.glob("appendonlydir/*.incr.aof"))
