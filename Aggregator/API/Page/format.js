// Numbers and times as people read them. What is unknown is a dash, never a zero.

export const dash = "–";

let secondsEast = 0;
let zone = "UTC";
const shortZones = { "Asia/Seoul": "KST", "Asia/Tokyo": "JST", "Asia/Singapore": "SGT", "Asia/Taipei": "CST", "Asia/Kolkata": "IST" };

export function useZone(name, east) { zone = shortZones[name] ?? name; secondsEast = east; }
export function zoneName() { return zone; }

function shifted(ms) { return new Date(ms + secondsEast * 1000).toISOString(); }
export function clock(ms) { return shifted(ms).slice(11, 19); }
export function minute(ms) { return shifted(ms).slice(11, 16); }
export function instant(ms) { return shifted(ms).slice(0, 19).replace("T", " "); }

/// Instants from one to another that are whole multiples of a step on the fleet's clock, milliseconds.
export function roundTimes(from, to, step) {
  const shift = secondsEast * 1000;
  const times = [];
  for (let time = Math.ceil((from + shift) / step) * step - shift; time <= to; time += step) times.push(time);
  return times;
}

export function count(value) { return value === null || value === undefined ? dash : grouped(Math.round(value), 0); }

export function grouped(value, digits) {
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

const powers = [[1e9, "GW"], [1e6, "MW"], [1e3, "kW"], [1, "W"]];

/// The unit in which the largest of some powers reads best, as { factor, unit, digits }.
export function powerScale(watts) {
  const size = Math.max(...watts.filter((value) => value !== null && value !== undefined).map(Math.abs), 0);
  const [factor, unit] = powers.find(([factor]) => size >= factor * (factor === 1e9 ? 10 : 1)) ?? powers[3];
  const shown = size / factor;
  return { factor, unit, digits: factor === 1 ? 0 : shown >= 100 ? 1 : 2 };
}

/// A power in the unit of its column; a small one gets the digits that show that it is not nothing.
export function inScale(watts, scale) {
  if (watts === null || watts === undefined) return dash;
  const shown = Math.abs(watts / scale.factor);
  return grouped(watts / scale.factor, shown > 0 && shown < 0.1 ? 3 : shown > 0 && shown < 1 ? Math.max(2, scale.digits) : scale.digits);
}

export function power(watts) {
  if (watts === null || watts === undefined) return dash;
  const scale = powerScale([watts]);
  return `${inScale(watts, scale)} ${scale.unit}`;
}

export function energy(kilojoules) {
  const kilowattHours = kilojoules / 3600;
  if (kilowattHours >= 1e4) return `${grouped(kilowattHours / 1000, 2)} MWh`;
  return `${grouped(kilowattHours, kilowattHours >= 100 ? 0 : 1)} kWh`;
}

/// A share of one as a percentage. Something that is not all is never rounded up to all; below a hundredth it has a decimal.
export function percent(share, digits = 0) {
  if (share === null || share === undefined || Number.isNaN(share)) return dash;
  if (digits === 0 && share > 0 && share < 0.01) digits = 1;
  const unit = 10 ** digits;
  let shown = Math.round(share * 100 * unit) / unit;
  if (share < 1 && shown >= 100) shown = 100 - 1 / (unit === 1 ? 10 : unit);
  return `${grouped(shown, Number.isInteger(shown) ? (digits && shown < 100 ? digits : 0) : Math.max(digits, 1))} %`;
}

export function celsius(deci) { return deci === null || deci === undefined ? dash : `${grouped(deci / 10, 0)} °C`; }

export function bytes(kibibytes) {
  return kibibytes === null || kibibytes === undefined ? dash : `${grouped(kibibytes / 1048576, 1)} GiB`;
}

/// A time span in whole seconds, minutes, hours or days.
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}
