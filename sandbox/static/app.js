// The page as a whole: who looks, at what; the sidebar, the user switch, the composer; live updates.

import { append, avatar, fill, h, icon } from "./dom.js";
import { drawMessages, forget } from "./messages.js";
import { drawHome, drawModals, forgetModals } from "./modal.js";
import { act, listen, look, sentence } from "./server.js";
import { directory } from "./text.js";

const byId = (id) => document.getElementById(id);
const sidebar = byId("sidebar");
const whoButton = byId("who");
const whoMenu = byId("who-menu");
const composer = byId("composer-text");
const commands = byId("commands");

let state = null;
let messages = [];
let stream = null;
let at = { user: "", channel: "", tab: "messages" };

// ---------------------------------------------------------------- where we are: #user/channel/tab

function fromAddress() {
  const [user = "", channel = "", tab = "messages"] = location.hash.slice(1).split("/").map(decodeURIComponent);
  return { user, channel, tab };
}

function go(place) {
  const next = { ...at, tab: "messages", ...place };
  location.hash = [next.user, next.channel, ...(next.tab === "home" ? ["home"] : [])].map(encodeURIComponent).join("/");
}

async function arrive() {
  const wanted = fromAddress();
  const changed = wanted.user !== at.user || !state;
  at = wanted;
  if (changed) await beSomebody();
  else await showPlace();
}

async function beSomebody() {
  forget();
  forgetModals();
  try {
    state = await look("/page/state", at.user ? { user: at.user } : {});
  } catch {
    state = await look("/page/state", {});
  }
  at.user = state.me;
  if (!here()) at.channel = state.channels[0]?.id ?? "";
  history.replaceState(null, "", `#${at.user}/${at.channel}${at.tab === "home" ? "/home" : ""}`);
  stream?.close();
  stream = listen(at.user, soon, soon);
  learn();
  await showPlace();
}

const here = () => state.channels.find((channel) => channel.id === at.channel);

function learn() {
  directory.me = state.me;
  directory.domain = state.team.domain;
  directory.users = new Map(state.users.map((user, order) => [user.id, { ...user, order }]));
  directory.groups = state.groups;
  directory.channels = new Map(state.channels.map((channel) => [channel.id, channel]));
}

// ---------------------------------------------------------------- live updates

let waiting = null;
let running = false;
let again = false;

/** Look again, at most once in 60 ms, however much happens. */
function soon() {
  if (running) again = true;
  else waiting ??= setTimeout(refresh, 60);
}

async function refresh() {
  waiting = null;
  running = true;
  try {
    state = await look("/page/state", { user: at.user });
    learn();
    await showPlace();
  } catch {
    toast("The sandbox does not answer.");
  }
  running = false;
  if (again) {
    again = false;
    soon();
  }
}

async function showPlace() {
  const channel = here();
  if (!channel) return go({ channel: state.channels[0]?.id ?? "" });
  const asked = { ...at };
  messages = (await look("/page/messages", { user: at.user, channel: at.channel })).messages;
  if (asked.user !== at.user || asked.channel !== at.channel) return;
  markRead(channel);
  drawAround(channel);
  drawMessages({ ...channel, title: titleOf(channel) }, messages, state.app.name);
  drawModals(state.views, state.app.name);
}

// ---------------------------------------------------------------- what is read

const readKey = (channel) => `read:${state.team.id}:${at.user}:${channel.id}`;

function markRead(channel) {
  if (document.visibilityState === "visible" && channel.last) localStorage.setItem(readKey(channel), channel.last);
}

const unread = (channel) => channel.last > (localStorage.getItem(readKey(channel)) ?? "");

document.addEventListener("visibilitychange", soon);

// ---------------------------------------------------------------- around the messages

function drawAround(channel) {
  drawSidebar();
  drawWho();
  const app = withApp(channel);
  byId("tabs").hidden = !app;
  const home = app && at.tab === "home";
  byId("home").hidden = !home;
  byId("messages").hidden = home;
  byId("composer").hidden = home;
  if (app) drawTabs();
  if (home) drawHome(state.home, byId("home"), state.app.name);
  fill(byId("place"), placeTitle(channel), channel.topic && h("span", { class: "topic" }, channel.topic), membersOf(channel));
  composer.placeholder = channel.archived ? "This channel is archived" : `Message ${channel.kind === "im" ? titleOf(channel) : `#${channel.name}`}`;
  composer.disabled = channel.archived;
  const count = state.channels.filter((one) => one.id !== channel.id && unread(one)).length;
  document.title = `${count ? `(${count}) ` : ""}${titleOf(channel)} · ${state.team.name}`;
}

function placeTitle(channel) {
  return h("h1", {}, channel.kind === "im" ? avatar(other(channel), "tiny") : icon(channel.kind === "group" ? "lock" : "hash"), titleOf(channel, false));
}

function membersOf(channel) {
  if (channel.kind === "im") return null;
  return h("span", { class: "members", title: channel.members.map((id) => directory.users.get(id)?.real_name ?? id).join(", ") }, icon("people"), String(channel.members.length));
}

const other = (channel) => directory.users.get(channel.members.find((member) => member !== at.user) ?? at.user);
const withApp = (channel) => channel.kind === "im" && channel.members.includes(state.app.user);
const titleOf = (channel, mark = true) => (channel.kind === "im" ? other(channel)?.real_name ?? "" : `${mark ? "#" : ""}${channel.name}`);

function drawTabs() {
  const tab = (name, words) => h("button", { type: "button", role: "tab", "aria-selected": String(at.tab === name), data: { tab: name }, on: { click: () => openTab(name) } }, words);
  fill(byId("tabs"), tab("home", "Home"), tab("messages", "Messages"));
}

async function openTab(name) {
  go({ tab: name });
  if (name !== "home") return;
  const outcome = await act("home", { user: at.user });
  if (!outcome.ok) toast(sentence(outcome, state.app.name));
}

function drawSidebar() {
  const focused = sidebar.contains(document.activeElement) ? document.activeElement.dataset.channel : null;
  const places = (kinds) => state.channels.filter((channel) => kinds.includes(channel.kind) && !withApp(channel));
  const apps = state.channels.filter(withApp);
  fill(sidebar,
    h("div", { class: "team" }, h("span", { class: "team-mark" }, state.team.name[0]), h("span", {}, state.team.name)),
    group("Channels", places(["channel", "group", "mpim"])),
    places(["im"]).length > 0 && group("Direct messages", places(["im"])),
    apps.length > 0 && group("Apps", apps));
  if (focused) sidebar.querySelector(`[data-channel="${CSS.escape(focused)}"]`)?.focus();
}

function group(words, channels) {
  return [h("h2", {}, words), h("ul", {}, channels.map((channel) => h("li", {}, placeButton(channel))))];
}

function placeButton(channel) {
  const current = channel.id === at.channel;
  const fresh = !current && unread(channel);
  const mark = channel.kind === "im" ? avatar(other(channel), "tiny") : icon(channel.kind === "group" ? "lock" : "hash");
  return h("button", {
    type: "button",
    class: ["place", current && "current", fresh && "unread", channel.archived && "archived"].filter(Boolean).join(" "),
    "aria-current": current ? "page" : null,
    data: { channel: channel.id },
    on: { click: () => { openSidebar(false); go({ channel: channel.id }); } },
  }, mark, h("span", {}, titleOf(channel, false)), fresh && h("span", { class: "dot", "aria-label": "unread" }));
}

function openSidebar(open) {
  document.body.classList.toggle("with-sidebar", open);
  byId("menu").setAttribute("aria-expanded", String(open));
}

byId("menu").append(icon("menu"));
byId("menu").addEventListener("click", () => openSidebar(!document.body.classList.contains("with-sidebar")));
byId("main").addEventListener("click", () => openSidebar(false));

// ---------------------------------------------------------------- the user switch

function drawWho() {
  const me = directory.users.get(at.user);
  if (whoButton.dataset.user !== at.user) {
    whoButton.dataset.user = at.user;
    whoButton.setAttribute("aria-label", `You are ${me.real_name}. Switch user`);
    fill(whoButton, avatar(me, "tiny"), h("span", { class: "who-name" }, me.real_name), icon("down"));
  }
  if (whoMenu.hidden) {
    const present = [...directory.users.values()].filter((user) => !user.bot && !user.deleted);
    fill(whoMenu, h("p", { class: "who-title" }, "See the workspace as"), present.map(personItem));
  }
}

function personItem(user) {
  return h("button", {
    type: "button",
    role: "menuitemradio",
    "aria-checked": String(user.id === at.user),
    data: { user: user.id },
    on: { click: () => { openWho(false); go({ user: user.id, channel: at.channel, tab: "messages" }); } },
  }, avatar(user), h("span", { class: "person" }, h("strong", {}, user.real_name, user.guest && h("span", { class: "badge badge-guest" }, "GUEST")),
    h("span", { class: "person-title" }, [`@${user.name}`, user.title].filter(Boolean).join(" · "))), user.id === at.user && icon("tick"));
}

function openWho(open) {
  whoMenu.hidden = !open;
  whoButton.setAttribute("aria-expanded", String(open));
  if (open) whoMenu.querySelector("[aria-checked=true]")?.focus();
}

whoButton.addEventListener("click", (event) => {
  event.stopPropagation();
  openWho(whoMenu.hidden);
});
document.addEventListener("click", (event) => !whoMenu.hidden && !whoMenu.contains(event.target) && openWho(false));
whoMenu.addEventListener("keydown", (event) => {
  const items = [...whoMenu.querySelectorAll("button")];
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    event.preventDefault();
    items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (!whoMenu.hidden) {
    openWho(false);
    whoButton.focus();
  }
  openSidebar(false);
});

// ---------------------------------------------------------------- the composer

byId("send").append(icon("send"));

function grow() {
  composer.rows = Math.min(8, composer.value.split("\n").length);
  const typed = composer.value;
  const fitting = typed.startsWith("/") && !typed.includes(" ") ? state.commands.filter((command) => command.name.startsWith(typed)) : [];
  commands.hidden = !fitting.length;
  fill(commands, fitting.map(commandItem));
}

function commandItem(command) {
  const take = () => {
    composer.value = `${command.name} `;
    grow();
    composer.focus();
  };
  return h("li", {}, h("button", { type: "button", data: { command: command.name }, on: { click: take } },
    h("strong", {}, command.name), h("code", {}, command.usage_hint), h("span", {}, command.description)));
}

async function send() {
  const text = composer.value;
  if (!text.trim()) return;
  composer.value = "";
  grow();
  const outcome = await act("say", { user: at.user, channel: at.channel, text });
  if (outcome.ok) return;
  const command = text.trim().split(/\s/)[0];
  const failed = command.startsWith("/") && !outcome.message;
  toast(failed ? `${command} failed. ${sentence(outcome, state.app.name)}` : sentence(outcome, state.app.name));
  composer.value ||= text;
}

composer.addEventListener("input", grow);
composer.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});

// ---------------------------------------------------------------- notices

function toast(words) {
  const note = h("div", { class: "toast" }, icon("warning"), h("span", {}, words),
    h("button", { type: "button", class: "icon-button", "aria-label": "Dismiss", on: { click: () => note.remove() } }, icon("close")));
  append(byId("toasts"), [note]);
  setTimeout(() => note.remove(), 8000);
}

document.addEventListener("sandbox-problem", (event) => toast(event.detail));
window.addEventListener("hashchange", arrive);
arrive();
