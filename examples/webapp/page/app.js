// Asks the function for a poem, and shows each word as it comes.
const url = document.querySelector('meta[name="function"]').content;
const form = document.querySelector("#ask");
const about = document.querySelector("#about");
const [go, stop] = [document.querySelector("#go"), document.querySelector("#stop")];
const [poem, told] = [document.querySelector("#poem"), document.querySelector("#told")];

let running; // the AbortController of the poem that is being written
let edition = 0;

/** The pieces of a streamed answer. Leaving the loop, or `signal`, ends the function's work. */
async function* stream(path, input, signal, onStart) {
  const response = await fetch(url + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(input),
    signal,
  });
  if (!response.ok) throw new Error(await explained(response));
  onStart(response.headers.get("X-Bentofn-Start"));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function explained(response) {
  const text = await response.text();
  try {
    const said = JSON.parse(text);
    return (Array.isArray(said) ? said[0] : said).error ?? text;
  } catch {
    return text || `The function answered with ${response.status}.`;
  }
}

async function write(subject) {
  running?.abort();
  const mine = (running = new AbortController());
  const began = performance.now();
  let start = "", first = 0, words = 0;
  poem.replaceChildren();
  show("Waiting for the first word…");
  busy(true);
  try {
    const pieces = stream("/write", { about: subject, edition }, mine.signal, (kind) => (start = kind));
    for await (const piece of pieces) {
      if (!first) {
        first = performance.now() - began;
        show(arrival(start, first));
      }
      words += piece.split(/\s+/).filter(Boolean).length;
      poem.append(Object.assign(document.createElement("span"), { textContent: piece }));
    }
    show(`${arrival(start, first)} ${words} words.`);
    edition += 1;
  } catch (error) {
    if (running !== mine) return;
    if (error.name === "AbortError") show(first ? `${arrival(start, first)} Stopped after ${words} words.` : "Stopped.");
    else show(reason(error), true);
  } finally {
    if (running === mine) busy(false);
  }
}

function arrival(start, first) {
  const how = { warm: "by an instance that was there", cold: "by an instance that was started for it" };
  const who = how[start] ?? (start ? `by an instance that was ${start} for it` : "");
  return `First word after ${Math.round(first)} ms ${who}.`;
}

function reason(error) {
  if (!(error instanceof TypeError)) return error.message;
  // A browser does not tell a page more: https://fetch.spec.whatwg.org/#concept-network-error
  return `${url} cannot be called from ${location.origin}. Is it deployed, and does its CORS allow this page?`;
}

function show(text, isWrong = false) {
  told.textContent = text;
  told.classList.toggle("wrong", isWrong);
}

function busy(isBusy) {
  poem.setAttribute("aria-busy", isBusy);
  const hadFocus = [go, stop].includes(document.activeElement);
  [go.hidden, stop.hidden] = [isBusy, !isBusy];
  if (hadFocus) (isBusy ? stop : go).focus();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (about.value.trim()) void write(about.value);
});
stop.addEventListener("click", () => running?.abort());
for (const idea of document.querySelectorAll(".ideas button")) {
  idea.addEventListener("click", () => {
    about.value = idea.textContent;
    form.requestSubmit();
  });
}
