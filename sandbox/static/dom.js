// Building the page: elements from plain values. Text always becomes a text node, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element: attributes, `class`, `data` (data-*), `on` (listeners); children are nodes, strings or lists of them. */
export function h(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  const { class: names, data = {}, on = {}, ...attributes } = options;
  if (names) element.className = names;
  for (const [name, value] of Object.entries(data)) if (value != null) element.dataset[name] = value;
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  append(element, children);
  return element;
}

/** Append nodes and strings, however deep the lists. */
export function append(parent, children) {
  for (const child of [children].flat(Infinity)) {
    if (child == null || child === false || child === "") continue;
    parent.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return parent;
}

/** Replace what an element holds. */
export function fill(parent, ...children) {
  parent.replaceChildren();
  return append(parent, children);
}

const PATHS = {
  hash: ["M9 4 7 20M17 4l-2 16M4 9h17M3 15h17"],
  file: ["M6 3.5h8l4 4V20.5H6z", "M14 3.5v4h4M9 12h6M9 15.5h6"],
  lock: ["M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3"],
  menu: ["M4 7h16M4 12h16M4 17h16"],
  send: ["M4 4l17 8-17 8 2.6-8zM6.6 12H14"],
  eye: ["M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12z", "M12 9.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6z"],
  warning: ["M12 3.5 22 20.5H2z", "M12 10v5M12 17.6v.2"],
  close: ["M6 6l12 12M18 6 6 18"],
  back: ["M14.5 5.5 8 12l6.5 6.5"],
  down: ["M6 9.5l6 6 6-6"],
  info: ["M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17z", "M12 11v5M12 7.8v.2"],
  tick: ["M5 12.5l4.5 4.5L19 7.5"],
  people: ["M9 11a3.2 3.2 0 1 0 0-6.4A3.2 3.2 0 0 0 9 11zM3 19.5c0-3.3 2.7-5.5 6-5.5s6 2.2 6 5.5", "M16 5a3 3 0 0 1 0 5.8M17.5 14.2c2.1.7 3.5 2.6 3.5 5.3"],
  reply: ["M10 6 4 12l6 6M4.5 12H14c3.5 0 6 2 6 6"],
  image: ["M4 5h16v14H4z", "M4 16l5-5 4 4 3-3 4 4"],
};

/** A line icon. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `icon icon-${name}`);
  for (const d of PATHS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

/** A picture of somebody: a coloured tile with an initial, or the app's mark. */
export function avatar(user, size = "") {
  if (user?.bot) return h("span", { class: `avatar avatar-app ${size}`, "aria-hidden": "true" }, icon("tick"));
  const name = user?.real_name || "?";
  return h("span", { class: `avatar hue-${(user?.order ?? 0) % 8} ${size}`, "aria-hidden": "true" }, [...name][0].toUpperCase());
}
