// What the server tells the panel. Nothing is asked and nothing comes while the panel is closed,
// or while the page is hidden.
const EVENT = "truetile.panel";

export class Feed {
  /** show(message): what changed; fail(text): why nothing comes, or "" when it does again. */
  constructor(api, { show, fail, alive }) {
    this.api = api;
    this.show = show;
    this.fail = fail;
    this.alive = alive; // false once the panel has left the page without being told
    this.timer = 0;
    this.client = null; // who has a lease
    this.wanted = false;
    this.early = []; // messages that came before the answer that they continue; null after it
    this.heard = ({ detail }) => (this.early ? this.early.push(detail) : this.show(detail));
    this.looked = () => (document.hidden ? this.pause() : this.resume());
    this.returned = () => document.hidden || this.resume();
    this.left = () => this.pause();
  }

  open() {
    if (this.wanted) return;
    this.wanted = true;
    this.api.addEventListener(EVENT, this.heard);
    this.api.addEventListener("reconnected", this.returned);
    document.addEventListener("visibilitychange", this.looked);
    window.addEventListener("pagehide", this.left);
    if (!document.hidden) this.resume();
  }

  close() {
    if (!this.wanted) return;
    this.wanted = false;
    this.pause();
    // The editor warns of messages that nobody listens to, and one may still be on its way.
    setTimeout(() => this.wanted || this.api.removeEventListener(EVENT, this.heard), 2000);
    this.api.removeEventListener("reconnected", this.returned);
    document.removeEventListener("visibilitychange", this.looked);
    window.removeEventListener("pagehide", this.left);
  }

  async resume() {
    const client = this.api.clientId ?? this.api.initialClientId;
    this.client = client;
    clearTimeout(this.timer);
    let wait = 5;
    try {
      const told = await post(this.api, "/truetile/panel/open", { client });
      if (this.client !== client) return this.end(client); // closed meanwhile
      this.fail("");
      this.show(told);
      const early = this.early ?? [];
      this.early = null;
      early.forEach((message) => this.show(message));
      wait = told.lease_seconds / 3;
    } catch (error) {
      this.fail(error.message);
    }
    if (this.client === client) this.later(wait);
  }

  async renew(wait) {
    if (!this.alive()) return this.close();
    const client = this.client;
    try {
      const known = client === (this.api.clientId ?? this.api.initialClientId);
      const { missed } = await post(this.api, "/truetile/panel/renew", { client });
      if (this.client !== client) return this.end(client);
      if (missed || !known) return this.resume();
      this.fail("");
    } catch (error) {
      this.fail(error.message);
    }
    if (this.client === client) this.later(wait);
  }

  later(wait) {
    clearTimeout(this.timer); // of another `resume` meanwhile
    this.timer = setTimeout(() => this.renew(wait), wait * 1000);
  }

  pause() {
    clearTimeout(this.timer);
    const client = this.client;
    this.client = null;
    this.early = [];
    if (client) this.end(client);
  }

  end(client) {
    // keepalive: also from a page that is being left.
    post(this.api, "/truetile/panel/close", { client }, { keepalive: true }).catch(() => {});
  }
}

/** What a route answers. Throws an Error with the server's words. */
export async function post(api, path, body, options = {}) {
  const answer = await api.fetchApi(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    ...options,
  });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.error ?? `the server answered ${answer.status}`);
  return told;
}
