"""The endpoints on loopback at which a machine in Azure asks for tokens of its managed identity.

https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token and
https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aiohttp import web

from tests.fakes.entra import APP

HEADER = "a-secret-of-the-machine"


@dataclass
class ManagedIdentity:
    """A virtual machine's endpoint and an App Service's; `asked` are the resources, as somebody asked for them."""

    assigned: bool = True
    asked: list[str] = field(default_factory=list)

    def routes(self) -> list[web.RouteDef]:
        """Everything they answer."""
        return [web.get("/metadata/identity/oauth2/token", self._machine), web.get("/msi/token", self._service)]

    async def _machine(self, request: web.Request) -> web.Response:
        sound = request.headers.get("Metadata") == "true" and request.query["api-version"] == "2018-02-01"
        return self._token(request, "expires_in", "3600") if sound else web.Response(status=400)

    async def _service(self, request: web.Request) -> web.Response:
        sound = request.headers.get("X-IDENTITY-HEADER") == HEADER and request.query["api-version"] == "2019-08-01"
        return self._token(request, "expires_on", "4102444800") if sound else web.Response(status=400)

    def _token(self, request: web.Request, end: str, at: str) -> web.Response:
        if not self.assigned or request.query["client_id"] != APP:
            document = {"error": "invalid_request", "error_description": "Identity not found", "statusCode": 400}
            return web.json_response(document, status=400)
        resource = request.query["resource"]
        self.asked.append(resource)
        return web.json_response(
            {"access_token": f"token-for-{resource}", end: at, "resource": resource, "token_type": "Bearer"}
        )
