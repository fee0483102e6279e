"""The Redis ACL lines of a deployment (docs/reference/redis-contract.md; storage/redis/acl.py writes them)."""

from __future__ import annotations

import secrets

from storage.redis.acl import acl_lines

from approvals.policy import Policy


def lines(policy: Policy, partitions: int, *, passwords: bool) -> list[str]:
    """One line for each user; with random passwords, or without any, so that nobody can log in until one is set."""
    users = (
        "bot",
        "auditor",
        *(f"agent-{name}" for name in policy.agents),
        *(f"tool-{name}" for name in policy.audiences),
    )
    made = {user: secrets.token_urlsafe(24) for user in users} if passwords else None
    return acl_lines(policy.agents, policy.audiences, partitions, made)
