// The parts that views are made of: elements, tables that sort, bars, sparklines. Text only ever enters as text.

import { dash } from "./format.js";

/// An element with attributes and children; `on…` attributes are listeners.
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/// Sets text only where it differs, so that a quiet page costs nothing and a selection survives.
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function mark(element, name, isOn) { element.classList.toggle(name, Boolean(isOn)); }

/// How a share of a contract is judged: 0 fine, 1 warn, 2 critical, 3 above.
export function severity(share, warn = 0.9, critical = 0.97) {
  if (share === null || share === undefined) return 0;
  return share > 1 ? 3 : share >= critical ? 2 : share >= warn ? 1 : 0;
}

export const severityMarks = ["", "◆ ", "▲ ", "▲ "];

/// A track from zero to a tenth above the limit: power filled, its estimated part hatched, the forecast a tick, the limit a
/// line.
export class LimitBar {
  constructor() {
    this.fill = h("i", { class: "fill" });
    this.guess = h("i", { class: "guess" });
    this.tick = h("i", { class: "tick" });
    this.element = h("span", { class: "limitbar", "aria-hidden": "true" }, this.fill, this.guess, this.tick, h("i", { class: "limit" }));
  }

  show(watts, estimated, forecast, limit) {
    mark(this.element, "void", watts === null || !limit);
    if (watts === null || !limit) return;
    const part = (value) => `${Math.min(100, (value / limit / 1.1) * 100).toFixed(2)}%`;
    const sure = Math.max(0, watts - estimated);
    this.fill.style.width = part(sure);
    this.guess.style.left = part(sure);
    this.guess.style.width = `calc(${part(watts)} - ${part(sure)})`;
    this.tick.hidden = forecast === null || forecast === undefined;
    if (!this.tick.hidden) this.tick.style.left = part(forecast);
    this.element.dataset.level = severity((forecast ?? watts) / limit);
  }
}

/// A small bar of a share from 0 to 1.
export class ShareBar {
  constructor() {
    this.fill = h("i", { class: "fill" });
    this.element = h("span", { class: "sharebar", "aria-hidden": "true" }, this.fill);
  }

  show(share) {
    mark(this.element, "void", share === null);
    this.fill.style.width = `${Math.max(0, Math.min(1, share ?? 0)) * 100}%`;
  }
}

const sparkSpan = 300000;

/// A course of the last five minutes on a canvas. Times without a value are gaps.
export class Spark {
  constructor(kind = "") {
    this.element = h("canvas", { class: "spark " + kind, "aria-hidden": "true" });
    this.points = [];
    this.wanted = false;
  }

  /// What happened before we came.
  begin(values, endMilliseconds, step) {
    this.points = values.map((value, index) => [endMilliseconds - (values.length - 1 - index) * step, value]);
    this.draw();
  }

  add(time, value) {
    const last = this.points.at(-1);
    if (last && time <= last[0]) return;
    this.points.push([time, value]);
    while (this.points.length && this.points[0][0] < time - sparkSpan) this.points.shift();
    this.draw();
  }

  draw() {
    if (this.wanted) return;
    this.wanted = true;
    requestAnimationFrame(() => { this.wanted = false; this.paint(); });
  }

  paint() {
    const canvas = this.element;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const known = this.points.filter(([, value]) => value !== null);
    if (known.length < 2) return;
    const end = this.points.at(-1)[0];
    const values = known.map(([, value]) => value);
    let low = Math.min(...values);
    let high = Math.max(...values);
    // Less than two hundredths of change is no change: it is not blown up to a drama.
    const least = Math.max(high * 0.02, 1);
    if (high - low < least) { const middle = (high + low) / 2; low = middle - least / 2; high = middle + least / 2; }
    const x = (time) => width - 2 - ((end - time) / sparkSpan) * (width - 4);
    const y = (value) => height - 2 - ((value - low) / (high - low)) * (height - 4);
    const style = getComputedStyle(canvas);
    pen.strokeStyle = style.color;
    pen.lineWidth = 1.25;
    pen.lineJoin = "round";
    pen.beginPath();
    let previous = null;
    for (const [time, value] of this.points) {
      if (value === null || time < end - sparkSpan) { previous = null; continue; }
      // Points of the first look stand five seconds apart, later ones one: more than eleven is a gap.
      if (previous === null || time - previous > 11000) pen.moveTo(x(time), y(value));
      else pen.lineTo(x(time), y(value));
      previous = time;
    }
    pen.stroke();
    const [time, value] = known.at(-1);
    pen.fillStyle = style.color;
    pen.beginPath();
    pen.arc(x(time), y(value), 1.75, 0, 7);
    pen.fill();
  }
}

/// A figure with its name above and a remark below.
export class Tile {
  constructor(label, kind = "") {
    this.value = h("span", { class: "value" }, dash);
    this.remark = h("span", { class: "remark" });
    this.element = h("div", { class: "tile " + kind }, h("span", { class: "label" }, label), this.value, this.remark);
  }

  show(value, remark = "") {
    put(this.value, value);
    mark(this.value, "long", value.length > 11);
    put(this.remark, remark);
  }
}

/// A table whose rows are updated in place and sorted by a click on a column's name.
///
/// Columns: { name, label, title?, kind: css class, make(row) → element, paint(element, row), sort?(row) → number or
/// string or null }. Rows are objects; what they hold is the view's affair.
export class Table {
  constructor({ caption, columns, sort, hint, isTree = false }) {
    this.columns = columns;
    this.sort = sort ?? null; // { name, descending }
    this.isTree = isTree;
    this.rows = [];
    this.body = h("tbody", { role: "rowgroup" });
    this.heads = new Map();
    const head = h("tr", { role: "row" }, columns.map((column) => this.head(column)));
    this.title = h("caption", {}, h("h2", {}, caption), hint ? h("small", {}, " " + hint) : null);
    this.element = h("table", { class: "rows", role: "table" }, this.title, h("thead", { role: "rowgroup" }, head), this.body);
    this.ordered = 0;
    this.showOrder();
  }

  head(column) {
    const cell = h("th", { scope: "col", role: "columnheader", class: column.kind, title: column.title });
    if (column.sort) {
      cell.append(h("button", { type: "button", onclick: () => this.sortBy(column) }, column.label));
    } else {
      cell.append(column.label);
    }
    this.heads.set(column.name, cell);
    return cell;
  }

  sortBy(column) {
    if (this.sort?.name === column.name) {
      if (this.sort.descending === column.descendingFirst) this.sort = { name: column.name, descending: !column.descendingFirst };
      else this.sort = this.isTree ? null : { name: column.name, descending: column.descendingFirst };
    } else {
      this.sort = { name: column.name, descending: column.descendingFirst ?? true };
    }
    column.descendingFirst ??= true;
    this.showOrder();
    this.order();
  }

  showOrder() {
    for (const [name, cell] of this.heads) {
      if (this.sort?.name === name) cell.setAttribute("aria-sort", this.sort.descending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
  }

  /// Gives the table its rows; figures come by `update`.
  begin(rows) {
    this.rows = rows;
    for (const row of rows) {
      row.cells = this.columns.map((column, index) => {
        const inner = column.make(row);
        const cell = h(index === 0 ? "th" : "td", {
          class: column.kind, role: index === 0 ? "rowheader" : "cell", scope: index === 0 ? "row" : null,
          "data-label": column.label,
        }, inner);
        return { column, inner };
      });
      row.element = h("tr", { role: "row", class: row.href ? "link" : null, onclick: (event) => this.follow(event, row) },
        row.cells.map(({ inner }) => inner.parentElement));
    }
    this.body.replaceChildren(...rows.map((row) => row.element));
  }

  follow(event, row) {
    if (row.href && !event.target.closest("a, button") && !String(getSelection())) location.hash = row.href;
  }

  /// Shows what the rows hold now. Rows change places every few seconds at most, and never under a pointer or the focus.
  update(now = false) {
    for (const row of this.rows) {
      row.element.hidden = Boolean(row.isHidden);
      if (!row.isHidden) for (const { column, inner } of row.cells) column.paint?.(inner, row);
    }
    const isHeld = this.body.matches(":hover, :focus-within");
    if (now || (!isHeld && performance.now() - this.ordered > 4000)) this.order();
  }

  order() {
    this.ordered = performance.now();
    const column = this.columns.find(({ name }) => name === this.sort?.name);
    const value = (row) => (row.isHidden ? null : column?.sort(row) ?? null);
    const compare = (left, right) => {
      if (!column) return left.number - right.number;
      const [a, b] = [value(left), value(right)];
      if (a === null || b === null) return (a === null) - (b === null) || left.number - right.number;
      const difference = typeof a === "string" ? a.localeCompare(b) : a - b;
      return (this.sort.descending ? -difference : difference) || left.number - right.number;
    };
    this.rows.forEach((row, index) => { row.number ??= index; });
    const sorted = this.isTree ? this.walk(null, compare) : [...this.rows].sort(compare);
    sorted.forEach((row, index) => {
      if (this.body.children[index] !== row.element) this.body.insertBefore(row.element, this.body.children[index] ?? null);
    });
  }

  /// Parents before their children, siblings in order.
  walk(parent, compare) {
    const names = new Set(this.rows.map((row) => row.id));
    const isChild = (row) => (parent === null ? !names.has(row.parent) : row.parent === parent);
    return this.rows.filter(isChild).sort(compare).flatMap((row) => [row, ...this.walk(row.id, compare)]);
  }
}
