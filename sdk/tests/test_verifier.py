"""The verifier: every golden receipt ends at its step, and no change to a receipt, however small, gets through."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sayso import Action, Floors, InvalidRequest, ReceiptInvalid, TrustInvalid, Verifier, read_jwks
from sayso.testing import ISSUER, Asked, Issuer, receipt_claims

WIRE = Path(__file__).parents[2] / "tests" / "wire"
GOLDEN: dict[str, Any] = json.loads((WIRE / "receipts.json").read_text())
GOLDEN_ACTION = Action.from_document(GOLDEN["action"])
GOLDEN_KEYS = read_jwks(json.dumps(GOLDEN["jwks"]).encode())
VALID = [one["compact"] for one in GOLDEN["receipts"] if one["step"] is None]

KEY = Issuer()
ACTION = Action.of("payments.release", "bank:acme", {"amount": "12400.00"})
ASKED = Asked("0-" + "a" * 24, "payments-bot", "c", ACTION, "bank", principal="dana")
NOW = 1_795_356_301.5


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a valid receipt, with changes."""
    return receipt_claims(ASKED, issuer=ISSUER, jti="j", at=NOW) | changes


def approval(**changes: Any) -> dict[str, Any]:
    """The claims of a valid receipt, with changes in `approval`."""
    valid = claims()
    valid["approval"] |= changes
    return valid


def verify(receipt: str, *, floors: Floors | None = None, at: float = NOW, action: Action = ACTION, **how: Any) -> Any:
    """Verify as the tool `bank` would."""
    verifier = Verifier(KEY.trusted, audience="bank", floors=floors)
    return verifier.verify(receipt, action, agent=how.pop("agent", "payments-bot"), at=at, **how)


def failed_step(receipt: str, **how: Any) -> str:
    """The step at which a receipt is refused."""
    with pytest.raises(ReceiptInvalid) as caught:
        verify(receipt, **how)
    return caught.value.step


@pytest.mark.parametrize("golden", GOLDEN["receipts"], ids=lambda golden: golden["name"])
def test_golden_receipts_end_at_their_step(golden: dict[str, Any]) -> None:
    verifier = Verifier(GOLDEN_KEYS, audience=GOLDEN["audience"])
    step = None
    try:
        verifier.verify(golden["compact"], GOLDEN_ACTION, agent=GOLDEN["agent"], at=GOLDEN["at"])
    except ReceiptInvalid as exc:
        step = exc.step
    assert step == golden["step"]


def test_what_a_verified_receipt_says() -> None:
    receipt = verify(KEY.sign(claims()))
    assert (receipt.issuer, receipt.audience, receipt.agent) == (ISSUER, "bank", "payments-bot")
    assert (receipt.principal, receipt.request, receipt.jti, receipt.mode) == ("dana", ASKED.request, "j", "human")
    assert receipt.expires_at - receipt.issued_at == 120
    assert receipt.digest == ACTION.digest()
    assert receipt.approvers[0]["sub"] == "alice"


@pytest.mark.parametrize("compact", VALID)
def test_no_byte_of_a_receipt_can_be_changed(compact: str) -> None:
    verifier = Verifier(GOLDEN_KEYS, audience=GOLDEN["audience"])
    for at in range(len(compact)):
        for other in "A_-.=~":
            if compact[at] == other:
                continue
            changed = compact[:at] + other + compact[at + 1 :]
            with pytest.raises(ReceiptInvalid):
                verifier.verify(changed, GOLDEN_ACTION, agent=GOLDEN["agent"], at=GOLDEN["at"])


@settings(deadline=None)  # a busy machine is no failure
@given(st.data())
def test_no_bit_of_a_receipt_can_be_flipped(data: st.DataObject) -> None:
    compact = data.draw(st.sampled_from(VALID))
    at = data.draw(st.integers(0, len(compact) - 1))
    bit = data.draw(st.integers(0, 6))
    changed = compact[:at] + chr(ord(compact[at]) ^ (1 << bit)) + compact[at + 1 :]
    with pytest.raises(ReceiptInvalid):
        Verifier(GOLDEN_KEYS, audience=GOLDEN["audience"]).verify(
            changed, GOLDEN_ACTION, agent=GOLDEN["agent"], at=GOLDEN["at"]
        )


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.one_of(st.text(), st.text(alphabet="eyJhbGci.-_0", max_size=200), st.binary().map(lambda b: b.decode("latin-1")))
)
def test_nothing_but_a_refusal_comes_of_arbitrary_text(text: str) -> None:
    assert failed_step(text) in {"size", "encoding", "parts", "header"}


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.dictionaries(
        st.sampled_from(sorted(claims())),
        st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3), st.lists, max_leaves=3),
        min_size=1,
    )
)
def test_signed_nonsense_is_refused_and_never_breaks_the_verifier(changes: dict[str, Any]) -> None:
    try:
        verify(KEY.sign(claims(**changes)))
    except ReceiptInvalid:
        return
    harmless = {"sub", "txn", "jti", "nbf"}  # any text, or any earlier time, will do there
    assert all(name in harmless or value == claims()[name] for name, value in changes.items())


@pytest.mark.parametrize(
    ("at", "step"),
    [
        (NOW - 29, None),
        (NOW - 32, "iat"),
        (NOW + 119, None),
        (NOW + 149, None),
        (NOW + 150, "exp"),
        (NOW + 9999, "exp"),
    ],
)
def test_times_hold_within_thirty_seconds_of_skew(at: float, step: str | None) -> None:
    receipt = KEY.sign(claims())
    if step is None:
        assert verify(receipt, at=at).jti == "j"
    else:
        assert failed_step(receipt, at=at) == step


def test_a_receipt_is_for_one_agent_one_tool_one_action() -> None:
    receipt = KEY.sign(claims())
    assert failed_step(receipt, agent="other-bot") == "agent"
    assert failed_step(KEY.sign(claims(aud="other"))) == "aud"
    assert failed_step(receipt, action=Action.of(ACTION.kind, ACTION.target, {"amount": "12400.01"})) == "digest"
    assert failed_step(receipt, action=ACTION.with_nonce("B" * 22)) == "digest"
    assert failed_step(receipt, action=Action.of(ACTION.kind, "bank:evil", ACTION.arguments)) == "target"


def test_an_action_that_cannot_be_canonical_is_refused() -> None:
    broken = Action(ACTION.kind, ACTION.target, {"amount": float("nan")}, {}, ACTION.nonce)
    assert failed_step(KEY.sign(claims()), action=broken) == "digest"


def test_floors_are_the_least_that_is_accepted() -> None:
    by_policy = KEY.sign(approval(mode="policy", approvers=[], quorum={"need": 0, "got": 0}))
    emergency = KEY.sign(approval(mode="break_glass"))
    human = KEY.sign(claims())
    assert verify(by_policy).mode == "policy"
    assert failed_step(by_policy, floors=Floors(mode="break_glass")) == "mode"
    assert failed_step(emergency, floors=Floors(mode="human")) == "mode"
    assert verify(emergency, floors=Floors(mode="break_glass")).mode == "break_glass"
    assert verify(human, floors=Floors(mode="human", quorum=1)).mode == "human"
    assert failed_step(human, floors=Floors(quorum=2)) == "quorum"


def test_one_person_with_two_accounts_counts_once() -> None:
    twice = [{"sub": "alice", "via": "slack"}, {"sub": "alice", "via": "teams"}]
    receipt = KEY.sign(approval(approvers=twice, quorum={"need": 2, "got": 2}))
    assert failed_step(receipt, floors=Floors(quorum=2)) == "quorum"


def test_every_approver_must_reach_the_demanded_acr() -> None:
    floors = Floors(acr=frozenset({"phr"}))
    people = [{"sub": "alice", "acr": "phr"}, {"sub": "bob"}]
    assert failed_step(KEY.sign(approval(approvers=people)), floors=floors) == "acr"
    assert verify(KEY.sign(approval(approvers=people[:1])), floors=floors).mode == "human"


def test_a_misspelt_floor_is_no_floor_but_an_error() -> None:
    with pytest.raises(InvalidRequest, match="humans"):
        Floors(mode="humans")


def test_preconditions_need_someone_who_checks_them() -> None:
    action = Action.of(ACTION.kind, ACTION.target, ACTION.arguments, {"version": 7}, ACTION.nonce)
    asked = Asked(ASKED.request, "payments-bot", "c", action, "bank", principal="dana")
    receipt = KEY.sign(receipt_claims(asked, issuer=ISSUER, jti="j", at=NOW))
    assert failed_step(receipt, action=action) == "preconditions"
    assert failed_step(receipt, action=action, preconditions=lambda given: False) == "preconditions"
    assert verify(receipt, action=action, preconditions=lambda given: given == {"version": 7}).jti == "j"


OKP = {"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b'{"keys": {}}',
        b'{"issuer": "i", "keys": []}',
        b'{"issuer": "i", "issuer": "j", "keys": []}',
        b"x" * 70_000,
        json.dumps({"keys": [OKP]}).encode(),
        json.dumps({"issuer": "", "keys": [OKP]}).encode(),
        json.dumps({"issuer": "i", "keys": [OKP, OKP]}).encode(),
        json.dumps({"issuer": "i", "keys": [OKP | {"d": "AAAA"}]}).encode(),
        json.dumps({"issuer": "i", "keys": [{"kty": "oct", "k": "AAAA", "kid": "a"}]}).encode(),
        json.dumps({"issuer": "i", "keys": [OKP | {"kid": ""}]}).encode(),
        json.dumps({"issuer": "i", "keys": [OKP | {"x": "AAAA"}]}).encode(),
        json.dumps({"issuer": "i", "keys": [OKP | {"x": OKP["x"] + "="}]}).encode(),
        json.dumps({"issuer": "i", "keys": [OKP | {"use": "enc"}]}).encode(),
        json.dumps({"issuer": "i", "keys": [OKP | {"key_ops": ["sign"]}]}).encode(),
        json.dumps({"issuer": "i", "keys": [OKP | {"alg": "HS256"}]}).encode(),
        json.dumps({"issuer": "i", "keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "a"}]}).encode(),
        json.dumps(
            {"issuer": "i", "keys": [{"kty": "EC", "crv": "P-256", "x": OKP["x"], "y": OKP["x"], "kid": "a"}]}
        ).encode(),
        json.dumps({"issuer": "i", "keys": ["key"]}).encode(),
    ],
)
def test_an_unusable_key_document_is_refused_whole(document: bytes) -> None:
    with pytest.raises(TrustInvalid):
        read_jwks(document)


def test_the_pinned_issuer_must_be_the_one_in_the_document() -> None:
    document = json.dumps({"issuer": "i", "keys": [OKP]}).encode()
    assert read_jwks(document, issuer="i").issuer == "i"
    assert read_jwks(json.dumps({"keys": [OKP]}).encode(), issuer="i").issuer == "i"
    with pytest.raises(TrustInvalid, match="not of the pinned"):
        read_jwks(document, issuer="j")


def test_a_key_without_alg_keeps_to_its_family() -> None:
    keys = read_jwks(json.dumps({"issuer": "i", "keys": [OKP]}).encode()).keys
    assert keys["a"].algorithms == {"Ed25519", "EdDSA"}


def test_the_verifier_works_without_redis_and_pydantic() -> None:
    script = (
        "import sys\n"
        "for name in ('redis', 'pydantic', 'joserfc'): sys.modules[name] = None\n"
        "from sayso import Verifier, read_jwks, Action, ReceiptInvalid\n"
        f"golden = __import__('json').load(open({str(WIRE / 'receipts.json')!r}))\n"
        "keys = read_jwks(__import__('json').dumps(golden['jwks']).encode())\n"
        "print(Verifier(keys, audience=golden['audience']).verify(golden['receipts'][0]['compact'],"
        " Action.from_document(golden['action']), agent=golden['agent'], at=golden['at']).jti)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "c3BlbmQta2V5LTAxMjM0NQ"
