// Elements and figures.

/** An element with properties, classes by `class`, and children (elements or text). */
export function el(tag, properties = {}, ...children) {
  const { class: names, style, dataset, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  if (names) element.className = names;
  Object.assign(element.style, style);
  Object.assign(element.dataset, dataset);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A headed part of the panel; `body` is what changes. */
export function section(title, ...extra) {
  const body = el("div", { class: "tt-body" });
  const root = el("section", {}, el("h3", {}, title), body, ...extra);
  return { root, body };
}

/** A line that opens; stays open when it is drawn again, for as long as `key` is there. */
export function folded(key, open, summary, text) {
  const root = el("details", { open: open.has(key) }, summary, el("pre", {}, text));
  root.addEventListener("toggle", () => (root.open ? open.add(key) : open.delete(key)));
  return root;
}

const MIB = 2 ** 20;

/** Bytes for people. A figure that is not known is never 0. */
export function bytes(count) {
  if (count === null || count === undefined) return "not available";
  if (count === 0) return "0";
  if (Math.abs(count) >= 1024 * MIB) return `${(count / 1024 / MIB).toFixed(2)} GiB`;
  return `${(count / MIB).toFixed(Math.abs(count) < 10 * MIB ? 1 : 0)} MiB`;
}

export function seconds(count) {
  if (count < 10) return `${count.toFixed(1)} s`;
  if (count < 120) return `${Math.round(count)} s`;
  return `${Math.round(count / 60)} min`;
}
