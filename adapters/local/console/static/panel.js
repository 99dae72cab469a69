// One function: its requests, a form to call it, its log, instances and schedules.
import { attribute, byId, clock, make, money, roving, say, time } from "./dom.js";
import { InvokePage } from "./invoke.js";
import { LogsPage } from "./logs.js";
import { InstancesPage, RequestsPage, SchedulesPage } from "./pages.js";
import { stateOfFunction } from "./store.js";

const TABS = { requests: "Requests", invoke: "Invoke", logs: "Logs", instances: "Instances", schedules: "Schedules" };

export class Panel {
  constructor(store, frame, onSelect) {
    this.store = store;
    this.onSelect = onSelect;
    this.name = "";
    this.tab = "requests";
    this.root = byId("panel");
    this.#build();
    const toLogs = (id) => {
      this.pages.logs.ask(id);
      onSelect(this.name, "logs");
    };
    this.pages = {
      requests: new RequestsPage(this.page, toLogs),
      invoke: new InvokePage(this.page, toLogs),
      logs: new LogsPage(this.page),
      instances: new InstancesPage(this.page, frame),
      schedules: new SchedulesPage(this.page),
    };
  }

  #build() {
    this.title = make("h2", { id: "panel-title" });
    const close = make("button", { type: "button", textContent: "Close" });
    close.addEventListener("click", () => this.onSelect(""));
    this.where = make("a", { className: "where", target: "_blank", rel: "noreferrer" });
    this.facts = make("p", { className: "facts" });
    this.note = make("p", { className: "note", hidden: true });
    this.tabs = Object.entries(TABS).map(([key, label]) => {
      const tab = make("button", { type: "button", id: `tab-${key}`, textContent: label, role: "tab", "aria-controls": "page" });
      tab.addEventListener("click", () => this.onSelect(this.name, key));
      return tab;
    });
    const bar = make("div", { className: "tabs", role: "tablist", "aria-label": "About this function" }, ...this.tabs);
    roving(bar, () => this.tabs, ["ArrowLeft", "ArrowRight"], (tab) => tab.click());
    this.page = make("div", { className: "page", id: "page", role: "tabpanel", tabIndex: 0 });
    this.root.append(
      make("div", { className: "panel-head" },
        make("div", { className: "row" }, this.title, close), this.where, this.facts, this.note),
      bar, this.page);
  }

  open(name, tab) {
    const other = name !== this.name;
    const key = tab in TABS ? tab : this.tab;
    const turned = other || key !== this.tab || !this.page.hasChildNodes();
    this.name = name;
    this.tab = key;
    this.root.hidden = !name;
    if (!name) {
      this.page.replaceChildren();
      this.pages.logs.close();
      return;
    }
    say(this.title, name);
    this.#head();
    this.tabs.forEach((each) => {
      const chosen = each.id === `tab-${key}`;
      attribute(each, "aria-selected", String(chosen));
      each.tabIndex = chosen ? 0 : -1;
    });
    attribute(this.page, "aria-labelledby", `tab-${key}`);
    if (!turned) return;
    this.pages.logs.close();
    this.page.replaceChildren();
    this.pages[key].open(name, this.store.functions.get(name));
  }

  update(names) {
    if (!this.name || !names.includes(this.name)) return;
    this.#head();
    this.pages[this.tab].update?.(this.store.functions.get(this.name));
  }

  #head() {
    const known = this.store.functions.get(this.name);
    const about = known?.about;
    this.where.hidden = !about;
    this.note.hidden = !about?.note;
    if (!known) {
      say(this.facts, "There is no function of this name now.");
      return;
    }
    if (about) {
      attribute(this.where, "href", `${about.url.replace(/^http:\/\/[^/]+/, "")}/`);
      say(this.where, about.url);
      say(this.note, about.note);
    }
    const { figures } = known;
    const starts = Object.entries(figures?.starts ?? {});
    const started = starts.reduce((sum, [, n]) => sum + n, 0);
    const facts = [
      [stateOfFunction(known)[0], ""],
      about ? [about.bento, ""] : null,
      about ? ["version", String(about.version)] : null,
      figures?.profile ? ["runs as", figures.profile] : null,
      about ? ["snapshot", about.snapshot] : null,
      started ? ["starts", starts.map(([kind, n]) => `${n} ${kind}`).join(", ")] : null,
      started ? ["mean start", time(figures.started / started)] : null,
      figures?.throttled ? ["throttled", String(figures.throttled)] : null,
      figures?.failed_starts ? ["failed starts", String(figures.failed_starts)] : null,
      ...Object.entries(figures?.costs ?? {}).map(([currency, amount]) => ["cost", money(amount, currency)]),
      about ? ["deployed", clock(Date.parse(about.deployed) / 1000)] : null,
    ].filter(Boolean);
    const text = facts.flat().join("|");
    if (this.told === text) return;
    this.told = text;
    this.facts.replaceChildren(...facts.map(([term, value]) => make("span", {}, value ? `${term} ` : "", make("b", { textContent: value || term }))));
  }
}
