// The figures of the whole platform.
import { byId, count, duration, make, money, say } from "./dom.js";
import { rate } from "./store.js";

const NAMES = ["Functions", "Instances", "Requests / s", "Median", "99th percentile", "Waiting", "Starts", "Throttled", "Cost so far"];

export class Summary {
  constructor(store, frame) {
    this.store = store;
    this.frame = frame;
    this.boxes = NAMES.map((name) => this.box(name));
  }

  box(name) {
    const text = document.createTextNode("–");
    const unit = make("small");
    const more = make("dd", { className: "more" });
    const box = make("div", {}, make("dt", { textContent: name }), make("dd", { className: "number" }, text, unit), more);
    byId("figures").append(box);
    return { box, text, unit, more };
  }

  update() {
    const { totals } = this.store;
    const { now, pace } = this.frame();
    const states = totals.states;
    const instances = Object.values(states).reduce((sum, n) => sum + n, 0);
    let arrived = 0;
    let active = 0;
    for (const known of this.store.functions.values()) {
      const here = rate(known, now, pace);
      if (!known.name.includes(".")) arrived += here;
      active += known.tracks.size && here > 0 ? 1 : 0;
    }
    const [restored, zygote, cold] = ["restored", "zygote", "cold"].map((kind) => totals[`${kind} starts`] ?? 0);
    const kinds = [[restored, "restored"], [zygote, "zygote"], [cold, "cold"]].filter(([n]) => n).map(([n, kind]) => `${count(n)} ${kind}`);
    const starts = kinds.slice(0, 2).join(", ");
    const costs = Object.entries(totals.costs);
    const refused = totals.refused ?? 0;
    const throttled = totals.throttled ?? 0;
    const values = [
      [count(totals.functions), "", active ? `${count(active)} answering` : "all quiet"],
      [count(instances), "", instances ? `${count(states.busy ?? 0)} busy` : "at zero"],
      [arrived < 10 ? arrived.toFixed(1) : count(Math.round(arrived)), "", `${count(totals.answered ?? 0)} so far`],
      [...(totals.latency ? duration(totals.latency[0]) : ["–", ""]), "last minute"],
      [...(totals.latency ? duration(totals.latency[1]) : ["–", ""]), "last minute"],
      [count(totals.waiting ?? 0), "", "for an instance"],
      [count(restored + zygote + cold), "", starts || "none yet"],
      [count(throttled), "", refused > throttled ? `${count(refused - throttled)} refused otherwise` : "with status 429", throttled > 0],
      costs.length ? [money(costs[0][1], costs[0][0]), "", "as it would be billed"] : ["–", "", "no prices in use"],
    ];
    values.forEach(([value, unit, more, bad], index) => {
      const box = this.boxes[index];
      if (box.text.data !== value) box.text.data = value;
      say(box.unit, unit ? ` ${unit}` : "");
      say(box.more, more);
      box.box.classList.toggle("bad", Boolean(bad));
    });
  }
}
