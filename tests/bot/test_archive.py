"""The journal is exported, shortened and still verified: nothing is dropped that lies nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.audit import NEVER, archive, verify_export, verify_store
from bot.sealer import HeadsFile, Sealer
from bot.signing import FileSigner, create_key
from storage.memory import MemoryStore

ISSUER = "https://here"
HOUR = 3_600_000


@pytest.fixture
def clock() -> list[int]:
    return [1_780_000_000_000]


@pytest.fixture
def store(clock: list[int]) -> MemoryStore:
    return MemoryStore(lambda: clock[0], 2)


@pytest.fixture
def signer(tmp_path: Path) -> FileSigner:
    return FileSigner(create_key(tmp_path / "key.pem"))


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    return tmp_path / "heads.jsonl"


async def written(store: MemoryStore, sealer: Sealer, *words: str) -> None:
    """Entries in both partitions, sealed."""
    for word in words:
        await store.note({"event": word})
        await store.note({"event": word}, partition=1)
    await sealer.step()


def a_sealer(store: MemoryStore, signer: FileSigner, heads: Path) -> Sealer:
    return Sealer(store, signer, HeadsFile(heads), issuer=ISSUER)


async def numbers(store: MemoryStore, partition: int = 0) -> list[int]:
    return [entry.number async for entry in store.journal(partition)]


async def test_what_is_old_and_exported_is_dropped_and_the_rest_is_verified(
    store: MemoryStore, signer: FileSigner, heads: Path, tmp_path: Path, clock: list[int]
) -> None:
    sealer = a_sealer(store, signer, heads)
    await written(store, sealer, "a", "b", "c")
    clock[0] += 2 * HOUR
    await written(store, sealer, "d", "e")
    path = tmp_path / "1.jsonl"
    assert await archive(store, signer, heads, ISSUER, path, older=HOUR) == (10, 4)
    assert [await numbers(store, partition) for partition in (0, 1)] == [[3, 4, 5], [3, 4, 5]]
    with path.open() as lines:
        assert [finding.defects for finding in verify_export(lines, signer, heads)] == [(), ()]
    await written(store, sealer, "f")
    assert not sealer.behind
    found = await verify_store(store, signer, heads, ISSUER)
    assert [(finding.entries, finding.head.number, finding.defects) for finding in found] == [(4, 6, ()), (4, 6, ())]


async def test_two_exports_one_after_the_other_make_one_journal(
    store: MemoryStore, signer: FileSigner, heads: Path, tmp_path: Path, clock: list[int]
) -> None:
    sealer = a_sealer(store, signer, heads)
    await written(store, sealer, "a", "b")
    clock[0] += 2 * HOUR
    await archive(store, signer, heads, ISSUER, tmp_path / "1.jsonl", older=HOUR)
    await written(store, sealer, "c", "d")
    await archive(store, signer, heads, ISSUER, tmp_path / "2.jsonl", older=HOUR)
    both = (tmp_path / "1.jsonl").read_text() + (tmp_path / "2.jsonl").read_text()
    found = verify_export(both.splitlines(), signer, heads)
    assert [(finding.entries, finding.defects) for finding in found] == [(4, ()), (4, ())]


async def test_an_export_alone_drops_nothing(
    store: MemoryStore, signer: FileSigner, heads: Path, tmp_path: Path, clock: list[int]
) -> None:
    await written(store, a_sealer(store, signer, heads), "a", "b")
    clock[0] += 2 * HOUR
    assert await archive(store, signer, heads, ISSUER, tmp_path / "1.jsonl", older=NEVER) == (4, 0)
    assert await numbers(store) == [1, 2]
    with pytest.raises(FileExistsError):
        await archive(store, signer, heads, ISSUER, tmp_path / "1.jsonl", older=HOUR)


async def test_what_is_not_sealed_is_not_dropped(
    store: MemoryStore, signer: FileSigner, heads: Path, tmp_path: Path, clock: list[int]
) -> None:
    await written(store, a_sealer(store, signer, heads), "a")
    await store.note({"event": "b"})
    clock[0] += 2 * HOUR
    await archive(store, signer, heads, ISSUER, tmp_path / "1.jsonl", older=HOUR)
    assert await numbers(store) == [1, 2]


async def test_a_bot_that_comes_later_begins_where_the_journal_does(
    store: MemoryStore, signer: FileSigner, heads: Path, tmp_path: Path, clock: list[int]
) -> None:
    sealer = a_sealer(store, signer, heads)
    await written(store, sealer, "a", "b")
    old = heads.read_text()  # noqa: ASYNC240 - a file of a few lines
    await written(store, sealer, "c", "d")
    clock[0] += 2 * HOUR
    await archive(store, signer, heads, ISSUER, tmp_path / "1.jsonl", older=HOUR)
    assert await numbers(store) == [4]
    for text in ("", old):  # a new one, and one that was away while the journal was trimmed
        other = tmp_path / f"other-{len(text)}.jsonl"
        other.write_text(text)
        late = a_sealer(store, signer, other)
        await written(store, late, "e")
        assert not late.behind
        assert not late.holds_spends()


async def test_a_beginning_that_our_key_did_not_seal_is_a_loss(
    store: MemoryStore, signer: FileSigner, heads: Path, tmp_path: Path
) -> None:
    sealer = a_sealer(store, signer, heads)
    await written(store, sealer, "a", "b", "c", "d")
    stranger = FileSigner(create_key(tmp_path / "other.pem"))
    (head,) = [head for head in HeadsFile(heads).read(signer) if head.origin.endswith("-0")]
    token = await stranger.sign("journal-head+jwt", head.claims(1))
    await store.mark_exported(0, 4)
    await store.trim_journal(0, 4, token)
    (first, _) = await verify_store(store, signer, heads, ISSUER)
    assert first.defects
    late = a_sealer(store, signer, tmp_path / "new.jsonl")
    await late.step()
    assert late.behind
