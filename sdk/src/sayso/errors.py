"""What can go wrong, split by what you can do about it. Nothing here is ever a return value: no yes means an exception.

SaysoError
├── NotApproved             there is no usable yes: do not act
│   ├── Denied              a person, or policy, said no (`reason`, `by`, `at`)
│   │   └── ChangesRequested    no as it stands; `changes` says what to change before asking again
│   ├── Expired             nobody answered in time; this counts as no
│   ├── Withdrawn           the agent itself no longer asked
│   ├── Revoked             a person took the yes back before it was used
│   ├── Lapsed              approved, but not used within its window
│   ├── AlreadySpent        the yes was used before; it is good for one use
│   └── SpendRefused        the bot checked again at the last moment and said no (`code`)
├── Refused                 the bot did not take what was sent (`reason`, `field`, `remedy`, `retry_after`)
│   ├── Conflict            the same call was asked before with another action
│   └── NotAccepting        an operator has frozen this agent, this kind or everything
├── InvalidRequest          found here before anything was sent (`field`, `remedy`)
├── ReceiptInvalid          the receipt does not prove this approval (`step` names the check that failed)
├── TrustError              the keys to check receipts with cannot be used: fix the configuration
│   ├── TrustMissing        none were given
│   └── TrustInvalid        what was given is not a usable JWKS document with an issuer
├── Unavailable             Redis, the bot or the keys cannot be reached: nothing is known, nothing was approved
├── StillPending            your own time-out ended; the request lives on (also a TimeoutError)
└── NotDone                 raise it yourself inside `spend()`: the action was cleanly not done
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class SaysoError(Exception):
    """Anything that stands between asking and a verified, unused yes."""


class NotApproved(SaysoError):
    """There is no usable yes for `request`; `by` says who or what decided, `at` when, `reason` their words."""

    def __init__(
        self,
        message: str,
        *,
        request: str | None = None,
        reason: str | None = None,
        by: Sequence[Any] = (),
        at: str | None = None,
    ) -> None:
        super().__init__(message)
        self.request = request
        self.reason = reason
        self.by = tuple(by)
        self.at = at


class Denied(NotApproved):
    """A person, or policy, said no."""


class ChangesRequested(Denied):
    """A person said no and what to change (`changes`).

    Once it is changed, ask again as another call with `supersedes=exc.request`: people are then shown what changed.
    """

    def __init__(self, message: str, *, changes: str, **about: Any) -> None:
        super().__init__(message, **about)
        self.changes = changes


class Expired(NotApproved):
    """Nobody answered in time; this counts as no."""


class Withdrawn(NotApproved):
    """The agent no longer asked."""


class Revoked(NotApproved):
    """A person took the yes back before it was used."""


class Lapsed(NotApproved):
    """Approved, but not used within its window."""


class AlreadySpent(NotApproved):
    """The yes was used before, here or elsewhere; it is good for exactly one use."""


class SpendRefused(NotApproved):
    """The bot checked once more before the action and said no; `code` is the wire's reason (`policy`, …)."""

    def __init__(self, message: str, *, code: str, **about: Any) -> None:
        super().__init__(message, **about)
        self.code = code


class Refused(SaysoError):
    """The bot did not accept what was sent, and nothing was decided.

    `reason` is a code of the wire (docs/reference/redis-contract.md), `field` the dotted path of what is wrong,
    `remedy` what to do, `retry_after` seconds after which sending it again makes sense (None: it does not).
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        field: str | None = None,
        remedy: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__("; ".join(part for part in (message, remedy) if part))
        self.reason = reason
        self.field = field
        self.remedy = remedy
        self.retry_after = retry_after


class Conflict(Refused):
    """This call was asked before with another action; an approval is never moved from one action to another."""


class NotAccepting(Refused):
    """An operator has frozen this agent, this kind of action or everything; ask again once it is unfrozen."""


class InvalidRequest(SaysoError):
    """What you passed cannot be asked; `field` names it, `remedy` says what to pass. Nothing was sent."""

    def __init__(self, message: str, *, field: str, remedy: str) -> None:
        super().__init__(f"{field}: {message}; {remedy}")
        self.field = field
        self.remedy = remedy


class ReceiptInvalid(SaysoError):
    """The receipt does not prove that this very action was approved; `step` names the check that failed."""

    def __init__(self, step: str, message: str) -> None:
        super().__init__(f"receipt refused at {step}: {message}")
        self.step = step


class TrustError(SaysoError):
    """There are no keys to check receipts with."""


class TrustMissing(TrustError):
    """No `trust` was given, so no receipt can be checked and nothing can be spent."""


class TrustInvalid(TrustError):
    """`trust` is not a usable JWKS document, or names another issuer than the pinned one."""


class Unavailable(SaysoError):
    """Redis, the bot or the key server cannot be reached or stayed silent; nothing was approved.

    `lasting`: trying again will not help before somebody acts, for Redis did answer: this user may not do that.
    """

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class StillPending(SaysoError, TimeoutError):
    """The time you gave `decision()` ended; the request is still pending and can be awaited again."""


class NotDone(SaysoError):
    """Raise this inside `spend()` when the action was cleanly not done: it is reported as failed, never as unknown."""
