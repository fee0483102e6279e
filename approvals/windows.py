"""Windows: what requests come to over time, so that a limit cannot be passed in small steps.

A rule's condition asks for them with `window_sum("amount", "24h")` and `window_count("1h")`; a last text says of whom:
"agent" (which it is without one), "principal", "kind", "target", several of them ("agent, target"), or "all". A window
belongs to its rule: it counts every request that the rule's `match` may cover, whatever else its condition says. What
is asked for stands in literal texts, so that every window of a policy is known when it is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Final, Literal, get_args

from approvals.action import Action, Frozen, digest_of
from approvals.durations import milliseconds

Scope = Literal["agent", "principal", "kind", "target"]
ALL: Final = "all"
LONGEST: Final = 31 * 86_400_000  #: ms

_TOKENS: Final = re.compile(r"""[rR]?(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|[A-Za-z_]\w*|\S""")
_SUM, _COUNT = "window_sum", "window_count"


class Share(Frozen):
    """What a request takes of one window: an amount in millionths (money.py), or 1 of a count."""

    window: str  #: its name; it tells nothing of what is counted
    amount: int
    length: int  #: of the window, in ms


class Window(Frozen):
    """One call in a condition: the sum of an argument, or the number of requests, in the last `length` ms."""

    path: str | None  #: of the argument that is summed; None: requests are counted
    length: int
    per: tuple[Scope, ...]

    def name(self, rule: str, whose: Mapping[Scope, str], currency: str) -> str:
        """What the memory calls it for these: one window for each agent, principal, …, and each currency."""
        of = [whose[scope] for scope in self.per]
        return digest_of([rule, self.path, self.length, list(self.per), of, currency]).removeprefix("sha256:")[:32]


def windows_in(condition: str) -> tuple[Window, ...]:
    """Every window that a condition asks for; raises ValueError for a call that cannot be read off the text."""
    tokens = _TOKENS.findall(condition)
    calls = [place for place, token in enumerate(tokens) if token in (_SUM, _COUNT)]
    return tuple(dict.fromkeys(_window(tokens[place], _texts_after(tokens, place)) for place in calls))


def functions(known: Callable[[Window], int | None]) -> Mapping[str, Callable[..., int]]:
    """The functions of a condition: what `known` says of a window; where it cannot say, they raise."""

    def told(name: str, texts: Sequence[str]) -> int:
        found = known(_window(name, texts))
        if found is None:
            raise ValueError("not known")
        return found

    return {_SUM: lambda *texts: told(_SUM, texts), _COUNT: lambda *texts: told(_COUNT, texts)}


def holder_of(request: str, action: Action) -> str:
    """Who holds a request's shares: the request, for this action apart from its nonce."""
    content = [action.kind, action.target, action.arguments, action.preconditions]
    return f"{request}:{digest_of(content).removeprefix('sha256:')[:16]}"


def _texts_after(tokens: Sequence[str], place: int) -> tuple[str, ...]:
    """The literal texts between the parentheses behind a function's name."""
    after = iter(tokens[place + 1 :])
    inside = list(_until_closed(after)) if next(after, "") == "(" else []
    texts, commas = inside[::2], inside[1::2]
    plain = all(text[0] in "\"'" and "\\" not in text for text in texts)
    if not texts or not plain or set(commas) - {","} or len(inside) % 2 == 0 or tokens[place - 1 : place] == ["."]:
        raise ValueError(f'{tokens[place]} takes texts as they stand here: window_sum("amount", "24h", "agent")')
    return tuple(text[1:-1] for text in texts)


def _until_closed(tokens: Iterator[str]) -> Iterator[str]:
    return takewhile(lambda word: word != ")", tokens)


def _window(name: str, texts: Sequence[str]) -> Window:
    wanted = 2 if name == _SUM else 1
    if not wanted <= len(texts) <= wanted + 1 or not all(isinstance(text, str) for text in texts):
        raise ValueError('write window_sum("amount", "24h") or window_count("1h"), and of whom: "agent, target"')
    path, length = (texts[0], milliseconds(texts[1])) if name == _SUM else (None, milliseconds(texts[0]))
    if length > LONGEST:
        raise ValueError("a window is 31 days long at most")
    return Window(path=path, length=length, per=_per(texts[wanted]) if len(texts) > wanted else ("agent",))


def _per(text: str) -> tuple[Scope, ...]:
    """The scopes in their own order, so that there is one spelling of each window."""
    words = {word.strip() for word in text.split(",")}
    if words == {ALL}:
        return ()
    if unknown := sorted(words - {*get_args(Scope)}):
        raise ValueError(f"there is no {unknown[0]!r} to count by; write {', '.join(get_args(Scope))} or {ALL}")
    return tuple(scope for scope in get_args(Scope) if scope in words)
