// Requests to the server. Errors are of class Failed, with a line for people.

export class Failed extends Error {}

async function explain(response) {
  try {
    const body = await response.json();
    if (body && body.error) return new Failed(body.error);
  } catch { /* no JSON */ }
  return new Failed(`the server answered ${response.status}`);
}

function address(path, params) {
  const p = new URLSearchParams();
  for (const [k, v] of Object.entries(params ?? {})) if (v !== "" && v !== undefined && v !== null) p.set(k, v);
  const text = p.toString();
  return text ? `${path}?${text}` : path;
}

async function send(path, options) {
  try {
    return await fetch(path, options);
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Failed("the server does not answer; is it still running?");
  }
}

/** get asks for JSON. */
export async function get(path, params, signal) {
  const r = await send(address(path, params), { signal });
  if (!r.ok) throw await explain(r);
  return r.json();
}

/** compute asks for a computation; progress hears of done and total. body, unless undefined, is posted. */
export async function compute(path, params, { signal, progress, body } = {}) {
  const headers = { Accept: "application/x-ndjson" };
  const options = { signal, headers };
  if (body !== undefined) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  const r = await send(address(path, params), options);
  if (!r.ok) throw await explain(r);
  const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
  let parts = [];
  let result;
  const take = (line) => {
    if (!line) return;
    const l = JSON.parse(line);
    if (l.error) throw new Failed(l.error);
    if (l.progress) progress?.(l.progress.done, l.progress.total);
    if (l.result !== undefined) result = l.result;
  };
  for (;;) {
    const { done, value } = await reader.read().catch((e) => { throw e.name === "AbortError" ? e : new Failed("the answer broke off"); });
    if (done) break;
    let rest = value;
    for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
      take(parts.join("") + rest.slice(0, end));
      parts = [];
      rest = rest.slice(end + 1);
    }
    if (rest) parts.push(rest);
  }
  take(parts.join(""));
  if (result === undefined) throw new Failed("the answer broke off");
  return result;
}

/** bytes decodes base64. */
export function bytes(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const s = atob(text);
  const b = new Uint8Array(s.length);
  for (let i = 0; i < s.length; i++) b[i] = s.charCodeAt(i);
  return b;
}

/** floats decodes base64 of little-endian float32. */
export function floats(text) {
  const b = bytes(text);
  return new Float32Array(b.buffer, b.byteOffset, b.byteLength >> 2);
}

/** doubles decodes base64 of little-endian float64. */
export function doubles(text) {
  const b = bytes(text);
  return new Float64Array(b.buffer, b.byteOffset, b.byteLength >> 3);
}

/** Latest runs one job at a time. A new one replaces the job under way: a slow one is cancelled, a quick one may end first, so that
    something is drawn while a slider moves. */
export class Latest {
  #controller = null;
  #next = null;
  #began = 0;
  #usual = 0; // ms, a running mean

  constructor(patience = 200) { this.patience = patience; }

  get busy() { return this.#controller !== null; }

  run(job) {
    if (!this.#controller) return this.#start(job);
    this.#next = job;
    if (this.#usual > this.patience || performance.now() - this.#began > this.patience) this.#controller.abort();
  }

  cancel() {
    this.#next = null;
    this.#controller?.abort();
  }

  async #start(job) {
    while (job) {
      const c = (this.#controller = new AbortController());
      this.#began = performance.now();
      let whole = false;
      try {
        await job(c.signal);
        whole = !c.signal.aborted;
      } catch (e) {
        if (e.name !== "AbortError") console.warn(e);
      }
      const took = performance.now() - this.#began;
      if (whole) this.#usual = this.#usual ? 0.5 * this.#usual + 0.5 * took : took;
      job = this.#next;
      this.#next = null;
    }
    this.#controller = null;
  }
}
