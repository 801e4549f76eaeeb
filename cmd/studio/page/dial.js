// The dial: samples that are drawn anew as the strength of the noise changes, from the same random numbers.
import { count, el, figure, show, showText, span } from "./dom.js";
import { Failed, Latest, bytes, compute, doubles, floats } from "./api.js";
import { bind, check, choice, integer, slider } from "./controls.js";
import { draw, heightFor, imageAt, longest, quantileBox } from "./scene.js";
import { buttons } from "./save.js";
import { defaults, link, listen, set, state } from "./state.js";
import { Likelihood } from "./likelihood.js";

const FRAMES = 33; // states on the way that are asked for
const SETTLE = 220; // ms without a change until the slow parts are computed

const samplerNames = { em: "Euler–Maruyama", exp: "exponential", exp2: "exponential, 2nd order", heun: "Heun (2 evaluations)" };
const gridNames = { t: "uniform in t", lambda: "uniform in λ", karras: "Karras" };
const lastNames = { full: "with noise", mean: "its mean", none: "at h = 0" };

/** Dial shows one checkpoint. */
export class Dial {
  #samples = null; // what is drawn
  #density = null;
  #score = null;
  #draft = false; // the samples have their last state alone
  #sampling = new Latest(200);
  #densing = new Latest(0);
  #scoring = new Latest(0);
  #settled = 0;
  #place = null;
  #playing = 0;
  #painting = 0;
  #listener;

  constructor(root, run, info) {
    this.root = root;
    this.run = run;
    this.info = info;
    this.canvas = el("canvas", { tabindex: "0", role: "img", "aria-label": "samples" });
    this.stage = el("div", { class: "stage" }, this.canvas);
    this.readout = el("p", { class: "readout", role: "status" });
    this.about = el("p", { class: "readout", hidden: true });
    this.progress = el("progress", { max: "1", hidden: true, "aria-label": "progress" });
    this.likelihood = new Likelihood(this);
    root.replaceChildren(el("div", { class: "dial" }, this.#left(), this.#right()));
    this.#listener = (keys) => this.changed(keys);
    listen(this.#listener);
    new ResizeObserver(() => this.paint()).observe(this.stage);
    this.#mouse();
    this.refresh();
  }

  /** ended: the page shows something else. */
  get ended() { return !this.root.contains(this.canvas); }
  get shown() { return !this.root.hidden && !this.ended; }

  #left() {
    const time = el("input", { type: "range", id: "time", min: "0", max: "1", step: String(1 / (FRAMES - 1)), oninput: () => { this.#stop(); set({ t: Number(time.value) }); } });
    this.timeOut = el("output", { for: "time" });
    bind(["t"], () => { time.value = state.t; });
    this.play = el("button", { type: "button", class: "small", onclick: () => this.#toggle() }, "▶ Play");
    return el("div", { class: "card" }, this.stage,
      el("div", { class: "field" }, el("label", { for: "time" }, "Time on the way"), el("span", { class: "pair" }, this.timeOut, this.play), time,
        el("span", { class: "ends" }, el("span", {}, `noise, t = ${figure(this.info.tmax)}`), el("span", {}, `sample, t = ${figure(this.info.tmin)}`))),
      this.progress, this.readout, this.about,
      el("div", { class: "under" }, el("span", { class: "muted" }, "Save the picture:"), ...buttons(() => this.picture()),
        el("button", { type: "button", class: "small", onclick: () => this.command() }, "Command"),
        el("button", { type: "button", class: "small", onclick: () => showText("A link to this picture", link(), "It has all settings in it. The server must be running with the same runs.") }, "Link"),
        this.#isPoints() ? el("button", { type: "button", class: "small", title: "Fit the axes to these samples (f)", onclick: () => this.fit() }, "Fit axes") : null));
  }

  #isPoints() { return this.info.kind === "points"; }

  #right() {
    const { info } = this, two = this.#isPoints() && info.d <= 2;
    const dice = el("button", { type: "button", title: "Another noise (n)", "aria-label": "another seed", onclick: () => this.another() }, "⚄");
    const many = info.kind === "image" ? 144 : 20000;
    const columns = (info.columns ?? Array.from({ length: Math.min(info.d, 200) }, (_, k) => `x${k}`)).map((c, k) => [String(k), c]);
    const classes = [["", `each of ${info.classes} in turn`], ...Array.from({ length: info.classes }, (_, k) => [String(k), `class ${k}`]), ...(info.no_label ? [["none", "none"]] : [])];
    return el("div", { class: "stack" },
      el("div", { class: "card controls" },
        slider("h", "Noise h", { min: 0, max: 2, step: 0.01, most: 1e6, hint: "0: the deterministic flow. 1: the reverse SDE." }),
        slider("steps", "Steps", { min: 1, max: info.net === "mlp" ? 500 : 100, step: 1, most: 10000 }),
        info.classes ? choice("cls", "Class", classes) : null,
        info.no_label ? slider("w", "Guidance w", { min: 0, max: 8, step: 0.1, most: 10000, hint: "(1 + w) s(x|class) − w s(x|none)" }) : null,
        integer("seed", "Seed", { min: 0, extra: dice }),
        this.#isPoints() && info.d > 2 ? choice("i", "Across", columns) : null,
        this.#isPoints() && info.d > 2 ? choice("j", "Upwards", columns) : null,
        two ? el("div", { class: "checks" }, check("density", "density", "of the process at this h and time (d)"), info.d === 2 ? check("score", "score", "the network's ∇ log p at this time (s)") : null,
          info.d === 2 ? check("paths", "paths", "the ways of 24 samples (p)") : null) : null,
        el("details", { class: "more" }, el("summary", {}, "More settings"), el("div", { class: "controls" },
          choice("sampler", "Sampler", this.#named(info.samplers, samplerNames)), choice("grid", "Steps are", this.#named(info.grids, gridNames)),
          choice("last", "Last step", this.#named(info.last_noises, lastNames)), check("denoise", "denoise at the end", "Tweedie's formula: one evaluation more"),
          integer("n", "Samples", { min: 1, max: many }),
          el("p", { class: "muted" }, `${info.net}, ${count(info.parameters)} parameters, ${info.prediction} prediction, schedule ${info.schedule}. File ${info.id}.`)))),
      this.likelihood.card());
  }

  #named(list, names) { return list.map((v) => [v, names[v] ?? v]); }

  /** options are those of a request for samples. */
  options(frames) {
    return { run: this.run.name, file: state.file, n: this.n(), seed: state.seed, h: state.h, steps: state.steps, sampler: state.sampler, grid: state.grid,
      last_noise: state.last, denoise: state.denoise, class: state.cls, guidance: this.info.no_label ? state.w : 0, frames };
  }

  n() { return state.n || { image: this.info.classes ? Math.min(40, 2 * this.info.classes) : 16, points: 2000, sequence: 8 }[this.info.kind]; }

  changed(keys) {
    if (this.ended) return;
    const draws = ["h", "steps", "sampler", "grid", "last", "denoise", "cls", "w", "seed", "n"];
    if (draws.some((k) => keys.has(k))) {
      if (this.#samples) this.#stale();
      this.refresh();
    } else if (["density", "score", "t", "box", "paths"].some((k) => keys.has(k))) {
      if (keys.has("t") || keys.has("box")) this.#stale();
      if (this.#draft && (state.paths || state.t < 1)) this.refresh();
      this.#later();
    }
    if (keys.has("i") || keys.has("j")) set({ box: "" });
    this.paint();
  }

  #stale() {
    if (this.#density) this.#density.stale = true;
    if (this.#score) this.#score.stale = true;
  }

  /** refresh draws samples anew. While a slider moves only their last state is computed, unless more is looked at. */
  refresh() {
    const whole = state.paths || state.t < 1;
    this.#sample(whole ? FRAMES : 1);
    this.#later();
  }

  #later() {
    clearTimeout(this.#settled);
    this.#settled = setTimeout(() => this.#fields(), SETTLE);
  }

  #sample(frames) {
    this.stage.classList.add("busy");
    this.#sampling.run(async (signal) => {
      const began = performance.now();
      try {
        const o = this.options(frames);
        const s = await compute("/api/sample", o, { signal, progress: (d, n) => this.#tell(d, n) });
        s.x = s.bytes ? bytes(s.bytes) : s.float32 ? floats(s.float32) : s.float64 ? doubles(s.float64) : new Float32Array();
        s.ms = performance.now() - began;
        this.#samples = s;
        this.#draft = frames === 1;
        if (!state.box && this.#isPoints()) this.fit();
        this.#report();
        this.paint();
      } catch (e) {
        if (!(e instanceof Failed)) throw e;
        this.#samples = null;
        this.readout.replaceChildren(el("span", { class: "bad" }, e.message));
        this.paint();
      } finally {
        this.#tell();
        this.stage.classList.remove("busy");
      }
    });
  }

  #tell(done, total) {
    this.progress.hidden = !(total > 0 && done < total);
    if (total > 0) this.progress.value = done / total;
  }

  #report() {
    const s = this.#samples;
    const parts = [`${count(s.n)} samples`, `${count(s.evaluations)} evaluations each`, `${span(s.seconds)} to compute, ${span(s.ms / 1000)} in all`];
    this.readout.replaceChildren(parts.join(" · "), s.non_finite ? el("span", { class: "bad" }, ` · ${count(s.non_finite)} are not finite: more steps, or another sampler, would help`) : "");
  }

  /** fields computes density and score, for what is seen. */
  #fields() {
    if (!this.shown || !this.#isPoints() || this.info.d > 2 || !state.box) return;
    const t = this.#time(), [x0, x1, y0, y1] = state.box.split(",").map(Number);
    const where = { run: this.run.name, file: state.file, x0, x1, y0, y1, t, class: state.cls };
    const load = (job, path, params, take) => job.run(async (signal) => {
      try {
        const f = await compute(path, params, { signal, progress: (d, n) => this.#tell(d, n) });
        f.values = floats(f.float32);
        take(f);
        this.paint();
      } catch (e) {
        if (!(e instanceof Failed)) throw e;
        take(null);
        this.readout.replaceChildren(el("span", { class: "bad" }, e.message));
      } finally {
        this.#tell();
      }
    });
    if (state.density) {
      load(this.#densing, "/api/density", { ...where, h: state.h, size: this.info.d === 1 ? 200 : 64 }, (f) => {
        if (f) f.top = f.values.reduce((a, v) => (v > a ? v : a), 0);
        this.#density = f;
      });
    } else {
      this.#densing.cancel();
      this.#density = null;
    }
    if (state.score && this.info.d === 2) {
      load(this.#scoring, "/api/score", { ...where, guidance: this.info.no_label ? state.w : 0, size: 26 }, (f) => {
        if (f) f.top = longest(f);
        this.#score = f;
      });
    } else {
      this.#scoring.cancel();
      this.#score = null;
    }
    this.paint();
  }

  /** explain says what the colours and arrows mean. */
  #explain() {
    const parts = [], d = this.#density, unit = this.info.d === 1 ? "unit" : "square unit";
    if (state.density && d) {
      const how = { flow: "by the probability flow", fokkerplanck: "by the Fokker–Planck equation", prior: "the prior" }[d.method];
      parts.push(`density at t = ${figure(d.t, 3)}, ${how}: up to ${figure(d.top, 3)} per ${unit}, ${span(d.seconds)}`);
    }
    if (state.score && this.#score) parts.push(`score at t = ${figure(this.#score.t, 3)}: the longest arrows are ${figure(this.#score.top, 3)} per unit`);
    this.about.hidden = !parts.length;
    this.about.textContent = parts.join(" · ");
  }

  #frame() {
    const s = this.#samples;
    return s ? Math.round(state.t * (s.times.length - 1)) : 0;
  }

  #time() {
    const s = this.#samples;
    if (!s || this.#draft) return this.info.tmin;
    return s.times[this.#frame()];
  }

  /** fit chooses axes about the finished samples. */
  fit() {
    const s = this.#samples;
    if (!s || !this.#isPoints()) return;
    const last = s.x.subarray((s.times.length - 1) * s.n * s.d);
    const b = quantileBox(last, s.n, s.d, state.i, Math.min(state.j, s.d - 1));
    set({ box: [b.x0, b.x1, b.y0, b.y1].join(",") });
  }

  another() { set({ seed: String((Number(state.seed) + 1) % 1e9) }); }

  #box() {
    const [x0, x1, y0, y1] = state.box.split(",").map(Number);
    return x1 > x0 && (y1 > y0 || this.info.d === 1) ? { x0, x1, y0, y1 } : { x0: -1, x1: 1, y0: -1, y1: 1 };
  }

  #label(k) { return this.info.columns?.[k] ?? (this.info.d === 1 ? "x, data units" : `x${"₀₁₂₃₄₅₆₇₈₉"[k] ?? k}, data units`); }

  /** scene is what is drawn besides the samples. */
  #scene() {
    const at = state.at ? state.at.split(",").map(Number) : null;
    const plane = this.info.d <= 2;
    return { box: this.#box(), i: state.i, j: Math.min(state.j, this.info.d - 1), labels: { x: this.#label(state.i), y: this.#label(state.j) },
      density: plane && state.density ? this.#density : null, score: plane && state.score ? this.#score : null, paths: state.paths && !this.#draft,
      at: plane && at && at.every(Number.isFinite) ? at : null };
  }

  /** paint draws at the next frame of the screen. */
  paint() {
    if (this.#painting) return;
    this.#painting = requestAnimationFrame(() => {
      this.#painting = 0;
      if (!this.shown) return;
      const width = Math.floor(this.stage.clientWidth), s = this.#samples, height = heightFor(s, width), scale = devicePixelRatio || 1;
      if (!width) return;
      this.canvas.width = Math.round(width * scale);
      this.canvas.height = Math.round(height * scale);
      this.canvas.style.height = `${height}px`;
      this.timeOut.textContent = s ? `t = ${figure(this.#time(), 3)}` : "";
      this.#explain();
      const ctx = this.canvas.getContext("2d");
      ctx.scale(scale, scale);
      if (!s) return;
      this.#place = draw(ctx, width, height, s, this.#frame(), this.#scene());
      this.canvas.setAttribute("aria-label", `${count(s.n)} samples at h = ${figure(s.options.h)}, t = ${figure(this.#time(), 3)}`);
      this.canvas.dataset.painted = String(Number(this.canvas.dataset.painted ?? 0) + 1);
      this.canvas.dataset.h = String(s.options.h);
      this.canvas.dataset.fields = [this.#density, this.#score].filter((f) => f && !f.stale).map((f) => f.method).join(" ");
    });
  }

  /** picture is what the buttons save. */
  picture() {
    const s = this.#samples;
    if (!s) return null;
    const width = Math.max(500, Math.floor(this.stage.clientWidth)), height = heightFor(s, width), frame = this.#frame(), scene = this.#scene();
    return { width, height, name: `${this.run.name.replaceAll("/", "-")}-h${s.options.h}`, draw: (ctx, w, h) => draw(ctx, w, h, s, frame, scene) };
  }

  command() {
    if (this.#samples) showText("The command that draws these samples into a file", this.#samples.command, "Run it where this page was started.");
    else show("No samples yet", el("p", {}, "There is nothing to repeat yet."));
  }

  // The time slider plays from noise to sample.
  #toggle() {
    if (this.#playing) return this.#stop();
    if (state.t >= 1) set({ t: 0 });
    this.play.textContent = "❚❚ Stop";
    const begin = performance.now() - state.t * 3000;
    const go = () => {
      const t = Math.min(1, (performance.now() - begin) / 3000);
      if (this.#draft || this.#sampling.busy) { // the states on the way are not there yet
        this.#playing = requestAnimationFrame(go);
        if (this.#draft && !this.#sampling.busy) this.refresh();
        return;
      }
      set({ t });
      if (t >= 1 || this.ended) return this.#stop();
      this.#playing = requestAnimationFrame(go);
    };
    this.#playing = requestAnimationFrame(go);
  }

  #stop() {
    cancelAnimationFrame(this.#playing);
    this.#playing = 0;
    this.play.textContent = "▶ Play";
  }

  toggle() { this.#toggle(); }

  // A click asks for the likelihood of a point or of an image; so does Enter, at a cross that the arrows move.
  #mouse() {
    this.canvas.addEventListener("click", (e) => {
      const r = this.canvas.getBoundingClientRect(), px = e.clientX - r.left, py = e.clientY - r.top, s = this.#samples;
      if (!s || !this.#place) return;
      if (this.#place.images) {
        const k = imageAt(this.#place, s, px, py);
        if (k >= 0) this.likelihood.image(s.x.slice((this.#frame() * s.n + k) * s.d, (this.#frame() * s.n + k + 1) * s.d), `sample ${k}`, s.labels?.[k]);
      } else if (this.info.d <= 2 && this.#isPoints() && this.#place.holds(px, py)) {
        this.likelihood.point(this.info.d === 1 ? [this.#place.dataX(px)] : [this.#place.dataX(px), this.#place.dataY(py)]);
      }
    });
    this.canvas.addEventListener("keydown", (e) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[e.key];
      if (!this.#isPoints() || this.info.d > 2 || (!way && e.key !== "Enter")) return;
      e.preventDefault();
      const b = this.#box();
      const at = state.at ? state.at.split(",").map(Number) : [(b.x0 + b.x1) / 2, (b.y0 + b.y1) / 2].slice(0, this.info.d);
      if (e.key === "Enter") return this.likelihood.point(at);
      const part = e.shiftKey ? 0.1 : 0.01;
      at[0] += way[0] * part * (b.x1 - b.x0);
      if (this.info.d === 2) at[1] += way[1] * part * (b.y1 - b.y0);
      set({ at: at.map((v) => Number(v.toPrecision(5))).join(",") });
    });
    this.likelihood.dropOn(this.stage);
  }
}

/** forget takes back what belongs to one run alone. */
export const forgotten = Object.fromEntries(["box", "at", "i", "j", "cls", "n", "file", "from", "to", "sweep", "t"].map((k) => [k, defaults[k]]));
