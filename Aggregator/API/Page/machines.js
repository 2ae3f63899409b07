// A rack with its nodes, and a node with its GPUs.

import { LimitBar, ShareBar, Table, h, mark, put } from "./parts.js";
import { bytes, celsius, count, dash, percent, power } from "./format.js";
import { crumbs, SubjectTiles } from "./factory.js";
import { readRow } from "./nation.js";
import { say } from "./text.js";

const states = ["nodeMissing", "nodeSilent", "nodeCurrent", "nodeUnexpected"];
const stateMarks = ["▲ ", "◆ ", "", ""];

function readNode([state, watts, utilization, reporting, busy, hottest, nodeWatts]) {
  return { state, watts, utilization: utilization === null ? null : utilization / 1000, reporting, busy, hottest, nodeWatts };
}

function figure(name, label, value, text, kind = "num", title) {
  return {
    name, label, title, kind, sort: (row) => value(row) ?? null, make: () => h("span"),
    paint: (element, row) => put(element, text(value(row), row)),
  };
}

function shareColumn(name, label, value) {
  return {
    name, label, kind: "num share", sort: (row) => value(row) ?? null,
    make: (row) => { row[name + "Bar"] = new ShareBar(); return h("span", {}, h("b", {}), row[name + "Bar"].element); },
    paint: (element, row) => { put(element.firstChild, percent(value(row))); row[name + "Bar"].show(value(row) ?? null); },
  };
}

export class RackView {
  constructor(page, factory, hall, rack) {
    this.page = page;
    this.query = `view=rack&id=${encodeURIComponent(factory)}&hall=${encodeURIComponent(hall)}&rack=${encodeURIComponent(rack)}`;
    this.title = `${factory} ${hall} ${rack}`;
    this.element = h("div", { class: "view machines" });
  }

  opening(facts) {
    const { factory, hall, rack, limit_w } = facts.subject;
    this.limit = limit_w ?? null;
    this.nodes = facts.nodes.map((node) => ({ id: node.id, facts: node, href: `#/node/${encodeURIComponent(node.id)}` }));
    this.tiles = new SubjectTiles(facts);
    this.tiles.tile("utilization", say("utilization"));
    this.tiles.tile("coverage", say("gpusReporting"));
    this.tiles.tile("hottest", say("hottestGPU"));
    this.tiles.element.dataset.tiles = this.tiles.element.children.length;
    this.table = new Table({
      caption: say("nodes"),
      columns: [
        {
          name: "name", label: say("node"), kind: "name", sort: (row) => row.id, descendingFirst: false,
          make: (row) => h("span", { class: "named" }, h("a", { href: row.href }, row.id), h("small", {}, row.facts.model)),
        },
        {
          name: "state", label: say("state"), kind: "", sort: (row) => row.figures?.state ?? null, make: () => h("span"),
          paint: (element, row) => {
            put(element, stateMarks[row.figures.state] + say(states[row.figures.state]));
            mark(element, "bad", row.figures.state === 0);
            mark(element, "warned", row.figures.state === 1);
          },
        },
        {
          name: "allocation", label: say("allocation"), kind: "", sort: (row) => row.facts.allocation, descendingFirst: false,
          // May break behind each slash.
          make: (row) => h("a", { href: `#/allocation/${encodeURIComponent(row.facts.allocation)}` },
            row.facts.allocation.split("/").flatMap((part, index) => (index ? ["/", h("wbr"), part] : [part]))),
        },
        figure("reporting", say("reporting"), (row) => row.figures?.reporting, (value, row) => `${count(value)} / ${row.facts.gpus || dash}`),
        figure("busy", say("busy"), (row) => row.figures?.busy, count),
        shareColumn("utilization", say("utilization"), (row) => row.figures?.utilization),
        figure("watts", say("gpuPower"), (row) => row.figures?.watts, power),
        figure("node", say("nodePower"), (row) => row.figures?.nodeWatts, power, "num", say("nodePowerTitle")),
        figure("hottest", say("hottestGPU"), (row) => row.figures?.hottest, celsius),
      ],
    });
    this.table.begin(this.nodes);
    this.element.replaceChildren(
      crumbs([say("nation"), "#/"], [factory, `#/factory/${encodeURIComponent(factory)}`], [say("rackIn", rack, hall)]),
      this.tiles.element, h("section", { class: "panel" }, this.table.element));
  }

  figures(frame) {
    // A rack of which only some nodes are seen has no totals of its own.
    this.tiles.element.hidden = !frame.subject;
    if (frame.subject) {
      const row = readRow(frame.subject);
      this.tiles.showPower(row, null, this.limit, "ofRatingOf");
      this.tiles.tiles.utilization.show(percent(row.utilization));
      this.tiles.showCoverage(row);
      this.tiles.tiles.hottest.show(celsius(row.hottest));
    }
    const nodes = frame.nodes ?? [];
    if (nodes.length !== this.nodes.length) return this.page.again();
    this.nodes.forEach((row, index) => { row.figures = readNode(nodes[index]); });
    this.table.update(!this.shown);
    this.shown = true;
  }
}

/// What a bit of the driver's clock event reasons says, and whether it holds the GPU back.
const reasons = [
  [0x1, "reasonIdle", false], [0x2, "reasonSetting", false], [0x4, "reasonPowerCap", true], [0x8, "reasonSlowdown", true],
  [0x10, "reasonSync", false], [0x20, "reasonThermal", true], [0x40, "reasonHardwareThermal", true],
  [0x80, "reasonPowerBrake", true], [0x100, "reasonDisplay", false],
];

export class NodeView {
  constructor(page, name) {
    this.page = page;
    this.name = name;
    this.query = `view=node&id=${encodeURIComponent(name)}`;
    this.title = name;
    this.element = h("div", { class: "view machines" });
  }

  opening(facts) {
    this.facts = facts.subject;
    this.state = h("p", { class: "lead" });
    this.panel = h("section", { class: "panel" });
    this.key = null;
    const { factory, hall, rack, allocation } = facts.subject;
    const rackPath = `#/factory/${[factory, hall, rack].map(encodeURIComponent).join("/")}`;
    this.element.replaceChildren(
      crumbs([say("nation"), "#/"], [factory, `#/factory/${encodeURIComponent(factory)}`], [say("rackIn", rack, hall), rackPath], [this.name]),
      h("p", { class: "lead" }, say("allocation"), " ", h("a", { href: `#/allocation/${encodeURIComponent(allocation)}` }, allocation)),
      this.state, this.panel);
  }

  build(gpus) {
    this.rows = gpus.map(([index, key, model]) => ({ id: key || String(index), facts: { index, key, model } }));
    const of = (name, value) => (row) => value(row.figures);
    this.table = new Table({
      caption: say("gpus"),
      columns: [
        {
          name: "name", label: "GPU", kind: "name", sort: (row) => row.facts.index, descendingFirst: false,
          make: (row) => h("span", { class: "named" }, h("span", {}, `${row.facts.index} · ${row.facts.model || "GPU"}`), h("small", {}, row.facts.key)),
        },
        {
          name: "power", label: say("power"), kind: "limitcell", sort: (row) => row.figures?.power ?? null,
          make: (row) => { row.bar = new LimitBar(); return h("span", {}, row.bar.element, h("b", {})); },
          paint: (element, row) => {
            row.bar.show(row.figures.power, 0, null, row.figures.limit);
            delete row.bar.element.dataset.level;
            put(element.lastChild, power(row.figures.power));
          },
        },
        figure("limit", say("limit"), (row) => row.figures?.limit, power),
        shareColumn("utilization", say("utilization"), (row) => row.figures?.utilization),
        figure("memory", say("memory"), (row) => row.figures?.used, (value, row) => (row.figures.total ? `${bytes(value)} / ${bytes(row.figures.total)}` : bytes(value))),
        figure("temperature", say("temperature"), (row) => row.figures?.temperature, celsius),
        figure("clock", say("clock"), (row) => row.figures?.clock, (value) => (value === null || value === undefined ? dash : `${count(value)} MHz`)),
        {
          name: "reasons", label: say("heldBack"), kind: "reasons", make: () => h("span"),
          paint: (element, row) => {
            const bits = row.figures.reasons;
            const active = reasons.filter(([bit]) => bits !== null && Number(BigInt(bits) & BigInt(bit)) !== 0);
            put(element, bits === null ? dash : active.map(([, key, holds]) => (holds ? "◆ " : "") + say(key)).join(", ") || say("no"));
            mark(element, "warned", active.some(([, , holds]) => holds));
          },
        },
      ],
    });
    this.table.begin(this.rows);
    this.panel.replaceChildren(this.table.element);
  }

  figures(frame) {
    const node = readNode(frame.nodes[0]);
    put(this.state, [
      stateMarks[node.state] + say(states[node.state]),
      node.state === 2 ? say("gpuPowerOf", power(node.watts)) : null,
      node.nodeWatts === null ? null : say("nodePowerOf", power(node.nodeWatts)),
    ].filter(Boolean).join(" · "));
    mark(this.state, "bad", node.state === 0);
    const gpus = frame.gpus ?? [];
    const key = JSON.stringify(gpus.map((gpu) => gpu.slice(0, 3)));
    if (key !== this.key) { this.key = key; this.build(gpus); }
    if (!gpus.length) return this.panel.replaceChildren(h("p", { class: "hint" }, say("noGPUs")));
    gpus.forEach(([, , , milliwatts, limit, utilization, used, total, temperature, clock, bits], index) => {
      this.rows[index].figures = {
        power: milliwatts === null ? null : milliwatts / 1000, limit: limit === null ? null : limit / 1000,
        utilization: utilization === null ? null : utilization / 1000, used, total, temperature, clock, reasons: bits,
      };
    });
    this.table.update(true);
  }
}
