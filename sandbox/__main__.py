"""`python -m sandbox`: the demo workspace alone, for any Slack app that can be given a base URL."""

from __future__ import annotations

import argparse
import asyncio
import sys

from sandbox.server import Sandbox


def main() -> None:
    """Parse the command line and serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8065, help="port of the page and the API (default: %(default)s)")
    parser.add_argument("--request-url", help="deliver by signed HTTP to this address instead of Socket Mode")
    options = parser.parse_args()
    try:
        asyncio.run(_serve(options.host, options.port, options.request_url))
    except KeyboardInterrupt:
        sys.stdout.write("\n")


async def _serve(host: str, port: int, request_url: str | None) -> None:
    async with Sandbox(host=host, port=port) as sandbox:
        sandbox.connect_http(request_url)
        sys.stdout.write(_banner(sandbox))
        sys.stdout.flush()
        await asyncio.Event().wait()


def _banner(sandbox: Sandbox) -> str:
    return (
        f"Page             {sandbox.url}/\n"
        f"Web API          {sandbox.api_url}   (base_url)\n"
        f"Bot token        {sandbox.bot_token}\n"
        f"App token        {sandbox.app_token}\n"
        f"Signing secret   {sandbox.signing_secret}\n"
        f"Control token    {sandbox.control_token}\n"
    )


if __name__ == "__main__":
    main()
