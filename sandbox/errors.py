"""What Slack, and the sandbox itself, can say no with.

SandboxError
├── SlackError          the Web API answers {"ok": false, "error": code}
│   ├── MissingScope    the token lacks a scope (says which was needed, which are provided)
│   ├── RateLimited     HTTP 429 with Retry-After
│   └── InvalidPayload  blocks, a view or arguments are not as documented (says where)
└── CannotDo            a person tried something the screen would not have let them do
    ├── NotOnScreen     that button, message or view is not there for this person
    └── IncompleteForm  a modal was submitted with a required input left empty
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class SandboxError(Exception):
    """The base of every error of the sandbox."""


class SlackError(SandboxError):
    """The Web API's answer is {"ok": false, "error": code}."""

    def __init__(self, code: str, **extra: Any) -> None:
        super().__init__(code)
        self.code = code
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """The JSON body as Slack words it."""
        return {"ok": False, "error": self.code, **self.extra}


class MissingScope(SlackError):
    """The token lacks the scope that this method needs."""

    def __init__(self, needed: str, provided: Sequence[str]) -> None:
        super().__init__("missing_scope", needed=needed, provided=",".join(sorted(provided)))


class RateLimited(SlackError):
    """HTTP 429: ask again after so many seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("ratelimited")
        self.retry_after = retry_after


class InvalidPayload(SlackError):
    """Blocks, a view or arguments that Slack would refuse; `messages` says what is wrong and where."""

    def __init__(self, code: str, messages: Sequence[str]) -> None:
        super().__init__(
            code,
            errors=list(messages),
            response_metadata={"messages": [f"[ERROR] {message}" for message in messages]},
        )
        self.messages = tuple(messages)


class CannotDo(SandboxError):
    """A person tried something that Slack's screen would not have let them do."""


class NotOnScreen(CannotDo):
    """The button, message, channel or view is not there for this person."""


class IncompleteForm(CannotDo):
    """A modal was submitted with inputs that the client itself refuses; {block_id: sentence}."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{block}: {sentence}" for block, sentence in errors.items()))
        self.errors = dict(errors)
