"""The journal is sealed outside Redis: what is changed, dropped, reordered or rolled back in it is found and named."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from approvals.errors import NotConfirmed, SignerUnavailable
from approvals.journal import HEAD_TYP
from bot.audit import ExportInvalid, Finding, export, verify_export, verify_store
from bot.house import open_house
from bot.sealer import HeadsFile, Sealer
from bot.settings import load
from bot.signing import FileSigner, create_key
from storage.memory import MemoryStore
from storage.redis import RedisStore
from tests.bot.conftest import Clock
from tests.build import policy_mapping
from tests.servers import Server

ISSUER = "https://here"
JOURNAL = "{sayso:0}:journal"
NAME = f"{ISSUER}#journal-0"


@pytest.fixture
def signer(folder: Path) -> FileSigner:
    return FileSigner(create_key(folder / "key.pem"))


@pytest.fixture
def heads(folder: Path) -> Path:
    return folder / "heads.jsonl"


def a_sealer(store: MemoryStore | RedisStore, signer: FileSigner, heads: Path) -> Sealer:
    return Sealer(store, signer, HeadsFile(heads), issuer=ISSUER)


def kept(heads: Path) -> list[str]:
    """The lines of the file."""
    return heads.read_text().splitlines()


async def write(store: MemoryStore | RedisStore, *words: str) -> None:
    for word in words:
        await store.note({"event": word})


# ------------------------------------------------------------ sealing


async def test_every_step_with_news_adds_one_signed_head(store: MemoryStore, signer: FileSigner, heads: Path) -> None:
    sealer = a_sealer(store, signer, heads)
    await write(store, "a", "b")
    await sealer.step()
    await sealer.step()
    await write(store, "c")
    await sealer.step()
    lines = kept(heads)
    claims = [signer.verify(HEAD_TYP, line) for line in lines]
    assert [(one["origin"], one["number"]) for one in claims if one] == [(NAME, 3), (NAME, 4)]
    assert [head.number for head in HeadsFile(heads).read(signer)] == [3, 4]


async def test_nothing_is_sealed_that_a_failover_could_take_back(
    store: MemoryStore, signer: FileSigner, heads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealer = a_sealer(store, signer, heads)
    await write(store, "a")
    await sealer.step()

    async def alone(_: int) -> None:
        raise NotConfirmed("no replica answers")

    with monkeypatch.context() as lagging:
        lagging.setattr(store, "assure", alone)
        await write(store, "b")
        await sealer.step()
        assert (len(kept(heads)), sealer.behind, sealer.holds_spends()) == (1, False, False)
    await sealer.step()
    assert [head.number for head in HeadsFile(heads).read(signer)] == [2, 3]


async def test_a_sealer_goes_on_where_the_file_ends(store: MemoryStore, signer: FileSigner, heads: Path) -> None:
    await write(store, "a", "b")
    await a_sealer(store, signer, heads).step()
    await write(store, "c")
    await a_sealer(store, signer, heads).step()
    (finding,) = await verify_store(store, signer, heads, ISSUER)
    assert (finding.entries, finding.sealed, finding.defects) == (4, 4, ())


async def test_each_partition_has_its_own_chain(clock: Clock, signer: FileSigner, heads: Path) -> None:
    store = MemoryStore(clock, partitions=2)
    await store.note({"event": "a"}, partition=0)
    await store.note({"event": "a"}, partition=1)
    await a_sealer(store, signer, heads).step()
    one, two = await verify_store(store, signer, heads, ISSUER)
    assert (one.journal, two.journal) == (NAME, f"{ISSUER}#journal-1")
    assert one.head.value != two.head.value


async def test_a_signer_that_is_down_loses_no_head(store: MemoryStore, signer: FileSigner, heads: Path) -> None:
    sealer = a_sealer(store, signer, heads)
    await write(store, "a")
    key, signer._key = signer._key, None  # type: ignore[assignment] # a key that cannot be used
    with pytest.raises(SignerUnavailable):
        await sealer.step()
    signer._key = key
    await sealer.step()
    (finding,) = await verify_store(store, signer, heads, ISSUER)
    assert (finding.sealed, finding.defects) == (2, ())


async def test_before_it_has_looked_a_sealer_vouches_for_nothing(
    store: MemoryStore, signer: FileSigner, heads: Path
) -> None:
    sealer = a_sealer(store, signer, heads)
    assert sealer.behind
    await sealer.step()
    assert not sealer.behind


async def test_a_loss_is_noticed_in_one_partition_whatever_the_others_say(
    clock: Clock, signer: FileSigner, heads: Path
) -> None:
    store = MemoryStore(clock, partitions=3)
    for partition in range(3):
        await store.note({"event": "a"}, partition=partition)
    sealer = a_sealer(store, signer, heads)
    await sealer.step()
    assert not sealer.behind
    lost = store._journals[1].pop()
    await sealer.step()
    assert sealer.behind
    await store.note({"event": "b"}, partition=2)
    await sealer.step()
    assert sealer.behind
    store._journals[1].append(lost)
    await sealer.step()
    assert not sealer.behind


# ------------------------------------------------------------ tampering with a real Redis


@pytest.fixture
async def real(redis: Server, signer: FileSigner, heads: Path) -> AsyncIterator[RedisStore]:
    """A journal of five sealed entries."""
    async with await RedisStore.connect(redis.url) as store:
        await write(store, "a", "b", "c", "d", "e")
        await a_sealer(store, signer, heads).step()
        yield store


Rows = list[tuple[str, dict[str, Any]]]


async def rewrite(redis: Server, change: Callable[[Rows], Rows]) -> None:
    """Write the journal anew, as somebody with all rights in Redis can."""
    async with Redis.from_url(redis.url, decode_responses=True, protocol=2) as client:
        line: Any = client
        rows: Rows = await line.xrange(JOURNAL)
        await line.delete(JOURNAL)
        for id_, fields in change(rows):
            await line.xadd(JOURNAL, fields, id=id_)


def changed(rows: Rows) -> Rows:
    record = json.dumps({"event": "B"}, separators=(",", ":"))
    return [(id_, {**fields, "record": record} if id_ == "2-0" else fields) for id_, fields in rows]


def at_another_time(rows: Rows) -> Rows:
    return [(id_, {**fields, "at": "1"} if id_ == "4-0" else fields) for id_, fields in rows]


def reordered(rows: Rows) -> Rows:
    fields = [fields for _, fields in rows]
    fields[1], fields[2] = fields[2], fields[1]
    return [(id_, one) for (id_, _), one in zip(rows, fields, strict=True)]


def dropped(rows: Rows) -> Rows:
    return [(id_, fields) for id_, fields in rows if id_ != "3-0"]


def cut(rows: Rows) -> Rows:
    return rows[:2]


@pytest.mark.redis
@pytest.mark.parametrize(
    ("tampering", "number", "what"),
    [
        (changed, 5, "is not what was sealed"),
        (at_another_time, 5, "is not what was sealed"),
        (reordered, 5, "is not what was sealed"),
        (dropped, 3, "missing or out of order"),
        (cut, 3, "rolled back: entries up to 5 were sealed, 2 are left"),
        (lambda rows: [], 1, "rolled back: entries up to 5 were sealed, 0 are left"),
    ],
    ids=["changed", "moved in time", "reordered", "dropped", "cut", "emptied"],
)
async def test_whatever_is_done_to_the_journal_is_found_and_placed(
    real: RedisStore, redis: Server, signer: FileSigner, heads: Path,
    tampering: Callable[[Rows], Rows], number: int, what: str,
) -> None:  # fmt: skip
    (sound,) = await verify_store(real, signer, heads, ISSUER)
    assert (sound.entries, sound.sealed, sound.defects) == (5, 5, ())
    await rewrite(redis, tampering)
    (finding,) = await verify_store(real, signer, heads, ISSUER)
    assert any(defect.number == number and what in defect.what for defect in finding.defects), finding.defects


@pytest.mark.redis
async def test_one_deleted_entry_is_missed(real: RedisStore, redis: Server, signer: FileSigner, heads: Path) -> None:
    redis.command("XDEL", JOURNAL, "4-0")
    (finding,) = await verify_store(real, signer, heads, ISSUER)
    assert finding.defects[0].number == 4


@pytest.mark.redis
@pytest.mark.parametrize("words", [["x"], ["a", "b", "c", "d", "E"], ["a", "b", "c", "d", "e", "f", "g"]])
async def test_another_history_in_an_emptied_redis_is_recognised(
    real: RedisStore, redis: Server, signer: FileSigner, heads: Path, words: list[str]
) -> None:
    redis.command("FLUSHALL")
    await write(real, *words)
    (finding,) = await verify_store(real, signer, heads, ISSUER)
    assert finding.defects


@pytest.mark.redis
async def test_a_sealer_notices_at_once_that_sealed_entries_are_gone_or_were_changed(
    real: RedisStore, redis: Server, signer: FileSigner, heads: Path
) -> None:
    sealer = a_sealer(real, signer, heads)
    await write(real, "f")
    await sealer.step()
    assert not sealer.behind
    await rewrite(redis, lambda rows: [*rows[:5], ("6-0", {**rows[5][1], "record": "{}"})])
    await sealer.step()
    assert sealer.behind
    before = kept(heads)
    await write(real, "g")
    await sealer.step()
    assert kept(heads) == before


@pytest.mark.redis
@pytest.mark.parametrize("steps", [1, 2])
async def test_a_sealer_that_starts_notices_a_history_that_grew_past_its_last_head_again(
    real: RedisStore, redis: Server, signer: FileSigner, heads: Path, steps: int
) -> None:
    """An older Redis was restored while no bot ran, and others have written since: a spend may be forgotten."""
    for number in range(steps):
        await write(real, f"sealed {number}")
        await a_sealer(real, signer, heads).step()
    last = 5 + steps
    await rewrite(redis, lambda rows: [*rows[: last - 1], (f"{last}-0", {**rows[last - 1][1], "record": "{}"})])
    await write(real, "h", "i")
    sealer, before = a_sealer(real, signer, heads), kept(heads)
    await sealer.step()
    assert (sealer.behind, sealer.holds_spends()) == (True, True)
    assert kept(heads) == before


@pytest.mark.redis
async def test_a_gap_is_never_sealed(real: RedisStore, redis: Server, signer: FileSigner, heads: Path) -> None:
    sealer = a_sealer(real, signer, heads)
    await write(real, "f", "g")
    redis.command("XDEL", JOURNAL, "6-0")
    await sealer.step()
    assert sealer.behind
    assert len(kept(heads)) == 1


# ------------------------------------------------------------ heads


async def test_a_forged_head_is_refused_and_its_line_named(
    store: MemoryStore, signer: FileSigner, heads: Path, folder: Path
) -> None:
    await write(store, "a")
    await a_sealer(store, signer, heads).step()
    stranger = FileSigner(create_key(folder / "other.pem"))
    HeadsFile(heads).append([await stranger.sign(HEAD_TYP, {"origin": NAME, "number": 9, "value": "00", "at": 1})])
    with pytest.raises(ValueError, match=r"heads\.jsonl:2: this head was not signed by our key"):
        await verify_store(store, signer, heads, ISSUER)
    sealer = a_sealer(store, signer, heads)
    before = kept(heads)
    await sealer.step()
    assert sealer.behind
    assert kept(heads) == before


async def test_a_receipt_is_no_head(store: MemoryStore, signer: FileSigner, heads: Path) -> None:
    token = await signer.sign("approval-receipt+jwt", {"origin": NAME, "number": 1, "value": "00"})
    HeadsFile(heads).append([token])
    with pytest.raises(ValueError, match="not signed by our key"):
        await verify_store(store, signer, heads, ISSUER)


async def test_two_heads_of_one_number_that_contradict_each_other_are_a_defect(
    store: MemoryStore, signer: FileSigner, heads: Path
) -> None:
    await write(store, "a")
    await a_sealer(store, signer, heads).step()
    HeadsFile(heads).append([await signer.sign(HEAD_TYP, {"origin": NAME, "number": 2, "value": "00" * 32, "at": 1})])
    (finding,) = await verify_store(store, signer, heads, ISSUER)
    assert [defect.number for defect in finding.defects] == [2]


# ------------------------------------------------------------ exports


async def exported(store: MemoryStore) -> list[str]:
    out = io.StringIO()
    written = await export(store, ISSUER, out)
    lines = out.getvalue().splitlines()
    assert len(lines) == written
    return lines


async def test_an_export_is_verified_as_redis_is(store: MemoryStore, signer: FileSigner, heads: Path) -> None:
    await write(store, "a", "ü", "c")
    await a_sealer(store, signer, heads).step()
    lines = await exported(store)
    (finding,) = verify_export(lines, signer, heads)
    assert (finding.entries, finding.sealed, finding.defects) == (4, 4, ())

    def defects(changed: list[str]) -> list[Finding]:
        return [finding for finding in verify_export(changed, signer, heads) if finding.defects]

    assert defects(lines[:2])
    assert defects([lines[0], lines[2], lines[1], lines[3]])
    assert defects([line.replace('\\"c\\"', '\\"C\\"') for line in lines])
    assert defects([])


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"journal": 1}', "rubbish"])
async def test_a_line_that_is_none_of_an_export_is_named(
    store: MemoryStore, signer: FileSigner, heads: Path, line: str
) -> None:
    with pytest.raises(ExportInvalid, match="line 2 "):
        verify_export([*(await exported(store)), line], signer, heads)


# ------------------------------------------------------------ readiness


@pytest.mark.redis
async def test_a_bot_that_finds_redis_behind_says_that_it_is_not_ready(redis: Server, folder: Path) -> None:
    (folder / "policy.yaml").write_text(json.dumps(policy_mapping()))
    settings = load(redis_url=redis.url, slack_mode="off", port=0)
    async with open_house(settings) as house, aiohttp.ClientSession() as session:
        await readiness(session, house.url, lambda status, checks: status == 200 and settings.heads.exists())
        redis.command("FLUSHALL")
        checks = await readiness(session, house.url, lambda status, checks: status == 503 and not checks["journal"])
    assert checks["redis"]


async def readiness(
    session: aiohttp.ClientSession, url: str, wanted: Callable[[int, dict[str, bool]], bool]
) -> dict[str, bool]:
    """Ask until the answer is the wanted one; each time takes what the bot's own look takes."""
    async with asyncio.timeout(10):
        while True:
            async with session.get(f"{url}/readyz") as answer:
                checks: dict[str, bool] = (await answer.json())["checks"]
                if wanted(answer.status, checks):
                    return checks
