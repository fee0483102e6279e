"""What can go wrong at the Slack door, split by what the caller can do about it.

SlackProblem
├── NotReady          tokens, scopes or settings are wrong; nothing can start until somebody acts on `remedy`
├── Unanswered        a click could not be decided in time; Slack must show the person that it failed
└── ApiProblem
    ├── ApiRefused    Slack answered no (`code`); asking again will not help
    ├── ApiLimited    Slack says to wait `retry_after` seconds; nothing was done
    └── ApiSilent     no usable answer came; with `maybe_done`, Slack may have done it all the same
"""

from __future__ import annotations


class SlackProblem(Exception):
    """Anything that Slack, or the way to it, cannot do."""


class NotReady(SlackProblem):
    """The door cannot open."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}; {remedy}")
        self.message = message
        self.remedy = remedy


class Unanswered(SlackProblem):
    """A click that must not be acknowledged."""


class ApiProblem(SlackProblem):
    """A call of the Web API that did not go well."""


class ApiRefused(ApiProblem):
    """The answer was {"ok": false, "error": code}; `needed` is the missing scope, if that is what is missing."""

    def __init__(self, code: str, needed: str = "") -> None:
        super().__init__(f"{code} ({needed})" if needed else code)
        self.code = code
        self.needed = needed


class ApiLimited(ApiProblem):
    """HTTP 429."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"Slack asks to wait {retry_after:g} s")
        self.retry_after = retry_after


class ApiSilent(ApiProblem):
    """A server error, a time-out, a broken connection, or an answer that is not Slack's."""

    def __init__(self, message: str, *, maybe_done: bool = True) -> None:
        super().__init__(message)
        self.maybe_done = maybe_done
