"""Every name under which something lies in Redis. All keys of a partition share its hash tag, hence one slot.

The first group is the wire (docs/reference/redis-contract.md); nobody but the bot and the auditor sees the rest.
"""

from __future__ import annotations

import zlib

from approvals.action import partition_of
from approvals.ports import Errand, Queue

CONFIG = "sayso:config"
NAMES = "sayso:names"  #: the registered agents and tools, so that a wrong name is told at once
GROUP = "bot"  #: the consumer group on every intake stream


def home_of(name: str, partitions: int) -> int:
    """The partition where what belongs to no request has its home: a destination's rate, a rendering."""
    return zlib.crc32(name.encode()) % partitions


class Keys:
    """The keys of one partition."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self._tag = f"{{sayso:{partition}}}:"
        self.meta = self._key("meta")  #: hash: journal (last number), epoch, epoch_number, notes
        self.journal = self._key("journal")  #: stream with ids <number>-0
        self.keys = self._key("keys")  #: hash: key id to the public half of a signing key (partition 0)
        self.ended = self._key("ended")  #: sorted set: requests that are over, by when they are forgotten
        self.troubles = self._key("troubles")  #: hash: owner of an intake stream to when and what was noticed
        self.dead = self._key("dead")  #: stream of refused intake entries
        self.destinations = self._key("destinations")  #: sorted set: destinations by when they are to be served next
        self.leases = self._key("leases")  #: hash: destination to the fence of its lease and until when it holds
        self.pending = self.index("pending")
        self._queues = {queue: self._key(queue.value) for queue in Queue}

    def intake(self, owner: str, *, tool: bool) -> str:
        """The stream that an agent or a tool appends to."""
        return self._key("in", "tool", owner) if tool else self._key("in", owner)

    def out(self, owner: str, *, tool: bool) -> str:
        """The stream that an agent or a tool reads."""
        return self._key("out", "tool", owner) if tool else self._key("out", owner)

    def decision(self, agent: str, request: str) -> str:
        """The decision document, for the agent to read."""
        return self._key("decision", agent, request)

    def request(self, request: str) -> str:
        """Hash: version, decision_entry, tokens, due, published, confirmed."""
        return self._key("request", request)

    def document(self, request: str) -> str:
        """The request itself (storage/documents.py); by itself, because a hash of small values takes far less room."""
        return self._key("doc", request)

    def posts(self, request: str) -> str:
        """Hash: destination to post."""
        return self._key("posts", request)

    def queue(self, queue: Queue) -> str:
        """Sorted set of request ids by the instant at which their work is due."""
        return self._queues[queue]

    def index(self, name: str) -> str:
        """Sorted set: a list of approvals/indices.py, request ids by asked_at."""
        return self._key(name)

    def code(self, code: str) -> str:
        """Sorted set: the requests that share a short code, by asked_at."""
        return self._key("code", code)

    def like(self, likeness: str) -> str:
        """Sorted set: the requests for the same, by asked_at."""
        return self._key("like", likeness.removeprefix("sha256:")[:32])

    def policy(self, digest: str) -> str:
        """A policy text."""
        return self._key("policy", digest)

    def shown(self, digest: str) -> str:
        """A rendering."""
        return self._key("shown", digest)

    def rate(self, destination: str) -> str:
        """Hash: the pace of a destination, in its home partition."""
        return self._key("rate", destination)

    def kept(self, name: str) -> str:
        """Hash: version, document, until, token of a small document (the shelf), in its folder's home partition."""
        return self._key("kept", name)

    def amounts(self, window: str) -> str:
        """Hash: holder to what it takes of a window, and their totals, in the window's home partition."""
        return self._key("amounts", window)

    def counted(self, window: str) -> str:
        """Sorted set: those who have a share in a window, by the instant until which it counts."""
        return self._key("counted", window)

    def folder(self, folder: str) -> str:
        """Sorted set: the names of the documents in a folder, by the instant at which they are forgotten."""
        return self._key("folder", folder)

    def errands(self, errand: Errand, destination: str) -> str:
        """Sorted set: what waits for a destination, by the instant at which it is due; in its home partition."""
        return self._key("outbox", errand.value, destination)

    def _key(self, *parts: str) -> str:
        return self._tag + ":".join(parts)


def intake_keys(agents: tuple[str, ...], audiences: tuple[str, ...], partitions: int) -> dict[str, tuple[str, bool]]:
    """Every intake stream with its owner and whether that is a tool: an agent's in its partition, a tool's in all."""
    found = {Keys(partition_of(agent, partitions)).intake(agent, tool=False): (agent, False) for agent in agents}
    for partition in range(partitions):
        found |= {Keys(partition).intake(audience, tool=True): (audience, True) for audience in audiences}
    return found
