// The memory of GPUs: what instances have of each, who waits, and what sleeps in host memory.
import { byId, bytes, make, plural } from "./dom.js";

const part = (size, text, kind) => {
  const node = make("span", { className: kind, title: text, textContent: text });
  node.style.flexGrow = size;
  return node;
};

const row = (name, more, parts, figure) => make(
  "li", { className: "gpu" },
  make("p", { className: "gpu-name" }, name, make("small", { textContent: more, title: more })),
  make("p", { className: "gpu-bar" }, ...parts),
  make("p", { className: "gpu-figure", textContent: figure }),
);

const left = (free) => part(Math.max(0, free), free > 0 ? `${bytes(free)} free` : "", "free");

const gpu = ({ name, total, on_it: taken, holdings }) => {
  const [number, ...model] = name.split(" ");
  const parts = holdings.map(({ function: owner, memory, known }) => (
    part(memory || 1, `${owner} ${known ? memory ? bytes(memory) : "" : "has it for itself"}`, known ? "known" : "unknown")
  ));
  const figure = total ? `${bytes(taken)} of ${bytes(total)}` : "memory unknown";
  return row(`GPU ${number}`, model.join(" "), [...parts, left(total - taken)], figure);
};

const asleep = ({ sleepers, asleep: size, limit }) => row(
  "Asleep", "in host memory",
  [part(size, sleepers ? plural(sleepers, "instance") : "", "asleep"), left(limit - size)], `${bytes(size)} of ${bytes(limit)}`,
);

const waiting = (instances) => row(
  "Waiting", "in order of arrival",
  instances.map(({ function: owner }) => part(1, owner, "waits")), plural(instances.length, "instance"),
);

export class Gpus {
  constructor(store) {
    this.store = store;
    this.shown = "";
  }

  update() {
    const memory = this.store.totals.gpus;
    const told = JSON.stringify(memory);
    if (told === this.shown) return;
    this.shown = told;
    byId("gpus").hidden = !memory.gpus.length;
    byId("gpu-list").replaceChildren(...memory.gpus.map(gpu), waiting(memory.waiting), asleep(memory));
  }
}
