"""What people do: click, fill in modals, type commands, write. One method per gesture, no rule of the app in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.blocks import interactive_elements
from sandbox.channels import Channel, Message
from sandbox.delivery import payloads
from sandbox.delivery.deliver import Deliverer
from sandbox.errors import CannotDo, InvalidPayload, NotOnScreen, SlackError
from sandbox.log import Delivery
from sandbox.people import User
from sandbox.responses import Responses
from sandbox.slack import Slack
from sandbox.triggers import ResponseUrl
from sandbox.view_state import action, complete, entered
from sandbox.views import View

Json = dict[str, Any]
Alter = Callable[[Json], None]


class Acts:
    """People's gestures; each returns the delivery to the app, or raises CannotDo if the screen forbids it.

    `alter`, where there is one, may change the payload before it is signed and sent: for tests of what a forged
    or foreign payload does to the app.
    """

    def __init__(self, slack: Slack, deliverer: Deliverer, responses: Responses) -> None:
        self.slack = slack
        self._deliverer = deliverer
        self._responses = responses

    # ------------------------------------------------------------ messages

    async def click(
        self,
        user: str,
        channel: str,
        ts: str,
        action_id: str,
        block_id: str | None = None,
        value: str | None = None,
        *,
        choose: Any = None,
        state: Mapping[str, Any] | None = None,
        alter: Alter | None = None,
    ) -> Delivery:
        """Use a button, or choose in a menu, of a message.

        `block_id` and `value` tell buttons with the same action_id apart; `choose` is the value chosen in a
        menu (a list where several can be chosen); `state` is what else was filled in: {block_id: {action_id: …}}.
        """
        person, place = self._member(user, channel)
        message = place.find(ts, user)
        if message is None:
            raise NotOnScreen(f"{user} sees no message {ts} in {channel}")
        block, element = _find(message.blocks, action_id, block_id, value)
        body = payloads.message_actions(
            self.slack.workspace,
            person,
            place,
            message,
            action(block, element, choose, self.slack.workspace.next_ts()),
            self._extras(person, place, message) | {"state": {"values": _state(message.blocks, state)}},
        )
        return await self._send("block_actions", body, alter)

    def _extras(self, user: User, channel: Channel, message: Message | None = None) -> Json:
        ts, hidden = (message.ts, message.only_for is not None) if message else (None, False)
        return {
            "trigger_id": self.slack.triggers.issue(user.id),
            "response_url": self.slack.response_urls.issue(channel.id, user.id, ts, ephemeral=hidden),
        }

    async def say(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> Message:
        """Write a plain message; the app hears of it only if it has subscribed to such events."""
        _, place = self._member(user, channel)
        if place.is_archived:
            raise CannotDo("this channel is archived")
        workspace = self.slack.workspace
        message = workspace.say(user, channel, payloads.escaped(workspace, text), thread_ts)
        self._tell_of(place, message)
        return message

    def _tell_of(self, channel: Channel, message: Message) -> None:
        app = self.slack.workspace.app
        if app.bot_user not in channel.members:
            return
        plural = {"channel": "channels", "group": "groups"}.get(channel.kind, channel.kind)
        event = message.as_json(self.slack.workspace.team_id) | {
            "channel": channel.id,
            "channel_type": channel.kind,
            "event_ts": message.ts,
        }
        if f"message.{plural}" in app.events:
            self._deliverer.event_soon(event)
        if "app_mention" in app.events and f"<@{app.bot_user}" in message.text:
            self._deliverer.event_soon(event | {"type": "app_mention"})

    # ------------------------------------------------------------ modals and home

    async def click_in_view(
        self,
        user: str,
        view_id: str,
        action_id: str,
        block_id: str | None = None,
        value: str | None = None,
        *,
        choose: Any = None,
        values: Mapping[str, Any] | None = None,
        alter: Alter | None = None,
    ) -> Delivery:
        """Use a button or menu of a modal or of the home tab."""
        person = self._person(user)
        view = self.slack.views.on_screen(user, view_id)
        block, element = _find(view.blocks, action_id, block_id, value)
        _fill(view, values or {})
        if element["type"] not in {"button", "overflow"}:
            view.values.setdefault(block["block_id"], {})[action_id] = entered(element, choose)
        body = payloads.view_actions(
            self.slack.workspace,
            person,
            self.slack.views.as_json(view),
            action(block, element, choose, self.slack.workspace.next_ts()),
            self.slack.triggers.issue(user, view_id),
        )
        return await self._send("block_actions", body, alter)

    async def submit_view(
        self, user: str, view_id: str, values: Mapping[str, Any], *, alter: Alter | None = None
    ) -> Delivery:
        """Submit a modal; `values` is {block_id: what was entered} (a string, or a list for several choices).

        IncompleteForm if the client would not have let it go. The app's answer (clear, update, push, errors) is
        carried out; an answer Slack would not take is in the delivery's `error` and the modal stays open.
        """
        person = self._person(user)
        view = self.slack.views.on_screen(user, view_id)
        if view.type != "modal" or not view.definition.get("submit"):
            raise CannotDo("this view has no submit button")
        _fill(view, values)
        complete(view.blocks, view.values)
        shown = self.slack.views.as_json(view)
        trigger_id = self.slack.triggers.issue(user, view_id)
        body = payloads.view_submission(self.slack.workspace, person, shown, trigger_id)
        delivery = await self._send("view_submission", body, alter)
        return self._carry_out(view, delivery) if delivery.ok else delivery

    def _carry_out(self, view: View, delivery: Delivery) -> Delivery:
        try:
            self._follow(view, delivery.body if isinstance(delivery.body, dict) else {})
        except InvalidPayload as refusal:
            return _failed(delivery, f"invalid_response: {'; '.join(refusal.messages)}")
        except SlackError as refusal:
            return _failed(delivery, f"invalid_response: {refusal.code}")
        return delivery

    def _follow(self, view: View, answer: Json) -> None:
        """What the acknowledgement of a submission asks for; nothing means: close this one."""
        views = self.slack.views
        match answer.get("response_action"):
            case None:
                views.pop(view)
            case "clear":
                views.clear(view.user)
            case "update":
                views.update(view, answer.get("view") or {})
            case "push":
                views.push(view.user, answer.get("view") or {})
            case "errors":
                views.show_errors(view, _checked_errors(view, answer.get("errors")))
            case unknown:
                raise SlackError(f"unknown response_action {unknown}")

    async def close_view(self, user: str, view_id: str, *, everything: bool = False) -> list[Delivery]:
        """Cancel the modal in front (`everything`: the X that closes the whole stack); tells the app if it asked to."""
        person = self._person(user)
        view = self.slack.views.on_screen(user, view_id)
        everything = everything or bool(view.definition.get("clear_on_close"))
        if everything:
            closed = self.slack.views.clear(user)
        else:
            self.slack.views.pop(view)
            closed = [view]
        return [await self._closed(person, one, everything) for one in closed if one.definition.get("notify_on_close")]

    async def _closed(self, user: User, view: View, cleared: bool) -> Delivery:
        shown = self.slack.views.as_json(view)
        body = payloads.view_closed(self.slack.workspace, user, shown, is_cleared=cleared)
        return await self._send("view_closed", body, None)

    async def open_home(self, user: str) -> Delivery | None:
        """Look at the app's home tab; the app hears app_home_opened, if it has subscribed."""
        workspace = self.slack.workspace
        person = self._person(user)
        if "app_home_opened" not in workspace.app.events:
            return None
        channel = workspace.direct_channel(person.id, workspace.app.bot_user)
        event: Json = {
            "type": "app_home_opened",
            "user": user,
            "channel": channel.id,
            "tab": "home",
            "event_ts": workspace.next_ts(),
        }
        if home := self.slack.views.home(user):
            event["view"] = self.slack.views.as_json(home)
        return await self._deliverer.event(event)

    # ------------------------------------------------------------ commands and shortcuts

    async def command(
        self, user: str, channel: str, command: str, text: str = "", *, alter: Alter | None = None
    ) -> Delivery:
        """Type a slash command; a message in the acknowledgement is shown as Slack shows it."""
        person, place = self._member(user, channel)
        if command not in self.slack.workspace.app.commands:
            raise CannotDo(f"{command} is not a valid command")
        extras = self._extras(person, place)
        body = payloads.slash_command(self.slack.workspace, person, place, command, text, extras)
        delivery = await self._send("slash_commands", body, alter)
        return self._show_answer(delivery, place, person) if delivery.ok else delivery

    def _show_answer(self, delivery: Delivery, channel: Channel, user: User) -> Delivery:
        answer = {"text": delivery.body} if isinstance(delivery.body, str) else delivery.body
        if not answer or not (answer.get("text") or answer.get("blocks")):
            return delivery
        try:
            self._responses.respond(ResponseUrl("", channel.id, user.id, self.slack.now()), answer)
        except SlackError as refusal:
            return _failed(delivery, f"invalid_response: {refusal.code}")
        return delivery

    async def shortcut(
        self, user: str, callback_id: str, channel: str | None = None, ts: str | None = None
    ) -> Delivery:
        """Use a shortcut: global, or of the message at `ts` in `channel`."""
        workspace = self.slack.workspace
        at = workspace.next_ts()
        if channel is None or ts is None:
            trigger = self.slack.triggers.issue(user)
            body = payloads.global_shortcut(workspace, self._person(user), callback_id, trigger, at)
            return await self._send("shortcut", body, None)
        person, place = self._member(user, channel)
        message = place.find(ts, user)
        if message is None:
            raise NotOnScreen(f"{user} sees no message {ts} in {channel}")
        extras = self._extras(person, place, message) | {"action_ts": at}
        body = payloads.message_shortcut(workspace, person, callback_id, place, message, extras)
        return await self._send("message_action", body, None)

    async def deliver(self, kind: str, payload: Json) -> Delivery:
        """Send any payload, signed and in time, whether or not a screen would have allowed it."""
        return await self._send(kind, payload, None)

    async def send_event(self, event: Json) -> Delivery:
        """Send any event of the Events API."""
        return await self._deliverer.event(event)

    # ------------------------------------------------------------ who and where

    def _person(self, user: str) -> User:
        person = self.slack.workspace.users.get(user)
        if person is None or person.deleted:
            raise CannotDo(f"{user} has no active account here")
        return person

    def _member(self, user: str, channel: str) -> tuple[User, Channel]:
        person = self._person(user)
        place = self.slack.workspace.channels.get(channel)
        if place is None or user not in place.members:
            raise NotOnScreen(f"{user} is not in {channel}")
        return person, place

    async def _send(self, kind: str, body: Json, alter: Alter | None) -> Delivery:
        if alter:
            alter(body)
        return await self._deliverer.deliver(kind, body)


def _find(blocks: list[Json], action_id: str, block_id: str | None, value: str | None) -> tuple[Json, Json]:
    for block, element in interactive_elements(blocks):
        if element["action_id"] != action_id or block_id not in {None, block["block_id"]}:
            continue
        if value is None or element.get("value") == value:
            return block, element
    raise NotOnScreen(f"there is nothing to click with action_id {action_id!r}")


def _fill(view: View, values: Mapping[str, Any]) -> None:
    for block, element in interactive_elements(view.blocks):
        if block["block_id"] in values and element["type"] not in {"button", "overflow"}:
            state = entered(element, values[block["block_id"]])
            view.values.setdefault(block["block_id"], {})[element["action_id"]] = state


def _state(blocks: list[Json], chosen: Mapping[str, Any] | None) -> Json:
    values: Json = {}
    for block, element in interactive_elements(blocks):
        given = (chosen or {}).get(block["block_id"], {})
        if element["action_id"] in given and element["type"] not in {"button", "overflow"}:
            state = entered(element, given[element["action_id"]])
            values.setdefault(block["block_id"], {})[element["action_id"]] = state
    return values


def _checked_errors(view: View, errors: Any) -> dict[str, str]:
    inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
    if not isinstance(errors, dict) or not errors or not set(errors) <= inputs:
        raise SlackError("errors must name input blocks of the view")
    return {str(block): str(sentence) for block, sentence in errors.items()}


def _failed(delivery: Delivery, error: str) -> Delivery:
    return Delivery(
        delivery.kind, delivery.transport, delivery.status, delivery.body, delivery.elapsed, error, delivery.payload
    )
