// Likelihood and distance against h, from the results of cmd/sweep.
import { count, el } from "./dom.js";
import { Failed, get } from "./api.js";
import { Chart, inks } from "./charts.js";
import { check } from "./controls.js";
import { listen, set, state } from "./state.js";

/** joined begins the curves that have no value at h = 0 with that of the flow, which is the density there. */
function joined(curves) {
  const flow = curves.find((c) => c.name === "flow");
  if (!flow || flow.h.length !== 1) return curves;
  const others = curves.filter((c) => c !== flow);
  const begin = (key, v) => (c) => [...(flow[key] ?? [v]), ...(c[key] ?? c.h.map(() => null))];
  const out = others.map((c) => (c.h.includes(0) ? c : { ...c, name: `${c.name}, h = 0: flow`, h: [0, ...c.h], value: begin("value")(c), stderr: begin("stderr")(c), change: begin("change", null)(c), change_stderr: begin("change_stderr", null)(c) }));
  return out.length ? out : curves;
}

export class Sweeps {
  #charts = [];

  constructor(root, run) {
    this.root = root;
    this.run = run;
    this.body = el("div", { class: "stack" });
    root.replaceChildren(this.body);
    listen((keys) => { if (!this.ended && (keys.has("sweep") || keys.has("change"))) this.refresh(); });
    this.refresh();
  }

  get ended() { return !this.root.contains(this.body); }

  update(run) {
    const other = JSON.stringify(run.sweeps) !== JSON.stringify(this.run.sweeps);
    this.run = run;
    if (other) this.refresh();
  }

  end() { for (const c of this.#charts) c.end(); }

  async refresh() {
    const files = this.run.sweeps, file = files.includes(state.sweep) ? state.sweep : files[0];
    if (!file) {
      const model = `${this.run.path}/${this.run.checkpoints[0] ?? "model.safetensors"}`;
      this.end();
      this.body.replaceChildren(el("div", { class: "card empty" }, el("p", {}, "No sweep over h in this run yet. This makes one, with the likelihood and the distance to the data at each h:"),
        el("pre", {}, `go run ./cmd/sweep --checkpoint ${model} --out ${this.run.path}/sweep.json`)));
      return;
    }
    try {
      this.#show(await get("/api/sweep", { run: this.run.name, file }), files, file);
    } catch (e) {
      if (!(e instanceof Failed)) throw e;
      this.end();
      this.body.replaceChildren(el("p", { class: "card bad" }, e.message));
    }
  }

  #show(sweep, files, file) {
    this.end();
    const select = el("select", { "aria-label": "file of the sweep", onchange: () => set({ sweep: select.value }) }, ...files.map((f) => el("option", { value: f, selected: f === file }, f)));
    const band = "bands: ± 1.96 standard errors";
    const units = sweep.units === "network" ? "network's units" : "data units";
    const line = (c, k, y, e) => ({ name: c.name, x: c.h, y, low: y.map((v, i) => (v === null ? null : v - 1.96 * (e[i] ?? 0))), high: y.map((v, i) => (v === null ? null : v + 1.96 * (e[i] ?? 0))), err: e, ink: inks[k % inks.length], marks: true });
    const w2 = sweep.curves.filter((c) => c.quantity === "w2"), nll = joined(sweep.curves.filter((c) => c.quantity === "nll")), changes = state.change === "1";
    const distance = new Chart({ heading: "Distance to the data, W₂", name: "w2", empty: "no distances in this file" });
    const series = w2.map((c, k) => line(c, k, c.value, c.stderr));
    if (sweep.w2_squared_floor > 0 && w2.length) {
      const hs = w2.flatMap((c) => c.h), v = Math.sqrt(sweep.w2_squared_floor);
      series.push({ name: "data against data", x: [Math.min(...hs), Math.max(...hs)], y: [v, v], ink: "muted", dash: [5, 4] });
    }
    distance.set({ title: `W₂ to ${sweep.data}, ${count(sweep.n)} points each`, x: "h", y: `W₂, ${units}`, series, legend: true, join: true });
    const likelihood = new Chart({ heading: "Negative log-likelihood", name: "nll", empty: "no likelihoods in this file", extra: [check("change", "change from h = 0", "differences over the same points have smaller errors")] });
    likelihood.set({ title: `NLL of ${sweep.data}, ${count(sweep.nll_n)} points`, x: "h", y: changes ? "NLL(h) − NLL(0), nats" : "NLL, nats a point", join: true, legend: true,
      series: nll.map((c, k) => {
        if (!changes) return line(c, k, c.value, c.stderr);
        const y = c.h.map((h, i) => (h === 0 ? 0 : c.change?.[i] ?? null));
        return line(c, k, y, c.h.map((h, i) => (h === 0 ? 0 : c.change_stderr?.[i] ?? 0)));
      }) });
    this.#charts = [distance, likelihood];
    this.body.replaceChildren(
      el("div", { class: "card under" }, el("label", { class: "check" }, "Sweep ", select), el("span", { class: "muted" }, `${sweep.data}, checkpoint ${sweep.checkpoint}; ${band}`)),
      el("div", { class: "charts" }, distance.element, likelihood.element),
      el("div", { class: "card" }, el("h3", {}, "What the tests say"), el("p", {}, sweep.text || "nothing")));
  }
}
