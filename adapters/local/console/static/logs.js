// A function's log, or the lines of one request.
import { clock, make, say } from "./dom.js";

const EVERY = 1500;

export class LogsPage {
  constructor(page) {
    this.page = page;
    this.wanted = "";
    this.timer = 0;
  }

  /** Show the lines of one request when the page is opened next. */
  ask(id) {
    this.wanted = id;
  }

  open(name) {
    this.name = name;
    this.last = "";
    const field = make("input", { type: "text", id: "log-request", value: this.wanted, placeholder: "all", spellcheck: false, autocomplete: "off" });
    const clear = make("button", { type: "button", textContent: "Show all" });
    this.list = make("ol", { className: "lines", "aria-label": `Log of ${name}` });
    this.none = make("p", { className: "nothing", hidden: true });
    field.addEventListener("change", () => {
      this.wanted = field.value.trim();
      this.#read();
    });
    clear.addEventListener("click", () => {
      this.wanted = field.value = "";
      this.#read();
    });
    this.page.append(
      make("div", { className: "asked" }, make("label", { htmlFor: "log-request" }, "Request id", field), clear),
      this.none, this.list);
    this.#read();
  }

  close() {
    clearTimeout(this.timer);
    this.name = "";
  }

  async #read() {
    clearTimeout(this.timer);
    const { name, wanted } = this;
    try {
      const query = wanted ? `?request=${encodeURIComponent(wanted)}` : "";
      const response = await fetch(`/_bentofn/console/logs/${encodeURIComponent(name)}${query}`);
      const { lines = [], error } = await response.json();
      if (name !== this.name || wanted !== this.wanted) return;
      this.#show(lines, error ?? (wanted ? "This request wrote nothing." : "Nothing was written yet."));
    } catch {
      if (name === this.name) this.#show([], "The log cannot be read now.");
    }
    this.timer = setTimeout(() => this.name && !document.hidden ? this.#read() : this.#later(), EVERY);
  }

  #later() {
    if (this.name) this.timer = setTimeout(() => this.#read(), EVERY);
  }

  #show(lines, otherwise) {
    this.none.hidden = lines.length > 0;
    say(this.none, otherwise);
    const key = `${lines.length} ${lines.at(-1)?.ts} ${this.wanted}`;
    if (key === this.last) return;
    this.last = key;
    const atEnd = this.page.scrollHeight - this.page.scrollTop - this.page.clientHeight < 60;
    this.list.replaceChildren(...lines.map((line) => make("li", { className: line.stream, title: [line.instance, line.request].filter(Boolean).join(" · ") },
      make("time", { textContent: clock(line.ts), dateTime: new Date(line.ts * 1000).toISOString() }),
      make("span", { textContent: line.line }))));
    if (atEnd) this.page.scrollTop = this.page.scrollHeight;
  }
}
