// The list of functions, each with its chart.
import { attribute, byId, clock, count, dayAndClock, make, plural, say, time } from "./dom.js";
import { living, rate, stateOf, stateOfFunction } from "./store.js";
import { drawLane, drawRuler, heightOf } from "./timeline.js";

const ORDER_EVERY = 2500;

export class Board {
  constructor(store, frame, onSelect) {
    this.store = store;
    this.frame = frame;
    this.onSelect = onSelect;
    this.rows = new Map();
    this.visible = new Set();
    this.selected = "";
    this.ordered = 0;
    this.list = byId("lanes");
    this.search = byId("search");
    this.filter = byId("filter");
    this.watcher = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) this.visible.add(target.dataset.name);
        else this.visible.delete(target.dataset.name);
      }
    });
    this.search.addEventListener("input", () => this.order());
    this.filter.addEventListener("change", () => this.order());
    this.list.addEventListener("click", (event) => {
      const row = event.target.closest(".lane");
      if (row) this.onSelect(row.dataset.name);
    });
    this.list.addEventListener("keydown", (event) => {
      const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!step) return;
      const names = [...this.list.querySelectorAll(".lane:not([hidden]) .lane-name")];
      const next = names[names.indexOf(document.activeElement) + step];
      if (!next) return;
      event.preventDefault();
      next.focus();
    });
  }

  /** Take over what the store knows of these functions. */
  update(names) {
    const { functions } = this.store;
    let other = false;
    for (const [name, row] of this.rows) {
      if (functions.has(name)) continue;
      this.watcher.unobserve(row.item);
      row.item.remove();
      this.rows.delete(name);
      this.visible.delete(name);
      other = true;
    }
    for (const name of names) {
      if (!functions.has(name)) continue;
      if (!this.rows.has(name)) {
        this.rows.set(name, this.#make(name));
        other = true;
      }
      this.#write(name);
    }
    if (other || performance.now() - this.ordered > ORDER_EVERY) this.order();
  }

  select(name) {
    this.rows.get(this.selected)?.item.classList.remove("selected");
    this.rows.get(this.selected)?.name.setAttribute("aria-expanded", "false");
    this.selected = name;
    this.rows.get(name)?.item.classList.add("selected");
    this.rows.get(name)?.name.setAttribute("aria-expanded", "true");
  }

  focus(name) {
    this.rows.get(name)?.name.focus();
  }

  /** Show what is asked for, the active first. */
  order() {
    this.ordered = performance.now();
    const { from } = this.frame();
    const wanted = this.search.value.trim().toLowerCase();
    const entries = [...this.rows].map(([name, row]) => {
      const known = this.store.functions.get(name);
      const active = this.#isActive(known, from);
      const [, bad] = stateOfFunction(known);
      const trouble = bad || known.figures?.failed_starts || known.figures?.failed || known.figures?.refused || known.about?.note;
      const fits = name.toLowerCase().includes(wanted)
        && (this.filter.value === "all" || (this.filter.value === "active" ? active : trouble));
      row.item.hidden = !fits;
      row.item.classList.toggle("at-zero", !active);
      return [name, row, active, fits];
    });
    // A further service of a bento stands below its function.
    const active = new Set(entries.filter(([, , is]) => is).map(([name]) => name.split(".")[0]));
    entries.sort(([a], [b]) => (active.has(b.split(".")[0]) - active.has(a.split(".")[0])) || a.localeCompare(b));
    let before = null;
    for (const [, row] of entries) {
      const place = before ? before.nextSibling : this.list.firstChild;
      if (place !== row.item && !row.item.contains(document.activeElement)) this.list.insertBefore(row.item, place);
      before = row.item;
    }
    this.#tellEmpty(entries.filter(([, , , fits]) => fits).length);
  }

  draw(palette) {
    const { from, now, pace } = this.frame();
    drawRuler(byId("ruler"), { from, now, palette, clock, dayAndClock });
    for (const name of this.visible) {
      const known = this.store.functions.get(name);
      const row = this.rows.get(name);
      if (known && row) drawLane(row.chart, known, { from, now, pace, palette, large: name === this.selected });
    }
  }

  #isActive(known, from) {
    return heightOf(known, from, this.store.now(), false) > 0;
  }

  #make(name) {
    const inner = name.includes(".");
    const button = make("button", {
      type: "button", className: inner ? "lane-name inner" : "lane-name", textContent: inner ? `· ${name.split(".").slice(1).join(".")}` : name,
      "aria-expanded": String(name === this.selected), "aria-controls": "panel", title: name,
    });
    const meta = make("p", { className: "lane-meta" });
    const chart = make("canvas", { className: "lane-chart", role: "img" });
    const numbers = ["requests", "rate", "largest batch"].map((label) => [make("dt", { textContent: label }), make("dd")]);
    const item = make("li", { className: "lane" },
      make("div", { className: "lane-head" }, button, meta),
      chart,
      make("dl", { className: "lane-figures" }, ...numbers.flat()));
    item.dataset.name = name;
    if (name === this.selected) item.classList.add("selected");
    this.watcher.observe(item);
    this.list.append(item);
    return { item, name: button, meta, chart, numbers };
  }

  #write(name) {
    const known = this.store.functions.get(name);
    const { meta, chart, numbers } = this.rows.get(name);
    const { now, pace } = this.frame();
    const [word, bad] = stateOfFunction(known);
    const { about, figures } = known;
    const parts = [about ? `v${about.version}` : "", figures && figures.profile && figures.profile !== "plain" ? figures.profile : ""];
    const text = [word, ...parts].filter(Boolean).join(" · ");
    if (meta.textContent !== text) {
      meta.replaceChildren(make("b", { className: bad ? "bad" : "", textContent: word }), text.slice(word.length));
    }
    const states = living(known).map(stateOf);
    const busy = states.filter((state) => state === "busy").length;
    const waiting = figures?.waiting ?? 0;
    attribute(chart, "aria-label", `${name}: ${word}, ${plural(states.length, "instance")}, ${busy} busy, ${plural(waiting, "request")} waiting, ${plural(figures?.answered ?? 0, "request")} answered`);
    if (!figures) return;
    const mean = figures.took[0] ? time(figures.took[1] / figures.took[0]) : "–";
    const values = [
      ["requests", count(figures.answered + figures.refused)],
      waiting ? ["waiting", count(waiting)] : ["a second", rate(known, now, pace).toFixed(1)],
      figures.batch[2] > 1 ? ["largest batch", count(figures.batch[2])] : ["mean time", mean],
    ];
    numbers.forEach(([term, value], index) => {
      say(term, values[index][0]);
      say(value, values[index][1]);
    });
  }

  #tellEmpty(shown) {
    const empty = byId("empty");
    empty.hidden = shown > 0;
    if (shown) return;
    if (this.rows.size) {
      empty.replaceChildren(make("h3", { textContent: "Nothing here" }), make("p", { textContent: "No function is what you look for." }));
    } else {
      empty.replaceChildren(
        make("h3", { textContent: "No function yet" }),
        make("p", { textContent: "A function is deployed with two commands, and appears here as it starts." }),
        make("pre", { textContent: "bentofn init hello\nbentofn deploy hello --target local" }));
    }
  }
}
