"""The policy file: read strictly, put in force, and taken over from whoever puts a newer one in force."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from approvals.errors import EpochChanged, PolicyInvalid, StoreUnavailable
from approvals.freeze import Freeze
from approvals.policy import Policy
from approvals.ports import Store


def digest_of_text(text: str) -> str:
    """The digest by which a policy text is named everywhere."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def read_policy(path: Path) -> tuple[Policy, str]:
    """The policy in a file and its text. Raises PolicyInvalid that lists every problem."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise PolicyInvalid([f"{path}: cannot be read ({exc}); write one with `python -m bot init`"]) from exc
    return parse_policy(text, str(path)), text


def parse_policy(text: str, where: str = "policy") -> Policy:
    """The policy in a text. Raises PolicyInvalid."""
    try:
        mapping = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader that also refuses duplicate keys
    except yaml.YAMLError as exc:
        raise PolicyInvalid([f"{where}: not YAML: {' '.join(str(exc).split())}"]) from exc
    try:
        return Policy.parse(mapping, digest_of_text(text))
    except PolicyInvalid as exc:
        raise PolicyInvalid([f"{where}: {problem}" for problem in exc.problems]) from exc


class _StrictLoader(yaml.SafeLoader):
    """YAML's safe subset without duplicate keys, which every parser would resolve in its own way."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


@dataclass(frozen=True)
class Rulebook:
    """What is in force: a policy text, and what operators have frozen. Kept in Redis under its epoch."""

    text: str
    freezes: tuple[Freeze, ...] = ()

    def policy(self) -> Policy:
        """The policy it comes to. Raises PolicyInvalid."""
        return parse_policy(self.text).frozen(self.freezes)

    def to_json(self) -> str:
        """The rulebook as it is kept."""
        return json.dumps({"v": 1, "policy": self.text, "freezes": [freeze.model_dump() for freeze in self.freezes]})

    @classmethod
    def from_json(cls, kept: str) -> Rulebook:
        """What was kept. Raises ValueError. The first version kept the text alone, and knew no freezes."""
        try:
            value = json.loads(kept)
        except ValueError:
            return cls(kept)
        if not isinstance(value, dict) or "freezes" not in value:
            return cls(kept)
        return cls(str(value["policy"]), tuple(Freeze.model_validate(one) for one in value["freezes"]))


class AdoptedPolicy:
    """The policy this process works under; follows the one in force when another replica changed it."""

    def __init__(self, store: Store, policy: Policy, text: str) -> None:
        self._store = store
        self._policy = policy
        self._text = text

    def current(self) -> Policy:
        """The policy this process works under."""
        return self._policy

    async def put_in_force(self) -> None:
        """Make this process's policy the one that every commit is compared with; what is frozen stays frozen."""
        while True:
            found = await self._store.epoch()
            freezes = self._read(*found).freezes if found is not None else ()
            self._policy = self._policy.frozen(freezes)
            record = {"v": 1, "event": "policy", "policy": self._policy.digest}
            before = found[0] if found is not None else None
            try:
                return await self._adopt(self._policy, self._text, record, instead_of=before)
            except EpochChanged:
                continue  # somebody froze something, or another replica was quicker

    async def put_freezes(self, freezes: tuple[Freeze, ...], record: Mapping[str, Any], *, instead_of: str) -> None:
        """Put these freezes in force where the epoch is `instead_of`; else raises EpochChanged."""
        if self._policy.epoch != instead_of:
            raise EpochChanged(self._policy.epoch)
        wanted = self._policy.frozen(freezes)
        await self._adopt(wanted, self._text, record, instead_of=instead_of)
        if self._policy.epoch == instead_of:  # nothing newer was taken over meanwhile
            self._policy = wanted

    async def look(self) -> Policy:
        """Take over the policy in force, writing nothing. Raises StoreUnavailable when none is readable."""
        found = await self._store.epoch()
        if found is None:
            raise StoreUnavailable("no policy is in force")
        if found[0] != self._policy.epoch:
            rulebook = self._read(*found)
            self._policy, self._text = rulebook.policy(), rulebook.text
        return self._policy

    async def refresh(self) -> Policy:
        """Take over the policy in force. Raises StoreUnavailable when none is readable: then nothing is decided."""
        policy = await self.look()
        text = self._text
        # A replica may have died between two partitions; then this finishes what it began.
        await self._adopt(policy, text, {"v": 1, "event": "policy", "policy": policy.digest}, instead_of=policy.epoch)
        return policy

    async def _adopt(self, policy: Policy, text: str, record: Mapping[str, Any], *, instead_of: str | None) -> None:
        kept = Rulebook(text, policy.freezes).to_json()
        await self._store.adopt(policy.epoch, kept, record, instead_of=instead_of)

    def _read(self, epoch: str, kept: str) -> Rulebook:
        try:
            rulebook = Rulebook.from_json(kept)
            sound = rulebook.policy().epoch == epoch
        except (PolicyInvalid, ValueError, KeyError, TypeError) as exc:
            raise StoreUnavailable("the policy in force needs another version of this service") from exc
        if not sound:
            raise StoreUnavailable("the policy kept in Redis is not the one its digest names")
        return rulebook
