// How a run goes: loss, learning rate, norm of the gradient and speed as they grow, pictures of samples, and the options.
import { count, el, figure, span } from "./dom.js";
import { Failed, Latest, get } from "./api.js";
import { Chart } from "./charts.js";
import { bind } from "./controls.js";
import { listen, set, state } from "./state.js";

const known = {
  loss: ["Loss", "loss"], lr: ["Learning rate", "learning rate"], grad_norm: ["Norm of the gradient", "norm of the gradient"],
  images_per_s: ["Speed", "images/s"], per_second: ["Speed", "steps/s"], share_of_peak: ["Share of the machine's peak", "share of the peak"],
};

export class Training {
  #job = new Latest(400);
  #charts = new Map();
  #seen = "";
  #pictures = "";

  constructor(root, run) {
    this.root = root;
    this.run = run;
    this.status = el("p", { class: "readout", role: "status" });
    this.bar = el("progress", { max: "1", "aria-label": "steps done", hidden: true });
    this.grid = el("div", { class: "charts" });
    this.pictures = el("div", { class: "card pictures", hidden: true });
    this.options = el("details", { class: "card more" }, el("summary", {}, "Options of the run"));
    this.options.addEventListener("toggle", () => { if (this.options.open) this.#readOptions(); });
    this.reset = el("button", { type: "button", class: "small", onclick: () => set({ from: "", to: "" }) }, "All steps");
    root.replaceChildren(el("div", { class: "stack" }, el("div", { class: "card" }, el("div", { class: "under" }, this.status, el("span", { class: "spring" }), this.reset), this.bar), this.grid, this.pictures, this.options));
    const listener = (keys) => { if (!this.ended && ["from", "to", "log"].some((k) => keys.has(k))) this.refresh(); };
    listen(listener);
    this.update(run);
    this.refresh();
  }

  get ended() { return !this.root.contains(this.grid); }
  get shown() { return !this.root.hidden && !this.ended; }

  end() { for (const c of this.#charts.values()) c.end(); }

  /** update takes a new description of the run. */
  update(run) {
    this.run = run;
    this.#showPictures();
    if (!run.log) this.status.textContent = "This run has no log.";
  }

  /** grew is told of the log: rows, steps and the last values. */
  grew(info) {
    const seen = `${info.epoch}/${info.rows}/${info.changed}`;
    if (seen === this.#seen) return;
    this.#seen = seen;
    if (this.shown) this.refresh();
    else this.#seen = "";
  }

  refresh() {
    if (!this.run.log) return;
    this.#job.run(async (signal) => {
      try {
        const points = Math.max(100, Math.min(2000, Math.round(this.grid.clientWidth / 2) || 500));
        const log = await get("/api/log", { run: this.run.name, points, from: state.from, to: state.to }, signal);
        this.#show(log);
      } catch (e) {
        if (!(e instanceof Failed)) throw e;
        this.status.replaceChildren(el("span", { class: "bad" }, e.message));
      }
    });
  }

  #show(log) {
    const steps = this.run.steps, left = steps > log.step && log.last.per_second > 0 && this.run.running ? (steps - log.step) / log.last.per_second : NaN;
    const parts = [`step ${count(log.step)}${steps ? ` of ${count(steps)}` : ""}`];
    if (log.last.loss !== undefined) parts.push(`loss ${figure(log.last.loss)}`);
    if (log.last.images_per_s !== undefined) parts.push(`${figure(log.last.images_per_s, 3)} images/s`);
    else if (log.last.per_second !== undefined) parts.push(`${figure(log.last.per_second, 3)} steps/s`);
    if (left > 0) parts.push(`${span(left)} left`);
    parts.push(`${count(log.rows)} lines of the log`);
    if (log.bad) parts.push(`${count(log.bad)} could not be read`);
    this.status.textContent = parts.join(" · ");
    this.bar.hidden = !steps;
    this.bar.value = steps ? Math.min(1, log.step / steps) : 0;
    this.reset.hidden = state.from === "";
    const want = log.columns.filter((c) => c in known && !(c === "per_second" && log.columns.includes("images_per_s")));
    for (const view of log.views) {
      if (!want.includes(view.column)) continue;
      const [heading, unit] = known[view.column], log10 = view.column === "loss" && state.log === "1";
      if (!this.#charts.has(view.column)) this.#make(view.column, heading);
      this.#charts.get(view.column).set({ title: `${this.run.name}: ${heading.toLowerCase()}`, x: "step", y: unit, log: log10, join: true, series: this.#lines(view, unit) });
    }
    if (!log.rows) this.status.textContent = "The log is empty so far; its first line comes after some steps.";
    this.grid.dataset.rows = String(log.rows);
  }

  /** lines are the values, and over many their means. */
  #lines(view, unit) {
    const ink = view.column === "loss" ? "accent" : "third", one = { name: unit, x: view.step, y: view.value, ink };
    if (!view.mean.length || view.column === "lr") return [one];
    return [{ ...one, faint: true }, { name: "mean", x: view.mean_step, y: view.mean, ink: "second" }];
  }

  #make(column, heading) {
    const extra = [];
    if (column === "loss") {
      const box = el("input", { type: "checkbox", onchange: () => set({ log: box.checked ? "1" : "" }) });
      bind(["log"], () => { box.checked = state.log === "1"; });
      extra.push(el("label", { class: "check" }, box, "logarithmic"));
    }
    const c = new Chart({ heading, name: `${this.run.name.replaceAll("/", "-")}-${column}`, extra, zoomed: (part) => set(part ? { from: String(Math.round(part[0])), to: String(Math.round(part[1])) } : { from: "", to: "" }) });
    this.#charts.set(column, c);
    this.grid.append(c.element);
  }

  #showPictures() {
    const files = this.run.pictures, key = JSON.stringify([files, this.run.modified]);
    if (key === this.#pictures) return;
    this.#pictures = key;
    const grids = files.filter((f) => /^samples-\d+\.png$/.test(f)), others = files.filter((f) => !grids.includes(f));
    const url = (f) => `/api/picture?${new URLSearchParams({ run: this.run.name, file: f, v: this.run.modified })}`;
    this.pictures.hidden = !files.length;
    const parts = [];
    if (grids.length) {
      const last = grids.length - 1, img = el("img", { alt: "" }), name = el("output", {});
      const range = el("input", { type: "range", min: "0", max: String(last), step: "1", "aria-label": "step of the samples" });
      const pick = () => {
        const f = grids[range.value];
        img.src = url(f);
        img.alt = `samples after step ${f.match(/\d+/)[0]}`;
        name.textContent = `step ${count(Number(f.match(/\d+/)[0]))}`;
      };
      range.addEventListener("input", pick);
      range.value = String(last);
      pick();
      parts.push(el("div", { class: "field" }, el("h3", {}, "Samples on the way"), name, last > 0 ? range : null), img);
    }
    for (const f of others) parts.push(el("h3", {}, f), el("img", { src: url(f), alt: f, loading: "lazy" }));
    this.pictures.replaceChildren(...parts);
  }

  async #readOptions() {
    try {
      const o = await get("/api/options", { run: this.run.name });
      const rows = Object.entries(o ?? {}).map(([k, v]) => el("tr", {}, el("th", { scope: "row" }, k), el("td", {}, typeof v === "object" ? JSON.stringify(v) : String(v))));
      this.options.replaceChildren(el("summary", {}, "Options of the run"), rows.length ? el("table", {}, ...rows) : el("p", { class: "muted" }, "This folder has no options.json."));
    } catch (e) {
      if (!(e instanceof Failed)) throw e;
      this.options.append(el("p", { class: "bad" }, e.message));
    }
  }
}
