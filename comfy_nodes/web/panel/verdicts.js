// What checkpoints, offloads and repairs have proven, the newest first.
import { el, folded, section } from "./dom.js";

export class VerdictsView {
  constructor() {
    ({ root: this.root, body: this.body } = section("Verdicts"));
    this.open = new Set();
  }

  update({ verdicts }) {
    if (!verdicts.length) {
      const text = "None yet: checkpoints and “Verify offload” give them.";
      this.body.replaceChildren(el("div", { class: "tt-soft" }, text));
      return;
    }
    this.body.replaceChildren(...verdicts.map((verdict) => this.line(verdict)));
  }

  line(verdict) {
    const { outcome, kind, name, text } = verdict;
    const summary = el(
      "summary",
      {},
      el("span", { class: `tt-badge tt-${outcome}` }, outcome || "note"),
      el("span", { class: "tt-name" }, name === kind ? kind : `${kind}: ${name}`),
    );
    return folded(`${verdict.seconds} ${name}`, this.open, summary, text);
  }
}
