// Making elements, and saying numbers.
export const make = (tag, properties = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
};

export const byId = (id) => document.getElementById(id);

/** Set a text only where it differs: what did not change is not laid out again. */
export const say = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

export const attribute = (node, name, value) => {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
};

const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const plain = new Intl.NumberFormat("en");

export const count = (n) => (n < 10000 ? plain.format(n) : short.format(n));

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** Seconds as [number, unit]. */
export const duration = (seconds) => {
  if (seconds === null || seconds === undefined) return ["–", ""];
  if (seconds < 0.0001) return [(seconds * 1e6).toFixed(0), "µs"];
  if (seconds < 0.01) return [(seconds * 1000).toFixed(1), "ms"];
  if (seconds < 1) return [(seconds * 1000).toFixed(0), "ms"];
  if (seconds < 100) return [seconds.toFixed(seconds < 10 ? 2 : 1), "s"];
  return [(seconds / 60).toFixed(1), "min"];
};

/** Bytes as people read them. */
export const bytes = (n) => {
  const step = n < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(n) / 3));
  const [number, unit] = [n / 1000 ** step, ["B", "kB", "MB", "GB", "TB"][step]];
  return `${number.toFixed(number < 10 && step ? 1 : 0)} ${unit}`;
};

export const time = (seconds) => duration(seconds).join(" ").trim();

export const money = (amount, currency) => {
  const digits = amount === 0 || amount >= 1 ? 2 : Math.min(8, 2 - Math.floor(Math.log10(amount)));
  return new Intl.NumberFormat("en", { style: "currency", currency, minimumFractionDigits: digits, maximumFractionDigits: digits }).format(amount);
};

const clocks = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const days = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit" });

export const clock = (at) => clocks.format(at * 1000);
export const dayAndClock = (at) => days.format(at * 1000);

/** Take part in arrow keys: one of the items has the tabindex, the others are reached from it. */
export const roving = (container, items, keys, onMove = () => {}) => {
  container.addEventListener("keydown", (event) => {
    const all = items();
    const at = all.indexOf(document.activeElement);
    const step = { [keys[0]]: -1, [keys[1]]: 1 }[event.key];
    const to = event.key === "Home" ? 0 : event.key === "End" ? all.length - 1 : at + step;
    if (at < 0 || !(to >= 0 && to < all.length)) return;
    event.preventDefault();
    all[to].focus();
    onMove(all[to]);
  });
};
