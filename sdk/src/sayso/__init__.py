"""Ask a human before one specific action, and act only on a verified, single-use receipt.

async with sayso.Sayso.connect("redis://…", agent="payments-bot", trust="https://sayso.example/jwks.json") as client:
    approval = await client.ask("payments.release", target="bank:acme", arguments={"amount": "12400.00"})
    async with approval.spend() as action:
        await release(**action.arguments)

Names are imported when they are first used, so that `sayso.verifier` works without Redis and pydantic installed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sayso import blocking, testing
    from sayso.action import Action
    from sayso.client import Approval, Decision, Pending, Sayso, current, use
    from sayso.errors import (
        AlreadySpent,
        ChangesRequested,
        Conflict,
        Denied,
        Expired,
        InvalidRequest,
        Lapsed,
        NotAccepting,
        NotApproved,
        NotDone,
        ReceiptInvalid,
        Refused,
        Revoked,
        SaysoError,
        SpendRefused,
        StillPending,
        TrustError,
        TrustInvalid,
        TrustMissing,
        Unavailable,
        Withdrawn,
    )
    from sayso.gating import gate
    from sayso.keys import TrustedKeys, read_jwks
    from sayso.pace import Pace
    from sayso.tool import Tool
    from sayso.verifier import Floors, Receipt, Verifier

_HOMES = {
    "action": ["Action"],
    "client": ["Approval", "Decision", "Pending", "Sayso", "current", "use"],
    "gating": ["gate"],
    "keys": ["TrustedKeys", "read_jwks"],
    "pace": ["Pace"],
    "tool": ["Tool"],
    "verifier": ["Floors", "Receipt", "Verifier"],
    "errors": [
        "AlreadySpent",
        "ChangesRequested",
        "Conflict",
        "Denied",
        "Expired",
        "InvalidRequest",
        "Lapsed",
        "NotAccepting",
        "NotApproved",
        "NotDone",
        "ReceiptInvalid",
        "Refused",
        "Revoked",
        "SaysoError",
        "SpendRefused",
        "StillPending",
        "TrustError",
        "TrustInvalid",
        "TrustMissing",
        "Unavailable",
        "Withdrawn",
    ],
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Action",
    "AlreadySpent",
    "Approval",
    "ChangesRequested",
    "Conflict",
    "Decision",
    "Denied",
    "Expired",
    "Floors",
    "InvalidRequest",
    "Lapsed",
    "NotAccepting",
    "NotApproved",
    "NotDone",
    "Pace",
    "Pending",
    "Receipt",
    "ReceiptInvalid",
    "Refused",
    "Revoked",
    "Sayso",
    "SaysoError",
    "SpendRefused",
    "StillPending",
    "Tool",
    "TrustError",
    "TrustInvalid",
    "TrustMissing",
    "TrustedKeys",
    "Unavailable",
    "Verifier",
    "Withdrawn",
    "blocking",
    "current",
    "gate",
    "read_jwks",
    "testing",
    "use",
]


if not TYPE_CHECKING:  # a type checker that saw it would let every misspelt name pass

    def __getattr__(name: str) -> Any:
        """Import a public name from its home (PEP 562)."""
        if name in ("blocking", "testing"):
            return importlib.import_module(f"sayso.{name}")
        if name not in _HOME:
            raise AttributeError(f"module 'sayso' has no attribute {name!r}")
        return getattr(importlib.import_module(f"sayso.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
