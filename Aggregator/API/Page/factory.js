// One factory: its meters, its halls and racks as a heat map, and whose GPUs stand in it.

import { LimitBar, ShareBar, Spark, Table, Tile, h, mark, put, severity, severityMarks } from "./parts.js";
import { celsius, count, dash, inScale, minute, percent, power, powerScale } from "./format.js";
import { columns, estimatedNote, readMeter, readRow, together } from "./nation.js";
import { say } from "./text.js";

const levels = 10;

/// What a heat map can show: how a number reads, and where it stands between pale and full.
const figures = {
  power: {
    text: (value) => power(value),
    share: (value, { limit, largest }) => value / (limit ?? largest ?? value),
    isOver: (value, { limit }) => Boolean(limit) && value > limit,
    ends: ({ hasLimits }) => ["0", say(hasLimits ? "ofRating" : "ofLargest")],
  },
  utilization: {
    text: (value) => percent(value / 1000), share: (value) => value / 1000, isOver: () => false, ends: () => ["0 %", "100 %"],
  },
  temperature: {
    text: (value) => celsius(value), share: (value) => (value / 10 - 30) / 60, isOver: (value) => value >= 900,
    ends: () => ["30 °C", "90 °C"],
  },
  coverage: {
    text: (value) => percent(value / 1000, 1), share: (value) => value / 1000, isOver: () => false, ends: () => ["0 %", "100 %"],
  },
};

/// One cell for each rack of a hall, reached by one tab stop and the arrow keys.
class RackMap {
  constructor(factory, hall) {
    this.hall = hall;
    this.element = h("div", { class: "racks", role: "group", "aria-label": say("racksOf", hall.name) });
    this.cells = hall.racks.map((rack, index) => {
      const cell = h("a", {
        class: "rack none", tabindex: index === 0 ? "0" : "-1",
        href: `#/factory/${encodeURIComponent(factory)}/${encodeURIComponent(hall.id)}/${encodeURIComponent(rack)}`,
      });
      cell.setAttribute("aria-label", rack);
      return cell;
    });
    this.values = this.cells.map(() => undefined);
    this.element.append(...this.cells);
    this.element.addEventListener("keydown", (event) => this.move(event));
  }

  limit(index) { return this.hall.rack_limits_w[this.hall.rack_limits_w.length === 1 ? 0 : index] ?? null; }

  show(values, figure, largest) {
    values.forEach((value, index) => {
      const cell = this.cells[index];
      if (this.values[index] === value && this.figure === figure && this.largest === largest) return;
      this.values[index] = value;
      const limit = this.limit(index);
      let name = "rack none";
      if (value !== null) {
        const share = Math.max(0, Math.min(1, figure.share(value, { limit, largest })));
        name = `rack l${Math.min(levels - 1, Math.floor(share * levels))}${figure.isOver(value, { limit }) ? " over" : ""}`;
      }
      if (cell.className !== name) cell.className = name;
      const label = `${this.hall.racks[index]}: ${value === null ? say("noData") : figure.text(value)}`;
      if (cell.title !== label) { cell.title = label; cell.setAttribute("aria-label", label); }
    });
    this.figure = figure;
    this.largest = largest;
  }

  move(event) {
    const at = this.cells.indexOf(document.activeElement);
    if (at < 0) return;
    const top = this.cells[0].offsetTop;
    const perRow = this.cells.findIndex((cell) => cell.offsetTop > top);
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: perRow, ArrowUp: -perRow, Home: -at, End: this.cells.length - 1 - at }[event.key];
    if (step === undefined || (perRow < 0 && Math.abs(step) === 1 && event.key.startsWith("ArrowU"))) return;
    const next = this.cells[at + step];
    if (!next) return;
    event.preventDefault();
    this.cells[at].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}

/// The summary tiles that a factory and an allocation share.
export class SubjectTiles {
  constructor(facts) {
    this.withCooling = facts.with_cooling;
    this.bar = new LimitBar();
    this.spark = new Spark("large");
    this.power = new Tile(say(this.withCooling ? "powerFacility" : "powerIT"), "main");
    this.power.element.append(this.bar.element);
    this.tiles = {};
    this.course = h("div", { class: "tile course" }, h("span", { class: "label" }, say("lastMinutes")), this.spark.element);
    this.element = h("section", { class: "tiles", "aria-label": facts.subject.name }, this.power.element);
  }

  tile(name, label) {
    this.tiles[name] = new Tile(label);
    this.element.append(this.tiles[name].element);
  }

  end() { this.element.append(this.course); this.element.dataset.tiles = this.element.children.length; }

  showPower(row, forecast, limit, limitWords) {
    this.power.show(power(row.watts), [limit ? say(limitWords, power(limit)) : "", estimatedNote(row)].filter(Boolean).join(" · "));
    this.bar.element.hidden = !limit;
    this.bar.show(row.watts, row.estimated, forecast, limit);
  }

  showForecast(sums) {
    const room = sums.contract && sums.forecast !== null ? sums.contract - sums.forecast : null;
    this.tiles.forecast.show(power(sums.forecast), [
      room === null ? "" : room >= 0 ? say("headroom", power(room)) : say("over", power(-room)),
      sums.intervalEnd ? say("forecastEnds", minute(sums.intervalEnd * 1000)) : "",
    ].filter(Boolean).join(" · "));
  }

  showCoverage(row) {
    this.tiles.coverage.show(count(row.reporting), say("shareOfCount", percent(row.coverage, 1), count(row.expected)));
    mark(this.tiles.coverage.element, "warn", row.coverage !== null && row.coverage < 0.95);
  }
}

export function crumbs(...steps) {
  return h("nav", { class: "crumbs", "aria-label": say("place") }, h("ol", {}, steps.map(([text, href], index) =>
    h("li", {}, index === steps.length - 1 ? h("h1", {}, text) : h("a", { href }, text)))));
}

/// A meter's row of a table.
export function meterColumns(scale) {
  const watts = (name, label, value, title) => ({
    name, label, title, kind: "num", sort: value, make: () => h("span"),
    paint: (element, row) => put(element, value(row) === null ? dash : `${inScale(value(row), scale())} ${scale().unit}`),
  });
  return [
    columns.name(say("meter"), (row) => row.facts.halls.join(", ")),
    {
      name: "near", label: say("share"), kind: "limitcell", sort: (row) => row.share ?? null,
      make: (row) => { row.bar = new LimitBar(); return h("span", {}, row.bar.element, h("b", {})); },
      paint: (element, row) => {
        const { forecast, watts: now } = row.figures;
        row.share = row.facts.contract_w && (forecast ?? now) !== null ? (forecast ?? now) / row.facts.contract_w : null;
        row.bar.show(now, 0, forecast, row.facts.contract_w ?? null);
        const level = severity(row.share, row.facts.warn_permille / 1000, row.facts.critical_permille / 1000);
        row.bar.element.dataset.level = level;
        element.dataset.level = level;
        put(element.lastChild, severityMarks[level] + percent(row.share));
      },
    },
    watts("power", say("powerFacility"), (row) => row.figures.watts),
    watts("contract", say("contract"), (row) => row.facts.contract_w ?? null),
    watts("forecast", say("forecastShort"), (row) => row.figures.forecast, say("forecastTitle")),
    watts("average", say("soFar"), (row) => row.figures.average, say("soFarTitle")),
    watts("peak", say("monthPeak"), (row) => row.figures.monthPeak, say("monthPeakTitle")),
    {
      name: "source", label: say("source"), kind: "", make: () => h("span"),
      paint: (element, row) => put(element, say(row.figures.isRead ? "sourceMeter" : "sourceComputed")),
    },
  ];
}

export class FactoryView {
  constructor(page, id) {
    this.page = page;
    this.id = id;
    this.heat = sessionStorage.getItem("bongsu-heat") ?? "power";
    if (!figures[this.heat]) this.heat = "power";
    this.title = id;
    this.element = h("div", { class: "view factory" });
    this.scale = powerScale([0]);
  }

  get query() { return `view=factory&id=${encodeURIComponent(this.id)}&heat=${this.heat}`; }

  opening(facts) {
    this.facts = facts;
    document.title = `${facts.subject.name} · Bongsu`;
    this.meters = facts.meters.map((meter) => ({ id: meter.id, facts: { ...meter, remark: meter.halls.join(", ") }, figures: readMeter([null, null, null, null, 0, 0, null]) }));
    this.shares = facts.allocations.map((allocation) => ({
      id: allocation.id, parent: allocation.parent ?? null, facts: allocation, href: `#/allocation/${encodeURIComponent(allocation.id)}`,
    }));
    this.tiles = new SubjectTiles(facts);
    if (facts.with_cooling) this.tiles.tile("forecast", say("forecast"));
    this.tiles.tile("utilization", say("utilization"));
    this.tiles.tile("coverage", say("gpusReporting"));
    this.tiles.tile("busy", say("busyIdle"));
    this.tiles.end();
    const parts = [crumbs([say("nation"), "#/"], [facts.subject.name]), this.tiles.element];
    if (this.meters.length) {
      this.meterTable = new Table({ caption: say("meters"), sort: { name: "near", descending: true }, columns: meterColumns(() => this.scale) });
      this.meterTable.begin(this.meters);
      parts.push(h("section", { class: "panel" }, this.meterTable.element));
    }
    parts.push(this.buildMap(facts));
    this.shareTable = new Table({
      caption: say("allocationsHere"), isTree: true,
      columns: [
        columns.name(say("allocation"), (row) => row.facts.id),
        columns.number("expected", say("expected"), (row) => row.figures?.expected),
        columns.number("reporting", say("reporting"), (row) => row.figures?.reporting),
        columns.number("busy", say("busy"), (row) => row.figures?.busy),
        columns.idle(), columns.utilization(), columns.power(say("powerIT"), () => this.shareScale), columns.coverage(),
        columns.spark(),
      ],
    });
    this.shareTable.begin(this.shares);
    for (const row of this.shares) row.element.dataset.depth = Math.min(row.facts.depth ?? 0, 3);
    parts.push(h("section", { class: "panel" }, this.shareTable.element));
    this.element.replaceChildren(...parts);
    if (facts.course) {
      const { end_ms, step_ms } = facts.course;
      this.tiles.spark.begin(facts.course.subject, end_ms, step_ms);
      this.shares.forEach((row, index) => row.spark.begin(facts.course.allocations[index] ?? [], end_ms, step_ms));
    }
  }

  buildMap(facts) {
    this.choice = h("div", { class: "choice", role: "radiogroup", "aria-label": say("heatChoice") },
      Object.keys(figures).map((name) => h("label", {}, h("input", {
        type: "radio", name: "heat", value: name, checked: name === this.heat, onchange: () => this.choose(name),
      }), h("span", {}, say(name === "power" ? "powerIT" : name)))));
    this.legend = h("div", { class: "legend", "aria-hidden": "true" });
    this.rackMaps = facts.halls.map((hall) => new RackMap(facts.subject.id, hall));
    this.hallHeads = facts.halls.map((hall) => ({
      hall, figures: h("span", { class: "hallfigures" }),
    }));
    const halls = facts.halls.map((hall, index) => h("section", { class: "hall" },
      h("h3", {}, say("hall", hall.id), h("small", {}, hall.name), hall.in_service ? null : h("small", { class: "tag" }, say("planned"))),
      this.hallHeads[index].figures, this.rackMaps[index].element));
    return h("section", { class: "panel map" },
      h("div", { class: "maphead" }, h("h2", {}, say("hallsAndRacks")), this.choice, this.legend),
      halls.length ? halls : h("p", { class: "hint" }, say("noHalls")));
  }

  choose(name) {
    this.heat = name;
    sessionStorage.setItem("bongsu-heat", name);
    this.page.look(this.query);
  }

  showLegend(hasLimits) {
    const [low, high] = figures[this.heat].ends({ hasLimits });
    const key = this.heat + hasLimits + low + high;
    if (this.legendKey === key) return;
    this.legendKey = key;
    const over = this.heat === "power" && hasLimits ? say("aboveRating") : this.heat === "temperature" ? say("above90") : null;
    const pair = (look, words) => h("span", { class: "pair" }, h("i", { class: `rack ${look}` }), words);
    this.legend.replaceChildren(h("span", {}, low), ...Array.from({ length: levels }, (_, level) => h("i", { class: `rack l${level}` })),
      h("span", {}, high), pair("none", say("noData")), ...(over ? [pair("l9 over", over)] : []));
  }

  figures(frame) {
    const row = readRow(frame.subject);
    this.meters.forEach((meter, index) => { meter.figures = readMeter(frame.meters[index]); });
    this.scale = powerScale(this.meters.flatMap((meter) => [meter.figures.watts, meter.facts.contract_w]));
    const sums = together(this.meters);
    this.tiles.showPower(row, sums.forecast, sums.contract, "ofContract");
    if (this.tiles.tiles.forecast) this.tiles.showForecast(sums);
    this.tiles.tiles.utilization.show(percent(row.utilization), row.hottest === null ? "" : say("hottest", celsius(row.hottest)));
    this.tiles.showCoverage(row);
    this.tiles.tiles.busy.show(row.reporting ? `${count(row.busy)} · ${count(row.idle)}` : dash,
      row.reporting ? `${percent(row.busy / row.reporting)} · ${percent(row.idle / row.reporting)}` : "");
    this.tiles.spark.add(frame.t, row.watts);
    this.meterTable?.update(!this.shown);
    this.showMap(frame);
    this.shares.forEach((share, index) => {
      share.figures = readRow(frame.allocations[index]);
      share.isHidden = share.figures.expected === 0 && share.figures.reporting === 0;
      share.spark.add(frame.t, share.figures.watts);
    });
    this.shareScale = powerScale(this.shares.map((share) => share.figures.watts));
    this.shareTable.update(!this.shown);
    this.shown = true;
  }

  showMap(frame) {
    const halls = (frame.halls ?? []).map(readRow);
    halls.forEach((row, index) => {
      put(this.hallHeads[index].figures, row.watts === null && row.expected === 0 ? say("noData") : [
        power(row.watts), say("utilizationOf", percent(row.utilization)), say("coverageOf", percent(row.coverage, 1)),
        row.hottest === null ? null : say("hottest", celsius(row.hottest)),
      ].filter(Boolean).join(" · "));
    });
    let start = 0;
    const values = frame.racks ?? [];
    const largest = Math.max(1, ...values.filter((value) => value !== null));
    const figure = figures[this.heat];
    let hasLimits = true;
    for (const map of this.rackMaps) {
      const mine = values.slice(start, start + map.cells.length);
      start += map.cells.length;
      if (map.hall.rack_limits_w.every((limit) => limit === null)) hasLimits = false;
      map.show(mine, figure, largest);
    }
    this.showLegend(hasLimits);
  }
}
