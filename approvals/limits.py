"""How much one agent may ask, so that none can drown the others or the people who answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of one agent, shared by all replicas.

    `open` requests may wait for an answer at once. `per_minute` may be asked, as many of them together as the agent
    has saved up: at most a minute's worth.
    """

    agent: str
    open: int
    per_minute: int
