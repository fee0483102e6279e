"""What the commit of a decision may publish with it: the same that would be published afterwards, or nothing."""

from __future__ import annotations

from approvals.lifecycle import Status
from approvals.publishing import Publisher
from approvals.receipt import TYP
from approvals.request import Request
from approvals.windows import Share
from tests.approvals.house import ISSUER, House, a_house

SHARE = Share(window="window", amount=1, length=60_000)


def publisher(house: House) -> Publisher:
    """The publisher over the parts of a house."""
    return Publisher(house.store, house.signer, ISSUER)


async def denied(house: House) -> Request:
    """A request to which a person said no."""
    request = await house.asked()
    await house.click(request, "alice", "deny")
    return (await house.store.get(request.id)).request


async def test_it_says_what_is_published_afterwards_too() -> None:
    house = await a_house()
    request = await house.approved()
    told = dict(await publisher(house).tell(request) or {})
    published = house.decision(request)
    mine, theirs = (house.signer.verify(TYP, document.pop("receipt")) for document in (told, published))
    assert mine == theirs
    assert mine is not None
    assert mine["approval"]["log"]["index"] == request.decision_entry
    assert told == published


async def test_a_denial_is_told_without_a_receipt() -> None:
    house = await a_house()
    told = await publisher(house).tell(await denied(house))
    assert told is not None
    assert (told["status"], told["receipt"]) == ("denied", None)


async def test_nothing_is_told_of_what_is_open() -> None:
    house = await a_house()
    assert await publisher(house).tell(await house.asked()) is None


async def test_what_was_reserved_is_given_back_before_an_end_is_told() -> None:
    house = await a_house()
    request = (await denied(house)).model_copy(update={"shares": (SHARE,)})
    assert await publisher(house).tell(request) is None
    approved = (await house.approved("next")).model_copy(update={"shares": (SHARE,)})
    assert approved.status is Status.APPROVED
    assert await publisher(house).tell(approved) is not None


async def test_nothing_is_told_while_the_signer_is_down() -> None:
    house = await a_house()
    request = await house.approved()
    house.signer.down = True
    assert await publisher(house).tell(request) is None
