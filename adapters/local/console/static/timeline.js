// Draws a function's load and its instances over time.
const COLOURS = ["busy", "idle", "idle-edge", "starting", "restoring", "stopping", "refused", "waiting", "load", "muted", "line", "ink", "paper", "on-accent"];
const LOAD = 24;
const ROWS = 14;
const STARTS = new Set(["starting", "restoring"]);
const LEAST = { starting: 4, restoring: 4, parking: 3, busy: 1.4 };
const SIZES = { small: { bar: 9, gap: 4 }, large: { bar: 17, gap: 5 } };

/** The colours of the page as they are now. */
export const readPalette = () => {
  const probe = document.createElement("i");
  document.body.append(probe);
  const palette = { font: getComputedStyle(document.body).fontFamily };
  for (const name of COLOURS) {
    probe.style.color = `var(--${name})`;
    palette[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  palette.hatch = hatch(palette.starting);
  return palette;
};

const hatch = (colour) => {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour;
  pen.lineWidth = 2.6;
  for (const x of [-8, 0, 8]) {
    pen.beginPath();
    pen.moveTo(x - 1, 9);
    pen.lineTo(x + 9, -1);
    pen.stroke();
  }
  return tile;
};

/** Put each instance into the first row that is free; an instance that lives keeps its own. */
const rowsOf = (known, from, now) => {
  const ends = [];
  const placed = [];
  for (const track of known.tracks.values()) {
    const { segments } = track;
    if (!segments.length) continue;
    const [last, state] = segments.at(-1);
    const end = state === "gone" ? last : Infinity;
    if (end < from) continue;
    const begin = segments[0][0];
    let row = ends.findIndex((busyUntil) => busyUntil <= begin);
    if (row < 0) row = ends.length;
    ends[row] = end + (now - from) * 0.004;
    placed.push([track, row]);
  }
  return [placed, ends.length];
};

/** The height that a chart needs; 0 where there is nothing to draw. */
export const heightOf = (known, from, now, large) => {
  const [, rows] = rowsOf(known, from, now);
  const load = known.seconds.some(([at]) => at >= from);
  if (!rows && !load) return 0;
  const { bar, gap } = large ? SIZES.large : SIZES.small;
  return LOAD + 5 + Math.max(1, Math.min(rows, ROWS)) * (bar + gap);
};

/** Fit a canvas to its place; returns its pen, width and height in CSS pixels. */
const fit = (canvas, height) => {
  const scale = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  if (canvas.style.height !== `${height}px`) canvas.style.height = `${height}px`;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return [pen, width, height];
};

export const drawLane = (canvas, known, { from, now, pace, palette, large }) => {
  const height = heightOf(known, from, now, large);
  const [pen, width] = fit(canvas, height);
  if (!height || !width) return;
  const x = (at) => ((at - from) / (now - from)) * width;
  drawLoad(pen, known.seconds, x, width, { from, pace, palette });
  const { bar, gap } = large ? SIZES.large : SIZES.small;
  for (const [track, row] of rowsOf(known, from, now)[0]) {
    if (row < ROWS) drawTrack(pen, track, x, LOAD + 5 + row * (bar + gap), bar, { from, now, width, palette, large });
  }
};

const drawLoad = (pen, seconds, x, width, { from, pace, palette }) => {
  pen.fillStyle = palette.line;
  pen.fillRect(0, LOAD - 0.5, width, 1);
  const shown = seconds.filter(([at]) => at > from - pace);
  if (!shown.length) return;
  const most = Math.max(5, ...shown.map(([, arrived, failed, refused, waiting]) => Math.max(arrived, refused, failed, waiting)));
  const wide = Math.max(1, x(from + pace) - 1);
  for (const [at, arrived, failed, refused, waiting] of shown) {
    const left = x(at);
    const part = (n) => (n ? Math.max(1.5, (n / most) * (LOAD - 3)) : 0);
    const whole = part(Math.max(arrived, failed + refused));
    const bad = Math.min(whole, part(failed + refused));
    pen.fillStyle = palette.load;
    pen.fillRect(left, LOAD - 1 - whole, wide, whole);
    pen.fillStyle = palette.refused;
    pen.fillRect(left, LOAD - 1 - whole, wide, bad);
    if (waiting) {
      pen.fillStyle = palette.waiting;
      pen.fillRect(left - 0.5, LOAD - 2 - part(waiting), wide + 1, 2);
    }
  }
};

const drawTrack = (pen, track, x, top, bar, { from, now, width, palette, large }) => {
  const { segments } = track;
  const state = segments.at(-1)[1];
  const left = Math.max(-6, x(segments[0][0]));
  const right = state === "gone" ? x(segments.at(-1)[0]) : width;
  pen.save();
  pen.beginPath();
  pen.roundRect(left, top, Math.max(3, right - left), bar, Math.min(4, bar / 2.5));
  pen.clip();
  const part = ([at, each], index) => {
    const until = segments[index + 1]?.[0] ?? now;
    if (each === "gone" || until < from) return;
    const begin = Math.max(left, x(at));
    paint(pen, each, begin, top, Math.max(LEAST[each] ?? 0.5, x(until) - begin), bar, palette);
  };
  segments.forEach(part);
  // What takes milliseconds is seen all the same: starts are drawn last, and never narrower.
  segments.forEach((segment, index) => STARTS.has(segment[1]) && part(segment, index));
  pen.restore();
  const mark = segments.findIndex(([, each]) => each === "idle" || each === "busy");
  if (large && track.took && mark > 0 && segments[0][0] >= from) {
    label(pen, `${track.kind} ${track.took < 1 ? `${Math.round(track.took * 1000)} ms` : `${track.took.toFixed(1)} s`}`, x(segments[mark][0]), right, top, bar, palette);
  }
};

const paint = (pen, state, left, top, wide, bar, palette) => {
  if (state === "starting") {
    pen.fillStyle = pen.createPattern(palette.hatch, "repeat");
    pen.fillRect(left, top, wide, bar);
    pen.fillStyle = palette.starting;
    pen.fillRect(left, top, wide, 1);
    pen.fillRect(left, top + bar - 1, wide, 1);
    return;
  }
  pen.fillStyle = { busy: palette.busy, idle: palette.idle, restoring: palette.restoring }[state] ?? palette.stopping;
  pen.fillRect(left, top, wide, bar);
  if (state === "idle") {
    pen.fillStyle = palette["idle-edge"];
    pen.fillRect(left, top + bar - 1, wide, 1);
    pen.fillRect(left, top, wide, 1);
  }
};

/** Say it inside the bar, where there is room. */
const label = (pen, text, left, right, top, bar, palette) => {
  pen.font = `550 10.5px ${palette.font}`;
  const wide = pen.measureText(text).width;
  if (right - left < wide + 14) return;
  const at = left + 8;
  pen.textBaseline = "middle";
  pen.fillStyle = palette.paper;
  pen.beginPath();
  pen.roundRect(at - 5, top + 1.5, wide + 10, bar - 3, 4);
  pen.fill();
  pen.fillStyle = palette.ink;
  pen.fillText(text, at, top + bar / 2 + 0.5);
};

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 172800, 604800];

export const drawRuler = (canvas, { from, now, palette, clock, dayAndClock }) => {
  const [pen, width, height] = fit(canvas, 22);
  if (!width) return;
  const step = STEPS.find((each) => (each / (now - from)) * width > 84) ?? 604800;
  pen.font = `11px ${palette.font}`;
  pen.textBaseline = "middle";
  for (let at = Math.ceil(from / step) * step; at <= now; at += step) {
    const x = ((at - from) / (now - from)) * width;
    pen.fillStyle = palette.line;
    pen.fillRect(Math.round(x), 5, 1, height);
    pen.fillStyle = palette.muted;
    const text = step >= 3600 ? dayAndClock(at) : clock(at).slice(0, step >= 60 ? 5 : 8);
    if (x + pen.measureText(text).width + 6 < width) pen.fillText(text, x + 6, 12);
  }
};
