/** What all calls of a client have in common. */
export interface ClientOptions {
  /** Headers of every request. */
  headers?: Record<string, string>;
  /** Sent as a bearer token. */
  token?: string;
  /** `include` sends cookies to another origin; its CORS rules must allow them. */
  credentials?: RequestCredentials;
  /** What sends requests; by default the global `fetch`. */
  fetch?: typeof fetch;
}

/** What one call has of its own. */
export interface CallOptions {
  /** Aborts the call, or the stream; `AbortSignal.timeout(5000)` after five seconds. */
  signal?: AbortSignal;
  /** Headers of this request. */
  headers?: Record<string, string>;
}

/** The service answered with an error. When it cannot be reached, `fetch` throws a TypeError. */
export class ServiceError extends Error {
  /** The answer's HTTP status. */
  readonly status: number;
  /** The answer's body. */
  readonly body: string;
  /** The request's id in the platform's logs; a page of another origin sees it if CORS exposes it. */
  readonly requestId: string | null;

  constructor(status: number, body: string, requestId: string | null) {
    super(errorMessage(status, body));
    this.name = "ServiceError";
    this.status = status;
    this.body = body;
    this.requestId = requestId;
  }
}

/** How far a task is. */
export type TaskStatus = "pending" | "in_progress" | "completed" | "failed" | "canceled";

/** An endpoint whose calls may also be submitted, to be run when there is room. */
export interface TaskMethod<Input, Output> {
  /** Call it, and wait for the answer. */
  (input: Input, options?: CallOptions): Promise<Output>;
  /** Queue a call. */
  submit(input: Input, options?: CallOptions): Promise<Task<Output>>;
  /** A task that was submitted before, by its id. */
  task(id: string): Task<Output>;
}

/** A task that was submitted. */
export class Task<Output> {
  /** The name that the service gave it. */
  readonly id: string;
  readonly #connection: Connection;
  readonly #path: string;
  readonly #answer: Answer;

  constructor(id: string, connection: Connection, path: string, answer: Answer) {
    this.id = id;
    this.#connection = connection;
    this.#path = path;
    this.#answer = answer;
  }

  /** How far it is. */
  async status(options: CallOptions = {}): Promise<TaskStatus> {
    const told = (await (await this.#ask("GET", "status", options)).json()) as { status: TaskStatus };
    return told.status;
  }

  /** Its result; a ServiceError while it has none, or if it failed. */
  async get(options: CallOptions = {}): Promise<Output> {
    return (await decoded(await this.#ask("GET", "get", options), this.#answer)) as Output;
  }

  /** Keep it from running, or stop it. */
  async cancel(options: CallOptions = {}): Promise<void> {
    await this.#ask("PUT", "cancel", options);
  }

  /** Submit the same call again. */
  async retry(options: CallOptions = {}): Promise<Task<Output>> {
    const id = await taskId(await this.#ask("POST", "retry", options));
    return new Task(id, this.#connection, this.#path, this.#answer);
  }

  #ask(method: string, action: string, options: CallOptions): Promise<Response> {
    const query = `?task_id=${encodeURIComponent(this.id)}`;
    return this.#connection.send(method, below(this.#path, action) + query, {}, options);
  }
}

type Body = "json" | "form" | "text" | "binary";
type Answer = "json" | "text" | "bytes" | "file" | "any";
type Chunk = "json" | "text" | "bytes";
/** Arrays as deep as they come. */
export type Nested<T> = T | Nested<T>[];

class Connection {
  readonly #url: string;
  readonly #options: ClientOptions;

  constructor(url: string, options: ClientOptions) {
    this.#url = url.replace(/\/+$/, "");
    this.#options = options;
  }

  async call<T>(path: string, body: Body, input: unknown, answer: Answer, options: CallOptions): Promise<T> {
    const response = await this.send("POST", path, encoded(body, input), options);
    return (await decoded(response, answer)) as T;
  }

  async *stream<T>(
    path: string, body: Body, input: unknown, chunk: Chunk, options: CallOptions,
  ): AsyncGenerator<T, void, undefined> {
    const response = await this.send("POST", path, encoded(body, input), options);
    const reader = response.body?.getReader();
    if (reader === undefined) return;
    const chunks = chunk === "bytes" ? new ByteChunks() : chunk === "text" ? new TextChunks() : new JsonChunks();
    try {
      for (let done = false; !done; ) {
        const read = await reader.read();
        done = read.done;
        yield* (read.value === undefined ? chunks.end() : chunks.feed(read.value)) as T[];
      }
    } finally {
      // Whoever leaves the loop early hangs up, which ends the work.
      await reader.cancel().catch(() => undefined);
    }
  }

  task<Input, Output>(path: string, body: Body, answer: Answer): TaskMethod<Input, Output> {
    const call = (input: Input, options: CallOptions = {}): Promise<Output> =>
      this.call(path, body, input, answer, options);
    const submit = async (input: Input, options: CallOptions = {}): Promise<Task<Output>> => {
      const response = await this.send("POST", below(path, "submit"), encoded(body, input), options);
      return new Task(await taskId(response), this, path, answer);
    };
    const task = (id: string): Task<Output> => new Task(id, this, path, answer);
    return Object.assign(call, { submit, task });
  }

  /** A value as part of a path; of one that may hold several parts, the slashes stay. */
  part(value: string | number, several: boolean): string {
    const encoded = encodeURIComponent(value);
    return several ? encoded.replaceAll("%2F", "/") : encoded;
  }

  async send(
    method: string, path: string, request: { type?: string; content?: BodyInit }, options: CallOptions,
  ): Promise<Response> {
    const { token, credentials, fetch: send = globalThis.fetch } = this.#options;
    const headers: Record<string, string> = { ...this.#options.headers, ...options.headers };
    if (token !== undefined) headers["Authorization"] = `Bearer ${token}`;
    if (request.type !== undefined) headers["Content-Type"] = request.type;
    const init: RequestInit = { method, headers };
    if (request.content !== undefined) init.body = request.content;
    if (credentials !== undefined) init.credentials = credentials;
    if (options.signal !== undefined) init.signal = options.signal;
    const response = await send(this.#url + path, init);
    if (response.ok) return response;
    throw new ServiceError(response.status, await response.text(), response.headers.get("X-Request-Id"));
  }
}

async function taskId(response: Response): Promise<string> {
  return ((await response.json()) as { task_id: string }).task_id;
}

function below(path: string, action: string): string {
  return `${path.replace(/\/$/, "")}/${action}`;
}

function encoded(body: Body, input: unknown): { type?: string; content: BodyInit } {
  if (body === "json") return { type: "application/json", content: JSON.stringify(input === undefined ? {} : input) };
  if (body === "text") return { type: "text/plain", content: input as string };
  if (body === "binary") {
    const type = input instanceof Blob && input.type !== "" ? input.type : "application/octet-stream";
    return { type, content: input as BodyInit };
  }
  const form = new FormData();
  for (const [name, value] of Object.entries(input ?? {})) {
    const values: unknown[] = Array.isArray(value) && value.some((each) => each instanceof Blob) ? value : [value];
    for (const each of values) {
      if (each instanceof Blob) form.append(name, each);
      else if (each !== undefined && each !== null) form.append(name, JSON.stringify(each));
    }
  }
  return { content: form };
}

async function decoded(response: Response, answer: Answer): Promise<unknown> {
  if (answer === "file") return response.blob();
  const type = response.headers.get("Content-Type") ?? "";
  if (type.startsWith("application/json") || (answer === "json" && !type.startsWith("text/"))) {
    const text = await response.text();
    return text === "" ? null : JSON.parse(text);
  }
  if (answer === "bytes" || (answer === "any" && !type.startsWith("text/"))) return response.blob();
  return response.text();
}

function errorMessage(status: number, body: string): string {
  try {
    const parsed: unknown = JSON.parse(body);
    const first = (Array.isArray(parsed) ? parsed[0] : parsed) as { error?: unknown } | null;
    if (typeof first?.error === "string") return first.error;
  } catch {
    // It is no JSON.
  }
  return body.trim() || `The service answered with ${status}.`;
}

/** Bytes as they arrive. */
class ByteChunks {
  feed(data: Uint8Array): unknown[] {
    return [data];
  }

  end(): unknown[] {
    return [];
  }
}

/** Text as it arrives; a character is never torn. */
class TextChunks {
  readonly #decoder = new TextDecoder();

  feed(data: Uint8Array): unknown[] {
    const text = this.#decoder.decode(data, { stream: true });
    return text === "" ? [] : [text];
  }

  end(): unknown[] {
    const rest = this.#decoder.decode();
    return rest === "" ? [] : [rest];
  }
}

/** JSON values one after the other; numbers end where a chunk of the network does. */
class JsonChunks {
  readonly #decoder = new TextDecoder();
  #text = "";
  #at = 0;
  #depth = 0;
  #inString = false;

  feed(data: Uint8Array): unknown[] {
    this.#text += this.#decoder.decode(data, { stream: true });
    return this.#values();
  }

  end(): unknown[] {
    this.#text += this.#decoder.decode();
    const values = this.#values();
    const rest = this.#text.trim();
    return rest === "" ? values : [...values, JSON.parse(rest)];
  }

  #values(): unknown[] {
    const values: unknown[] = [];
    const take = (end: number): void => {
      values.push(JSON.parse(this.#text.slice(0, end)));
      this.#text = this.#text.slice(end);
      this.#at = 0;
    };
    while (this.#at < this.#text.length) {
      const character = this.#text.charAt(this.#at);
      if (this.#inString) {
        if (character === "\\" && this.#at + 1 === this.#text.length) break; // what it escapes is to come
        this.#at += character === "\\" ? 2 : 1;
        if (character === '"') {
          this.#inString = false;
          if (this.#depth === 0) take(this.#at);
        }
      } else if (character === '"') {
        this.#inString = true;
        this.#at += 1;
      } else if ("{[".includes(character)) {
        this.#depth += 1;
        this.#at += 1;
      } else if ("}]".includes(character)) {
        this.#depth -= 1;
        this.#at += 1;
        if (this.#depth === 0) take(this.#at);
      } else if (this.#depth > 0 || /\s/.test(character)) {
        this.#at += 1;
      } else {
        const scalar = /^(?:null|true|false|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/.exec(this.#text.slice(this.#at));
        if (scalar === null) break;
        take(this.#at + scalar[0].length);
      }
    }
    return values;
  }
}
