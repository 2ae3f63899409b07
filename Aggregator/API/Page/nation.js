// The nation at a glance: one line for the whole, one row for each factory, one for each allocation.

import { LimitBar, ShareBar, Spark, Table, Tile, h, mark, put, severity, severityMarks } from "./parts.js";
import { count, dash, inScale, minute, percent, power, powerScale } from "./format.js";
import { alertKey, alertPlace, alertSeverity, ruleCount, severityWords } from "./alerts.js";
import { say } from "./text.js";

/// Names of the numbers of a row, in the order in which they come.
export function readRow([watts, estimated, utilization, expected, reporting, busy, kilojoules, hottest, it]) {
  return {
    watts, estimated, utilization: utilization === null ? null : utilization / 1000, expected, reporting, busy,
    idle: reporting - busy, kilojoules, hottest, it,
    coverage: expected > 0 ? Math.min(1, reporting / expected) : null,
  };
}

export function readMeter([watts, forecast, average, intervalEnd, isExpected, isRead, monthPeak]) {
  return { watts, forecast, average, intervalEnd, isExpected: isExpected === 1, isRead: isRead === 1, monthPeak };
}

/// What the meters of one place say together: contract and forecast of those in service, and the one that is nearest to
/// its contract, which is what is billed.
export function together(meters) {
  const active = meters.filter(({ figures }) => figures.isExpected || figures.watts !== null);
  const contracted = active.filter(({ facts }) => facts.contract_w);
  let nearest = null;
  for (const meter of contracted) {
    const demand = meter.figures.forecast ?? meter.figures.watts;
    if (demand === null) continue;
    const share = demand / meter.facts.contract_w;
    if (!nearest || share > nearest.share) nearest = { share, meter };
  }
  const forecasts = active.map(({ figures }) => figures.forecast).filter((value) => value !== null);
  return {
    contract: contracted.length ? contracted.reduce((sum, { facts }) => sum + facts.contract_w, 0) : null,
    forecast: forecasts.length ? forecasts.reduce((sum, value) => sum + value, 0) : null,
    intervalEnd: active.find(({ figures }) => figures.intervalEnd)?.figures.intervalEnd ?? null,
    nearest, count: contracted.length,
  };
}

export function estimatedNote({ watts, estimated }) {
  return watts > 0 && estimated / watts >= 0.005 ? say("estimated", percent(estimated / watts)) : "";
}

// MARK: Columns that several views have

export const columns = {
  name(label, title = (row) => row.facts.remark) {
    return {
      name: "name", label, kind: "name", sort: (row) => row.facts.name, descendingFirst: false,
      make: (row) => h("span", { class: "named", title: row.facts.name },
        row.href ? h("a", { href: row.href }, row.facts.name) : h("span", {}, row.facts.name),
        h("small", {}, title(row) ?? "")),
    };
  },
  power(label, scale) {
    return {
      name: "power", label, kind: "num power", sort: (row) => row.figures?.watts ?? null,
      make: () => h("span", {}, h("b", {}), h("small", {})),
      paint: (element, { figures }) => {
        put(element.firstChild, figures ? `${inScale(figures.watts, scale())} ${figures.watts === null ? "" : scale().unit}` : dash);
        put(element.lastChild, figures ? estimatedNote(figures) : "");
      },
    };
  },
  utilization() {
    return {
      name: "utilization", label: say("utilization"), kind: "num share", sort: (row) => row.figures?.utilization ?? null,
      make: (row) => { row.utilizationBar = new ShareBar(); return h("span", {}, h("b", {}), row.utilizationBar.element); },
      paint: (element, row) => {
        put(element.firstChild, percent(row.figures?.utilization));
        row.utilizationBar.show(row.figures?.utilization ?? null);
      },
    };
  },
  coverage() {
    return {
      name: "coverage", label: say("coverage"), kind: "num share", sort: (row) => row.figures?.coverage ?? null,
      make: (row) => { row.coverageBar = new ShareBar(); return h("span", {}, h("b", {}), row.coverageBar.element); },
      paint: (element, row) => {
        const share = row.figures?.coverage ?? null;
        put(element.firstChild, (share !== null && share < 0.95 ? "◆ " : "") + percent(share, share !== null && share >= 0.9 ? 1 : 0));
        mark(element, "warn", share !== null && share < 0.95);
        row.coverageBar.show(share);
      },
    };
  },
  number(name, label, value) {
    return {
      name, label, kind: "num count " + name, sort: (row) => value(row) ?? null, make: () => h("span"),
      paint: (element, row) => put(element, count(value(row))),
    };
  },
  idle() {
    return {
      name: "idle", label: say("idle"), kind: "num count idle", sort: (row) => row.figures?.idle ?? null,
      make: () => h("span", {}, h("b", {}), h("small", {})),
      paint: (element, { figures }) => {
        put(element.firstChild, figures?.reporting ? count(figures.idle) : dash);
        put(element.lastChild, figures?.reporting ? percent(figures.idle / figures.reporting) : "");
      },
    };
  },
  spark() {
    return {
      name: "spark", label: say("lastMinutes"), kind: "sparkcell",
      make: (row) => { row.spark = new Spark(); return row.spark.element; },
    };
  },
};

/// The columns of a place that has contracts.
function contractColumns(scale) {
  return [
    {
      name: "near", label: say("share"), kind: "limitcell", sort: (row) => row.sums?.nearest?.share ?? null,
      make: (row) => {
        row.bar = new LimitBar();
        return h("span", {}, row.bar.element, h("b", {}), h("small", { class: "which" }));
      },
      paint: (element, row) => {
        const { sums, figures } = row;
        row.bar.show(figures?.watts ?? null, figures?.estimated ?? 0, sums?.forecast ?? null, sums?.contract ?? null);
        const level = severity(sums?.nearest?.share);
        row.bar.element.dataset.level = level;
        put(element.children[1], sums?.nearest ? severityMarks[level] + percent(sums.nearest.share) : dash);
        put(element.children[2], sums?.nearest && sums.count > 1 ? sums.nearest.meter.facts.id : "");
        element.title = sums?.nearest && sums.count > 1 ? say("ofMeter", sums.nearest.meter.facts.id) : "";
        element.dataset.level = level;
      },
    },
    columns.power(say("powerFacility"), scale),
    {
      name: "contract", label: say("contract"), kind: "num contract", sort: (row) => row.sums?.contract ?? null,
      make: () => h("span"),
      paint: (element, { sums }) => put(element, sums?.contract ? `${inScale(sums.contract, scale())} ${scale().unit}` : dash),
    },
    {
      name: "forecast", label: say("forecastShort"), kind: "num forecast", title: say("forecastTitle"),
      sort: (row) => row.sums?.forecast ?? null, make: () => h("span"),
      paint: (element, { sums }) => put(element, sums?.forecast !== null && sums ? `${inScale(sums.forecast, scale())} ${scale().unit}` : dash),
    },
  ];
}

export class NationView {
  constructor(page) {
    this.page = page;
    this.query = "view=nation";
    this.title = say("nation");
    this.element = h("div", { class: "view nation" });
    this.scale = powerScale([0]);
    this.allocationScale = powerScale([0]);
    this.showsPlanned = false;
  }

  opening(facts) {
    this.meters = facts.meters.map((meter) => ({ facts: meter, figures: readMeter([null, null, null, null, 0, 0, null]) }));
    this.factories = facts.factories.map((factory) => ({
      id: factory.id, facts: factory, href: `#/factory/${encodeURIComponent(factory.id)}`,
      meters: this.meters.filter((meter) => meter.facts.factory === factory.id),
    }));
    this.allocations = facts.allocations.map((allocation) => ({
      id: allocation.id, parent: allocation.parent ?? null, facts: allocation,
      href: `#/allocation/${encodeURIComponent(allocation.id)}`,
    }));
    this.build(facts);
    if (facts.course) {
      const { end_ms, step_ms } = facts.course;
      this.spark.begin(facts.course.subject, end_ms, step_ms);
      this.factories.forEach((row, index) => row.spark.begin(facts.course.factories[index] ?? [], end_ms, step_ms));
      this.allocations.forEach((row, index) => row.spark.begin(facts.course.allocations[index] ?? [], end_ms, step_ms));
    }
  }

  build(facts) {
    this.bar = new LimitBar();
    this.spark = new Spark("large");
    const cooling = facts.with_cooling;
    this.powerTile = new Tile(say(cooling ? "powerFacility" : "powerIT"), "main");
    this.forecastTile = new Tile(say("forecast"));
    this.utilizationTile = new Tile(say("utilization"));
    this.coverageTile = new Tile(say("gpusReporting"));
    this.busyTile = new Tile(say("busyIdle"));
    this.powerTile.element.append(this.bar.element);
    // A share of factories has no contract: that belongs to the whole.
    this.bar.element.hidden = this.forecastTile.element.hidden = !cooling;
    const sparkTile = h("div", { class: "tile course" }, h("span", { class: "label" }, say("lastMinutes")), this.spark.element);
    const summary = h("section", { class: "tiles", "aria-label": facts.subject.name },
      this.powerTile.element, this.forecastTile.element, this.utilizationTile.element, this.coverageTile.element,
      this.busyTile.element, sparkTile);
    this.factoryTable = new Table({
      caption: say("factories"), sort: { name: cooling ? "near" : "power", descending: true },
      columns: [
        columns.name(say("factory")),
        ...(cooling ? contractColumns(() => this.scale) : [
          columns.number("expected", say("expected"), (row) => row.figures?.expected),
          columns.number("reporting", say("reporting"), (row) => row.figures?.reporting),
          columns.idle(), columns.power(say("powerIT"), () => this.scale),
        ]),
        columns.utilization(), columns.coverage(), columns.spark(),
      ],
    });
    this.factoryTable.begin(this.factories);
    this.planned = h("button", { type: "button", class: "plain", hidden: true, onclick: () => this.togglePlanned() });
    this.allocationTable = new Table({
      caption: say("allocations"), isTree: true,
      columns: [
        columns.name(say("allocation"), (row) => row.facts.id),
        columns.number("granted", say("granted"), (row) => row.facts.granted),
        columns.number("reporting", say("reporting"), (row) => row.figures?.reporting),
        columns.number("busy", say("busy"), (row) => row.figures?.busy),
        columns.idle(), columns.utilization(), columns.power(say("powerIT"), () => this.allocationScale),
        columns.coverage(), columns.spark(),
      ],
    });
    this.allocationTable.begin(this.allocations);
    for (const row of this.allocations) row.element.dataset.depth = Math.min(row.facts.depth ?? 0, 3);
    this.alarm = h("section", { class: "alarms", "aria-live": "polite" });
    summary.dataset.tiles = cooling ? 6 : 5;
    this.showFiring();
    this.element.replaceChildren(h("h1", { class: "quiet" }, facts.subject.name), this.alarm, summary,
      h("section", { class: "panel" }, this.factoryTable.element, this.planned),
      h("section", { class: "panel" }, this.allocationTable.element));
  }

  /// What fires, most urgent first: a few lines that lead to why.
  showFiring() {
    if (!this.alarm) return;
    const rank = { critical: 0, warning: 1, pending: 2 };
    // One line for each rule: a hundred racks at their rating are one piece of news.
    const groups = new Map();
    for (const alert of this.page.firing) {
      const key = alert.name + alertSeverity(alert);
      if (groups.has(key)) groups.get(key).push(alert);
      else groups.set(key, [alert]);
    }
    const firing = [...groups.values()].sort(([left], [right]) => rank[alertSeverity(left)] - rank[alertSeverity(right)]);
    const of = ([alert, ...others]) => ruleCount(this.page.byRule, alert)?.firing ?? others.length + 1;
    const lines = firing.slice(0, 3).map((group) => {
      const [alert] = group;
      const severity = alertSeverity(alert);
      return h("a", { class: `alarm ${severity}`, href: `#/alerts/${alertKey(alert)}` },
        h("span", { class: "mark" }, severityWords[severity]), h("b", {}, alert.name),
        h("span", { class: "where" }, alertPlace(alert) + (of(group) > 1 ? ` ${say("andMore", count(of(group) - 1))}` : "")),
        h("span", { class: "what" }, alert.annotations.summary ?? ""), h("span", { class: "more" }, say("why")));
    });
    const listed = firing.slice(0, 3).reduce((sum, group) => sum + of(group), 0);
    const all = this.page.alerts?.[0] ?? listed;
    if (all > listed) lines.push(h("a", { class: "alarm all", href: "#/alerts" }, `${say("allAlerts")} (${count(all)})`));
    this.alarm.replaceChildren(...lines);
  }

  togglePlanned() {
    this.showsPlanned = !this.showsPlanned;
    this.hide();
    this.factoryTable.update(true);
    this.allocationTable.update(true);
  }

  /// Places where nothing is expected and nothing reports are no news.
  hide() {
    let planned = 0;
    for (const row of [...this.factories, ...this.allocations]) {
      const isQuiet = row.figures.expected === 0 && row.figures.reporting === 0;
      const isNobody = row.id === "unassigned";
      row.isHidden = isQuiet && (isNobody || !this.showsPlanned);
      if (isQuiet && !isNobody) planned += 1;
      mark(row.element, "planned", isQuiet);
    }
    this.planned.hidden = planned === 0;
    put(this.planned, `${say("notInService", planned)} · ${say(this.showsPlanned ? "hidePlanned" : "showPlanned")}`);
  }

  figures(figures) {
    // What a token covers can change with dates in the fleet file: then the rows are others.
    if (figures.factories?.length !== this.factories.length && this.factories.length) return this.page.again();
    const isFirst = !this.shown;
    this.shown = true;
    const total = readRow(figures.subject);
    this.meters.forEach((meter, index) => { meter.figures = readMeter((figures.meters ?? [])[index]); });
    this.factories.forEach((row, index) => {
      row.figures = readRow(figures.factories[index]);
      row.sums = together(row.meters);
      row.spark.add(figures.t, row.figures.watts);
    });
    this.allocations.forEach((row, index) => {
      row.figures = readRow((figures.allocations ?? [])[index]);
      row.spark.add(figures.t, row.figures.watts);
    });
    this.spark.add(figures.t, total.watts);
    this.scale = powerScale(this.factories.flatMap((row) => [row.figures.watts, row.sums.contract]));
    this.allocationScale = powerScale(this.allocations.map((row) => row.figures.watts));
    this.hide();
    this.showTotal(total, together(this.meters));
    this.factoryTable.update(isFirst);
    this.allocationTable.update(isFirst);
  }

  showTotal(total, sums) {
    const contract = sums.contract;
    this.powerTile.show(power(total.watts),
      [contract ? say("ofContract", power(contract)) : "", estimatedNote(total)].filter(Boolean).join(" · "));
    this.bar.show(total.watts, total.estimated, sums.forecast, contract);
    const room = contract && sums.forecast !== null ? contract - sums.forecast : null;
    this.forecastTile.show(power(sums.forecast), [
      room === null ? "" : room >= 0 ? say("headroom", power(room)) : say("over", power(-room)),
      sums.intervalEnd ? say("forecastEnds", minute(sums.intervalEnd * 1000)) : "",
    ].filter(Boolean).join(" · "));
    this.utilizationTile.show(percent(total.utilization));
    this.coverageTile.show(count(total.reporting), say("shareOfCount", percent(total.coverage, 1), count(total.expected)));
    mark(this.coverageTile.element, "warn", total.coverage !== null && total.coverage < 0.95);
    this.busyTile.show(total.reporting ? `${count(total.busy)} · ${count(total.idle)}` : dash,
      total.reporting ? `${percent(total.busy / total.reporting)} · ${percent(total.idle / total.reporting)}` : "");
  }
}
