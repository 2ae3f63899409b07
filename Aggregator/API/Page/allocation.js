// One allocation: what was granted, what reports, works and idles, its energy, and where its GPUs stand.

import { Table, h, mark } from "./parts.js";
import { count, dash, energy, instant, percent, powerScale } from "./format.js";
import { columns, readRow } from "./nation.js";
import { crumbs, SubjectTiles } from "./factory.js";
import { say } from "./text.js";

export class AllocationView {
  constructor(page, path) {
    this.page = page;
    this.path = path;
    this.query = `view=allocation&id=${encodeURIComponent(path)}`;
    this.title = path;
    this.element = h("div", { class: "view allocation" });
    this.scale = powerScale([0]);
  }

  opening(facts) {
    this.facts = facts;
    document.title = `${facts.subject.name} · Bongsu`;
    const link = (kind, id) => `#/${kind}/${encodeURIComponent(id)}`;
    this.places = facts.factories.map((factory) => ({ id: factory.id, facts: factory, href: link("factory", factory.id) }));
    this.parts = facts.allocations.map((part) => ({ id: part.id, facts: part, href: link("allocation", part.id) }));
    this.tiles = new SubjectTiles(facts);
    this.tiles.tile("granted", say("granted"));
    this.tiles.tile("coverage", say("gpusReporting"));
    this.tiles.tile("busy", say("busy"));
    this.tiles.tile("idle", say("idle"));
    this.tiles.tile("utilization", say("utilization"));
    this.tiles.tile("energy", say("gpuEnergy"));
    this.tiles.end();
    this.placeTable = this.table(say("whereItStands"), say("factory"), this.places, false);
    const parts = [this.crumbs(facts.subject), this.tiles.element, h("section", { class: "panel" }, this.placeTable.element)];
    this.partTable = null;
    if (this.parts.length) {
      this.partTable = this.table(say("itsParts"), say("allocation"), this.parts, true);
      parts.push(h("section", { class: "panel" }, this.partTable.element));
    }
    this.element.replaceChildren(...parts);
    if (facts.course) {
      const { end_ms, step_ms } = facts.course;
      this.tiles.spark.begin(facts.course.subject, end_ms, step_ms);
      this.places.forEach((row, index) => row.spark.begin(facts.course.factories[index] ?? [], end_ms, step_ms));
      this.parts.forEach((row, index) => row.spark.begin(facts.course.allocations[index] ?? [], end_ms, step_ms));
    }
  }

  /// Every allocation above it, as far as this viewer may see.
  crumbs(subject) {
    const names = subject.id.split("/");
    const above = names.slice(0, -1).map((name, index) => {
      const path = names.slice(0, index + 1).join("/");
      return [name, `#/allocation/${encodeURIComponent(path)}`];
    });
    return crumbs([say("nation"), "#/"], ...above, [subject.name]);
  }

  table(caption, label, rows, hasGrants) {
    const table = new Table({
      caption, sort: { name: "reporting", descending: true },
      columns: [
        columns.name(label, (row) => row.facts.id),
        ...(hasGrants ? [columns.number("granted", say("granted"), (row) => row.facts.granted)] : []),
        columns.number("expected", say("expected"), (row) => row.figures?.expected),
        columns.number("reporting", say("reporting"), (row) => row.figures?.reporting),
        columns.number("busy", say("busy"), (row) => row.figures?.busy),
        columns.idle(), columns.utilization(), columns.power(say("powerIT"), () => this.scale), columns.coverage(),
        columns.spark(),
      ],
    });
    table.begin(rows);
    return table;
  }

  figures(frame) {
    const row = readRow(frame.subject);
    const { granted, limit_w } = this.facts.subject;
    this.tiles.showPower(row, null, limit_w ?? null, "ofBudget");
    this.tiles.tiles.granted.show(count(granted), granted > row.expected ? say("inService", count(row.expected)) : "");
    this.tiles.showCoverage(row);
    this.tiles.tiles.busy.show(row.reporting ? count(row.busy) : dash, row.reporting ? say("ofReporting", percent(row.busy / row.reporting)) : "");
    this.tiles.tiles.idle.show(row.reporting ? count(row.idle) : dash, row.reporting ? say("ofReporting", percent(row.idle / row.reporting)) : "");
    this.tiles.tiles.utilization.show(percent(row.utilization));
    this.tiles.tiles.energy.show(energy(row.kilojoules), say("since", instant(this.facts.energy_since_ms).slice(5, 16)));
    this.tiles.spark.add(frame.t, row.watts);
    const show = (row, figures) => {
      row.figures = readRow(figures);
      row.spark.add(frame.t, row.figures.watts);
      mark(row.element, "planned", row.figures.expected === 0 && row.figures.reporting === 0);
    };
    this.places.forEach((place, index) => show(place, frame.factories[index]));
    this.parts.forEach((part, index) => show(part, frame.allocations[index]));
    this.scale = powerScale([...this.places, ...this.parts].map(({ figures }) => figures.watts));
    this.placeTable.update(!this.shown);
    this.partTable?.update(!this.shown);
    this.shown = true;
  }
}
