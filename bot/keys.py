"""Which signing key a process may use (DESIGN §6): created once, registered, and refused when it is a stranger's."""

from __future__ import annotations

import time
from collections.abc import Mapping

from joserfc.jwk import OKPKey

from bot.rotation import Register, listen, secrets_from
from bot.settings import Settings
from bot.signing import FileSigner, KeyProblem, PublicKeys, create_key, read_key
from storage.redis.store import RedisStore


async def signer_for(settings: Settings, store: RedisStore) -> FileSigner:
    """The signer of this process.

    The first process on an empty register creates the key and registers its public half. Later ones must have a key
    that is registered: otherwise KeyProblem names the remedy, because verifiers would not know what they sign.
    """
    path = settings.signing_key
    registered = await store.keys()
    if not path.exists():
        if registered:
            raise KeyProblem(
                f"there is no signing key at {path}, but this deployment has one ({', '.join(registered)});"
                f" copy it from another replica to {path}"
            )
        create_key(path)
    key = read_key(path)
    signer = FileSigner(key, retired=_retired(settings), secrets=secrets_from(key, registered))
    if signer.kid in registered:
        return _heard(signer, settings, registered)
    record = {"v": 1, "event": "key", "kid": signer.kid}
    if not await store.register_first_key(signer.kid, dict(signer.public()), record):
        raise KeyProblem(
            f"the key at {path} ({signer.kid}) is not registered in this deployment;"
            f" copy the registered one ({', '.join(registered)}) from another replica"
        )
    return signer


def open_signer(settings: Settings) -> FileSigner:
    """The signer with the key on this machine, which knows what the trust document here names. Raises KeyProblem."""
    found = PublicKeys.read(settings.trust) if settings.trust.exists() else PublicKeys({})
    return FileSigner(read_key(settings.signing_key), found.trusted, found.retired)


def _heard(signer: FileSigner, settings: Settings, registered: Register) -> FileSigner:
    """The signer when it has heard what is registered; a retired key signs nothing any more."""
    listen(signer, registered, int(time.time()))
    if signer.is_retired:
        raise KeyProblem(
            f"the key at {settings.signing_key} ({signer.kid}) is retired; copy the one that followed it from another"
            " replica"
        )
    return signer


def _retired(settings: Settings) -> Mapping[str, OKPKey]:
    """The keys that this machine once knew as retired: Redis cannot make them good again."""
    return PublicKeys.read(settings.trust).retired if settings.trust.exists() else {}
