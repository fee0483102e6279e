"""Tokens by the real MSAL: with a secret, with a certificate; kept until shortly before they end, never in an error."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from handlers.teams.addresses import BOTS, GRAPH
from handlers.teams.errors import ApiRefused, ApiSilent
from handlers.teams.tokens import Credentials, Tokens, issuer_of
from tests.fakes.entra import APP, TENANT, TokenOffice
from tests.fakes.managed_identity import HEADER, ManagedIdentity
from tests.fakes.sign_in import SECRET, SignIn, signing_in
from tests.loopback import served


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SignIn]:
    with signing_in(tmp_path) as made:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.ca))
        yield made


@contextmanager
def tokens(office: SignIn, **proof: Any) -> Iterator[Tokens]:
    made = Tokens(issuer_of(Credentials(APP, TENANT, **proof), authority=office.url), now=lambda: 0.0)
    yield made
    made.close()


async def test_a_secret_and_a_certificate_both_prove_who_we_are(office: SignIn) -> None:
    with tokens(office, secret=SECRET) as by_secret, tokens(office, certificate=office.pfx) as by_certificate:
        assert await by_secret.get(BOTS) == f"token-for-{BOTS}"
        assert await by_certificate.get(GRAPH) == f"token-for-{GRAPH}"
    assert office.asked == [BOTS, GRAPH]


async def test_a_wrong_secret_is_refused_and_stands_in_no_error(office: SignIn) -> None:
    with tokens(office, secret="wrong-" + SECRET) as wrong, pytest.raises(ApiRefused) as caught:
        await wrong.get(BOTS)
    assert str(caught.value) == "invalid_client (401)"


async def test_an_entra_that_is_not_there_is_silence_and_nothing_was_done() -> None:
    nowhere = issuer_of(Credentials(APP, TENANT, secret=SECRET), authority="https://127.0.0.1:1")

    silent = Tokens(nowhere, now=lambda: 0.0)
    with pytest.raises(ApiSilent) as caught:
        await silent.get(BOTS)
    silent.close()
    assert not caught.value.maybe_done
    assert SECRET not in str(caught.value)


async def test_a_token_is_kept_until_shortly_before_it_ends() -> None:
    office, now = TokenOffice(), [0.0]
    kept = Tokens(lambda http: office, now=lambda: now[0])

    for at in (0.0, 3_000.0, 3_299.0):
        now[0] = at
        await kept.get(BOTS)
    assert len(office.given) == 1
    now[0] = 3_301.0
    await kept.get(BOTS)
    assert len(office.given) == 2
    kept.forget(BOTS)
    await kept.get(BOTS)
    assert len(office.given) == 3


@pytest.fixture
async def machine(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ManagedIdentity]:
    """A machine in Azure, whose endpoint is on loopback."""
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IMDS_ENDPOINT", "MSI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    made = ManagedIdentity()
    async with served(made.routes()) as url:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", url)
        yield made


async def test_a_managed_identity_proves_who_we_are_on_a_virtual_machine(machine: ManagedIdentity) -> None:
    with tokens_of_the_machine() as kept:
        assert await kept.get(BOTS) == f"token-for-{BOTS}"
        assert await kept.get(GRAPH) == f"token-for-{GRAPH}"
    assert machine.asked == [BOTS, GRAPH]


async def test_a_managed_identity_proves_who_we_are_in_an_app_service(
    machine: ManagedIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{os.environ['AZURE_POD_IDENTITY_AUTHORITY_HOST']}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", HEADER)

    with tokens_of_the_machine() as kept:
        assert await kept.get(BOTS) == f"token-for-{BOTS}"
    assert machine.asked == [BOTS]


async def test_an_identity_that_the_machine_does_not_have_is_a_refusal(machine: ManagedIdentity) -> None:
    machine.assigned = False

    with tokens_of_the_machine() as kept, pytest.raises(ApiRefused) as caught:
        await kept.get(BOTS)
    assert str(caught.value) == "invalid_request (401)"


@contextmanager
def tokens_of_the_machine() -> Iterator[Tokens]:
    made = Tokens(issuer_of(Credentials(APP, TENANT, managed=True)), now=lambda: 0.0)
    yield made
    made.close()
