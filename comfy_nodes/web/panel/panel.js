// The tab: its parts, and what is known so far.
import { AccountView } from "./account.js";
import { Actions } from "./actions.js";
import { el } from "./dom.js";
import { Feed } from "./feed.js";
import { TimelineView } from "./timeline.js";
import { VerdictsView } from "./verdicts.js";
import { WorkView } from "./work.js";

export class Panel {
  constructor(app, api) {
    this.state = {};
    this.account = new AccountView();
    this.work = new WorkView();
    this.timeline = new TimelineView();
    this.verdicts = new VerdictsView();
    this.trouble = el("div", { class: "tt-trouble", hidden: true });
    const parts = [this.account, new Actions(app, api), this.work, this.timeline, this.verdicts];
    const roots = parts.map((part) => part.root);
    this.root = el("div", { class: "truetile-panel" }, style(), this.trouble, ...roots);
    this.feed = new Feed(api, {
      show: (message) => this.show(message),
      fail: (text) => this.fail(text),
      alive: () => this.root.isConnected,
    });
  }

  open() {
    this.feed.open();
  }

  close() {
    this.feed.close();
  }

  /** A message holds what changed; the rest is as it was. */
  show(message) {
    Object.assign(this.state, message);
    if (message.account) this.account.update(this.state);
    if (message.activity) this.work.update(this.state);
    if (message.verdicts) this.verdicts.update(this.state);
    if (message.rows) this.timeline.add(message);
    if (message.rows || message.phases) this.timeline.update(this.state);
  }

  fail(text) {
    this.trouble.hidden = !text;
    this.trouble.textContent = text && `No news from the server: ${text}`;
  }
}

function style() {
  return el("link", { rel: "stylesheet", href: new URL("panel.css", import.meta.url).href });
}
