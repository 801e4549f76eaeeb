// The likelihood of a point that was clicked, or of an image that was dropped.
import { el, figure, showText, span, withError } from "./dom.js";
import { Failed, Latest, compute } from "./api.js";
import { imageCanvas } from "./scene.js";
import { saveNpy } from "./save.js";
import { set, state } from "./state.js";

export class Likelihood {
  #job = new Latest(0);
  #point = null; // the numbers that were asked for
  #invert = false;
  #file = null; // the picture that was dropped

  constructor(dial) {
    this.dial = dial;
    this.info = dial.info;
  }

  get #takesImages() { return this.info.kind === "image" && this.info.ranged; }

  card() {
    this.out = el("div", { class: "found", "aria-live": "polite" });
    const points = this.info.kind === "points" && this.info.d <= 2;
    let how = "This network has too many dimensions to point at; cmd/likelihood takes points from files.";
    const parts = [];
    if (points) how = "Click on the picture, or move the cross with the arrow keys and press Enter.";
    if (this.#takesImages) {
      how = "Drop a picture here or on the samples, or click a sample.";
      const input = el("input", { type: "file", accept: "image/*", hidden: true, onchange: () => { this.#take(input.files[0]); input.value = ""; } });
      const invert = el("input", { type: "checkbox", onchange: () => { this.#invert = invert.checked; if (this.#file) this.#take(this.#file); } });
      parts.push(el("div", { class: "under" }, input, el("button", { type: "button", onclick: () => input.click() }, "Choose a picture"), el("label", { class: "check" }, invert, "invert")));
    }
    const card = el("div", { class: "card controls" }, el("h3", {}, "Likelihood"), el("p", { class: "muted" }, how), ...parts, this.out);
    if (this.#takesImages) this.dropOn(card);
    if (points && state.at) {
      const at = state.at.split(",").map(Number);
      if (at.length === this.info.d && at.every(Number.isFinite)) queueMicrotask(() => this.point(at));
    }
    return card;
  }

  /** dropOn takes pictures that are dropped on an element. */
  dropOn(target) {
    if (!this.#takesImages) return;
    const over = (e) => { e.preventDefault(); target.classList.add("drop"); };
    target.addEventListener("dragenter", over);
    target.addEventListener("dragover", over);
    target.addEventListener("dragleave", () => target.classList.remove("drop"));
    target.addEventListener("drop", (e) => {
      e.preventDefault();
      target.classList.remove("drop");
      this.#take(e.dataTransfer.files[0]);
    });
  }

  /** take reads a picture, scaled to the size that the network has. */
  async #take(file) {
    if (!file) return;
    this.#file = file;
    let bitmap;
    try {
      bitmap = await createImageBitmap(file);
    } catch {
      this.out.replaceChildren(el("p", { class: "bad" }, `${file.name} is no picture that the browser can read.`));
      return;
    }
    const [h, w, c] = this.info.shape, canvas = el("canvas");
    canvas.width = w;
    canvas.height = h;
    const ctx = canvas.getContext("2d");
    ctx.fillStyle = this.#invert ? "#fff" : "#000";
    ctx.fillRect(0, 0, w, h);
    ctx.imageSmoothingQuality = "high";
    const scale = Math.min(w / bitmap.width, h / bitmap.height);
    ctx.drawImage(bitmap, (w - bitmap.width * scale) / 2, (h - bitmap.height * scale) / 2, bitmap.width * scale, bitmap.height * scale);
    const m = ctx.getImageData(0, 0, w, h).data, b = new Uint8Array(h * w * c);
    for (let p = 0; p < h * w; p++) {
      const rgb = [m[4 * p], m[4 * p + 1], m[4 * p + 2]].map((v) => (this.#invert ? 255 - v : v));
      if (c === 1) b[p] = Math.round(0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]);
      else b.set(rgb, p * 3);
    }
    this.image(b, file.name);
  }

  /** image asks for the likelihood of an image of bytes. */
  image(b, name, label) {
    if (!this.#takesImages) return;
    const cls = this.info.no_label || label === undefined ? state.cls : String(label);
    const { low, high } = this.info;
    const x = this.info.bytes ? [...b] : [...b].map((v) => low + (v / 255) * (high - low));
    this.#ask(x, 0, cls, name, imageCanvas(b, this.info.shape));
  }

  /** point asks for the likelihood of a point, at the h of the dial. */
  point(x) {
    x = x.map((v) => Number(v.toPrecision(5)));
    set({ at: x.join(",") });
    this.#ask(x, state.h, state.cls, `(${x.map((v) => figure(v)).join(", ")})`, null);
  }

  #ask(x, h, cls, name, preview) {
    this.#point = x;
    const head = (text) => el("div", { class: "row" }, preview, el("div", {}, el("p", {}, name), text));
    const bar = el("progress", { max: "1", "aria-label": "progress of the likelihood" });
    this.out.replaceChildren(head(el("p", { class: "muted" }, "computing …")), bar);
    this.#job.run(async (signal) => {
      try {
        const body = { run: this.dial.run.name, file: state.file || undefined, x, h, class: cls, seed: 0 };
        const p = await compute("/api/likelihood", {}, { signal, body, progress: (d, n) => { if (n) bar.value = d / n; } });
        this.out.replaceChildren(head(el("div", {}, ...this.#lines(p))), this.#buttons(p));
      } catch (e) {
        if (!(e instanceof Failed)) throw e;
        this.out.replaceChildren(head(el("p", { class: "bad" }, e.message)));
      }
    });
  }

  #lines(p) {
    const lines = [];
    if (p.status !== "ok") lines.push(el("p", { class: "bad" }, `not to be trusted: ${p.status}`));
    if (p.bits_per_dim !== null) {
      lines.push(el("p", { class: "value" }, `${withError(p.bits_per_dim, Math.hypot(p.bits_per_dim_stderr ?? 0, p.bits_per_dim_solver ?? 0))} bits/dim`));
      lines.push(el("p", { class: "muted" }, "a bound from above: the mean over draws of the dequantisation"));
    }
    if (p.log_q !== null) lines.push(el("p", { class: p.bits_per_dim === null ? "value" : "muted" }, `log q = ${withError(p.log_q, p.std_err)} nats`));
    const how = p.h > 0 ? `path integral at h = ${figure(p.h)}, effective sample size ${figure(p.ess, 3)}` : "probability flow, h = 0";
    lines.push(el("p", { class: "muted" }, `${how}; ${p.std_err > 0 ? "± one standard error" : "to the tolerance of its path, 10⁻⁵"}; ${span(p.seconds)}`));
    return lines;
  }

  #buttons(p) {
    const x = this.#point;
    return el("div", { class: "buttons" },
      el("button", { type: "button", class: "small", onclick: () => showText("The command that computes this", p.command, "Save point.npy first, and run it where that file is, with the path of the checkpoint as seen from there.") }, "Command"),
      el("button", { type: "button", class: "small", onclick: () => saveNpy(x, this.info.kind === "image" ? [1, ...this.info.shape] : [1, x.length], "point.npy") }, "point.npy"));
  }
}
