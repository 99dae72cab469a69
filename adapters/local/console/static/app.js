// The console: listens to the platform, and has the parts of the page drawn.
import { Board } from "./board.js";
import { attribute, byId, say } from "./dom.js";
import { Gpus } from "./gpus.js";
import { Panel } from "./panel.js";
import { Store } from "./store.js";
import { Summary } from "./summary.js";
import { readPalette } from "./timeline.js";

const store = new Store();
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");
const FRAME = 1000 / 30;

let span = 120;
let stopped = null; // the platform's time at which the picture stands still
let palette = null;
let drawn = 0;
let heldBack = new Set();

const frame = () => {
  const now = stopped ?? store.now();
  return { now, from: now - span * store.pace, pace: store.pace };
};

const remember = (name, value) => {
  try { localStorage.setItem(`bentofn.${name}`, value); } catch { /* it is not kept */ }
};
const remembered = (name) => {
  try { return localStorage.getItem(`bentofn.${name}`) ?? ""; } catch { return ""; }
};

const select = (name, tab) => {
  location.hash = name ? `#/${encodeURIComponent(name)}${tab ? `/${tab}` : ""}` : "#/";
};

const summary = new Summary(store, frame);
const gpus = new Gpus(store);
const panel = new Panel(store, frame, select);
const board = new Board(store, frame, (name) => select(name === board.selected ? "" : name, panel.tab));

const show = () => {
  const [, name, tab] = location.hash.split("/").map(decodeURIComponent);
  const before = board.selected;
  board.select(name ?? "");
  panel.open(name ?? "", tab);
  byId("stage").classList.toggle("split", Boolean(name));
  if (before && !name) board.focus(before);
  draw(true);
};

const draw = (force = false) => {
  if (!palette || document.hidden || (!force && stopped !== null)) return;
  drawn = performance.now();
  board.draw(palette);
};

const animate = (now) => {
  if (!calm.matches && now - drawn >= FRAME) draw();
  requestAnimationFrame(animate);
};

const tell = (state, text) => {
  attribute(byId("link"), "data-state", state);
  say(byId("link-text"), text);
};

const write = (names) => {
  board.update(names);
  summary.update();
  gpus.update();
  panel.update(names);
  if (calm.matches) draw();
};

// One stream a page, and none for a page that nobody sees: a browser has six connections a host.
let stream = null;
const listen = () => {
  if (stream || document.hidden) return;
  stream = new EventSource("/_bentofn/console/events");
  stream.onopen = () => {
    store.expectAll();
    tell("live", stopped === null ? "Live" : "Paused");
  };
  stream.onmessage = ({ data }) => {
    const fresh = store.fresh;
    const names = store.take(JSON.parse(data));
    if (stopped !== null && !fresh) {
      for (const name of names) heldBack.add(name);
      return;
    }
    write(names);
  };
  stream.onerror = () => {
    tell("lost", "The platform does not answer; trying again");
    if (stream.readyState === EventSource.CLOSED) {
      stream = null;
      setTimeout(listen, 2000);
    }
  };
};

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return listen();
  stream?.close();
  stream = null;
});

const pause = byId("pause");
pause.addEventListener("click", () => {
  stopped = stopped === null ? store.now() : null;
  attribute(pause, "aria-pressed", String(stopped !== null));
  tell("live", stopped === null ? "Live" : "Paused");
  if (stopped === null) {
    write([...heldBack]);
    heldBack = new Set();
  }
});

byId("windows").addEventListener("change", ({ target }) => {
  span = Number(target.value);
  remember("window", span);
  board.order();
  draw(true);
});

const theme = byId("theme");
const dress = () => {
  if (theme.value) document.documentElement.dataset.theme = theme.value;
  else delete document.documentElement.dataset.theme;
  palette = readPalette();
  draw(true);
};
theme.addEventListener("change", () => {
  remember("theme", theme.value);
  dress();
});
dark.addEventListener("change", dress);
addEventListener("resize", () => draw(true));
addEventListener("hashchange", show);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && board.selected && !event.target.closest("input, textarea, select")) select("");
});

theme.value = remembered("theme");
span = Number(remembered("window")) || span;
const chosen = document.querySelector(`input[name="window"][value="${span}"]`);
if (chosen) chosen.checked = true;
dress();
show();
listen();
requestAnimationFrame(animate);
