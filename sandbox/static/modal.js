// Modals: the top one of the stack is drawn; what was typed stays when the app updates it or puts one on top.

import { ask, drawBlocks } from "./blocks.js";
import { append, h, icon } from "./dom.js";
import { initial } from "./messages.js";
import { act, sentence } from "./server.js";
import { directory, textObject } from "./text.js";

const dialog = document.getElementById("modal");
const drafts = new Map(); // view id → {block_id: {action_id: value}}
let view = null;
let depth = 0;
let problem = "";
let busy = false;
let errors = {};
let appName = "";
let drawnAs = "";

/** Show the top of the stack, or nothing. */
export function drawModals(stack, name) {
  appName = name;
  depth = stack.length;
  const top = stack.at(-1) ?? null;
  if (top?.id !== view?.id || top?.hash !== view?.hash) {
    problem = "";
    busy = false;
  }
  view = top;
  errors = top?.errors ?? {};
  if (!top) return dialog.open && dialog.close();
  draw();
  if (dialog.open) return;
  dialog.showModal();
  settleFocus();
}

function draw() {
  const key = JSON.stringify([view, depth, problem, busy, errors]);
  if (key === drawnAs && dialog.open) return;
  drawnAs = key;
  const focused = document.activeElement?.dataset?.actionId;
  const scrolled = dialog.querySelector(".modal-body")?.scrollTop ?? 0;
  const form = h("form", { class: "modal-form", novalidate: true, on: { submit } },
    h("header", {},
      depth > 1 && h("button", { type: "button", class: "icon-button", "aria-label": "Back", data: { modal: "back" }, on: { click: () => close(false) } }, icon("back")),
      h("h2", { id: "modal-title" }, textObject(view.title)),
      h("button", { type: "button", class: "icon-button", "aria-label": "Close", data: { modal: "x" }, on: { click: () => close(true) } }, icon("close"))),
    h("div", { class: "modal-body" }, drawBlocks(view.blocks, context(view, "view")),
      problem && h("p", { class: "failure", role: "alert" }, icon("warning"), problem)),
    h("footer", {},
      h("span", { class: "modal-app" }, appName),
      h("button", { type: "button", class: "btn", data: { modal: "close" }, on: { click: () => close(false) } }, view.close ? textObject(view.close) : "Cancel"),
      view.submit && h("button", { type: "submit", class: "btn btn-primary", "aria-busy": busy ? "true" : null, data: { modal: "submit" } }, textObject(view.submit))));
  dialog.replaceChildren(form);
  dialog.dataset.view = view.id;
  dialog.dataset.callback = view.callback_id;
  dialog.querySelector(".modal-body").scrollTop = scrolled;
  settleFocus(focused);
}

function settleFocus(actionId) {
  if (!dialog.open) return;
  const same = actionId && dialog.querySelector(`[data-action-id="${CSS.escape(actionId)}"]`);
  (same || dialog.querySelector("[aria-invalid]") || dialog.querySelector(".modal-body :is(input, textarea, select)"))?.focus();
}

/** How blocks of a modal or the home tab act; shared with the home tab. */
export function context(shown, place) {
  const filled = drafts.get(shown.id) ?? {};
  drafts.set(shown.id, filled);
  return {
    place: { [place]: shown.id },
    errors: shown === view ? errors : {},
    draft: (block, element) => {
      const kept = filled[block.block_id];
      return kept && element.action_id in kept ? kept[element.action_id] : initial(element);
    },
    keep: (block, element, value) => ((filled[block.block_id] ??= {})[element.action_id] = value),
    use: (block, element, choose) => press(shown, block, element, choose),
  };
}

async function press(shown, block, element, choose) {
  if (element.confirm && !(await ask(element.confirm))) return;
  const outcome = await act("click-view", {
    user: directory.me, view_id: shown.id, action_id: element.action_id, block_id: block.block_id, choose, values: values(shown),
  });
  if (!outcome.ok) complain(shown, sentence(outcome, appName));
}

function complain(shown, words) {
  if (shown.id !== view?.id) return document.dispatchEvent(new CustomEvent("sandbox-problem", { detail: words }));
  problem = words;
  busy = false;
  draw();
}

/** {block_id: value} of everything that was filled in; one element per input block. */
function values(shown) {
  const filled = drafts.get(shown.id) ?? {};
  return Object.fromEntries(Object.entries(filled).map(([block, byAction]) => [block, Object.values(byAction).at(-1)]));
}

async function submit(event) {
  event.preventDefault();
  if (busy) return;
  busy = true;
  problem = "";
  errors = {};
  draw();
  const sent = view;
  const outcome = await act("submit", { user: directory.me, view_id: sent.id, values: values(sent) });
  if (view?.id !== sent.id) return;
  busy = false;
  if (!outcome.ok && outcome.errors) errors = outcome.errors;
  else if (!outcome.ok) problem = outcome.error.startsWith("invalid_response") ? sentence(outcome, appName) : "We had some trouble connecting. Try again?";
  draw();
}

function close(everything) {
  if (view) act("close", { user: directory.me, view_id: view.id, everything });
}

dialog.addEventListener("cancel", (event) => {
  event.preventDefault();
  close(false);
});

/** Forget what belongs to one viewer. */
export function forgetModals() {
  view = null;
  drafts.clear();
  if (dialog.open) dialog.close();
}

/** The home tab, or a word that there is none. */
export function drawHome(home, place, name) {
  place.replaceChildren();
  if (home) append(place, drawBlocks(home.blocks, context(home, "home")));
  else place.append(h("p", { class: "no-home" }, `${name} has not published a home tab yet.`));
}
