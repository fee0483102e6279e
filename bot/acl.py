"""The Redis ACL lines of a deployment (docs/reference/redis-contract.md; storage/redis/acl.py writes them)."""

from __future__ import annotations

import secrets

from approvals.policy import Policy
from storage.redis.acl import acl_lines


def passwords_for(policy: Policy) -> dict[str, str]:
    """A random password for each user; the lines hold only their hashes."""
    agents, tools = (f"agent-{name}" for name in policy.agents), (f"tool-{name}" for name in policy.audiences)
    return {user: secrets.token_urlsafe(24) for user in ("admin", "bot", "auditor", *agents, *tools)}


def lines(policy: Policy, partitions: int, passwords: dict[str, str]) -> list[str]:
    """One line for each user; a user without a password is off until somebody sets one."""
    return acl_lines(policy.agents, policy.audiences, partitions, passwords)
