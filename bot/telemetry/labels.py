"""Labels that stay few whatever agents say: only what the policy names, and words of ours."""

from __future__ import annotations

import re
from collections.abc import Callable

from approvals.policy import Policy
from approvals.request import Request

OTHER = "other"
_WORD = re.compile(r"[a-z][a-z0-9_]{0,49}")


class Labels:
    """The names that may stand in a label, by the policy in force."""

    def __init__(self, policy: Callable[[], Policy]) -> None:
        self._policy = policy

    def kind(self, request: Request) -> str:
        """The kind of a request if the policy lists it."""
        kind = request.action.kind
        return kind if kind in self._policy().kinds else OTHER

    def agent(self, name: str) -> str:
        """A registered agent."""
        return name if name in self._policy().agents else OTHER

    def destination(self, name: str) -> str:
        """A place that the policy names."""
        return name if name in self._policy().destinations else OTHER


def word(said: str) -> str:
    """A code of ours or of the platform's documentation as it stands; anything that has not the form of one is not."""
    return said if _WORD.fullmatch(said) else OTHER
