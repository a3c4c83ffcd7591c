// The decode or encode that runs, by which plan and how far; and what the last ones reported.
import { bytes, el, folded, seconds, section } from "./dom.js";

const SHOWN = 3;

export class WorkView {
  constructor() {
    ({ root: this.root, body: this.body } = section("Decode and encode"));
    this.open = new Set();
  }

  update({ activity }) {
    const { running, reports } = activity;
    const idle = reports.length ? null : el("div", { class: "tt-soft" }, "Nothing has run yet.");
    this.body.replaceChildren(
      ...[running ? progress(running) : idle].filter(Boolean),
      ...reports.slice(0, SHOWN).map((report) => this.report(report)),
    );
  }

  report(report) {
    const peak = report.peak_bytes ? `, peak ${bytes(report.peak_bytes)}` : "";
    const [mark, text] = report.failure ? ["tt-fail", "failed"] : report.exact ? ["tt-pass", "exact"] : ["", "done"];
    const summary = el(
      "summary",
      {},
      el("span", { class: `tt-badge ${mark}` }, text),
      el("span", { class: "tt-name" }, `${report.operation}: ${report.plan || "not planned"}`),
      el("span", { class: "tt-soft tt-under" }, `${seconds(report.seconds)}${peak}`),
    );
    return folded(String(report.at), this.open, summary, report.text);
  }
}

function progress(running) {
  const known = running.share !== null;
  const share = Math.round(100 * (running.share ?? 0));
  const track = el("div", { class: "tt-bar tt-progress" }, el("i", { style: { width: `${share}%` } }));
  track.setAttribute("role", "progressbar");
  if (known) track.setAttribute("aria-valuenow", share);
  const far = `${known ? `${share} %, ` : ""}${seconds(running.seconds)}`;
  return el(
    "div",
    { class: "tt-running" },
    el("div", {}, `${running.operation}: ${running.plan || "preparing"}`),
    track,
    el("div", { class: "tt-soft tt-notes" }, [far, running.why].filter(Boolean).join("; ")),
  );
}
