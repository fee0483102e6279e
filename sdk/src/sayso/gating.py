"""`@sayso.gate`: a function that runs only on a yes, on exactly the arguments people saw."""

from __future__ import annotations

import asyncio
import inspect
import string
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from sayso.action import Action
from sayso.client import Sayso, current
from sayso.errors import InvalidRequest
from sayso.spending import Check
from sayso.wire import Within

P = ParamSpec("P")
R = TypeVar("R")

From = str | Callable[[Mapping[str, Any]], str]  #: text, a template like "bank:{bank}", or a function of the arguments

_CALL = "sayso_call"
_BECAUSE = "sayso_because"
_SUPERSEDES = "sayso_supersedes"
_OWN = {_CALL, _BECAUSE, _SUPERSEDES}  #: arguments of a gated function that are the gate's
_VAR_POSITIONAL = inspect.Parameter.VAR_POSITIONAL
_VAR_KEYWORD = inspect.Parameter.VAR_KEYWORD


class Gate:
    """Decorates a function so that each call of it is asked for, spent, and then run on the approved values.

    Every argument is shown to people under its name: positional ones too, defaults filled in, `*args` as a list,
    `**kwargs` each under its own name. Only what `without` lists stays out (`self`, a connection): it is not part of
    what is approved.

    target     who or what it is done to: text, a template over the arguments ("bank:{bank}"), or a function of them
    because    the agent's words, in the same three forms; a call's own `sayso_because="…"` goes first
    call       this step of this run, in the same three forms; a call's own `sayso_call="run-118/release"` goes first

    A call's own `sayso_supersedes=no.request` answers `except ChangesRequested as no`; `cancel_on_disconnect` is as in
    `Sayso.ask`.
    """

    def __init__(
        self,
        kind: str,
        *,
        target: From,
        because: From | None = None,
        call: From | None = None,
        within: Within | None = None,
        principal: str | None = None,
        preconditions: Mapping[str, Any] | Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
        check: Check | None = None,
        without: tuple[str, ...] = (),
        cancel_on_disconnect: bool = False,
        client: Any = None,
    ) -> None:
        self._kind = kind
        self._target = target
        self._because = because
        self._call = call
        self._within = within
        self._principal = principal
        self._preconditions = preconditions
        self._check = check
        self._without = without
        self._cancel_on_disconnect = cancel_on_disconnect
        self._client = client

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Put the gate in front of `function`, which may be async or not."""
        name = getattr(function, "__qualname__", repr(function))
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise InvalidRequest(f"{name} is a generator", field="gate", remedy="gate the step inside it")
        signature = inspect.signature(function)
        self._check_signature(signature, name)
        if inspect.iscoroutinefunction(function):
            gated: Callable[..., Any] = self._gated(function, signature)
        else:
            gated = self._gated_sync(function, signature)
        return cast(Callable[P, R], wraps(function)(gated))

    def _gated(self, function: Callable[..., Awaitable[Any]], signature: inspect.Signature) -> Callable[..., Any]:
        async def gated(*args: Any, **kwargs: Any) -> Any:
            asked = self._asked(signature, args, kwargs)
            approval = await self._async_client().ask(self._kind, **asked.question)
            async with approval.spend(preconditions=self._check) as action:
                args, kwargs = asked.approved(action)
                return await function(*args, **kwargs)

        return gated

    def _gated_sync(self, function: Callable[..., Any], signature: inspect.Signature) -> Callable[..., Any]:
        def gated(*args: Any, **kwargs: Any) -> Any:
            asked = self._asked(signature, args, kwargs)
            approval = self._blocking_client().ask(self._kind, **asked.question)
            with approval.spend(preconditions=self._check) as action:
                args, kwargs = asked.approved(action)
                return function(*args, **kwargs)

        return gated

    def _asked(self, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Asked:
        call, because, supersedes = (kwargs.pop(name, None) for name in (_CALL, _BECAUSE, _SUPERSEDES))
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = _shown(bound, self._without)
        # Checked and copied before target, call and because see it: they are made of what will be shown.
        arguments = Action.of(self._kind, "-", arguments).arguments
        conditions = self._preconditions
        question = {
            "target": _made("target", self._target, arguments),
            "arguments": arguments,
            "call": call if call is not None else _made("call", self._call, arguments),
            "because": because if because is not None else _made("because", self._because, arguments),
            "within": self._within,
            "principal": self._principal,
            "preconditions": conditions(arguments) if callable(conditions) else conditions,
            "supersedes": supersedes,
            "cancel_on_disconnect": self._cancel_on_disconnect,
        }
        return _Asked(bound, self._without, question)

    def _async_client(self) -> Sayso:
        client = self._client or current()
        if not isinstance(client, Sayso):
            raise _no_client("use `async with Sayso.connect(…)` around the call, or client.gate(…)")
        return client

    def _blocking_client(self) -> Any:
        from sayso import blocking

        if _in_event_loop():
            raise _no_client("make the gated function async, or call it from a thread (asyncio.to_thread)")
        client = self._client or blocking.current()
        if client is None or isinstance(client, Sayso):
            raise _no_client("use `with sayso.blocking.Sayso.connect(…)` around the call")
        return client

    def _check_signature(self, signature: inspect.Signature, function: str) -> None:
        """Find at import time what would go wrong at the first call."""
        names = set(signature.parameters)
        if taken := names & _OWN:
            raise InvalidRequest(f"{function} has a parameter {min(taken)}", field="gate", remedy="rename it")
        if missing := set(self._without) - names:
            raise InvalidRequest(f"{function} has no parameter {min(missing)}", field="without", remedy="correct it")
        if any(parameter.kind is _VAR_KEYWORD for parameter in signature.parameters.values()):
            return
        for field, made in {"target": self._target, "call": self._call, "because": self._because}.items():
            if isinstance(made, str) and (missing := _fields(made) - names | _fields(made) & set(self._without)):
                raise InvalidRequest(f"{function} shows no {min(missing)}", field=field, remedy="name its parameters")


class _Asked:
    """One call of a gated function: what is asked, and how to run it on what was approved."""

    def __init__(self, bound: inspect.BoundArguments, without: tuple[str, ...], question: dict[str, Any]) -> None:
        self._bound = bound
        self._without = without
        self.question = question

    def approved(self, action: Action) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The positional and keyword arguments, every shown one taken from the approved action."""
        values = dict(action.arguments)
        for name, parameter in self._bound.signature.parameters.items():
            if name in self._without:
                continue
            if parameter.kind is _VAR_POSITIONAL:
                self._bound.arguments[name] = tuple(values.pop(name))
            elif parameter.kind is not _VAR_KEYWORD:
                self._bound.arguments[name] = values.pop(name)
        for name, parameter in self._bound.signature.parameters.items():
            if parameter.kind is _VAR_KEYWORD and name not in self._without:
                self._bound.arguments[name] = values
        return self._bound.args, self._bound.kwargs


gate = Gate


def _shown(bound: inspect.BoundArguments, without: tuple[str, ...]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        if name in without:
            continue
        extra = bound.signature.parameters[name].kind is _VAR_KEYWORD
        for shown_name, shown_value in value.items() if extra else [(name, value)]:
            if shown_name in shown:
                raise InvalidRequest("given twice, by position and by name", field=shown_name, remedy="rename one")
            shown[shown_name] = shown_value
    return shown


def _made(field: str, made: From | None, arguments: Mapping[str, Any]) -> str | None:
    if not isinstance(made, str):
        return None if made is None else made(arguments)
    try:
        return made.format_map(arguments)
    except (KeyError, IndexError, ValueError, AttributeError) as exc:
        raise InvalidRequest(f"the template {made!r} does not fit", field=field, remedy="name its parameters") from exc


def _fields(template: str) -> set[str]:
    names = (name for _, name, _, _ in string.Formatter().parse(template) if name is not None)
    return {name.split(".")[0].split("[")[0] for name in names}


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _no_client(remedy: str) -> InvalidRequest:
    return InvalidRequest("no client to ask with", field="client", remedy=remedy)
