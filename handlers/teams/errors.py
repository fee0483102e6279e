"""What can go wrong at the Teams door, split by what the caller can do about it.

TeamsProblem
├── NotReady          credentials or settings are wrong; nothing can start until somebody acts on `remedy`
└── ApiProblem
    ├── ApiRefused    Microsoft answered no (`status`, `code`); asking again will not help
    ├── ApiLimited    Microsoft says to wait `retry_after` seconds; nothing was done
    └── ApiSilent     no usable answer came; with `maybe_done`, it may have been done all the same
"""

from __future__ import annotations


class TeamsProblem(Exception):
    """Anything that Teams, Entra or Graph, or the way to them, cannot do."""


class NotReady(TeamsProblem):
    """The door cannot open."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}; {remedy}")
        self.message = message
        self.remedy = remedy


class ApiProblem(TeamsProblem):
    """A call of the Bot Connector, of Entra or of Graph that did not go well."""


class ApiRefused(ApiProblem):
    """An HTTP error that says no; `code` is Microsoft's word for it, or http_<status>."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{code} ({status})")
        self.status = status
        self.code = code


class ApiLimited(ApiProblem):
    """HTTP 429 or 412: not now, and nothing was done."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"Microsoft asks to wait {retry_after:g} s")
        self.retry_after = retry_after


class ApiSilent(ApiProblem):
    """A server error, a time-out, a broken connection, or an answer that is not Microsoft's."""

    def __init__(self, message: str, *, maybe_done: bool = True) -> None:
        super().__init__(message)
        self.maybe_done = maybe_done
