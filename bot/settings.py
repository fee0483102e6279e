"""Every setting of the service, in one model; nothing below this reads the environment."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from dotenv import dotenv_values
from pydantic import AfterValidator, AliasChoices, Field, SecretStr, StringConstraints, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from handlers.teams.addresses import AUTHORITY, GRAPH_URL, OPENID_URL, SERVICES

CONFIG_VARIABLE = "SAYSO_CONFIG"
DEFAULT_CONFIG = Path("sayso.toml")
DOTENV = Path(".env")


def _shaped(pattern: str, wanted: str) -> AfterValidator:
    """A text that a pattern matches; whoever gives another one reads in words what is wanted, never the pattern."""
    shape = re.compile(pattern)

    def check(text: str) -> str:
        if not shape.match(text):
            raise ValueError(f"expected {wanted}")
        return text

    return AfterValidator(check)


Url = Annotated[
    str,
    _shaped(
        r"^(rediss?(\+(sentinel|cluster))?|unix)://",
        "the URL of a Redis, such as redis://127.0.0.1:6379/0; it begins with redis://, rediss://, unix://, "
        "redis+sentinel:// or redis+cluster://",
    ),
]
#: What Entra gives as ids; they are compared as text, so in one spelling.
Guid = Annotated[
    str,
    StringConstraints(to_lower=True),
    _shaped(
        r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z",
        "an id as Entra shows it, such as 11111111-2222-3333-4444-555555555555; not a name",
    ),
]
#: What is asked over the network: by https, and in tests also by http on this machine.
_HTTPS = r"(https://|http://(localhost|127\.0\.0\.1)[:/])"
Address = Annotated[str, _shaped(rf"^{_HTTPS}\S+\Z", "an https address, such as https://graph.microsoft.com/v1.0")]
Addresses = Annotated[
    str,
    _shaped(
        rf"^{_HTTPS}\S+( {_HTTPS}\S+)*\Z",
        "https addresses with one blank between two, such as https://smba.trafficmanager.net https://smba.example.com",
    ),
]
Destination = Annotated[
    str,
    _shaped(
        r"^(slack|teams):\S{2,400}\Z",
        "a destination as in the policy, such as slack:C0123OPS or teams:19:…@thread.tacv2",
    ),
]
Collector = Annotated[str, _shaped(r"^https?://", "the address of a collector, such as http://collector:4318")]
Authority = Annotated[str, _shaped(r"^https://", "Entra's address, such as https://login.microsoftonline.com")]
Subdomain = Annotated[
    str, _shaped(r"^[A-Za-z0-9-]{1,63}\Z", "one word, such as acme where you go to https://acme.pagerduty.com")
]


class SettingsInvalid(Exception):
    """The settings cannot be used; `problems` names each with its remedy."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _usual(name: str) -> AliasChoices:
    """Also understood under the name every other program uses; ours comes first where both are set."""
    return AliasChoices(f"sayso_{name}", name)


class Settings(BaseSettings):
    """What the service needs to know. Each is SAYSO_<NAME> in the environment, <name> in sayso.toml or .env.

    The usual names REDIS_URL, SLACK_BOT_TOKEN, SLACK_APP_TOKEN, SLACK_SIGNING_SECRET and OTEL_EXPORTER_OTLP_ENDPOINT
    are understood too.
    """

    model_config = SettingsConfigDict(
        env_prefix="SAYSO_",
        env_file=DOTENV,
        extra="ignore",
        case_sensitive=False,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    redis_url: Url = Field(default="redis://127.0.0.1:6379/0", repr=False, validation_alias=_usual("redis_url"))
    redis_replicas: int | None = Field(default=None, ge=0)
    partitions: int = Field(default=1, ge=1, le=1024)
    keep_requests_days: int = Field(default=30, ge=1, le=3650)
    keep_renderings_days: int = Field(default=90, ge=1, le=3650)
    policy: Path = Field(default=Path("policy.yaml"))
    operators_channel: Destination | None = Field(default=None)
    issuer: str = Field(default="https://sayso.localhost", min_length=1)
    state: Path = Field(default=Path(".sayso"))
    host: str = Field(default="127.0.0.1")
    port: int = Field(default=8080, ge=0, le=65535)
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    drain_seconds: float = Field(default=0.0, ge=0.0, le=600.0)
    otlp_endpoint: Collector | None = Field(
        default=None,
        validation_alias=AliasChoices("sayso_otlp_endpoint", "otel_exporter_otlp_endpoint"),
    )
    slack_mode: Literal["auto", "socket", "http", "off"] = Field(default="auto")
    slack_bot_token: SecretStr | None = Field(default=None, validation_alias=_usual("slack_bot_token"))
    slack_app_token: SecretStr | None = Field(default=None, validation_alias=_usual("slack_app_token"))
    slack_signing_secret: SecretStr | None = Field(default=None, validation_alias=_usual("slack_signing_secret"))
    slack_api_url: str = Field(default="https://slack.com/api/")
    teams_app_id: Guid | None = Field(default=None)
    teams_tenant_id: Guid | None = Field(default=None)
    teams_client_secret: SecretStr | None = Field(default=None)
    teams_certificate: Path | None = Field(default=None)
    teams_managed_identity: bool = Field(default=False)
    teams_services: Addresses = Field(default=" ".join(SERVICES))
    teams_authority: Authority = Field(default=AUTHORITY)
    teams_openid_url: Address = Field(default=OPENID_URL)
    teams_graph_url: Address = Field(default=GRAPH_URL)
    pagerduty_token: SecretStr | None = Field(default=None)
    pagerduty_subdomain: Subdomain | None = Field(default=None)
    pagerduty_url: str = Field(default="https://api.pagerduty.com")
    oncall_calendars: SecretStr | None = Field(default=None)
    log_format: Literal["auto", "json", "text"] = Field(default="auto")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info")
    demo_approver: str | None = Field(default=None)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given in code before the environment, before .env, before the file."""
        file = TomlConfigSettingsSource(settings_cls, toml_file=_config_file())
        return init_settings, env_settings, dotenv_settings, file

    @model_validator(mode="after")
    def _slack_is_complete(self) -> Self:
        """Contradictory or half-given Slack settings stop the start."""
        mode = self.resolved_slack_mode()
        if mode != "off" and self.slack_bot_token is None:
            raise ValueError(
                f"slack_bot_token: Slack by {mode} needs SLACK_BOT_TOKEN (xoxb-…); or SAYSO_SLACK_MODE=off"
            )
        if mode == "socket" and self.slack_app_token is None:
            raise ValueError("slack_app_token: Socket Mode needs SLACK_APP_TOKEN (xapp-…)")
        if mode == "http" and self.slack_signing_secret is None:
            other = "" if self.slack_mode == "http" else ", or SLACK_APP_TOKEN (xapp-…) for Socket Mode"
            raise ValueError(f"slack_signing_secret: Slack by http needs SLACK_SIGNING_SECRET{other}")
        return self

    @model_validator(mode="after")
    def _teams_is_complete(self) -> Self:
        """Teams needs an app, its tenant, and one way to prove that it is that app."""
        proofs = {
            "teams_client_secret": self.teams_client_secret is not None,
            "teams_certificate": self.teams_certificate is not None,
            "teams_managed_identity": self.teams_managed_identity,
        }
        given = [name for name, is_given in proofs.items() if is_given]
        if self.teams_app_id is None and self.teams_tenant_id is None and not given:
            return self
        for name in ("teams_app_id", "teams_tenant_id"):
            if getattr(self, name) is None:
                raise ValueError(f"{name}: Teams needs it; see docs/how-to/teams-app.md")
        if len(given) != 1:
            raise ValueError(
                f"{(given or ['teams_client_secret'])[0]}: Teams needs exactly one of a client secret, a certificate "
                "and a managed identity"
            )
        return self

    @model_validator(mode="after")
    def _oncall_is_complete(self) -> Self:
        """A schedule that cannot be asked would let nobody answer, and nobody would know why."""
        if self.pagerduty_token is not None and self.pagerduty_subdomain is None:
            raise ValueError("pagerduty_subdomain: say <subdomain> of https://<subdomain>.pagerduty.com")
        self.calendars()
        return self

    def calendars(self) -> dict[str, str]:
        """The on-call calendars by name: each a path or an https address, which is as secret as a password."""
        given = self.oncall_calendars.get_secret_value().split() if self.oncall_calendars is not None else []
        pairs = [entry.partition("=") for entry in given]
        for name, _, address in pairs:
            if not name or not address or ("://" in address and not re.match(_HTTPS, address)):
                raise ValueError("oncall_calendars: write name=path or name=https://…, apart by blanks")
        return {name: address for name, _, address in pairs}

    def resolved_slack_mode(self) -> Literal["socket", "http", "off"]:
        """How Slack reaches us: as set, or by what was given."""
        if self.slack_mode != "auto":
            return self.slack_mode
        if self.slack_app_token is not None and self.slack_signing_secret is not None:
            raise ValueError("slack_mode: both SLACK_APP_TOKEN and SLACK_SIGNING_SECRET are set; say socket or http")
        if self.slack_app_token is not None:
            return "socket"
        return "http" if self.slack_signing_secret is not None or self.slack_bot_token is not None else "off"

    @property
    def signing_key(self) -> Path:
        """The private key that signs receipts."""
        return self.state / "signing-key.pem"

    @property
    def next_key(self) -> Path:
        """The private key that is to sign next (`python -m bot keys rotate`)."""
        return self.state / "signing-key.next.pem"

    @property
    def old_key(self) -> Path:
        """The private key that signed before."""
        return self.state / "signing-key.old.pem"

    @property
    def trust(self) -> Path:
        """The pinned trust document for agents and tools on this machine."""
        return self.state / "jwks.json"

    @property
    def heads(self) -> Path:
        """The append-only file of signed journal heads."""
        return self.state / "heads.jsonl"


def load(**given: Any) -> Settings:
    """The settings from the environment and the file; raises SettingsInvalid that names each problem and its remedy."""
    if problems := _unknown(dict(os.environ)):
        raise SettingsInvalid(problems)
    try:
        return Settings(**given)
    except ValidationError as exc:
        raise SettingsInvalid(
            [_explain(error) for error in exc.errors(include_url=False, include_input=False)]
        ) from exc
    except tomllib.TOMLDecodeError as exc:
        raise SettingsInvalid([f"{_config_file()}: not TOML: {exc}"]) from exc


def hide_from_libraries() -> None:
    """Take SLACK_… out of the environment, once the settings are read and before slack-bolt is there.

    By itself it takes a token, a verification token and a whole OAuth flow from such variables, and warns about a
    second token. What is meant for us came by the settings; the rest may be another app's.
    """
    for name in [name for name in os.environ if name.startswith("SLACK_")]:
        del os.environ[name]


def _config_file() -> Path:
    return Path(os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG))


def _unknown(environment: dict[str, str]) -> list[str]:
    """SAYSO_… variables and keys of the files that no setting has: a typing error must not go unnoticed."""
    problems = _unknown_variables(environment)
    problems += [f"{DOTENV}: {problem}" for problem in _unknown_variables(dotenv_values(DOTENV))]
    file = _config_file()
    if file.exists():
        problems += [f"{file}: {_no_such(key, [*Settings.model_fields])}" for key in _keys(file)
                     if key not in Settings.model_fields]  # fmt: skip
    elif CONFIG_VARIABLE in environment:
        problems.append(f"{CONFIG_VARIABLE}: there is no file {file}")
    return problems


def _unknown_variables(names: Iterable[str]) -> list[str]:
    known = [f"SAYSO_{field.upper()}" for field in Settings.model_fields]
    ours = [name for name in names if name.startswith("SAYSO_") and name not in _ALIEN]
    return [_no_such(name, known) for name in ours if name not in known]


#: Variables of this name that are not the service's: the SDK's, and the tests'.
_ALIEN = frozenset({CONFIG_VARIABLE, "SAYSO_ACTION", "SAYSO_AGENT", "SAYSO_TRUST"})


def _keys(file: Path) -> list[str]:
    try:
        return list(tomllib.loads(file.read_text()))
    except tomllib.TOMLDecodeError:
        return []  # reported when the settings are read


def _no_such(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"{name}: there is no such setting" + (f"; did you mean {near[0]}?" if near else "; remove it")


def _explain(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:  # ours, about several settings: "name: what is wrong"
        name, _, what = message.partition(": ")
        return f"SAYSO_{name.upper()}: {what}"
    return f"SAYSO_{str(error['loc'][0]).removeprefix('sayso_').upper()}: {message}"
