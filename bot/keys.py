"""Which signing key a process may use (DESIGN §6): created once, registered, and refused when it is a stranger's."""

from __future__ import annotations

from bot.settings import Settings
from bot.signing import FileSigner, KeyProblem, create_key, read_key
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
    signer = FileSigner(read_key(path))
    if signer.kid in registered:
        return signer
    record = {"v": 1, "event": "key", "kid": signer.kid}
    if not await store.register_first_key(signer.kid, dict(signer.public()), record):
        raise KeyProblem(
            f"the key at {path} ({signer.kid}) is not registered in this deployment;"
            f" copy the registered one ({', '.join(registered)}) from another replica"
        )
    return signer
