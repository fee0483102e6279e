"""Making a decision known: mint the receipt from what is stored, keep it for the agent, wake the agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from approvals import receipt as receipts
from approvals.commits import home
from approvals.errors import NotConfirmed, SignerUnavailable
from approvals.lifecycle import Status
from approvals.ports import Signer, Store
from approvals.request import Request
from approvals.reserving import has_to_settle, settle
from approvals.wire import decision_document


class Publisher:
    """Publishes from the stored request alone, so that any replica can, again and again."""

    def __init__(self, store: Store, signer: Signer, issuer: str) -> None:
        self._store = store
        self._signer = signer
        self._issuer = issuer

    async def publish(self, request: Request, *, now: int | None = None, again: bool = False) -> None:
        """Publish what was decided; a pending request has nothing to publish. `again` wakes the agent once more.

        `now` is the store's time where the caller has just heard it: a receipt counts from then.
        """
        if request.decision is None:
            return
        await settle(self._store, request)
        await self._store.publish(request, await self._document(request, now), again=again)

    async def tell(self, request: Request) -> Mapping[str, Any] | None:
        """What the commit of a decision may publish with it: the store's Tell."""
        if request.decision is None or has_to_settle(request):
            return None
        try:
            return await self._document(request, request.decision.at)
        except SignerUnavailable:
            return None

    async def _document(self, request: Request, now: int | None) -> Mapping[str, Any]:
        """What an agent is told, with a receipt where the approval stands. Raises SignerUnavailable."""
        token = None
        if request.status is Status.APPROVED:
            at = now if now is not None else await self._store.now()
            claims = receipts.claims_of(request, issuer=self._issuer, partition=home(request.id), now=at)
            token = await self._signer.sign(receipts.TYP, claims)
        return decision_document(request, token)

    async def published(self, request: Request, *, now: int | None = None) -> bool:
        """`publish`, or False while that is not possible; a timer then goes on trying."""
        try:
            await self.publish(request, now=now)
        except (NotConfirmed, SignerUnavailable):
            return False
        return True
