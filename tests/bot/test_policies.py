"""The policy file is read strictly; the policy in force is the same for everybody who decides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from approvals.errors import EntryRefused, EpochChanged, PolicyInvalid, StoreUnavailable
from approvals.ports import Account
from approvals.service import Click, Counted, Refused
from bot.policies import AdoptedPolicy, Rulebook, digest_of_text, parse_policy, read_policy
from bot.signing import FileSigner, create_key
from storage.memory import MemoryStore
from storage.redis import RedisStore
from tests.bot.conftest import Clock
from tests.build import AGENT, CHANNEL, a_change, a_document, a_request, policy_mapping
from tests.servers import Server
from tests.service import a_service


def text(**sections: Any) -> str:
    return json.dumps(policy_mapping(**sections))


@pytest.mark.parametrize(
    "yaml",
    [
        "version: 1\nversion: 1\n",
        "version: 1\npeople: {dana: {accounts: []}, alice: {}, dana: {accounts: [slack:T:U]}}\n",
        "version: 1\npeople: {dana: {accounts: [], accounts: [slack:T:U]}}\n",
        '{"version": 1, "version": 1}',
    ],
)
def test_a_key_that_stands_twice_is_refused(yaml: str) -> None:
    with pytest.raises(PolicyInvalid, match="stands twice"):
        parse_policy(yaml)


@pytest.mark.parametrize("yaml", ["a: [", "a: !!python/object:os.system {}", "\t", "a: b: c", "&a [*a, *b]", "[] {}"])
def test_what_is_not_plain_yaml_is_refused(yaml: str) -> None:
    with pytest.raises(PolicyInvalid):
        parse_policy(yaml)


@pytest.mark.parametrize("yaml", ["", "7", "[]", "text", "{[1]: 2}", "? {a: b}\n: c"])
def test_what_is_no_mapping_of_names_is_refused(yaml: str) -> None:
    with pytest.raises(PolicyInvalid):
        parse_policy(yaml)


def test_every_problem_names_the_file(folder: Path) -> None:
    (folder / "policy.yaml").write_text("version: 2\ncolour: blue\n")
    with pytest.raises(PolicyInvalid) as invalid:
        read_policy(folder / "policy.yaml")
    assert len(invalid.value.problems) >= 3
    assert f"{folder / 'policy.yaml'}:2: colour: there is no such key" in invalid.value.problems
    assert all(problem.startswith(f"{folder / 'policy.yaml'}:") for problem in invalid.value.problems)


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_file_that_cannot_be_read_names_the_remedy(folder: Path, content: bytes | None) -> None:
    if content is not None:
        (folder / "policy.yaml").write_bytes(content)
    with pytest.raises(PolicyInvalid, match=r"cannot be read .*python -m bot init"):
        read_policy(folder / "policy.yaml")


def test_the_digest_is_of_the_text_as_it_stands() -> None:
    assert parse_policy(text()).digest == digest_of_text(text())
    assert parse_policy(text() + "\n# a comment").digest != digest_of_text(text())


class House:
    """What decides, as one bot has it: a policy file of its own over a shared memory."""

    def __init__(self, store: MemoryStore | RedisStore, policy: str, signer: FileSigner) -> None:
        self.store = store
        self.policies = AdoptedPolicy(store, parse_policy(policy), policy)
        self.approvals = a_service(store, self.policies, signer, directory=Everybody())

    async def click(self, request: str, who: str = "ALICE") -> Any:
        account = Account("slack", "T0SAYSO", f"U0{who}")
        await self.store.intend(request, CHANNEL, "token")
        return await self.approvals.vote(
            request, Click(account, "approve", "sha256:" + "0" * 64, (CHANNEL,), {"channel": "C0PAY", "ts": "1"})
        )


class Everybody:
    """A directory in which everybody is a member of everything."""

    async def standing(self, account: Account) -> str | None:
        return None

    async def is_member(self, account: Account, source: str) -> bool:
        return True


@pytest.fixture
def signer(folder: Path) -> FileSigner:
    return FileSigner(create_key(folder / "key.pem"))


@pytest.fixture
def empty(clock: Clock) -> MemoryStore:
    """A memory in which no policy is in force yet."""
    return MemoryStore(clock)


STRICTER = text(rules=[{"id": "two", "factors": [{"name": "finance", "from": ["finance"], "approvals": 2}]}])
WITHOUT_ALICE = text(groups={"finance": {"people": ["bob"]}})
WITHOUT_THE_AGENT = text(agents={"export-bot": {"owner": "dana", "principals": ["dana"], "kinds": ["*"]}})


@pytest.mark.redis
async def test_when_another_bot_brings_a_newer_policy_the_older_one_no_longer_decides(
    redis: Server, signer: FileSigner
) -> None:
    async with await RedisStore.connect(redis.url) as mine, await RedisStore.connect(redis.url) as theirs:
        old, new = House(mine, text(), signer), House(theirs, WITHOUT_ALICE, signer)
        await old.policies.put_in_force()
        asked = await old.approvals.submit(a_document(), AGENT)
        await new.policies.put_in_force()

        change = a_change(a_request(), epoch=old.policies.current().digest)
        with pytest.raises(EpochChanged):
            await mine.create(change.request.id, lambda now, earlier: change)
        refused = await old.click(asked.id)
        assert isinstance(refused, Refused)
        assert refused.reason == "not_an_approver"
        assert isinstance(await old.click(asked.id, "BOB"), Counted)
        assert old.policies.current().digest == new.policies.current().digest


async def test_a_commit_under_an_old_policy_is_computed_again_under_the_new_one(
    empty: MemoryStore, signer: FileSigner
) -> None:
    old, new = House(empty, text(), signer), House(empty, STRICTER, signer)
    await old.policies.put_in_force()
    await new.policies.put_in_force()
    asked = await old.approvals.submit(a_document(), AGENT)
    assert [factor.need for factor in asked.terms.factors] == [2]
    assert old.policies.current().digest == digest_of_text(STRICTER)


async def test_an_agent_that_a_newer_policy_does_not_know_is_refused_by_the_older_bot(
    empty: MemoryStore, signer: FileSigner
) -> None:
    old, new = House(empty, text(), signer), House(empty, WITHOUT_THE_AGENT, signer)
    await old.policies.put_in_force()
    await new.policies.put_in_force()
    with pytest.raises(EntryRefused, match="no agent"):
        await old.approvals.submit(a_document(), AGENT)


async def test_before_any_policy_is_in_force_nothing_is_decided(clock: Clock, signer: FileSigner) -> None:
    house = House(MemoryStore(clock), text(), signer)
    with pytest.raises(StoreUnavailable, match="no policy is in force"):
        await house.approvals.submit(a_document(), AGENT)


@pytest.mark.redis
@pytest.mark.parametrize("tampering", ["another text", "no text"])
async def test_a_policy_text_that_was_tampered_with_in_redis_decides_nothing(
    redis: Server, signer: FileSigner, tampering: str
) -> None:
    async with await RedisStore.connect(redis.url) as mine, await RedisStore.connect(redis.url) as theirs:
        old, new = House(mine, text(), signer), House(theirs, STRICTER, signer)
        await old.policies.put_in_force()
        await new.policies.put_in_force()
        key = f"{{sayso:0}}:policy:{digest_of_text(STRICTER)}"
        redis.command(*(("SET", key, text()) if tampering == "another text" else ("DEL", key)))
        with pytest.raises(StoreUnavailable):
            await old.approvals.submit(a_document(), AGENT)
        assert old.policies.current().digest == digest_of_text(text())


async def test_a_policy_that_only_a_newer_version_understands_decides_nothing(
    empty: MemoryStore, signer: FileSigner
) -> None:
    house = House(empty, text(), signer)
    await house.policies.put_in_force()
    newer = '{"version": 1, "telepathy": true}'
    await empty.adopt(digest_of_text(newer), Rulebook(newer).to_json(), {"event": "policy"})
    with pytest.raises(StoreUnavailable, match="needs another version"):
        await house.approvals.submit(a_document(), AGENT)
