"""The decorator: what people see is every argument, and what runs is what they saw."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest

import sayso
from sayso import blocking
from sayso.testing import No, Yes, answering, approving, denying


class Currency(StrEnum):
    EUR = "EUR"


async def test_every_argument_is_shown_and_the_approved_ones_are_run() -> None:
    ran: list[Any] = []

    @sayso.gate("payments.release", target="bank:{bank}", because="PO {invoice}")
    async def release(bank: str, /, invoice: str, *lines: int, amount: str, currency: str = "EUR", **extra: Any) -> str:
        ran.append((bank, invoice, lines, amount, currency, extra))
        return "done"

    async with approving() as client:
        assert await release("acme", "INV-2093", 1, 2, amount="12400.00", memo={"a": [1]}) == "done"
    action = client.asked[0].action
    assert (action.kind, action.target, client.asked[0].because) == ("payments.release", "bank:acme", "PO INV-2093")
    assert action.arguments == {
        "bank": "acme",
        "invoice": "INV-2093",
        "lines": [1, 2],
        "amount": "12400.00",
        "currency": "EUR",
        "memo": {"a": [1]},
    }
    assert ran == [("acme", "INV-2093", (1, 2), "12400.00", "EUR", {"memo": {"a": [1]}})]
    assert client.outcomes == ["succeeded"]


async def test_a_no_keeps_the_function_from_running() -> None:
    @sayso.gate("files.delete", target="{path}")
    async def delete(path: str) -> None:
        pytest.fail("must not run")

    async with denying("keep it") as client:
        with pytest.raises(sayso.Denied, match="keep it"):
            await delete("/srv/data")
    assert client.outcomes == []


async def test_changing_an_argument_while_people_think_changes_nothing() -> None:
    lines = ["one"]
    ran: list[list[str]] = []

    def slip_something_in(asked: sayso.testing.Asked) -> Yes:
        lines.append("two")
        return Yes()

    @sayso.gate("orders.place", target="shop")
    async def place(lines: list[str]) -> None:
        ran.append(lines)

    async with answering(slip_something_in):
        await place(lines)
    assert ran == [["one"]]


async def test_target_call_and_because_may_be_functions_of_the_arguments() -> None:
    @sayso.gate(
        "deploy.production",
        target=lambda given: f"service:{given['service']}",
        call=lambda given: f"release-{given['commit']}",
        because=lambda given: f"{given['commit']} passed CI",
        preconditions=lambda given: {"commit": given["commit"]},
        check=lambda preconditions: preconditions == {"commit": "4f2a91c"},
    )
    async def deploy(service: str, commit: str) -> None: ...

    async with approving() as client:
        await deploy("api", commit="4f2a91c")
    asked = client.asked[0]
    assert (asked.action.target, asked.call, asked.because) == (
        "service:api",
        "release-4f2a91c",
        "4f2a91c passed CI",
    )
    assert asked.action.preconditions == {"commit": "4f2a91c"}


async def test_a_call_may_name_itself_and_its_reason() -> None:
    @sayso.gate("a.b", target="t", call="never", because="never")
    async def act(x: int) -> int:
        return x

    async with approving() as client:
        given: dict[str, Any] = {"sayso_call": "run-118/act", "sayso_because": "the words of this call"}
        assert await act(1, **given) == 1
        with pytest.raises(sayso.AlreadySpent):
            await act(1, **given)
        with pytest.raises(sayso.Conflict):
            await act(2, **given)
    assert (client.asked[0].call, client.asked[0].because) == ("run-118/act", "the words of this call")
    assert client.asked[0].action.arguments == {"x": 1}


async def test_what_is_not_part_of_the_action_is_left_out_by_name() -> None:
    class Bank:
        def __init__(self) -> None:
            self.released: list[str] = []

        @sayso.gate("payments.release", target="bank:{bank}", without=("self", "session"))
        async def release(self, bank: str, session: object) -> None:
            assert session is marker
            self.released.append(bank)

    marker, bank = object(), Bank()
    async with approving() as client:
        await bank.release("acme", session=marker)
    assert client.asked[0].action.arguments == {"bank": "acme"}
    assert bank.released == ["acme"]


async def test_arguments_that_are_not_json_are_named_before_anyone_is_asked() -> None:
    @sayso.gate("payments.release", target="bank")
    async def release(amount: Any) -> Any:
        return amount

    async with approving() as client:
        with pytest.raises(sayso.InvalidRequest, match=r'arguments\.amount: Decimal .* like "12400\.00"'):
            await release(Decimal("12400.00"))
        assert client.asked == []
        assert await release(Currency.EUR) == "EUR"


async def test_two_arguments_of_one_name_are_refused() -> None:
    @sayso.gate("a.b", target="t")
    async def act(x: int, /, **more: int) -> None: ...

    async with approving():
        with pytest.raises(sayso.InvalidRequest, match="given twice"):
            await act(1, x=2)


@pytest.mark.parametrize(
    ("how", "field"),
    [
        ({"target": "bank:{bnak}"}, "target"),
        ({"target": "t", "call": "{nothing}"}, "call"),
        ({"target": "{session}", "without": ("session",)}, "target"),
        ({"target": "t", "without": ("nobody",)}, "without"),
    ],
)
def test_a_gate_that_cannot_work_is_found_when_it_is_made(how: dict[str, Any], field: str) -> None:
    async def release(bank: str, session: object) -> None: ...

    with pytest.raises(sayso.InvalidRequest) as caught:
        sayso.gate("payments.release", **how)(release)
    assert caught.value.field == field


def test_a_reserved_parameter_is_found_when_the_gate_is_made() -> None:
    async def act(sayso_call: str) -> None: ...

    with pytest.raises(sayso.InvalidRequest, match="rename it"):
        sayso.gate("a.b", target="t")(act)


def test_a_generator_cannot_be_gated() -> None:
    async def stream() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(sayso.InvalidRequest, match="gate the step inside it"):
        sayso.gate("a.b", target="t")(stream)


async def test_without_a_client_nothing_runs() -> None:
    @sayso.gate("a.b", target="t")
    async def act() -> None:
        pytest.fail("must not run")

    with pytest.raises(sayso.InvalidRequest, match="no client to ask with"):
        await act()


async def test_the_client_may_be_given_or_used() -> None:
    async def act() -> None: ...

    async with approving() as outer, approving() as inner:
        await outer.gate("a.given", target="t")(act)()
        with sayso.use(outer):
            await sayso.gate("a.used", target="t")(act)()
        await sayso.gate("a.current", target="t")(act)()
        assert sayso.current() is inner
    assert sayso.current() is None
    assert [asked.action.kind for asked in outer.asked] == ["a.given", "a.used"]
    assert [asked.action.kind for asked in inner.asked] == ["a.current"]


async def test_the_signature_and_the_name_stay() -> None:
    @sayso.gate("a.b", target="t")
    async def act(x: int) -> None:
        """Act."""

    assert (act.__name__, act.__doc__) == ("act", "Act.")
    assert inspect.iscoroutinefunction(act)
    async with approving():
        with pytest.raises(TypeError):
            await act("too", "many")  # type: ignore[arg-type,call-arg]  # the wrong call is the point


async def test_an_exception_inside_is_reported_and_goes_on() -> None:
    @sayso.gate("a.b", target="t")
    async def act(error: str) -> None:
        raise sayso.NotDone("no") if error == "not done" else OSError("broke")

    async with approving() as client:
        with pytest.raises(sayso.NotDone):
            await act("not done")
        with pytest.raises(OSError, match="broke"):
            await act("other")
    assert client.outcomes == ["failed", "unknown"]


def test_a_function_without_async_asks_through_the_blocking_face() -> None:
    @sayso.gate("files.delete", target="{path}")
    def delete(path: str, *, force: bool = False) -> str:
        return f"{path} {force}"

    scripted = answering(lambda asked: No("not that") if asked.action.target == "/" else Yes())
    with blocking.face(scripted) as client:
        assert delete("/tmp/x") == "/tmp/x False"
        with pytest.raises(sayso.Denied, match="not that"):
            delete("/", force=True)
        assert client.gate("a.b", target="t")(lambda: 7)() == 7
    assert scripted.outcomes == ["succeeded", "succeeded"]
    with pytest.raises(sayso.InvalidRequest, match="no client"):
        delete("/tmp/x")


async def test_a_function_without_async_does_not_block_an_event_loop() -> None:
    @sayso.gate("a.b", target="t")
    def act() -> None:
        pytest.fail("must not run")

    async with approving():
        with pytest.raises(sayso.InvalidRequest, match="make the gated function async"):
            act()
