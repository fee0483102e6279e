"""Where Microsoft is: the public cloud's addresses; other ones in national clouds, and in tests."""

from __future__ import annotations

from dataclasses import dataclass

AUTHORITY = "https://login.microsoftonline.com"
OPENID_URL = "https://login.botframework.com/v1/.well-known/openidconfiguration"
GRAPH_URL = "https://graph.microsoft.com/v1.0"
#: Origins of the Bot Connector; every conversation names its own address at one of them.
SERVICES = ("https://smba.trafficmanager.net", "https://smba.infra.gcc.teams.microsoft.com")

#: What tokens are asked for.
BOTS = "https://api.botframework.com"
GRAPH = "https://graph.microsoft.com"


@dataclass(frozen=True)
class Addresses:
    """Those that a door needs beside Entra's."""

    openid: str = OPENID_URL
    graph: str = GRAPH_URL
    services: tuple[str, ...] = SERVICES
