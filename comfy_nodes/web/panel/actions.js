// The buttons. Each says what it did, or why it could not, on the line below them.
import { bytes, el } from "./dom.js";
import { convertWorkflow } from "./convert.js";
import { post } from "./feed.js";

export class Actions {
  constructor(app, api) {
    this.app = app;
    this.api = api;
    this.checkpoints = el("input", { type: "checkbox" });
    this.said = el("div", { class: "tt-said", hidden: true });
    this.said.setAttribute("role", "status");
    this.buttons = [
      this.button("Convert workflow", "Opens this workflow with TrueTile's nodes in a new tab", () => this.convert()),
      this.button("Verify offload", "Takes all models off the device and proves that memory came back", () => this.offload()),
      this.button("Free memory", "Collects garbage, empties caches, unloads models; each step is measured", () => this.free()),
      this.button("Copy report", "Puts the last reports, phases and the whole account on the clipboard", () => this.copy()),
    ];
    const option = el("label", { class: "tt-soft" }, this.checkpoints, "convert with memory checkpoints between the phases");
    this.root = el("section", {}, el("div", { class: "tt-buttons" }, ...this.buttons), option, this.said);
  }

  button(text, title, act) {
    return el("button", { type: "button", title, onclick: () => this.run(act) }, text);
  }

  async run(act) {
    this.buttons.forEach((button) => (button.disabled = true));
    this.say("Working. While a prompt runs, this waits for its end.");
    try {
      this.say(await act());
    } catch (error) {
      this.say(error.message, true);
    }
    this.buttons.forEach((button) => (button.disabled = false));
  }

  say(text, failed = false) {
    this.said.hidden = !text;
    this.said.textContent = text;
    this.said.classList.toggle("tt-failed", failed);
  }

  convert() {
    return convertWorkflow(this.app, this.api, this.checkpoints.checked);
  }

  async offload() {
    const { outcome, text } = await post(this.api, "/truetile/panel/offload", {});
    return `${outcome.toUpperCase()}\n${text.split("\n").slice(1).join("\n")}`;
  }

  async free() {
    const { steps, free } = await post(this.api, "/truetile/memory/repair", { wait: true });
    const first = steps[0]?.free_before ?? free;
    const lines = steps.map((step) => `${step.name}: ${bytes(step.free_before)} → ${bytes(step.free_after)} free`);
    return [`Free: ${bytes(first)} → ${bytes(free)}`, ...lines].join("\n");
  }

  async copy() {
    const { text } = await post(this.api, "/truetile/panel/report", {});
    await toClipboard(text);
    return `Copied ${text.split("\n").length} lines.`;
  }
}

/** Pages from another machine without https have no clipboard of the new kind, or may not use it. */
async function toClipboard(text) {
  try {
    return await navigator.clipboard.writeText(text);
  } catch {
    // The old way is left.
  }
  const field = el("textarea", { value: text, style: { position: "fixed", opacity: 0 } });
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new Error("the browser did not let the page copy");
}
