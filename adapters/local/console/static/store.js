// What the platform has told so far.
const REQUESTS = 200;

export class Store {
  constructor() {
    this.functions = new Map();
    this.totals = null;
    this.pace = 1;
    this.fresh = true;
    this.told = 0;
    this.heard = 0;
  }

  /** The platform's time, in seconds since the epoch, between two messages too. */
  now() {
    return this.told + ((performance.now() - this.heard) / 1000) * this.pace;
  }

  /** The next message tells everything anew. */
  expectAll() {
    this.fresh = true;
  }

  take(message) {
    if (this.fresh) this.functions.clear();
    this.fresh = false;
    this.told = message.now;
    this.heard = performance.now();
    this.pace = message.pace;
    this.totals = message.totals;
    for (const name of message.removed) this.functions.delete(name);
    for (const [name, change] of Object.entries(message.functions)) this.#change(name, change);
    return Object.keys(message.functions);
  }

  #change(name, change) {
    let known = this.functions.get(name);
    if (!known) {
      known = { name, about: null, figures: null, tracks: new Map(), seconds: [], requests: [], fires: [] };
      this.functions.set(name, known);
    }
    if (change.about) known.about = change.about;
    if (!change.figures) return;
    known.figures = change.figures;
    known.fires = change.fires;
    for (const track of change.tracks) {
      const before = known.tracks.get(track.id)?.segments.filter(([at]) => at < track.since) ?? [];
      known.tracks.set(track.id, { ...track, segments: [...before, ...track.segments] });
    }
    const kept = new Set(change.kept);
    for (const id of known.tracks.keys()) if (!kept.has(id)) known.tracks.delete(id);
    if (change.seconds.length) {
      const first = change.seconds[0][0];
      known.seconds = [...known.seconds.filter(([at]) => at < first), ...change.seconds].slice(-900);
    }
    known.requests = [...change.requests.reverse(), ...known.requests].slice(0, REQUESTS);
  }
}

/** The state that a track is in. */
export const stateOf = (track) => track.segments.at(-1)?.[1] ?? "gone";

/** Instances that live. */
export const living = (known) => [...known.tracks.values()].filter((track) => stateOf(track) !== "gone");

/** What is to be said of a function in one word, and whether it is bad. */
export const stateOfFunction = (known) => {
  if (known.about?.broken) return ["broken", true];
  const states = living(known).map(stateOf);
  for (const state of ["busy", "idle", "restoring", "starting", "parking", "stopping"]) {
    if (states.includes(state)) return [state === "idle" || state === "busy" ? "running" : state, false];
  }
  return ["at zero", false];
};

/** Requests a second, over the last full seconds. */
export const rate = (known, now, pace, over = 5) => {
  const from = now - (over + 1) * pace;
  let sum = 0;
  for (let i = known.seconds.length - 1; i >= 0 && known.seconds[i][0] >= from; i--) {
    if (known.seconds[i][0] <= now - pace) sum += known.seconds[i][1];
  }
  return sum / over;
};
