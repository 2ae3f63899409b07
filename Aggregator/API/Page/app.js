// The page's frame: which view is open, whether figures are live, language, theme, token.

import { Stream } from "./stream.js";
import { NationView } from "./nation.js";
import { FactoryView } from "./factory.js";
import { NodeView, RackView } from "./machines.js";
import { AllocationView } from "./allocation.js";
import { AlertsView } from "./alerts.js";
import { QueryView } from "./query.js";
import { ask, login, logout, whoAmI } from "./access.js";
import { clock, instant, span, useZone, zoneName } from "./format.js";
import { h, mark, put } from "./parts.js";
import { language, say, useLanguage } from "./text.js";

const byId = (id) => document.getElementById(id);
const main = byId("main");
const page = {
  /// Counts of alerts, `[firing, pending, changed]`, some of those that fire, and how many each rule has.
  alerts: null, firing: [], byRule: [], tick: null,
  look: (query) => stream.look(query), again: () => stream.again(),
};
let view = null;
let version = null;

// MARK: Views

/// The view that an address like #/factory/naver-sejong names, its parts decoded.
function viewFor(hash) {
  const [path, search = ""] = hash.replace(/^#/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  switch (parts[0]) {
    case "factory":
      if (parts.length === 2) return new FactoryView(page, parts[1]);
      if (parts.length === 4) return new RackView(page, parts[1], parts[2], parts[3]);
      return new NationView(page);
    case "node": return parts[1] ? new NodeView(page, parts[1]) : new NationView(page);
    case "allocation": return parts[1] ? new AllocationView(page, parts[1]) : new NationView(page);
    case "alerts": return new AlertsView(page, parts[1]);
    case "query": return new QueryView(page, new URLSearchParams(search));
    default: return new NationView(page);
  }
}

function open() {
  view?.close?.();
  view = viewFor(location.hash);
  main.replaceChildren(view.element);
  view.element.replaceChildren(h("p", { class: "hint" }, say("connecting")));
  document.title = `${view.title} · Bongsu`;
  stream.look(view.query);
  showTabs();
}

const stream = new Stream({
  onOpening(facts) {
    // A new release brings a new page.
    if (version !== null && version !== facts.version) return location.reload();
    version = facts.version;
    useZone(facts.zone, facts.seconds_east);
    page.facts = facts;
    // The same places after a pause: what is on the screen stays, with its order and focus.
    const key = JSON.stringify({ ...facts, course: null, energy_since_ms: null });
    if (view.key !== key) view.opening(facts);
    view.key = key;
    view.facts = facts;
    showFoot();
  },
  onFigures(figures) {
    page.tick = figures.t;
    if (figures.alerts) noteAlerts(figures.alerts);
    view.figures(figures);
    showFoot();
    showTabs();
  },
  onState(state, detail, age) {
    showState(state, detail, age);
    if (state === "token") askForToken();
    if (state === "refused") {
      view.element.replaceChildren(h("p", { class: "hint" }, say("refused", detail)), h("a", { href: "#/" }, say("back")));
    }
  },
});

/// Asks which alerts fire when their set has changed.
async function noteAlerts(counts) {
  const isChanged = String(counts) !== String(page.alerts);
  page.alerts = counts;
  if (!isChanged) return;
  showTabs();
  try {
    const found = counts[0] ? await ask("/api/bongsu/v1/alerts?firing=true&limit=50") : null;
    page.firing = found?.alerts ?? [];
    page.byRule = found?.by_rule ?? [];
  } catch {
    page.alerts = null; // asked again at the next tick
  }
  view.showFiring?.();
}

// MARK: Frame

function showState(state, detail, age) {
  const live = byId("live");
  live.dataset.state = state;
  const text = {
    connecting: () => say("connecting"),
    live: () => `${clock(page.tick)} ${zoneName()}`,
    waiting: () => say("waiting", span(age)),
    lost: () => (age === null ? say("lost") : say("lostSince", span(age))),
    token: () => "", refused: () => "",
  }[state]();
  if (state === "live") {
    // The clock changes every second: it is there to be looked at, not to be read out.
    live.removeAttribute("role");
  } else {
    live.setAttribute("role", "status");
  }
  put(live, text);
  live.title = state === "live" ? say("live") : detail ?? "";
  mark(document.body, "stale", state === "lost" || state === "waiting");
}

function showTabs() {
  const tabs = [
    ["#/", "nation", ["", "factory", "node", "allocation"]], ["#/alerts", "alerts", ["alerts"]], ["#/query", "query", ["query"]],
  ];
  const here = location.hash.replace(/^#\/?/, "").split(/[/?]/)[0];
  const firing = page.alerts?.[0] ?? 0;
  const key = [here, firing, language].join();
  if (byId("tabs").dataset.key === key) return;
  byId("tabs").dataset.key = key;
  byId("tabs").replaceChildren(...tabs.map(([href, key, names]) => h("a", {
    href, "aria-current": names.includes(here) ? "page" : null,
  }, say(key), key === "alerts" && firing ? h("span", { class: "badge", "aria-label": say("firing", firing), title: say("firing", firing) }, String(firing)) : null)));
}

function showFoot() {
  const facts = page.facts;
  if (!facts) return;
  const parts = [
    page.tick ? say("footTick", instant(page.tick), zoneName()) : say("noTick"), say("footVersion", facts.version),
  ];
  if (facts.scope.length) parts.push(say("sees", facts.scope.join(", ")));
  if (facts.demonstration) parts.push(say("demonstration"));
  put(byId("foot"), parts.join(" · "));
}

function showFrame() {
  document.documentElement.lang = language;
  put(byId("skip"), say("skip"));
  byId("tabs").setAttribute("aria-label", say("views"));
  put(byId("language"), say("language"));
  byId("language").title = say("languageTitle");
  byId("language").lang = language === "ko" ? "en" : "ko";
  put(byId("leave"), say("leave"));
  put(byId("token-title"), say("tokenTitle"));
  put(byId("token-why"), say("tokenWhy"));
  put(byId("token-label"), say("tokenLabel"));
  put(byId("token-send"), say("tokenSend"));
  showTheme();
  showTabs();
  showFoot();
}

const themes = ["auto", "light", "dark"];

function showTheme() {
  const theme = localStorage.getItem("bongsu-theme") ?? "auto";
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  put(byId("theme"), `◐ ${say("theme_" + theme)}`);
  byId("theme").title = say("theme");
}

// MARK: Token

function askForToken() {
  const dialog = byId("token");
  byId("leave").hidden = true;
  if (!dialog.open) dialog.showModal();
}

byId("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = byId("token-field");
  put(byId("token-error"), "");
  try {
    await login(field.value.trim());
  } catch (error) {
    put(byId("token-error"), error.status === 401 ? say("tokenUnknown") : error.message);
    return field.select();
  }
  field.value = "";
  byId("token").close();
  page.alerts = null;
  open();
  showWho();
});
byId("token").addEventListener("cancel", (event) => event.preventDefault());
byId("leave").addEventListener("click", async () => { await logout(); location.reload(); });

/// Offers to sign out where we are known by a token.
async function showWho() {
  const name = await whoAmI();
  byId("leave").hidden = name === null;
  byId("leave").title = name ?? "";
}

// MARK: Start

byId("language").addEventListener("click", () => { useLanguage(language === "ko" ? "en" : "ko"); showFrame(); open(); });
byId("theme").addEventListener("click", () => {
  const theme = localStorage.getItem("bongsu-theme") ?? "auto";
  localStorage.setItem("bongsu-theme", themes[(themes.indexOf(theme) + 1) % themes.length]);
  showTheme();
});
byId("skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
addEventListener("hashchange", () => { open(); main.focus({ preventScroll: true }); scrollTo(0, 0); });
window.bongsu = { get bytes() { return stream.bytes; }, get state() { return stream.state; } };
showFrame();
open();
showWho();
