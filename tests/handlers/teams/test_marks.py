"""What a button carries opens only in the place, for the message, the app and the tenant that it was made for."""

from __future__ import annotations

from itertools import permutations

import pytest

from approvals.card import card_of
from handlers.seal import Seal, Sealed
from handlers.teams.marks import Marks, new_mark
from tests.fakes.entra import APP, OTHER_TENANT, TENANT
from tests.handlers.teams.world import CHANNEL, CHAT, KEY, World, button

SEALED = Sealed("0-" + "a" * 24, "sha256:" + "0" * 64)


def marks(key: bytes = KEY, tenant: str = TENANT, app: str = APP) -> Marks:
    return Marks(Seal(key, team=tenant, app=app))


@pytest.mark.parametrize("mark", ["", "abc_-123", new_mark()])
def test_a_value_opens_in_its_own_place_and_says_which_message_it_is_of(mark: str) -> None:
    value = marks().value(SEALED, CHANNEL, mark)

    opened = marks().opened(value, CHANNEL)
    assert opened is not None
    assert (opened.sealed, opened.mark) == (SEALED, mark)
    assert marks().opened(value, CHAT) is None
    assert marks(key=bytes(32)).opened(value, CHANNEL) is None
    assert marks(tenant=OTHER_TENANT).opened(value, CHANNEL) is None
    assert marks(app=OTHER_TENANT).opened(value, CHANNEL) is None


def test_no_part_of_a_value_can_be_changed() -> None:
    value = marks().value(SEALED, CHANNEL, "mark")
    for at in range(len(value)):
        for other in "aA0~.":
            if value[at] != other:
                assert marks().opened(value[:at] + other + value[at + 1 :], CHANNEL) is None
    for wrong in ("", "~", value + "~", "~" + value, value[:-1], value + "A", f"x~{value}", value.replace("mark", "é")):
        assert marks().opened(wrong, CHANNEL) is None


def test_place_and_mark_cannot_pass_for_each_other() -> None:
    """`a~b` with mark `c` and `a` with mark `b~c` would be one and the same text, so a mark has no `~`."""
    for place, mark in permutations(("a", "b", "c"), 2):
        value = marks().value(SEALED, f"a~{place}", mark)
        rest = value.rpartition("~")[2]
        assert marks().opened(f"{place}~{mark}~{rest}", "a") is None


async def test_a_button_on_a_card_is_sealed_to_our_app_and_tenant(world: World) -> None:
    request = await world.ask()
    value = button((await world.card(request)).card, "Approve")["data"]["sayso"]

    opened = marks().opened(value, CHANNEL)
    assert opened is not None
    assert opened.sealed == Sealed(request.id, card_of(request).digest())


def test_every_mark_is_another_one() -> None:
    assert len({new_mark() for _ in range(1_000)}) == 1_000
