// The stream of figures: server-sent events read with fetch, because an EventSource does not tell why it is refused.
//
// States told to `onState`: connecting · live · waiting (connected, but no tick has closed lately) · lost (trying again)
// · token (the aggregator asks who we are) · refused (what is looked at does not exist).

const freshMilliseconds = 4000; // a figure older than this is called stale
const silentMilliseconds = 16000; // three missed beats of the aggregator: the connection is dead
const longestPause = 8000;

export class Stream {
  constructor({ onOpening, onFigures, onState }) {
    this.onOpening = onOpening;
    this.onFigures = onFigures;
    this.onState = onState;
    this.query = null;
    this.bytes = 0;
    this.heard = 0;
    this.fresh = 0;
    this.pause = 500;
    this.state = "connecting";
    setInterval(() => this.watch(), 500);
    document.addEventListener("visibilitychange", () => this.visibility());
    // A page that the browser keeps for going back would hold one of the six connections it makes to us.
    addEventListener("pagehide", () => this.abort());
    addEventListener("pageshow", (event) => {
      if (event.persisted) this.again();
    });
  }

  /// Looks at something else, from now on.
  look(query) {
    this.query = query;
    this.pause = 500;
    this.connect();
  }

  stop() {
    this.query = null;
    this.abort();
  }

  /// Tries again at once.
  again() {
    this.pause = 500;
    if (this.query !== null) this.connect();
  }

  abort() {
    clearTimeout(this.retry);
    this.controller?.abort();
    this.controller = null;
  }

  tell(state, detail) {
    this.state = state;
    this.onState(state, detail, this.fresh ? Date.now() - this.fresh : null);
  }

  async connect() {
    this.abort();
    const controller = new AbortController();
    this.controller = controller;
    this.heard = Date.now();
    if (this.state !== "lost") this.tell("connecting");
    try {
      const answer = await fetch("/api/bongsu/v1/live?" + this.query, {
        signal: controller.signal, cache: "no-store",
      });
      if (!answer.ok) {
        const body = (await answer.json().catch(() => ({}))).error ?? {};
        if (answer.status === 401) return this.tell("token", body.message);
        if (answer.status === 400 || answer.status === 403 || answer.status === 404 || answer.status === 501)
          return this.tell("refused", body.message ?? answer.statusText);
        throw new Error(body.message ?? answer.statusText);
      }
      await this.read(answer.body.getReader(), controller);
      throw new Error("the stream ended");
    } catch (error) {
      if (controller !== this.controller) return; // looked elsewhere meanwhile
      this.tell("lost", error.message);
      this.retry = setTimeout(() => this.connect(), this.pause * (0.75 + Math.random() / 2));
      this.pause = Math.min(this.pause * 2, longestPause);
    }
  }

  async read(reader, controller) {
    const decoder = new TextDecoder();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done || controller !== this.controller) return;
      this.heard = Date.now();
      this.bytes += value.length;
      text += decoder.decode(value, { stream: true });
      for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) this.event(text.slice(0, end));
    }
  }

  event(text) {
    let name = "";
    let data = "";
    for (const line of text.split("\n")) {
      if (line.startsWith("event: ")) name = line.slice(7);
      else if (line.startsWith("data: ")) data += line.slice(6);
    }
    if (!data) return;
    const value = JSON.parse(data);
    if (name === "opening") {
      this.onOpening(value);
    } else if (name === "figures") {
      this.fresh = Date.now();
      this.pause = 500;
      this.onFigures(value);
      this.tell("live");
    }
  }

  watch() {
    if (this.query === null || !this.controller) return;
    const now = Date.now();
    if (this.state === "live" && now - this.fresh > freshMilliseconds) this.tell("waiting");
    else if (this.state === "waiting" || this.state === "lost") this.tell(this.state);
    if ((this.state === "live" || this.state === "waiting") && now - this.heard > silentMilliseconds) {
      this.tell("lost");
      this.connect();
    }
  }

  /// A page that nobody sees lets its place go after a minute.
  visibility() {
    clearTimeout(this.hiding);
    if (document.hidden) this.hiding = setTimeout(() => this.abort(), 60000);
    else if (this.query !== null && !this.controller) this.again();
  }
}
