// The tables of the panel.
import { clock, dayAndClock, make, time } from "./dom.js";
import { stateOf } from "./store.js";

const ROWS = 100;

const table = (headings) => {
  const body = make("tbody");
  const head = make("tr", {}, ...headings.map(([text, className]) => make("th", { scope: "col", className: className ?? "", textContent: text })));
  return [make("table", {}, make("thead", {}, head), body), body];
};

const nothing = (text) => make("p", { className: "nothing", textContent: text });

export const statusText = (status) => ({ 499: "left" })[status] ?? String(status);

export class RequestsPage {
  constructor(page, toLogs) {
    this.page = page;
    this.toLogs = toLogs;
  }

  open(name, known) {
    const [shown, body] = table([["Time"], ["Request"], ["Status"], ["Waited", "end"], ["Took", "end"]]);
    this.body = body;
    this.table = shown;
    this.none = nothing("No request yet. Call the function, or invoke it here.");
    this.top = null;
    this.page.append(this.none, this.table);
    this.update(known);
  }

  update(known) {
    const requests = known?.requests ?? [];
    this.none.hidden = requests.length > 0;
    this.table.hidden = !requests.length;
    const end = requests.indexOf(this.top);
    const fresh = (end < 0 ? requests : requests.slice(0, end)).slice(0, ROWS);
    if (end < 0) this.body.replaceChildren();
    this.body.prepend(...fresh.map((request) => this.#row(request)));
    while (this.body.rows.length > ROWS) this.body.lastChild.remove();
    this.top = requests[0] ?? null;
  }

  #row(request) {
    const id = make("button", { type: "button", className: "id", textContent: request.id.slice(0, 8), title: request.id, "aria-label": `Log of request ${request.id}` });
    id.addEventListener("click", () => this.toLogs(request.id));
    const started = request.start && request.start !== "warm" ? [" ", make("span", { className: `badge ${request.start}`, textContent: request.start })] : [];
    const batch = request.batch > 1 ? [" ", make("span", { className: "hint", textContent: `batch of ${request.batch}` })] : [];
    const why = request.reason ? [make("div", { className: "why", textContent: request.reason })] : [];
    const bad = request.status >= 400;
    return make("tr", {},
      make("td", { textContent: clock(request.at) }),
      make("td", { className: "path", title: `${request.method} ${request.path}` }, id, ` ${request.path} `, ...started, ...batch, ...why),
      make("td", {}, make("span", { className: `status ${bad ? "bad" : "ok"}`, textContent: statusText(request.status) })),
      make("td", { className: "end", textContent: request.waited >= 0.001 ? time(request.waited) : "–" }),
      make("td", { className: "end", textContent: request.took === undefined ? "–" : time(request.took) }));
  }
}

export class InstancesPage {
  constructor(page, frame) {
    this.page = page;
    this.frame = frame;
  }

  open(name, known) {
    const [shown, body] = table([["Instance"], ["State"], ["Started"], ["After", "end"], ["Lived", "end"]]);
    this.body = body;
    this.table = shown;
    this.none = nothing("The function is at zero, and no instance was seen.");
    this.page.append(this.none, this.table);
    this.update(known);
  }

  update(known) {
    const tracks = [...(known?.tracks.values() ?? [])].reverse();
    this.none.hidden = tracks.length > 0;
    this.table.hidden = !tracks.length;
    const { now } = this.frame();
    this.body.replaceChildren(...tracks.map((track) => {
      const state = stateOf(track);
      const [first, last] = [track.segments[0][0], track.segments.at(-1)[0]];
      const why = track.reason && !/status 0/.test(track.reason) ? [make("div", { className: "why", textContent: track.reason })] : [];
      return make("tr", {},
        make("td", { className: "path", title: track.id }, make("code", { textContent: track.id }), ...why),
        make("td", { textContent: state }),
        make("td", {}, make("span", { className: `badge ${track.kind}`, textContent: track.kind })),
        make("td", { className: "end", textContent: track.took === null ? "–" : time(track.took) }),
        make("td", { className: "end", textContent: time((state === "gone" ? last : now) - first) }));
    }));
  }
}

export class SchedulesPage {
  constructor(page) {
    this.page = page;
  }

  open(name, known) {
    const [rules, list] = table([["Schedule"], ["State"], ["Next", "end"], ["Last", "end"]]);
    const [fires, fired] = table([["Due"], ["Schedule"], ["Outcome", "end"]]);
    this.rules = { table: rules, body: list };
    this.fires = { table: fires, body: fired, title: make("h3", { className: "sub", textContent: "Deliveries" }) };
    this.none = nothing("No schedule calls this function. In serverless.yml: events: - schedule: rate(1 hour)");
    this.page.append(this.none, rules, this.fires.title, fires);
    this.update(known);
  }

  update(known) {
    const schedules = known?.about?.schedules ?? [];
    const fires = [...(known?.fires ?? [])].reverse();
    this.none.hidden = schedules.length > 0;
    this.rules.table.hidden = !schedules.length;
    this.fires.table.hidden = this.fires.title.hidden = !fires.length;
    const moment = (at) => (at === null ? "–" : dayAndClock(at));
    this.rules.body.replaceChildren(...schedules.map((each) => make("tr", {},
      make("td", { className: "path wrap" }, make("code", { textContent: each.expression }), make("div", { className: "why", textContent: [each.name, each.timezone].filter(Boolean).join(", ") })),
      make("td", { textContent: each.state }),
      make("td", { className: "end", textContent: moment(each.next) }),
      make("td", { className: "end", textContent: moment(each.last) }))));
    this.fires.body.replaceChildren(...fires.map((each) => make("tr", {},
      make("td", { textContent: dayAndClock(each.due) }),
      make("td", { className: "path wrap" }, each.schedule, ...(each.reason ? [make("div", { className: "why", textContent: each.reason })] : [])),
      make("td", { className: "end" }, make("span", { className: `status ${each.outcome === "delivered" ? "ok" : "bad"}`, textContent: each.outcome })))));
  }
}
