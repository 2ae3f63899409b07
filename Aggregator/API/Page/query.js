// Any query in PromQL, as a chart and as the table that says the same.

import { h, put, Table } from "./parts.js";
import { clock, dash, instant, minute, roundTimes, zoneName } from "./format.js";
import { ask } from "./access.js";
import { say } from "./text.js";

const ranges = [["15m", 900], ["1h", 3600], ["6h", 21600], ["24h", 86400], ["7d", 604800]];
const points = 240;
const linesMax = 12;
/// Told apart by most people with any kind of colour vision (Okabe and Ito), and by dashes from the seventh on.
const colors = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const examples = [
  ["examplePower", "factory:bongsu_facility_power_watts:sum"],
  ["exampleDemand", "meter:bongsu_demand_watts:forecast15m / meter:bongsu_contract_power_watts:limit"],
  ["exampleIdle", "allocation:bongsu_gpus:reporting - allocation:bongsu_gpus:busy"],
  ["exampleCoverage", "factory:bongsu_coverage:ratio"],
];

let library = null;

/// The chart library, when it is first needed: another 200 kB that no other view wants.
function loadLibrary() {
  library ??= new Promise((resolve, reject) => {
    const script = h("script", { src: "/page/chart.js" });
    script.onload = () => resolve(window.Chart);
    script.onerror = () => { library = null; reject(new Error(say("noLibrary"))); };
    document.head.append(script);
  });
  return library;
}

export class QueryView {
  constructor(page, parameters) {
    this.page = page;
    this.query = "view=summary";
    this.title = say("query");
    this.expression = parameters.get("expr") ?? "";
    this.range = ranges.find(([name]) => name === parameters.get("range")) ?? ranges[0];
    this.element = h("div", { class: "view querying" });
    this.build();
  }

  build() {
    this.field = h("textarea", { id: "expression", rows: "2", spellcheck: "false", autocapitalize: "off", autocomplete: "off", "aria-describedby": "query-help",
      onkeydown: (event) => { if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); this.submit(); } } });
    this.field.value = this.expression;
    this.choice = h("div", { class: "choice", role: "radiogroup", "aria-label": say("range") }, ranges.map((range) =>
      h("label", {}, h("input", { type: "radio", name: "range", value: range[0], checked: range === this.range, onchange: () => { this.range = range; this.submit(); } }), h("span", {}, range[0]))));
    const form = h("form", { class: "ask", onsubmit: (event) => { event.preventDefault(); this.submit(); } },
      h("label", { for: "expression" }, say("expression")), this.field,
      h("div", { class: "askline" }, h("button", { class: "primary" }, say("run")), this.choice,
        h("small", { id: "query-help" }, say("queryHelp"))),
      h("p", { class: "examples" }, say("examples"), " ", examples.flatMap(([name, text]) => [
        h("button", { type: "button", class: "plain", onclick: () => { this.field.value = text; this.submit(); } }, say(name)), " "])));
    this.status = h("p", { class: "lead", role: "status" });
    this.canvas = h("canvas", { role: "img" });
    this.chartBox = h("div", { class: "chart", hidden: true }, this.canvas);
    this.result = h("section", { class: "panel", hidden: true });
    this.body = [h("h1", { class: "quiet" }, say("query")), h("section", { class: "panel padded" }, form), this.status, h("section", { class: "panel padded", hidden: true }, this.chartBox), this.result];
    this.chartPanel = this.body[3];
  }

  opening() {
    if (this.element.contains(this.field)) return;
    this.element.replaceChildren(...this.body);
    if (this.expression) this.run();
    else this.field.focus({ preventScroll: true });
  }

  figures() {}

  close() { this.chart?.destroy(); }

  /// Puts the question into the address, so that it can be passed on, and asks it.
  submit() {
    this.expression = this.field.value.trim();
    const address = `#/query?${new URLSearchParams({ expr: this.expression, range: this.range[0] })}`;
    history.replaceState(null, "", address);
    this.run();
  }

  async run() {
    if (!this.expression) return put(this.status, say("nothingAsked"));
    const number = (this.number = (this.number ?? 0) + 1);
    put(this.status, say("asking"));
    const end = Math.floor((this.page.tick ?? Date.now()) / 1000);
    const step = Math.max(1, Math.round(this.range[1] / points));
    const started = performance.now();
    try {
      const answer = await ask("/api/v1/query_range", {
        method: "POST", headers: { "Content-Type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams({ query: this.expression, start: end - this.range[1], end, step }),
      });
      if (number !== this.number) return;
      const { result, resultType } = answer.data;
      const rows = resultType === "matrix" ? result : [];
      this.unit = unitOf(rows.map(({ metric }) => metric));
      const shared = sharedLabels(rows.map(({ metric }) => metric));
      const series = rows.map(({ metric, values }) => ({
        name: seriesName(metric), short: shortName(metric, shared), values: values.map(([time, text]) => [time * 1000, Number(text)]),
      })).sort((left, right) => right.values.at(-1)[1] - left.values.at(-1)[1]);
      const warnings = (answer.warnings ?? []).join("; ");
      put(this.status, [say("seriesFound", series.length, Math.round(performance.now() - started)),
        series.length > linesMax ? say("linesShown", linesMax) : null, warnings || null].filter(Boolean).join(" · "));
      this.showTable(series);
      await this.showChart(series, end * 1000, step * 1000);
    } catch (error) {
      if (number !== this.number) return;
      put(this.status, `▲ ${error.message}`);
    }
  }

  async showChart(series, end, step) {
    this.chartPanel.hidden = this.chartBox.hidden = series.length === 0;
    if (!series.length) return;
    const Chart = await loadLibrary();
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--soft").trim();
    const line = style.getPropertyValue("--line").trim();
    const shown = series.slice(0, linesMax);
    this.canvas.setAttribute("aria-label", say("chartOf", this.expression, shown.length));
    this.chart?.destroy();
    const isLong = this.range[1] > 86400;
    const ticks = tickStep(this.range[1], this.canvas.parentElement.clientWidth < 600 ? 5 : 9) * 1000;
    this.chart = new Chart(this.canvas, {
      type: "line",
      data: {
        datasets: shown.map(({ short: label, values }, index) => ({
          label, data: withGaps(values, step), borderColor: colors[index % colors.length],
          backgroundColor: colors[index % colors.length], borderDash: index < colors.length ? [] : [5, 3],
          borderWidth: 1.5, pointRadius: aloneRadius, pointHitRadius: 8, spanGaps: false,
        })),
      },
      options: {
        animation: false, maintainAspectRatio: false, parsing: false, normalized: true,
        interaction: { mode: "nearest", axis: "x", intersect: false },
        scales: {
          x: {
            type: "linear", min: end - this.range[1] * 1000, max: end, grid: { color: line }, border: { color: line },
            ticks: { color: ink, maxRotation: 0, autoSkip: false, callback: (value) => (isLong ? instant(value).slice(5, ticks < 86400000 ? 16 : 10) : minute(value)) },
            afterBuildTicks: (axis) => { axis.ticks = roundTimes(axis.min, axis.max, ticks).map((value) => ({ value })); },
          },
          y: { grid: { color: line }, border: { color: line }, ticks: { color: ink, callback: (value) => short(value, this.unit) } },
        },
        plugins: {
          legend: { position: "bottom", align: "start", labels: { color: ink, boxWidth: 14, boxHeight: 2, font: { size: 11 } } },
          tooltip: { callbacks: { title: (items) => `${isLong ? instant(items[0].parsed.x) : clock(items[0].parsed.x)} ${zoneName()}`, label: (item) => `${item.dataset.label}: ${short(item.parsed.y, this.unit)}` } },
        },
      },
    });
  }

  showTable(series) {
    this.result.hidden = series.length === 0;
    const column = (name, label, value) => ({ name, label, kind: "num", sort: value, make: (row) => h("span", {}, short(value(row), this.unit)) });
    const range = (row, pick) => pick(...row.values.map(([, value]) => value));
    const table = new Table({
      caption: say("seriesTable"), columns: [
        { name: "name", label: say("series"), kind: "name wide", sort: (row) => row.name, descendingFirst: false, make: (row) => h("span", {}, row.name) },
        column("last", say("newest"), (row) => row.values.at(-1)[1]), column("least", say("least"), (row) => range(row, Math.min)),
        column("most", say("most"), (row) => range(row, Math.max)),
      ],
    });
    table.begin(series.slice(0, 500).map((row) => ({ id: row.name, ...row })));
    this.result.replaceChildren(table.element);
  }
}

/// Whole minutes or hours between the labels of the time axis, of which there are so many at most.
function tickStep(seconds, most) {
  return [60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800].find((step) => seconds / step < most) ?? 172800;
}

function seriesName({ __name__: name, nation, ...labels }) {
  const text = Object.entries(labels).map(([key, value]) => `${key}="${value}"`).join(", ");
  return (name ?? "") + (text ? `{${text}}` : "") || "{}";
}

/// Labels that say the same of every series, the metric's name among them: the chart need not repeat them.
function sharedLabels(metrics) {
  const [first = {}, ...others] = metrics;
  return new Set(Object.keys(first).filter((name) => others.every((metric) => metric[name] === first[name])));
}

function shortName(metric, shared) {
  // A path says by itself how deep it lies.
  const own = Object.entries(metric).filter(([name]) => !shared.has(name) && !(name === "depth" && metric.allocation));
  return own.length ? own.map(([name, value]) => (own.length === 1 ? value : `${name}=${value}`)).join(", ") : seriesName(metric);
}

/// A value without a neighbour has no line to show it: it is a point.
function aloneRadius({ dataset, dataIndex }) {
  const isThere = (point) => point !== undefined && !Number.isNaN(point.y);
  const [before, here, after] = [-1, 0, 1].map((offset) => isThere(dataset.data[dataIndex + offset]));
  return here && !before && !after ? 3 : 0;
}

const units = { watts: "W", watts_per_second: "W/s", joules: "J", celsius: "°C", bytes: "B", seconds: "s", hertz: "Hz" };

/// The unit that the names of all series tell; empty where a computation left no name.
function unitOf(metrics) {
  const found = new Set(metrics.map(({ __name__: name = "" }) =>
    units[/_(watts_per_second|watts|joules|celsius|bytes|seconds|hertz)(?=_total$|:|$)/.exec(name)?.[1]] ?? ""));
  return found.size === 1 ? [...found][0] : "";
}

/// Points for the chart; where one or more steps have no value the line is broken.
function withGaps(values, step) {
  const list = [];
  let previous = null;
  for (const [x, y] of values) {
    if (previous !== null && x - previous > step * 1.5) list.push({ x: previous + step, y: NaN });
    list.push({ x, y });
    previous = x;
  }
  return list;
}

const prefixes = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

function short(value, unit = "") {
  if (value === null || value === undefined || Number.isNaN(value)) return dash;
  const [factor, letter] = prefixes.find(([factor]) => Math.abs(value) >= factor) ?? [1, ""];
  const shown = value / factor;
  return shown.toLocaleString("en-US", { maximumSignificantDigits: 4 }) + (letter || unit ? ` ${letter}${unit}` : "");
}
