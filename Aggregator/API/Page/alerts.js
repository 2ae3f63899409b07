// Alerts: what fires and why, where it was told, what happened before.

import { h, put, Table } from "./parts.js";
import { count, dash, instant, percent, span } from "./format.js";
import { ask } from "./access.js";
import { say } from "./text.js";

const placeLabels = ["meter", "factory", "hall", "rack", "node", "gpu", "allocation"];
/// Where a node is named, these say nothing that finds it sooner.
const beyondNode = ["hall", "rack", "allocation"];
const historyRows = 100;
/// More are counted and not listed: a nation without power has thousands.
const alertsMax = 100;

/// Tells alerts of one rule apart, for addresses.
export function alertKey({ name, labels }) {
  const text = name + Object.keys(labels).sort().map((key) => `|${key}=${labels[key]}`).join("");
  let hash = 5381;
  for (const letter of text) hash = (Math.imul(hash, 33) ^ letter.codePointAt(0)) >>> 0;
  return hash.toString(36);
}

export function alertPlace({ labels }) {
  const names = placeLabels.filter((name) => labels[name] && !(labels.node && beyondNode.includes(name)))
    .map((name) => (name === "gpu" ? `GPU ${labels[name]}` : labels[name]));
  return names.length ? names.join(" · ") : say("wholeNation");
}

export function alertSeverity({ labels, state }) {
  if (state === "pending") return "pending";
  return labels.severity === "critical" || labels.severity === "page" ? "critical" : "warning";
}

/// How many alerts there are with the name and severity of one; `undefined` where that is not said.
export function ruleCount(counts, { name, labels }) {
  return counts?.find((rule) => rule.name === name && rule.severity === (labels.severity ?? ""));
}

export const severityWords = { critical: "▲", warning: "◆", pending: "○", inactive: "✓" };

/// Where an alert's place can be looked at.
function links({ labels }) {
  const { factory, hall, rack, node, allocation } = labels;
  const list = [];
  if (node) list.push([node, `#/node/${encodeURIComponent(node)}`]);
  else if (factory && hall && rack) list.push([say("rackIn", rack, hall), `#/factory/${[factory, hall, rack].map(encodeURIComponent).join("/")}`]);
  if (factory) list.push([factory, `#/factory/${encodeURIComponent(factory)}`]);
  if (allocation) list.push([allocation, `#/allocation/${encodeURIComponent(allocation)}`]);
  return list;
}

/// The side of a rule's comparison that moves, so that a graph shows how it came to the threshold.
export function moving(expression) {
  let depth = 0;
  let quote = null;
  for (let index = 0; index < expression.length; index += 1) {
    const letter = expression[index];
    if (quote) { if (letter === quote && expression[index - 1] !== "\\") quote = null; continue; }
    if (letter === '"' || letter === "'" || letter === "`") quote = letter;
    else if ("({[".includes(letter)) depth += 1;
    else if (")}]".includes(letter)) depth -= 1;
    else if (depth === 0 && (/^(>|<|==|!=)/.test(expression.slice(index)) || /^\s(and|unless|or)\s/.test(expression.slice(index)))) return expression.slice(0, index).trim();
  }
  return expression.trim();
}

/// Labels that tell the places of a level apart, by the first word of a rollup's name.
const levelLabels = {
  nation: [], factory: ["factory"], hall: ["factory", "hall"], rack: ["factory", "hall", "rack"], meter: ["factory", "meter"],
  allocation: ["allocation"], node: ["factory", "node"],
};
const rollup = /\b(nation|factory|hall|rack|meter|allocation|node):\w+:\w+/g;

/// What shows how an alert came about, at its own place alone: the side of the comparison that moves, and beside it the
/// threshold where the fleet file gives one.
export function course(expression, labels) {
  const place = (level) => levelLabels[level].filter((name) => labels[name]).map((name) => `${name}=${JSON.stringify(labels[name])}`);
  const [, value, threshold] = /^\s*([\w:]+)\s*[<>]=?\s*([\w:]+)(?=\s*$|\s+(?:or|and|unless)\b)/.exec(expression) ?? [];
  const [level, other] = [value, threshold].map((name) => /^(\w+):\w+:\w+$/.exec(name ?? "")?.[1]);
  if (level in levelLabels && level === other) return `{${[`__name__=~"${value}|${threshold}"`, ...place(level)].join(",")}}`;
  return moving(expression)
    .replace(rollup, (name, prefix, offset, text) => {
      const matchers = place(prefix).join(",");
      // Where a selector has matchers of its own these stay alone.
      return !matchers || text[offset + name.length] === "{" ? name : `${name}{${matchers}}`;
    })
    .replace(/(?<![\w:])bongsu_(?:gpu|node)_\w+(?![\w:{(])/g, (name) => {
      const matchers = ["factory", "node", "gpu"].filter((label) => labels[label]).map((label) => `${label}=${JSON.stringify(labels[label])}`);
      return matchers.length ? `${name}{${matchers.join(",")}}` : name;
    });
}

export class AlertsView {
  constructor(page, open) {
    this.page = page;
    this.query = "view=summary";
    this.title = say("alerts");
    this.open = new Set(open ? [open] : []);
    this.wanted = open;
    this.lead = h("p", { class: "lead" });
    this.problems = h("div", { class: "problems", role: "status" });
    this.list = h("div", { class: "alertlist", "aria-live": "polite", "aria-relevant": "additions text" });
    this.receivers = h("section", { class: "panel", hidden: true });
    this.bytes = 0;
    this.history = new Table({
      caption: say("alertHistory"), hint: say("latest", historyRows),
      columns: [
        this.column("time", say("time"), "when", (row) => instant(row.change.at_ms)),
        this.column("alert", say("alert"), "name", (row) => row.change.name),
        this.column("place", say("place"), "", (row) => alertPlace(row.change)),
        this.column("change", say("change"), "", (row) => `${severityWords[row.change.to === "firing" ? alertSeverity(row.change) : row.change.to] ?? ""} ${say(row.change.from === "inactive" ? "state_quiet" : "state_" + row.change.from)} → ${say("state_" + row.change.to)}`),
        this.column("value", say("value"), "num", (row) => number(row.change.value)),
        this.column("coverage", say("coverage"), "num", (row) => percent(row.change.coverage, 1)),
      ],
    });
    this.element = h("div", { class: "view alerts" });
    this.body = [h("h1", { class: "quiet" }, say("alerts")), this.lead, this.problems, this.list, this.receivers, h("section", { class: "panel" }, this.history.element)];
  }

  column(name, label, kind, text) {
    return { name, label, kind, make: (row) => h("span", {}, text(row)) };
  }

  opening() {
    this.element.replaceChildren(...this.body);
    this.load();
  }

  figures() {
    // Rules are evaluated at every tick; the lists are asked for when something changed, and now and then.
    // Not more than 20 KB a second: many alerts that change all the time are looked at less often.
    const key = String(this.page.alerts);
    const since = performance.now() - this.loaded;
    if ((key !== this.key && since > Math.max(1000, this.bytes / 20)) || since > Math.max(10000, this.bytes / 20)) { this.key = key; this.load(); }
  }

  async load() {
    if (this.isLoading) return;
    this.isLoading = true;
    this.loaded = performance.now();
    try {
      const [now, history, rules] = await Promise.all([
        ask(`/api/bongsu/v1/alerts?limit=${alertsMax}`), ask(`/api/bongsu/v1/alerts/history?limit=${historyRows}`),
        this.rules ? null : ask("/api/v1/rules?type=alert"),
      ]);
      if (rules) this.rules = rules.data.groups.flatMap((group) => group.rules);
      this.bytes = JSON.stringify(now).length + JSON.stringify(history).length;
      this.show(now, history);
    } catch (error) {
      put(this.problems, say("alertsFailed", error.message));
    } finally {
      this.isLoading = false;
    }
  }

  show(now, history) {
    const [firing, pending] = this.page.alerts ?? [0, 0];
    this.lead.replaceChildren(h("b", { class: firing ? "bad" : null }, firing ? `▲ ${say("firing", firing)}` : `✓ ${say("noAlerts")}`), " · ", [
      pending ? `○ ${say("pending", pending)}` : null,
      say("rulesEvaluated", count(now.rules), now.evaluated_ms ? instant(now.evaluated_ms) : dash),
      firing + pending > alertsMax ? say("alertsShown", alertsMax, count(firing + pending)) : null,
      now.after_restart ? say("afterRestart") : null,
    ].filter(Boolean).join(" · "));
    const problems = [...now.failing_rules, ...now.file_failures, ...(now.save_failure ? [now.save_failure] : [])];
    this.problems.replaceChildren(...problems.map((text) => h("p", { class: "bad" }, "▲ " + text)));
    const rank = { critical: 0, warning: 1, pending: 2 };
    this.showAlerts(now.alerts.filter(({ state }) => state === "firing" || state === "pending")
      .sort((left, right) => rank[alertSeverity(left)] - rank[alertSeverity(right)]).slice(0, alertsMax), now.by_rule);
    this.showReceivers(now.receivers);
    this.history.begin(history.changes.map((change, index) => ({ id: String(index), change })));
  }

  showAlerts(alerts, counts) {
    const text = JSON.stringify([counts, alerts.map((alert) => [alert.name, alert.labels, alert.state, alert.held, alert.deliveries])]);
    if (text === this.shownText) {
      // The same alerts: only their values move.
      alerts.forEach((alert) => put(this.values.get(alertKey(alert)), number(alert.value)));
      return;
    }
    this.shownText = text;
    this.values = new Map();
    const focused = document.activeElement?.closest?.("details")?.dataset.key;
    const listed = new Map();
    for (const alert of alerts) {
      const rule = ruleCount(counts, alert);
      if (rule) listed.set(rule, (listed.get(rule) ?? 0) + 1);
    }
    this.list.replaceChildren(...alerts.flatMap((alert, index) => {
      const rule = ruleCount(counts, alert);
      const left = rule ? rule.firing + rule.pending - listed.get(rule) : 0;
      const isLast = left > 0 && !alerts.slice(index + 1).some((other) => ruleCount(counts, other) === rule);
      return isLast ? [this.alert(alert), this.more(rule, left)] : [this.alert(alert)];
    }));
    if (focused) this.list.querySelector(`details[data-key="${focused}"] summary`)?.focus();
    if (this.wanted) { this.list.querySelector(`details[data-key="${this.wanted}"]`)?.scrollIntoView({ block: "center" }); this.wanted = null; }
  }

  /// A line for those of a rule that are not listed, which leads to how many of them are where.
  more({ name, severity }, left) {
    const matchers = [`alertname=${JSON.stringify(name)}`, ...(severity ? [`severity=${JSON.stringify(severity)}`] : [])].join(",");
    const expr = `count by (factory, alertstate) (ALERTS{${matchers}})`;
    return h("p", { class: "hint" }, h("a", { href: `#/query?expr=${encodeURIComponent(expr)}` }, say("moreOfRule", name, count(left))));
  }

  alert(alert) {
    const key = alertKey(alert);
    const severity = alertSeverity(alert);
    // Several rules may share a name: a warning and a critical one.
    const rule = this.rules.find(({ name, labels }) => name === alert.name && Object.entries(labels ?? {}).every(([key, text]) => text.includes("{{") || alert.labels[key] === text));
    const value = h("b", {}, number(alert.value));
    this.values.set(key, value);
    const { summary, description, ...annotations } = alert.annotations;
    const fact = (label, ...content) => [h("dt", {}, label), h("dd", {}, ...content)];
    const details = h("details", { class: `alert ${severity}`, "data-key": key, open: this.open.has(key), ontoggle: (event) => {
      if (event.target.open) this.open.add(key); else this.open.delete(key);
    } },
    h("summary", {},
      h("span", { class: "mark", "aria-hidden": "true" }, severityWords[severity]),
      h("span", { class: "what" }, h("b", {}, alert.name), h("span", {}, summary ?? "")),
      h("span", { class: "where" }, alertPlace(alert)),
      h("span", { class: "since" }, h("span", { class: "word" }, say("severity_" + severity)), " ", say("sinceTime", instant(alert.fired_ms ?? alert.active_since_ms)))),
    h("dl", {},
      description ? fact(say("meaning"), quoted(description)) : null,
      rule ? fact(say("why"), say("becauseOf"), " ", h("code", {}, rule.query.trim()), rule.duration ? ` ${say("forDuration", span(rule.duration * 1000))}` : "", " ",
        h("a", { class: "graph", href: `#/query?expr=${encodeURIComponent(course(rule.query, alert.labels))}` }, say("graphIt"))) : null,
      fact(say("value"), value),
      alert.coverage_at_firing === undefined || alert.coverage_at_firing === null ? null : fact(say("coverageAtFiring"), percent(alert.coverage_at_firing, 1)),
      alert.held ? fact(say("held"), say("heldWhy")) : null,
      links(alert).length ? fact(say("place"), links(alert).flatMap(([text, href], index) => [index ? " · " : "", h("a", { href }, text)])) : null,
      fact(say("labels"), Object.entries(alert.labels).filter(([name]) => name !== "alertname").map(([name, text]) => h("span", { class: "label" }, `${name}=${text}`))),
      fact(say("told"), alert.deliveries.length ? alert.deliveries.map(({ receiver, state }) => `${receiver}: ${say("delivery_" + state)}`).join(", ") : say("toldNobody")),
      Object.entries(annotations).filter(([name]) => !name.startsWith("bongsu_")).map(([name, text]) => fact(name === "runbook" ? say("runbook") : name, quoted(text)))));
    return details;
  }

  showReceivers(receivers) {
    this.receivers.hidden = receivers.length === 0;
    const text = JSON.stringify(receivers);
    if (!receivers.length || text === this.receiverText) return;
    this.receiverText = text;
    const table = new Table({
      caption: say("receivers"),
      columns: [
        this.column("name", say("receiver"), "name", ({ receiver }) => receiver.name),
        this.column("delivered", say("delivered"), "num", ({ receiver }) => count(receiver.delivered)),
        this.column("waiting", say("waitingEvents"), "num", ({ receiver }) => count(receiver.waiting)),
        this.column("failed", say("failedAttempts"), "num", ({ receiver }) => count(receiver.failed)),
        this.column("state", say("state"), "", ({ receiver }) => (receiver.failing ? `▲ ${receiver.last_failure ?? ""}` : say("fine"))),
      ],
    });
    table.begin(receivers.map((receiver) => ({ id: receiver.name, receiver })));
    this.receivers.replaceChildren(table.element);
  }
}

/// Text with what stands between backticks, commands mostly, set as code.
function quoted(text) {
  return text.split(/`([^`]+)`/).map((part, index) => (index % 2 ? h("code", {}, part) : part));
}

function number(value) {
  if (value === null || value === undefined) return dash;
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e15 || size < 1e-3) ? value.toExponential(2) : value.toLocaleString("en-US", { maximumFractionDigits: size < 10 ? 3 : size < 1000 ? 1 : 0 });
}
