"""The policy file: read strictly, put in force, and taken over from whoever puts a newer one in force."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from approvals.errors import PolicyInvalid, StoreUnavailable
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
        """Make this process's policy the one that every commit is compared with."""
        record = {"v": 1, "event": "policy", "policy": self._policy.digest}
        await self._store.adopt(self._policy.digest, self._text, record)

    async def refresh(self) -> Policy:
        """Take over the policy in force. Raises StoreUnavailable when none is readable: then nothing is decided."""
        found = await self._store.epoch()
        if found is None:
            raise StoreUnavailable("no policy is in force")
        digest, text = found
        if digest_of_text(text) != digest:
            raise StoreUnavailable("the policy kept in Redis is not the one its digest names")
        try:
            self._policy, self._text = parse_policy(text), text
        except PolicyInvalid as exc:
            raise StoreUnavailable("the policy in force needs a newer version of this service") from exc
        return self._policy
