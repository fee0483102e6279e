"""The policy file: read strictly, put in force, and taken over from whoever puts a newer one in force."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from approvals.errors import EpochChanged, PolicyInvalid, Problem, StoreUnavailable
from approvals.freeze import Freeze
from approvals.policy import Policy
from approvals.ports import Store
from bot.zones import is_zone


def digest_of_text(text: str) -> str:
    """The digest by which a policy text is named everywhere."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def read_policy(path: Path) -> tuple[Policy, str]:
    """The policy in a file and its text. Raises PolicyInvalid that lists every problem."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        what = f"cannot be read ({exc}); write one with `python -m bot init`"
        raise PolicyInvalid([Problem(what, where=str(path))]) from exc
    policy = parse_policy(text, str(path))
    _, node = read_yaml(text, str(path))
    if wrong := [placed(problem, node, str(path)) for problem in _zones(policy)]:
        raise PolicyInvalid(wrong)
    return policy, text


def _zones(policy: Policy) -> list[Problem]:
    """The time zones that nobody knows here."""
    hours = policy.care.quiet if policy.care else None
    if hours is None or is_zone(hours.zone):
        return []
    what = f"there is no time zone {hours.zone!r}; write it as Europe/Berlin, America/New_York or UTC"
    return [Problem(what, ("attention", "quiet_hours", "zone"), "attention.quiet_hours.zone")]


def parse_policy(text: str, where: str = "policy") -> Policy:
    """The policy in a text. Raises PolicyInvalid; each problem names the line."""
    mapping, node = read_yaml(text, where)
    try:
        return Policy.parse(mapping, digest_of_text(text))
    except PolicyInvalid as exc:
        raise PolicyInvalid(placed(problem, node, where) for problem in exc.found) from exc


def read_yaml(text: str, where: str) -> tuple[Any, yaml.Node | None]:
    """What a text holds, and the tree that knows the lines. Raises PolicyInvalid."""
    loader = _StrictLoader(text)
    try:
        node = loader.get_single_node()
        return (None if node is None else loader.construct_document(node)), node
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise PolicyInvalid([Problem(f"not YAML: {' '.join(str(exc).split())}", where=where)]) from exc
    finally:
        loader.dispose()


def placed(problem: Problem, node: yaml.Node | None, where: str) -> Problem:
    """A problem with the file and the line that it is in."""
    line = _line_of(node, problem.path)
    return Problem(str(problem), problem.path, where if line is None else f"{where}:{line}")


def _line_of(node: yaml.Node | None, path: Sequence[str | int]) -> int | None:
    """The line of what stands at a path, or as near to it as the text goes."""
    if node is None:
        return None
    line = int(node.start_mark.line) + 1
    for part in path:
        found = _step(node, part)
        if found is None:
            break
        key, node = found
        line = int(key.start_mark.line) + 1
    return line


def _step(node: yaml.Node, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """The key and the value one step further; an item of a list is its own key."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


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

    async def replace(self, policy: Policy, text: str) -> None:
        """Put another policy in force, and work under it from then on. Where that fails, nothing has changed."""
        other = AdoptedPolicy(self._store, policy, text)
        await other.put_in_force()
        self._policy, self._text = other._policy, other._text

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
