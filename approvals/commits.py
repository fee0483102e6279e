"""How a change becomes a commit: what the journal keeps of it, and under which policy it was computed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from approvals.action import partition_of_request
from approvals.errors import EpochChanged
from approvals.policy import Policy
from approvals.ports import Change, Policies
from approvals.request import Request
from approvals.terms import Terms

_TRIES = 4  #: policies and freezes that may come into force during one piece of work
_Result = TypeVar("_Result")


async def under_policy(policies: Policies, work: Callable[[Policy], Awaitable[_Result]]) -> _Result:
    """Do work under the policy in force, again when another replica has just put a newer one in force."""
    policy = policies.current()
    for _ in range(_TRIES - 1):
        try:
            return await work(policy)
        except EpochChanged:
            policy = await policies.refresh()
    return await work(policy)


async def still_in_force(policies: Policies, policy: Policy) -> None:
    """Raise EpochChanged where a refusal rests on a policy, or a freeze, that is no longer in force."""
    now = await policies.look()
    if now.epoch != policy.epoch:
        raise EpochChanged(now.epoch)


def change_of(
    before: Request | None,
    after: Request,
    policy: Policy,
    record: Mapping[str, Any],
    *,
    event: str = "",
    not_before: int = 0,
    not_after: int | None = None,
    show: bool = True,
) -> Change:
    """The commit that makes `before` into `after`; `event` names it where the status alone does not."""
    decided = after.decision is not None and (before is None or before.decision is None)
    moved = before is None or before.status is not after.status
    return Change(
        request=after,
        record={**record_of(before, after, event), **record, "policy": policy.digest},
        epoch=policy.epoch,
        not_before=not_before,
        not_after=not_after,
        decides=decided,
        announce=moved and after.decision is not None,
        show=show,
    )


def record_of(before: Request | None, after: Request, event: str = "") -> Mapping[str, Any]:
    """What every journal entry about a request says: no argument values, no nonce, nobody's words."""
    moved = before is None or before.status is not after.status
    usual = "asked" if before is None else after.status.value if moved else "voted"
    return {
        "v": 1,
        "event": event or usual,
        "request": after.id,
        "agent": after.agent,
        "kind": after.action.kind,
        "digest": after.digest,
        "from": before.status.value if before else None,
        "to": after.status.value,
    }


def binding(request: Request, policy: Policy, now: int) -> Terms:
    """The stricter of what was demanded at intake and what policy demands now; raises EntryRefused."""
    policy.must_allow(request.question, now)
    if policy.digest == request.terms.policy:
        return request.terms
    return request.terms.tightened_by(policy.terms(request.question))


def home(request: str) -> int:
    """The partition whose journal a request's entries stand in."""
    return partition_of_request(request)
