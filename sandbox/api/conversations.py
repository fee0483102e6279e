"""conversations.*: channels, their members and their history."""

from __future__ import annotations

from sandbox.api.call import Call, Json, Methods, page
from sandbox.channels import Channel, Message
from sandbox.errors import SlackError

_PREFIX = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}
_TYPES = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}

methods = Methods()


def _need(call: Call, channel: Channel, right: str) -> None:
    call.need(f"{_PREFIX[channel.kind]}:{right}")


@methods.add("conversations.info")
async def info(call: Call) -> Json:
    """One conversation."""
    channel = call.channel()
    _need(call, channel, "read")
    body = channel.as_json(call.workspace.team_id, call.bot)
    if not call.args.flag("include_num_members"):
        body.pop("num_members", None)
    return {"channel": body}


@methods.add("conversations.list")
async def list_all(call: Call) -> Json:
    """Every conversation of the asked types the bot may see."""
    return _listed(call, [channel for channel in _of_types(call) if _seen(channel, call.bot)])


@methods.add("users.conversations")
async def of_user(call: Call) -> Json:
    """The conversations a user is a member of; the bot's own unless another user is named."""
    user = call.args.text("user") or call.bot
    mine = [channel for channel in _of_types(call) if user in channel.members and _seen(channel, call.bot)]
    return _listed(call, mine)


def _seen(channel: Channel, viewer: str) -> bool:
    return channel.kind == "channel" or viewer in channel.members


def _of_types(call: Call) -> list[Channel]:
    asked = [kind.strip() for kind in call.args.text("types", "public_channel").split(",")]
    if unknown := set(asked) - set(_TYPES):
        raise SlackError("invalid_types", arg=",".join(sorted(unknown)))
    kinds = {_TYPES[kind] for kind in asked}
    for kind in kinds:
        call.need(f"{_PREFIX[kind]}:read")
    hide = call.args.flag("exclude_archived")
    everything = call.workspace.channels.values()
    return [channel for channel in everything if channel.kind in kinds and not (hide and channel.is_archived)]


def _listed(call: Call, channels: list[Channel]) -> Json:
    shown, cursor = page(channels, call.args, 100)
    return {
        "channels": [channel.as_json(call.workspace.team_id, call.bot) for channel in shown],
        "response_metadata": {"next_cursor": cursor},
    }


@methods.add("conversations.open")
async def open_direct(call: Call) -> Json:
    """Open the direct message with one person, or with several."""
    if call.args.text("channel"):
        channel = call.channel()
    else:
        users = [user for user in call.args.text("users").split(",") if user]
        if not users:
            raise SlackError("users_list_not_supplied")
        call.need("im:write" if len(users) == 1 else "mpim:write")
        _refuse_unreachable(call, users)
        channel = call.workspace.direct_channel(call.bot, *users)
    full = channel.as_json(call.workspace.team_id, call.bot)
    return {"channel": full if call.args.flag("return_im") else {"id": channel.id}}


def _refuse_unreachable(call: Call, users: list[str]) -> None:
    if len(users) > 8:
        raise SlackError("too_many_users")
    for user_id in users:
        user = call.workspace.users.get(user_id)
        if user is None:
            raise SlackError("user_not_found")
        if user.deleted:
            raise SlackError("user_disabled")
        if user.is_bot:
            raise SlackError("cannot_dm_bot")


@methods.add("conversations.members")
async def members(call: Call) -> Json:
    """The ids of a conversation's members."""
    channel = call.channel()
    _need(call, channel, "read")
    shown, cursor = page(channel.members, call.args, 100)
    return {"members": shown, "response_metadata": {"next_cursor": cursor}}


@methods.add("conversations.join", "channels:join")
async def join(call: Call) -> Json:
    """Join a public channel."""
    channel = call.channel()
    if channel.kind != "channel":
        raise SlackError("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise SlackError("is_archived")
    already = call.bot in channel.members
    call.workspace.join(channel.id, call.bot)
    answer: Json = {"channel": channel.as_json(call.workspace.team_id, call.bot)}
    if already:
        call.warnings.append("already_in_channel")
    return answer


@methods.add("conversations.history")
async def history(call: Call) -> Json:
    """Messages of a conversation, the newest first, without replies in threads."""
    channel = _readable(call)
    lines = [message for message in channel.ordered() if not message.is_reply or message.broadcast]
    found = _between(call, lines)[::-1]
    shown, cursor = page(found, call.args, _page_size(call), 999)
    return _messages(call, channel, shown, cursor)


@methods.add("conversations.replies")
async def replies(call: Call) -> Json:
    """A thread, the parent first, then the replies from old to new."""
    channel = _readable(call)
    parent = channel.find(call.args.text("ts"))
    if parent is None:
        raise SlackError("thread_not_found")
    thread = [parent, *_between(call, channel.replies(parent.ts))]
    shown, cursor = page(thread, call.args, _page_size(call), 1000)
    return _messages(call, channel, shown, cursor)


def _readable(call: Call) -> Channel:
    channel = call.channel()
    _need(call, channel, "history")
    if call.bot not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def _page_size(call: Call) -> int:
    """15 for the apps that Slack limited in 2025, 100 for everybody else."""
    return 100 if call.slack.limiter.settings.history_per_minute is None else 15


def _between(call: Call, messages: list[Message]) -> list[Message]:
    oldest = call.args.text("oldest", "0")
    latest = call.args.text("latest")
    inclusive = call.args.flag("inclusive")
    low = _seconds(oldest, "invalid_ts_oldest")
    high = _seconds(latest, "invalid_ts_latest") if latest else float("inf")

    def inside(message: Message) -> bool:
        at = float(message.ts)
        return low <= at <= high if inclusive else low < at < high

    return [message for message in messages if inside(message)]


def _seconds(ts: str, error: str) -> float:
    try:
        return float(ts)
    except ValueError:
        raise SlackError(error) from None


def _messages(call: Call, channel: Channel, shown: list[Message], cursor: str) -> Json:
    everything = call.args.flag("include_all_metadata")
    body: Json = {
        "messages": [_with_thread(call, channel, message, everything) for message in shown],
        "has_more": bool(cursor),
        "pin_count": 0,
    }
    if cursor:
        body["response_metadata"] = {"next_cursor": cursor}
    return body


def _with_thread(call: Call, channel: Channel, message: Message, everything: bool) -> Json:
    body = message.as_json(call.workspace.team_id, all_metadata=everything)
    answers = channel.replies(message.ts)
    if answers and not message.is_reply:
        writers = list(dict.fromkeys(answer.user for answer in answers))
        body |= {
            "thread_ts": message.ts,
            "reply_count": len(answers),
            "reply_users_count": len(writers),
            "reply_users": writers,
            "latest_reply": answers[-1].ts,
        }
    return body
