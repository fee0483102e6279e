"""Settings: from code, environment, .env and file; a mistake is named with its remedy, never with a secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.settings import Settings, SettingsInvalid, load
from tests.repository.files import ROOT

TOKEN = "xoxb-very-secret"


def problems(**given: object) -> list[str]:
    with pytest.raises(SettingsInvalid) as invalid:
        load(**given)
    return invalid.value.problems


def test_without_anything_there_are_settings_for_one_machine() -> None:
    settings = load()
    assert (settings.host, settings.partitions, settings.resolved_slack_mode()) == ("127.0.0.1", 1, "off")


@pytest.mark.parametrize(
    ("variable", "near"),
    [("SAYSO_REDIS_UR", "SAYSO_REDIS_URL"), ("SAYSO_PARTITION", "SAYSO_PARTITIONS"), ("SAYSO_PROT", "SAYSO_PORT")],
)
def test_an_unknown_variable_is_named_with_the_nearest_one(
    variable: str, near: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "x")
    assert problems() == [f"{variable}: there is no such setting; did you mean {near}?"]


def test_an_unknown_variable_that_is_near_nothing_is_to_be_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAYSO_ZZZZZZZZ", "x")
    assert problems() == ["SAYSO_ZZZZZZZZ: there is no such setting; remove it"]


def test_the_sdks_own_variables_are_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAYSO_AGENT", "payments-bot")
    assert load().port == 8080


def test_what_only_the_tests_read_is_not_called_like_a_setting() -> None:
    texts = [path.read_text() for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    texts += [(ROOT / ".ci" / name).read_text() for name in ("node", "run")]
    assert {
        name for text in texts for name in re.findall(r"(?:environ(?:\.get\(|\[)\"|\$\{?)(SAYSO_\w+)", text)
    } == set()


def test_a_typing_error_in_dot_env_does_not_go_unnoticed(folder: Path) -> None:
    (folder / ".env").write_text("SAYSO_PROT=1\nOTHERS_VARIABLE=1\n")
    assert problems() == [".env: SAYSO_PROT: there is no such setting; did you mean SAYSO_PORT?"]


def test_both_ways_to_slack_at_once_must_be_told_apart() -> None:
    (problem,) = problems(slack_bot_token=TOKEN, slack_app_token="xapp-1", slack_signing_secret="s")
    assert "both SLACK_APP_TOKEN and SLACK_SIGNING_SECRET are set; say socket or http" in problem
    assert (
        load(
            slack_bot_token=TOKEN, slack_app_token="xapp-1", slack_signing_secret="s", slack_mode="http"
        ).resolved_slack_mode()
        == "http"
    )


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"slack_mode": "socket"}, "SLACK_BOT_TOKEN"),
        ({"slack_app_token": "xapp-1"}, "SLACK_BOT_TOKEN"),
        ({"slack_mode": "socket", "slack_bot_token": TOKEN}, "SLACK_APP_TOKEN"),
        ({"slack_mode": "http", "slack_bot_token": TOKEN}, "SLACK_SIGNING_SECRET"),
        ({"slack_bot_token": TOKEN}, "SLACK_SIGNING_SECRET"),
    ],
)
def test_a_missing_token_is_named(given: dict[str, str], names: str) -> None:
    (problem,) = problems(**given)
    assert names in problem


def test_a_bot_token_alone_is_told_of_both_ways() -> None:
    assert problems(slack_bot_token=TOKEN) == [
        "SAYSO_SLACK_SIGNING_SECRET: Slack by http needs SLACK_SIGNING_SECRET,"
        " or SLACK_APP_TOKEN (xapp-…) for Socket Mode"
    ]


def test_the_way_to_slack_follows_from_what_was_given() -> None:
    assert load(slack_bot_token=TOKEN, slack_app_token="xapp-1").resolved_slack_mode() == "socket"
    assert load(slack_bot_token=TOKEN, slack_signing_secret="s").resolved_slack_mode() == "http"
    assert load(slack_bot_token=TOKEN, slack_mode="off").resolved_slack_mode() == "off"


def test_code_comes_before_environment_before_dot_env_before_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sayso.toml").write_text('issuer = "https://file"\nport = 1\npartitions = 2\nhost = "10.0.0.1"\n')
    (folder / ".env").write_text("SAYSO_PORT=2\nSAYSO_PARTITIONS=3\nSAYSO_ISSUER=https://dot\n")
    monkeypatch.setenv("SAYSO_PARTITIONS", "4")
    monkeypatch.setenv("SAYSO_ISSUER", "https://environment")
    settings = load(issuer="https://code")
    assert (settings.issuer, settings.partitions, settings.port, settings.host) == ("https://code", 4, 2, "10.0.0.1")


@pytest.mark.parametrize("variable", ["SAYSO_REDIS_URL", "REDIS_URL"])
def test_the_usual_names_are_understood_and_code_comes_before_them(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "redis://elsewhere:1/0")
    assert load().redis_url == "redis://elsewhere:1/0"
    assert load(redis_url="redis://here:2/0").redis_url == "redis://here:2/0"


def test_our_own_name_comes_before_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://anybodys:1/0")
    monkeypatch.setenv("SAYSO_REDIS_URL", "redis://ours:1/0")
    assert load().redis_url == "redis://ours:1/0"


def test_variables_of_other_programs_configure_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "PORT", "STATE", "POLICY", "ISSUER", "PARTITIONS", "LOG_LEVEL"):
        monkeypatch.setenv(name, "9999")
    settings = load()
    assert (settings.host, settings.port, settings.partitions) == ("127.0.0.1", 8080, 1)
    assert (settings.state, settings.policy) == (Path(".sayso"), Path("policy.yaml"))


def test_another_file_can_be_named_and_must_be_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAYSO_CONFIG", "other.toml")
    assert problems() == ["SAYSO_CONFIG: there is no file other.toml"]
    (folder / "other.toml").write_text("port = 5\n")
    assert load().port == 5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("prot = 1", "sayso.toml: prot: there is no such setting; did you mean port?"),
        ("port = ", "sayso.toml: not TOML: "),
        ("port = 70000", "SAYSO_PORT: Input should be less than or equal to 65535"),
        ('redis_url = "http://x"', "SAYSO_REDIS_URL: expected the URL of a Redis, such as redis://127.0.0.1:6379/0"),
        ('slack_mode = "mail"', "SAYSO_SLACK_MODE: Input should be"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(folder: Path, text: str, problem: str) -> None:
    (folder / "sayso.toml").write_text(text)
    (found,) = problems()
    assert found.startswith(problem)


SHAPED = {
    "redis_url", "operators_channel", "otlp_endpoint", "teams_app_id", "teams_tenant_id",
    "teams_services", "teams_authority", "teams_openid_url", "teams_graph_url", "pagerduty_subdomain",
}  # fmt: skip


def test_every_setting_of_a_certain_form_gives_an_example_of_it() -> None:
    said = problems(**dict.fromkeys(Settings.model_fields, "not\nthis"))
    told = {problem.partition(":")[0].removeprefix("SAYSO_").lower() for problem in said if "such as " in problem}
    assert told == SHAPED
    assert not [problem for problem in said if "pattern" in problem or set("^\\") & set(problem)]


def test_an_id_with_something_behind_it_is_none() -> None:
    assert problems(teams_app_id=f"{ID}\n")


def test_no_error_and_no_repr_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    monkeypatch.setenv("SLACK_APP_TOKEN", "xapp-very-secret")
    monkeypatch.setenv("SAYSO_REDIS_URL", "http://:very-secret@host")
    monkeypatch.setenv("SAYSO_PORT", "very-secret")
    assert "very-secret" not in "\n".join(problems())
    monkeypatch.setenv("SAYSO_REDIS_URL", "redis://host")
    monkeypatch.delenv("SAYSO_PORT")
    assert "very-secret" not in repr(load())


def test_the_redis_password_is_in_no_repr() -> None:
    assert "hunter2" not in repr(load(redis_url="redis://:hunter2@host:6379/0"))


ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


def test_teams_needs_an_app_its_tenant_and_one_proof() -> None:
    assert problems(teams_app_id=ID) == ["SAYSO_TEAMS_TENANT_ID: Teams needs it; see docs/how-to/teams-app.md"]
    assert "exactly one of" in problems(teams_app_id=ID, teams_tenant_id=ID)[0]
    both = problems(teams_app_id=ID, teams_tenant_id=ID, teams_client_secret=TOKEN, teams_managed_identity=True)
    assert "exactly one of" in both[0]
    assert TOKEN not in both[0]
    assert load(teams_app_id=ID.upper(), teams_tenant_id=ID, teams_client_secret=TOKEN).teams_app_id == ID


@pytest.mark.parametrize("address", ["http://evil.example/", "http://localhost.evil.example/", "https://a http://b/"])
def test_microsoft_is_called_over_https_alone(address: str) -> None:
    assert problems(teams_services=address)
    assert load(teams_services="https://a http://localhost:56150/_connector").teams_services


def test_on_call_is_whole_or_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    found = load(oncall_calendars="primary=/etc/duty.ics second=https://calendar.example/secret.ics")
    assert found.calendars() == {"primary": "/etc/duty.ics", "second": "https://calendar.example/secret.ics"}
    assert "secret.ics" not in repr(found)
    for wrong in ("primary", "=x", "primary=http://calendar.example/duty.ics", "primary=ftp://x/y"):
        with pytest.raises(SettingsInvalid, match="SAYSO_ONCALL_CALENDARS: write name=path"):
            load(oncall_calendars=wrong)
    with pytest.raises(SettingsInvalid, match="SAYSO_PAGERDUTY_SUBDOMAIN: say"):
        load(pagerduty_token="u+x")
