"""The service of one bot over a memory, as tests put it together that need no chat platform."""

from __future__ import annotations

from typing import Any

from approvals.ports import Directory, Policies, Signer, Store
from approvals.service import Approvals
from bot.zones import is_zone
from tests.approvals.test_people import People


def a_service(
    store: Store,
    policies: Policies,
    signer: Signer,
    *,
    directory: Directory | None = None,
    issuer: str = "https://here",
    **rest: Any,
) -> Approvals:
    """What decides. Without a directory nobody is in any group of a platform's; `rest` is the service's own."""
    people = People() if directory is None else directory
    return Approvals(
        store=store, directory=people, policies=policies, signer=signer, issuer=issuer, is_zone=is_zone, **rest
    )
