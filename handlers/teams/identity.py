"""Who we are in Teams: an app of one tenant."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """Our app (client) id and our tenant's id, both in small letters."""

    app: str
    tenant: str
