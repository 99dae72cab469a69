// A form for a function's endpoints, made of their schemas; the call goes to the function's own URL.
import { byId, make, say, time } from "./dom.js";
import { readFields, writeFields } from "./fields.js";

export class InvokePage {
  constructor(page, toLogs) {
    this.page = page;
    this.toLogs = toLogs;
  }

  async open(name) {
    this.name = name;
    const response = await fetch(`/_bentofn/console/functions/${encodeURIComponent(name)}`);
    const { endpoints: declared = [], error } = await response.json();
    if (name !== this.name || this.page.hasChildNodes()) return;
    if (error) {
      this.page.append(make("p", { className: "nothing", textContent: error }));
      return;
    }
    // A handler, or a mounted application, declares nothing: it takes any JSON.
    const endpoints = declared.length ? declared : [{ route: "/", input: {}, examples: [{}], doc: "" }];
    const choice = make("select", { id: "endpoint" }, ...endpoints.map((each, index) => make("option", { value: index, textContent: `POST ${each.route}` })));
    const form = make("form", { className: "fields" });
    choice.addEventListener("change", () => this.#form(form, endpoints[choice.value]));
    this.page.append(
      make("div", { className: "fields" }, make("div", {}, make("label", { htmlFor: "endpoint", textContent: "Endpoint" }), choice)),
      form);
    this.#form(form, endpoints[0]);
  }

  #form(form, endpoint) {
    const marks = [
      endpoint.batchable ? `Calls are joined into batches of up to ${endpoint.max_batch_size}.` : "",
      endpoint.stream ? "The answer is streamed." : "",
      endpoint.task ? "Calls can be submitted as tasks too." : "",
    ].filter(Boolean);
    const example = endpoint.examples[0] ?? {};
    const fields = writeFields(endpoint.input, example);
    const send = make("button", { type: "submit", className: "primary", textContent: "Send" });
    const stop = make("button", { type: "button", textContent: "Stop", hidden: true });
    const answer = make("div", { className: "answer", hidden: true });
    form.replaceChildren(
      ...(endpoint.doc ? [make("p", { className: "doc", textContent: endpoint.doc })] : []),
      ...(marks.length ? [make("p", { className: "hint", textContent: marks.join(" ") })] : []),
      ...fields.nodes,
      make("div", { className: "send" }, send, stop),
      answer);
    form.onsubmit = async (event) => {
      event.preventDefault();
      let request;
      try {
        request = readFields(fields);
      } catch (error) {
        answer.hidden = false;
        answer.replaceChildren(make("p", { className: "status bad", textContent: error.message }));
        error.field?.focus();
        return;
      }
      const control = new AbortController();
      stop.onclick = () => control.abort();
      send.disabled = true;
      stop.hidden = false;
      await this.#call(endpoint, request, answer, control.signal);
      send.disabled = false;
      stop.hidden = true;
    };
  }

  async #call(endpoint, request, answer, signal) {
    const meta = make("p", { className: "meta" }, "Sent…");
    const body = make("pre");
    answer.hidden = false;
    answer.replaceChildren(meta, body);
    const began = performance.now();
    try {
      const response = await fetch(`/${encodeURIComponent(this.name)}${endpoint.route}`, { method: "POST", signal, ...request });
      const took = () => time((performance.now() - began) / 1000);
      const says = (name) => response.headers.get(name) ?? "";
      const id = make("button", { type: "button", className: "id", textContent: says("x-request-id").slice(0, 8), title: says("x-request-id"), "aria-label": "Log of this request" });
      id.addEventListener("click", () => this.toLogs(says("x-request-id")));
      const spent = make("span", { textContent: took() });
      meta.replaceChildren(
        make("span", { className: `status ${response.ok ? "ok" : "bad"}`, textContent: `${response.status} ${response.statusText}` }),
        spent, make("span", { textContent: says("x-bentofn-start") }), make("code", { textContent: says("x-bentofn-instance") }), id);
      await this.#read(response, body);
      say(spent, took());
      say(byId("said"), `Answered with status ${response.status} after ${took()}`);
    } catch (error) {
      meta.replaceChildren(make("span", { className: "status bad", textContent: signal.aborted ? "Stopped" : "The platform does not answer" }));
      if (!signal.aborted) body.textContent = String(error);
      say(byId("said"), meta.textContent);
    }
  }

  async #read(response, body) {
    const type = response.headers.get("content-type") ?? "";
    if (type.startsWith("image/")) {
      body.replaceWith(make("img", { alt: "The answer", src: URL.createObjectURL(await response.blob()) }));
      return;
    }
    if (!/json|text|event-stream|x-www-form/.test(type)) {
      const blob = await response.blob();
      body.replaceWith(make("p", {}, make("a", { href: URL.createObjectURL(blob), download: "answer", textContent: `Save ${blob.size} bytes of ${type || "an unknown type"}` })));
      return;
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) body.append(part.value);
    if (type.startsWith("application/json")) {
      try { body.textContent = JSON.stringify(JSON.parse(body.textContent), null, 2); } catch { /* as it is */ }
    }
  }
}
