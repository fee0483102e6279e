"""What can go wrong in the rules and behind the ports, split by what the caller can do about it.

ApprovalsError
├── IllegalTransition       the table of lifecycle.py has no such step; nothing was changed
├── EntryRefused            an intake entry is not acceptable; answer it, keep it as a dead letter
├── PolicyInvalid           a policy text has problems; the old policy stays
├── StoreError
│   ├── NotFound            there is no such request
│   ├── OutsideWindow       the commit came before `not_before` or after `not_after`; nothing was changed
│   ├── OverLimit           an agent asks too much, or has too much open; nothing was created
│   ├── EpochChanged        the partition runs under another policy than the caller's; refresh and try again
│   ├── NotExported         the journal may be shortened only as far as it lies outside; nothing was dropped
│   ├── NotConfirmed        committed, but not yet on enough replicas; publish nothing, try again
│   └── StoreUnavailable    the memory cannot be reached; nothing is known, nothing is approved
├── ChatError
│   ├── ChatRefused         the platform will not do this, now or later (`code`, `remedy`)
│   └── ChatUnavailable     not now (`retry_after` seconds); it may even have done it (`maybe_done`)
├── DirectoryUnavailable    nobody can be looked up right now; no vote counts
└── SignerUnavailable       nothing can be signed right now; publish nothing, try again
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class ApprovalsError(Exception):
    """Anything that the rules or a port refuses or cannot do."""


class IllegalTransition(ApprovalsError):
    """The life of a request has no such step."""


class EntryRefused(ApprovalsError):
    """An intake entry is not a request: malformed, over a limit, not allowed or in conflict.

    `reason` is one of the codes of docs/reference/redis-contract.md, `field` the dotted path of what is wrong,
    `remedy` what the sender can do, `retry_after` seconds after which sending it again makes sense.
    """

    def __init__(
        self, reason: str, message: str, *, field: str | None = None, remedy: str = "", retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field
        self.remedy = remedy
        self.retry_after = retry_after


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a policy: "where: what; remedy". `path` leads there through the file's keys."""

    what: str
    path: tuple[str | int, ...] = ()
    where: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class PolicyInvalid(ApprovalsError):
    """A policy text cannot be used; `found` holds every problem, `problems` the same as sentences."""

    def __init__(self, found: Iterable[Problem]) -> None:
        self.found = tuple(found)
        self.problems = [str(problem) for problem in self.found]
        super().__init__("\n".join(self.problems))


class StoreError(ApprovalsError):
    """The memory refused or failed."""


class NotFound(StoreError):
    """There is no request of that id."""


class OutsideWindow(StoreError):
    """The commit was attempted outside the instants between which it is valid; `now` is the store's time in ms."""

    def __init__(self, now: int, *, too_late: bool) -> None:
        super().__init__("too late" if too_late else "too early")
        self.now = now
        self.too_late = too_late


class OverLimit(StoreError):
    """An agent asks faster than it may (`retry_after` in ms), or has too many open requests (None)."""

    def __init__(self, retry_after: int | None) -> None:
        super().__init__("too many open" if retry_after is None else "too fast")
        self.retry_after = retry_after


class EpochChanged(StoreError):
    """The partition's policy is another than the one the change was computed under; `epoch` is the current one."""

    def __init__(self, epoch: str) -> None:
        super().__init__(f"the partition now runs under policy {epoch}")
        self.epoch = epoch


class NotExported(StoreError):
    """The journal was exported only up to `exported`, and what lies nowhere else is never dropped."""

    def __init__(self, exported: int) -> None:
        super().__init__(f"the journal was exported up to entry {exported}")
        self.exported = exported


class NotConfirmed(StoreError):
    """The commit is in the memory's master but not on the number of replicas that makes it safe."""


class StoreUnavailable(StoreError):
    """The memory cannot be reached or did not answer; the effect of the last call is unknown."""


class ChatError(ApprovalsError):
    """The chat platform did not do what was asked."""


class ChatRefused(ChatError):
    """The platform answered no; asking again will not help until somebody acts on `remedy`.

    `place`: it is about the destination, which would take no other message either.
    """

    def __init__(self, code: str, remedy: str = "", *, place: bool = False) -> None:
        super().__init__(f"{code}: {remedy}" if remedy else code)
        self.code = code
        self.remedy = remedy
        self.place = place


class ChatUnavailable(ChatError):
    """The platform cannot do it now; `maybe_done` says that it may have done it without telling us."""

    def __init__(self, message: str, *, retry_after: float = 1.0, maybe_done: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.maybe_done = maybe_done


class DirectoryUnavailable(ApprovalsError):
    """People or groups cannot be looked up right now."""


class SignerUnavailable(ApprovalsError):
    """The signing key or its service cannot be used right now."""
