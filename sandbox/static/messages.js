// The messages of one channel: who, when, what; threads beneath; what only one person sees; what went wrong.

import { ask, drawBlocks } from "./blocks.js";
import { avatar, fill, h, icon } from "./dom.js";
import { act, lookText, sentence } from "./server.js";
import { directory, mrkdwn } from "./text.js";

const GROUP_SECONDS = 300;
const list = document.getElementById("messages");

const failures = new Map(); // "channel:ts" → sentence
const busy = new Set(); // "channel:ts:block:action" while the app has not answered
const drafts = new Map(); // "channel:ts" → {block_id: {action_id: value}}
const drawn = new Map(); // ts → {key, node}
const openThreads = new Set();
let shown = { channel: {}, messages: [], appName: "" };

/** Draw the messages, touching only what changed; stays at the end if it was there. */
export function drawMessages(channel, messages, appName) {
  if (channel.id !== shown.channel.id) {
    drawn.clear();
    list.replaceChildren();
  }
  const atEnd = channel.id !== shown.channel.id || list.scrollHeight - list.scrollTop - list.clientHeight < 120;
  shown = { channel, messages, appName };
  const focused = focusKey();
  place(rows(channel, messages));
  refocus(focused);
  if (atEnd) list.scrollTop = list.scrollHeight;
}

const redraw = () => drawMessages(shown.channel, shown.messages, shown.appName);

/** The rows of the list in order: day lines, messages, thread replies under their parent. */
function rows(channel, messages) {
  const replies = groupBy(messages, parentOf);
  const wanted = messages.length ? [] : [row("empty", channel.id, () => welcome(channel))];
  let previous = null;
  for (const message of replies.get("") ?? []) {
    const day = new Date(message.ts * 1000).toDateString();
    if (!previous || new Date(previous.ts * 1000).toDateString() !== day) wanted.push(row(`day ${day}`, day, () => dayLine(message.ts)));
    const thread = replies.get(message.ts) ?? [];
    const follows = goesOn(previous, message);
    const key = JSON.stringify([message, thread, follows, openThreads.has(message.ts), stateOf(message), thread.map(stateOf), directory.me]);
    wanted.push(row(message.ts, key, () => drawMessage(message, { follows, thread })));
    previous = message;
  }
  return wanted;
}

const row = (id, key, draw) => ({ id, key, draw });
const parentOf = (message) => (message.thread_ts && message.thread_ts !== message.ts ? message.thread_ts : "");

function groupBy(items, keyOf) {
  const groups = new Map();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

/** A person's next line within five minutes needs no name; an app's card always has one. */
function goesOn(previous, message) {
  if (!previous || previous.user !== message.user || message.ephemeral || previous.ephemeral || message.bot_id) return false;
  return message.ts - previous.ts < GROUP_SECONDS;
}

function stateOf(message) {
  const id = `${shown.channel.id}:${message.ts}`;
  return [failures.get(id), (message.files ?? []).map((file) => openFiles.has(file.id)), [...busy].filter((key) => key.startsWith(id))];
}

function place(wanted) {
  const kept = new Set(wanted.map((item) => item.id));
  for (const [id, { node }] of drawn) {
    if (!kept.has(id)) {
      node.remove();
      drawn.delete(id);
    }
  }
  wanted.forEach(({ id, key, draw }, index) => {
    let known = drawn.get(id);
    if (!known || known.key !== key) {
      const node = draw();
      if (known) known.node.replaceWith(node);
      known = { key, node };
      drawn.set(id, known);
    }
    if (list.children[index] !== known.node) list.insertBefore(known.node, list.children[index] ?? null);
  });
}

// ---------------------------------------------------------------- keeping the focus

function focusKey() {
  const at = document.activeElement;
  if (!list.contains(at) || !at.dataset.ts) return null;
  const { ts, actionId, blockId, value } = at.dataset;
  return { ts, actionId, blockId, value };
}

function refocus(key) {
  if (!key || document.activeElement !== document.body) return;
  const same = [...list.querySelectorAll("[data-ts]")].find(({ dataset }) =>
    dataset.ts === key.ts && dataset.actionId === key.actionId && dataset.blockId === key.blockId && dataset.value === key.value);
  (same ?? list.querySelector(`article[data-ts="${CSS.escape(key.ts)}"]`))?.focus({ preventScroll: true });
}

// ---------------------------------------------------------------- one message

function drawMessage(message, { follows = false, thread = [], reply = false } = {}) {
  const user = directory.users.get(message.user) ?? { id: message.user, real_name: message.user };
  const classes = ["message", follows && "follows", reply && "reply", message.ephemeral && "ephemeral"].filter(Boolean).join(" ");
  const data = { ts: message.ts, channel: shown.channel.id, user: message.user };
  return h("article", { class: classes, data, tabindex: "-1", "aria-label": `${user.real_name}, ${clock(message.ts)}` },
    message.ephemeral && h("p", { class: "only-you" }, icon("eye"), "Only visible to you"),
    h("div", { class: "gutter" }, follows ? time(message.ts) : avatar(user, reply ? "small" : "")),
    h("div", { class: "body" },
      !follows && byline(user, message),
      content(message),
      failure(message),
      !reply && thread.length > 0 && threadLine(message, thread),
      !reply && openThreads.has(message.ts) && threadBody(message, thread)),
    !reply && !message.ephemeral && h("div", { class: "tools" },
      h("button", { type: "button", class: "icon-button", title: "Reply in thread", "aria-label": "Reply in thread", data: { reply: message.ts }, on: { click: () => toggleThread(message.ts, true) } }, icon("reply"))));
}

const clock = (ts) => new Date(ts * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
const time = (ts) => h("time", { datetime: new Date(ts * 1000).toISOString(), title: new Date(ts * 1000).toLocaleString("en-GB") }, clock(ts));

function byline(user, message) {
  return h("div", { class: "byline" },
    h("strong", { class: "name" }, user.real_name),
    user.bot && h("span", { class: "badge" }, "APP"),
    user.guest && h("span", { class: "badge badge-guest" }, "GUEST"),
    time(message.ts));
}

function content(message) {
  const edited = message.edited && h("span", { class: "edited", title: `Edited ${clock(message.edited.ts)}` }, "(edited)");
  if (message.files?.length) return h("div", { class: "text" }, mrkdwn(message.text), message.files.map(fileCard));
  if (!message.blocks?.length) return h("div", { class: "text" }, mrkdwn(message.text), edited && " ", edited);
  return h("div", { class: "blocks" }, drawBlocks(message.blocks, contextFor(message)), edited);
}

const openFiles = new Map(); // file id → its text, once somebody looked at it

/** A text file: its title and size, and its text for whoever opens it. */
function fileCard(file) {
  const body = h("pre", { class: "file-text", hidden: !openFiles.has(file.id) }, openFiles.get(file.id) ?? "");
  const label = h("span", { class: "file-hint" }, openFiles.has(file.id) ? "Hide" : "View");
  const open = async () => {
    if (openFiles.has(file.id)) openFiles.delete(file.id);
    else openFiles.set(file.id, await lookText(`/page/files/${encodeURIComponent(file.id)}`, { user: directory.me }));
    redraw();
  };
  return h("div", { class: "file" },
    h("button", { type: "button", class: "file-head", "aria-expanded": String(openFiles.has(file.id)), data: { file: file.id }, on: { click: open } },
      icon("file"), h("span", { class: "file-names" }, h("strong", {}, file.title), h("span", { class: "file-kind" }, `${file.name} · ${file.pretty_type}, ${file.size.toLocaleString("en-GB")} bytes`)), label),
    body);
}

function contextFor(message) {
  const id = `${shown.channel.id}:${message.ts}`;
  const filled = drafts.get(id) ?? {};
  const channel = shown.channel.id;
  return {
    place: { ts: message.ts, channel },
    busy: (block, element) => busy.has(`${id}:${block.block_id}:${element.action_id}`),
    draft: (block, element) => filled[block.block_id]?.[element.action_id] ?? initial(element),
    keep: (block, element, value) => {
      (filled[block.block_id] ??= {})[element.action_id] = value;
      drafts.set(id, filled);
    },
    use: (block, element, choose) => press({ id, channel, ts: message.ts, block, element, choose, state: filled }),
  };
}

/** What an element starts with, as the plain value of its control. */
export function initial(element) {
  if (element.initial_options) return element.initial_options.map((option) => option.value);
  return element.initial_option?.value ?? element.initial_value ?? element.initial_user ?? element.initial_date ?? element.initial_time ?? element.initial_channel ?? element.initial_conversation;
}

async function press({ id, channel, ts, block, element, choose, state }) {
  const key = `${id}:${block.block_id}:${element.action_id}`;
  if (busy.has(key)) return;
  if (element.confirm && !(await ask(element.confirm))) return;
  if (element.url && /^https?:/.test(element.url)) window.open(element.url, "_blank", "noopener,noreferrer");
  busy.add(key);
  failures.delete(id);
  redraw();
  const outcome = await act("click", { user: directory.me, channel, ts, action_id: element.action_id, block_id: block.block_id, choose, state });
  busy.delete(key);
  if (!outcome.ok) failures.set(id, sentence(outcome, shown.appName));
  redraw();
}

function failure(message) {
  const said = failures.get(`${shown.channel.id}:${message.ts}`);
  return said && h("p", { class: "failure", role: "alert" }, icon("warning"), said);
}

// ---------------------------------------------------------------- threads, days, the beginning

function threadLine(message, thread) {
  const open = openThreads.has(message.ts);
  const writers = [...new Set(thread.map((reply) => reply.user))].slice(0, 4);
  const words = `${thread.length} ${thread.length === 1 ? "reply" : "replies"}`;
  return h("button", { type: "button", class: "thread-line", "aria-expanded": String(open), data: { thread: message.ts }, on: { click: () => toggleThread(message.ts) } },
    writers.map((id) => avatar(directory.users.get(id), "tiny")), h("span", {}, words), h("span", { class: "thread-hint" }, open ? "Hide" : "View thread"));
}

function toggleThread(ts, open = !openThreads.has(ts)) {
  if (open) openThreads.add(ts);
  else openThreads.delete(ts);
  redraw();
  if (open) drawn.get(ts)?.node.querySelector(".thread input")?.focus();
}

function threadBody(message, thread) {
  const line = h("input", { type: "text", placeholder: "Reply …", "aria-label": "Reply in thread", maxlength: "4000" });
  const send = async (event) => {
    event.preventDefault();
    const text = line.value.trim();
    line.value = "";
    if (text) await act("say", { user: directory.me, channel: shown.channel.id, text, thread_ts: message.ts });
  };
  return h("div", { class: "thread" },
    thread.map((reply) => drawMessage(reply, { reply: true })),
    h("form", { class: "thread-form", on: { submit: send } }, line, h("button", { type: "submit", class: "btn btn-primary" }, "Reply")));
}

function dayLine(ts) {
  const date = new Date(ts * 1000);
  const midnight = (moment) => new Date(moment).setHours(0, 0, 0, 0);
  const days = Math.round((midnight(date) - midnight(Date.now())) / 86_400_000);
  const words = { 0: "Today", "-1": "Yesterday" }[days] ?? date.toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long" });
  return h("div", { class: "day", role: "separator" }, h("span", {}, words));
}

function welcome(channel) {
  const name = channel.name ? `#${channel.name}` : channel.title;
  return h("div", { class: "welcome" }, h("h2", {}, name), h("p", {}, channel.topic || "This is the very beginning of the conversation."));
}

/** Forget what belongs to one viewer. */
export function forget() {
  failures.clear();
  drafts.clear();
  drawn.clear();
  fill(list);
}
