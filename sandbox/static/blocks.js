// Block Kit as DOM: what Slack's blocks look like, and what a person can use in them.
//
// `context` says where the blocks stand: {place: data attributes for buttons, use(block, element, choice),
// draft(block, element) → value, keep(block, element, value), errors: {block_id: sentence}, busy(block, element)}.

import { h, icon } from "./dom.js";
import { asText, directory, markdown, mrkdwn, richText, textObject } from "./text.js";

/** All blocks of a message or view. */
export function drawBlocks(blocks, context) {
  return blocks.map((block) => drawBlock(block, context));
}

function drawBlock(block, context) {
  const draw = BLOCKS[block.type] ?? unknown;
  const node = draw(block, context);
  node.classList.add("block", `block-${block.type}`);
  if (block.block_id) node.dataset.blockId = block.block_id;
  return node;
}

const unknown = (block) => h("div", {}, `(a block of type ${block.type})`);

const BLOCKS = {
  section: drawSection,
  divider: () => h("hr"),
  header: (block) => h("h3", {}, textObject(block.text)),
  context: drawContext,
  actions: (block, context) => h("div", {}, block.elements.map((element) => drawElement(block, element, context))),
  image: (block) => picture(block.alt_text, block.title),
  input: drawInput,
  rich_text: (block) => h("div", { class: "text" }, richText(block.elements)),
  markdown: (block) => h("div", { class: "text" }, markdown(block.text)),
  table: drawTable,
  alert: drawAlert,
  container: drawContainer,
  card: drawCard,
};

function drawSection(block, context) {
  const body = h("div", { class: "section-body" });
  if (block.text) body.append(h("div", { class: "text" }, textObject(block.text)));
  if (block.fields) body.append(h("div", { class: "fields" }, block.fields.map((field) => h("div", { class: "text" }, textObject(field)))));
  const side = block.accessory && h("div", { class: "accessory" }, drawElement(block, block.accessory, context));
  return h("div", {}, body, side);
}

function drawContext(block) {
  return h("div", {}, block.elements.map((element) =>
    element.type === "image"
      ? h("span", { class: "context-image", role: "img", "aria-label": element.alt_text, title: element.alt_text }, icon("image"))
      : h("span", { class: "text" }, element.type === "mrkdwn" ? mrkdwn(element.text) : textObject(element)),
  ));
}

/** A picture from outside is never fetched: its description stands in its place. */
function picture(description, title) {
  return h("figure", {}, h("div", { class: "picture", role: "img", "aria-label": description }, icon("image"), h("span", {}, description)),
    title && h("figcaption", {}, textObject(title)));
}

function drawTable(block) {
  const setting = (column) => block.column_settings?.[column] ?? {};
  const cell = (tag, item, column) => {
    const content = item.type === "rich_text" ? richText(item.elements) : String(item.text ?? item.value ?? "");
    return h(tag, { class: `align-${setting(column).align ?? "left"}` }, content);
  };
  const [head, ...rows] = block.rows;
  return h("div", {}, h("table", {},
    h("thead", {}, h("tr", {}, head.map((item, column) => cell("th", item, column)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((item, column) => cell("td", item, column)))))));
}

function drawAlert(block) {
  const level = block.level ?? "default";
  const sign = { warning: "warning", error: "warning", success: "tick" }[level] ?? "info";
  return h("div", { class: `level-${level}`, role: "note" }, icon(sign), h("div", { class: "text" }, textObject(block.text)));
}

function drawContainer(block, context) {
  const title = h("span", { class: "container-title" }, block.rich_text_title ? richText(block.rich_text_title.elements) : textObject(block.title));
  const subtitle = block.subtitle && h("span", { class: "container-subtitle" }, textObject(block.subtitle));
  const inside = h("div", { class: "container-body" }, drawBlocks(block.child_blocks, context));
  if (!block.is_collapsible) return h("div", {}, h("div", { class: "container-head" }, title, subtitle), inside);
  return h("details", { open: !block.default_collapsed }, h("summary", { class: "container-head" }, title, subtitle), inside);
}

function drawCard(block, context) {
  return h("div", {},
    block.title && h("strong", { class: "text" }, textObject(block.title)),
    block.subtitle && h("div", { class: "container-subtitle" }, textObject(block.subtitle)),
    block.body && h("div", { class: "text" }, textObject(block.body)),
    block.actions && h("div", { class: "block-actions" }, block.actions.map((element) => drawElement(block, element, context))));
}

// ---------------------------------------------------------------- inputs

let labels = 0;

function drawInput(block, context) {
  const id = `input-${(labels += 1)}`;
  const error = context.errors?.[block.block_id];
  const group = ["radio_buttons", "checkboxes", "multi_static_select"].includes(block.element.type);
  const control = drawElement(block, block.element, context, id);
  if (error) (group ? control : control.querySelector("input,select,textarea") ?? control).setAttribute("aria-invalid", "true");
  const caption = [textObject(block.label), block.optional && h("span", { class: "optional" }, " (optional)")];
  return h(group ? "fieldset" : "div", { class: error ? "has-error" : "" },
    group ? h("legend", {}, caption) : h("label", { for: id }, caption),
    control,
    error && h("p", { class: "input-error", role: "alert" }, icon("warning"), error),
    block.hint && h("p", { class: "input-hint" }, textObject(block.hint)));
}

// ---------------------------------------------------------------- elements

function drawElement(block, element, context, id) {
  const draw = ELEMENTS[element.type];
  return draw ? draw(block, element, context, id) : h("span", { class: "unsupported" }, `(${element.type})`);
}

const ELEMENTS = {
  button: drawButton,
  image: (block, element) => picture(element.alt_text),
  plain_text_input: (...all) => typed("text", ...all),
  email_text_input: (...all) => typed("email", ...all),
  url_text_input: (...all) => typed("url", ...all),
  number_input: (...all) => typed("number", ...all),
  datepicker: (...all) => typed("date", ...all),
  timepicker: (...all) => typed("time", ...all),
  static_select: (block, element, context, id) => select(block, element, context, id, grouped(element)),
  external_select: (block, element, context, id) => select(block, element, context, id, grouped(element)),
  users_select: (block, element, context, id) => select(block, element, context, id, people()),
  conversations_select: (block, element, context, id) => select(block, element, context, id, places()),
  channels_select: (block, element, context, id) => select(block, element, context, id, places()),
  overflow: (block, element, context, id) => select(block, { ...element, placeholder: { text: "⋯" } }, context, id, grouped(element)),
  radio_buttons: (...all) => choices("radio", ...all),
  checkboxes: (...all) => choices("checkbox", ...all),
  multi_static_select: (...all) => choices("checkbox", ...all),
};

const names = (block, element, context) => ({ ...context.place, actionId: element.action_id, blockId: block.block_id });

function drawButton(block, element, context) {
  const busy = context.busy?.(block, element);
  const data = { ...names(block, element, context), value: element.value };
  const label = textObject({ ...element.text, type: "plain_text" });
  const press = () => context.use(block, element);
  const options = {
    class: `btn ${element.style ? `btn-${element.style}` : ""}`,
    type: "button",
    data,
    "aria-label": element.accessibility_label,
    "aria-busy": busy ? "true" : null,
    on: { click: press },
  };
  return h("button", options, label);
}

function typed(kind, block, element, context, id) {
  const multiline = element.type === "plain_text_input" && element.multiline;
  const control = h(multiline ? "textarea" : "input", {
    id,
    type: multiline ? null : kind,
    rows: multiline ? "4" : null,
    data: names(block, element, context),
    placeholder: element.placeholder?.text,
    minlength: element.min_length,
    maxlength: element.max_length ?? (multiline || kind === "text" ? 3000 : null),
    "aria-label": id ? null : element.action_id,
    autofocus: element.focus_on_load,
  });
  control.value = context.draft(block, element) ?? "";
  control.addEventListener("input", () => context.keep(block, element, control.value));
  control.addEventListener("change", () => reacts(block) && context.use(block, element, control.value));
  return h("div", { class: "control" }, control);
}

/** Elements outside input blocks act at once; inside, only with dispatch_action. */
const reacts = (block) => block.type !== "input" || block.dispatch_action;

const grouped = (element) => [...(element.options ?? []), ...(element.option_groups ?? []).flatMap((group) => group.options)];
const people = () => [...directory.users.values()].filter((user) => !user.bot && !user.deleted)
  .map((user) => ({ value: user.id, text: { type: "plain_text", text: user.real_name } }));
const places = () => [...directory.channels.values()].filter((place) => place.name)
  .map((place) => ({ value: place.id, text: { type: "plain_text", text: `#${place.name}` } }));

function select(block, element, context, id, options) {
  const control = h("select", { id, data: names(block, element, context), "aria-label": id ? null : element.placeholder?.text ?? element.action_id },
    h("option", { value: "" }, element.placeholder?.text ?? "Choose …"),
    options.map((option) => h("option", { value: option.value }, asText(textObject(option.text)))));
  control.value = context.draft(block, element) ?? "";
  control.addEventListener("change", () => {
    context.keep(block, element, control.value || null);
    if (reacts(block) && control.value) context.use(block, element, control.value);
    if (element.type === "overflow") control.value = "";
  });
  return h("div", { class: element.type === "overflow" ? "control control-overflow" : "control control-select" }, control, icon("down"));
}

function choices(kind, block, element, context) {
  const many = kind === "checkbox";
  const chosen = new Set([context.draft(block, element) ?? []].flat());
  const group = `choice-${(labels += 1)}`;
  const boxes = [];
  const changed = () => {
    const values = boxes.filter((box) => box.checked).map((box) => box.value);
    const value = many ? values : values[0] ?? null;
    context.keep(block, element, value);
    if (reacts(block)) context.use(block, element, value);
  };
  const rows = grouped(element).map((option) => {
    const box = h("input", { type: kind, name: group, value: option.value, data: names(block, element, context), on: { change: changed } });
    box.checked = chosen.has(option.value);
    boxes.push(box);
    const note = option.description && h("span", { class: "option-note" }, textObject(option.description));
    return h("label", { class: "choice" }, box, h("span", {}, textObject(option.text), note));
  });
  return h("div", { class: "choices", role: many ? "group" : "radiogroup" }, rows);
}

/** Slack's own question before a dangerous button: resolves true if the person goes on. */
export function ask(confirm) {
  const dialog = document.getElementById("confirm");
  const word = (object, fallback) => (object ? textObject(object) : fallback);
  const answer = (yes) => ({ type: "button", class: `btn ${yes ? (confirm.style === "danger" ? "btn-danger" : "btn-primary") : ""}`, data: { confirm: yes ? "yes" : "no" }, on: { click: () => dialog.close(yes ? "yes" : "no") } });
  dialog.replaceChildren(
    h("h2", { id: "confirm-title" }, word(confirm.title, "Are you sure?")),
    h("div", { class: "text" }, textObject(confirm.text)),
    h("footer", {}, h("button", answer(false), word(confirm.deny, "Cancel")), h("button", answer(true), word(confirm.confirm, "Yes"))));
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
