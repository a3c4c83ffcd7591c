// The memory account: a stacked bar whose parts add up to what the driver says, and its legend.
import { bytes, el, section } from "./dom.js";

export class AccountView {
  constructor() {
    ({ root: this.root, body: this.body } = section("Memory"));
  }

  update({ account }) {
    const head = el(
      "div",
      { class: "tt-head" },
      el("b", {}, bytes(account.used)),
      el("span", {}, `used of ${bytes(account.total)}`),
    );
    const device = el("div", { class: "tt-soft" }, account.device);
    this.body.replaceChildren(device, head, bar(account), legend(account), notes(account));
  }
}

/** Parts in the order of the legend; each model has a shade of its own. */
function parts(account) {
  return account.groups.flatMap((group) => {
    if (group.id !== "models" || !group.parts.length) return [{ ...group, shade: 0 }];
    return group.parts.map((part, at) => ({ id: "models", title: part.name, bytes: part.bytes, shade: at % 4 }));
  });
}

function bar(account) {
  const shown = parts(account).filter((part) => part.bytes > 0);
  const sum = shown.reduce((count, part) => count + part.bytes, 0);
  const whole = Math.max(account.total ?? 0, sum, 1);
  const pieces = shown.map((part) =>
    el("i", {
      class: `tt-fill tt-${part.id} tt-shade-${part.shade}`,
      style: { width: `${(100 * part.bytes) / whole}%` },
      title: `${part.title}: ${bytes(part.bytes)}`,
    }),
  );
  const text = shown.map((part) => `${part.title} ${bytes(part.bytes)}`).join(", ");
  const root = el("div", { class: "tt-bar" }, ...pieces);
  root.setAttribute("role", "img");
  root.setAttribute("aria-label", `${text}, free ${bytes(account.free)}`);
  return root;
}

function legend(account) {
  const rows = account.groups.flatMap((group) => {
    if (group.id !== "models") return [row(group, details(group))];
    const named = group.parts.map((part, at) =>
      row({ id: "models", title: part.name, bytes: part.bytes, shade: at % 4 }, part.detail),
    );
    return named.length ? named : [row(group, "no model is loaded")];
  });
  const free = { id: "free", title: "free", bytes: account.free };
  return el("ul", { class: "tt-legend" }, ...rows, row(free, ""));
}

function row(part, title) {
  const count = el("span", { class: part.bytes === null ? "tt-soft" : "" }, bytes(part.bytes));
  return el(
    "li",
    { title: part.reason || title },
    el("i", { class: `tt-fill tt-${part.id} tt-shade-${part.shade ?? 0}` }),
    el("span", { class: "tt-name" }, part.title),
    count,
  );
}

function details(group) {
  return group.parts.map((part) => `${part.name}: ${bytes(part.bytes)}`).join("\n");
}

function notes(account) {
  return el("div", { class: "tt-soft tt-notes" }, account.notes.join("; "));
}
