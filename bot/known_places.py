"""A policy that asks where nobody can be asked, as far as is known: private channels of Teams, where bots cannot post.

A place that nobody knows yet is no reason against a policy; `doctor` names it, and posting there is refused.
"""

from __future__ import annotations

from pathlib import Path

from approvals.errors import PolicyInvalid, Problem
from approvals.policy import Policy
from approvals.ports import Shelf
from bot.policies import placed, read_yaml
from handlers.teams.places import Places

_TEAMS = "teams:"
_WHAT = "{} is a private channel of Teams, where bots cannot post; name a standard or shared channel, or a chat"


async def must_be_open(policy: Policy, text: str, path: Path, shelf: Shelf) -> None:
    """Raises PolicyInvalid with every place in the policy's text that names a known private channel."""
    known = Places(shelf)
    private = {name for name in policy.destinations if await _is_private(known, name)}
    if not private:
        return
    _, node = read_yaml(text, str(path))
    found = [
        Problem(_WHAT.format(name), at, where) for name, at, where in policy.destinations_in_text() if name in private
    ]
    raise PolicyInvalid(placed(problem, node, str(path)) for problem in found)


async def _is_private(known: Places, destination: str) -> bool:
    if not destination.startswith(_TEAMS):
        return False
    place = await known.channel(destination.removeprefix(_TEAMS))
    return place is not None and place.private
