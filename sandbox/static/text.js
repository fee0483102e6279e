// Text as Slack draws it: mrkdwn, plain_text, rich text, dates and mentions. Everything becomes DOM nodes.

import { append, h } from "./dom.js";
import { emoji, withEmoji } from "./emoji.js";

/** What mentions and channel links need to know; set by app.js. */
export const directory = { me: "", domain: "", users: new Map(), groups: {}, channels: new Map() };

const ENTITIES = { "&lt;": "<", "&gt;": ">", "&amp;": "&" };
const decode = (text) => text.replace(/&(?:lt|gt|amp);/g, (entity) => ENTITIES[entity]);

// ---------------------------------------------------------------- mrkdwn

const INLINE = new RegExp(
  [
    "`([^`\\n]+)`", //                                        1 code
    "<([^<>\\n]+)>", //                                       2 link, mention, date
    "(?<![\\w*])\\*(?!\\s)([^*\\n]+?)(?<!\\s)\\*(?![\\w*])", // 3 bold
    "(?<![\\w_])_(?!\\s)([^_\\n]+?)(?<!\\s)_(?![\\w_])", //     4 italic
    "(?<![\\w~])~(?!\\s)([^~\\n]+?)(?<!\\s)~(?![\\w~])", //     5 strike
    ":([a-z0-9_+-]+):", //                                    6 emoji
    "(https?://[^\\s<>|]+[^\\s<>|.,;:!?)\\]'\"])", //             7 bare address
  ].join("|"),
  "g",
);

/** mrkdwn as nodes: fences, quotes and lines first, then what stands inside a line. */
export function mrkdwn(text) {
  const nodes = [];
  const parts = text.split(/```\n?([\s\S]+?)\n?```/g);
  parts.forEach((part, index) => {
    if (index % 2) nodes.push(h("pre", {}, decode(part.replace(/<([^<>|]+)\|?([^<>]*)>/g, (_, url, label) => label || url))));
    else nodes.push(...quotes(part, index > 0, index < parts.length - 1));
  });
  return nodes;
}

function quotes(text, afterFence, beforeFence) {
  const trimmed = (afterFence ? text.replace(/^\n/, "") : text).replace(beforeFence ? /\n$/ : /$^/, "");
  const nodes = [];
  let lines = [];
  let quoted = false;
  const flush = () => {
    if (!lines.length) return;
    const inside = inline(lines.join("\n"));
    nodes.push(...(quoted ? [h("blockquote", {}, inside)] : inside));
    lines = [];
  };
  for (const line of trimmed.split("\n")) {
    const match = line.match(/^(?:&gt;|>) ?(.*)$/);
    if (Boolean(match) !== quoted) {
      flush();
      quoted = Boolean(match);
    }
    lines.push(match ? match[1] : line);
  }
  flush();
  return nodes;
}

function inline(text) {
  const nodes = [];
  let last = 0;
  for (const found of text.matchAll(INLINE)) {
    if (found.index > last) nodes.push(decode(text.slice(last, found.index)));
    nodes.push(token(found));
    last = found.index + found[0].length;
  }
  if (last < text.length) nodes.push(decode(text.slice(last)));
  return nodes;
}

function token([whole, code, angled, bold, italic, strike, name, address]) {
  if (code !== undefined) return h("code", {}, decode(code));
  if (angled !== undefined) return angle(angled);
  if (bold !== undefined) return h("strong", {}, inline(bold));
  if (italic !== undefined) return h("em", {}, inline(italic));
  if (strike !== undefined) return h("s", {}, inline(strike));
  if (name !== undefined) return emojiNode(name) ?? whole;
  return link(decode(address), decode(address));
}

function angle(inside) {
  const [target, ...rest] = inside.split("|");
  const label = rest.join("|");
  if (target.startsWith("@")) return mention(target.slice(1), label);
  if (target.startsWith("#")) return channelLink(target.slice(1), label);
  if (target.startsWith("!subteam^")) return groupMention(target.slice(9), label);
  if (target.startsWith("!date^")) return dateNode(target.slice(6).split("^"), label);
  if (target.startsWith("!")) return h("span", { class: "mention mention-all" }, `@${decode(label || target.slice(1))}`);
  return link(decode(target), label ? inline(label) : decode(target));
}

// ---------------------------------------------------------------- links, people, emoji

/** A link that opens elsewhere; a permalink stays on the page; anything but http, https and mailto stays text. */
export function link(address, label) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return h("span", {}, label);
  }
  if (!["http:", "https:", "mailto:"].includes(url.protocol)) return h("span", {}, label);
  const [, archives, channel] = url.pathname.split("/");
  if (url.hostname === `${directory.domain}.slack.com` && archives === "archives") return h("a", { href: `#${directory.me}/${channel}` }, label);
  return h("a", { href: url.href, target: "_blank", rel: "noopener noreferrer nofollow", title: url.href }, label);
}

export function mention(id, label = "") {
  const name = directory.users.get(id)?.name ?? (decode(label).replace(/^@/, "") || id);
  return h("span", { class: id === directory.me ? "mention mention-me" : "mention", data: { mention: id } }, `@${name}`);
}

export function groupMention(id, label = "") {
  const handle = directory.groups[id] ?? (decode(label).replace(/^@/, "") || id);
  return h("span", { class: "mention", data: { mention: id } }, `@${handle}`);
}

function channelLink(id, label = "") {
  const name = directory.channels.get(id)?.name ?? (decode(label).replace(/^#/, "") || id);
  return h("a", { class: "mention", href: `#${directory.me}/${id}` }, `#${name}`);
}

function emojiNode(name) {
  const drawn = emoji(name);
  return drawn && h("span", { class: "emoji", role: "img", "aria-label": name.replaceAll("_", " "), title: `:${name}:` }, drawn);
}

/** A plain_text or mrkdwn object. */
export function textObject(object) {
  if (!object) return [];
  if (object.type === "mrkdwn") return mrkdwn(object.text);
  return [object.emoji === false ? object.text : withEmoji(object.text)];
}

// ---------------------------------------------------------------- dates

const DAY = 86_400_000;
const part = (date, options) => new Intl.DateTimeFormat("en-GB", options).format(date);

function prettyDay(date) {
  const midnight = (moment) => new Date(moment).setHours(0, 0, 0, 0);
  const days = Math.round((midnight(date) - midnight(Date.now())) / DAY);
  return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days];
}

function ago(date) {
  const minutes = Math.round((date - Date.now()) / 60_000);
  const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  if (Math.abs(minutes) < 60) return relative.format(minutes, "minute");
  if (Math.abs(minutes) < 36 * 60) return relative.format(Math.round(minutes / 60), "hour");
  return relative.format(Math.round(minutes / 1440), "day");
}

const FORMATS = {
  date_num: (date) => `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`,
  date: (date) => part(date, { day: "numeric", month: "long", year: "numeric" }),
  date_short: (date) => part(date, { day: "numeric", month: "short", year: "numeric" }),
  date_long: (date) => part(date, { weekday: "long", day: "numeric", month: "long", year: "numeric" }),
  date_pretty: (date) => prettyDay(date) ?? FORMATS.date(date),
  date_short_pretty: (date) => prettyDay(date) ?? FORMATS.date_short(date),
  date_long_pretty: (date) => prettyDay(date) ?? FORMATS.date_long(date),
  time: (date) => part(date, { hour: "2-digit", minute: "2-digit" }),
  time_secs: (date) => part(date, { hour: "2-digit", minute: "2-digit", second: "2-digit" }),
  ago,
};

/** A moment in the reader's own time zone; the fallback if it is no moment. */
export function dateNode([timestamp, format = "", address], fallback) {
  const date = new Date(Number(timestamp) * 1000);
  if (Number.isNaN(date.getTime()) || !format) return decode(fallback || "");
  const words = decode(format).replace(/\{(\w+)\}/g, (whole, name) => FORMATS[name]?.(date) ?? whole);
  const node = h("time", { datetime: date.toISOString(), title: date.toString() }, words);
  return address ? link(address, node) : node;
}

// ---------------------------------------------------------------- rich text

/** The elements of a rich_text block: literal text, no mrkdwn. */
export function richText(elements) {
  return (elements ?? []).map(richPart);
}

function richPart(element) {
  const inside = () => (element.elements ?? []).map(run);
  switch (element.type) {
    case "rich_text_preformatted":
      return h("pre", {}, inside());
    case "rich_text_quote":
      return h("blockquote", {}, inside());
    case "rich_text_list": {
      const items = (element.elements ?? []).map((item) => h("li", {}, (item.elements ?? []).map(run)));
      const tag = element.style === "ordered" ? "ol" : "ul";
      return h(tag, { class: `rich-list indent-${Math.min(element.indent ?? 0, 8)}` }, items);
    }
    default:
      return h("div", { class: "rich-section" }, inside());
  }
}

function run(element) {
  return styled(plainRun(element), element.style);
}

function plainRun(element) {
  switch (element.type) {
    case "text":
      return element.text;
    case "link":
      return link(element.url, element.text || element.url);
    case "user":
      return mention(element.user_id);
    case "usergroup":
      return groupMention(element.usergroup_id);
    case "channel":
      return channelLink(element.channel_id);
    case "broadcast":
      return h("span", { class: "mention mention-all" }, `@${element.range}`);
    case "emoji":
      return emojiNode(element.name) ?? `:${element.name}:`;
    case "date":
      return dateNode([element.timestamp, element.format, element.url], element.fallback);
    case "color":
      return element.value;
    default:
      return "";
  }
}

const STYLES = [
  ["code", "code"],
  ["bold", "strong"],
  ["italic", "em"],
  ["strike", "s"],
  ["underline", "u"],
];

function styled(node, style = {}) {
  let result = node;
  for (const [name, tag] of STYLES) if (style?.[name]) result = h(tag, {}, result);
  return result;
}

/** The standard Markdown of a markdown block: headings, lists, fences, and what stands inside a line. */
export function markdown(text) {
  const escaped = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const asMrkdwn = escaped
    .replace(/^\s*[-*+] +/gm, "• ")
    .replace(/(?<!\*)\*(?![\s*])([^*\n]+)\*(?!\*)/g, "_$1_")
    .replace(/\*\*([^*\n]+)\*\*/g, "*$1*")
    .replace(/^#{1,6} +(.+)$/gm, "*$1*")
    .replace(/\[([^\]\n]+)\]\((https?:[^)\s]+)\)/g, "<$2|$1>");
  return mrkdwn(asMrkdwn);
}

/** All the text of a node list, for titles and names. */
export function asText(nodes) {
  return append(document.createElement("span"), nodes).textContent;
}
