// Line charts on the page, by uPlot.
import uPlot from "/static/vendor/uplot/uPlot.esm.js";
import { colour, el, figure } from "./dom.js";
import { chart as drawChart, extent, inks } from "./lines.js";
import { buttons } from "./save.js";

const charts = new Set();
const compact = new Intl.NumberFormat("en", { notation: "compact" });

/** rescheme draws all charts again, in the colours of the theme. */
export function rescheme() { for (const c of charts) c.rebuild(); }

/** Chart is a card with a chart. spec is what lines.chart takes; series may share x or not. zoomed, unless undefined, hears of the
    part of the horizontal axis that was marked, or null for all. */
export class Chart {
  #plot = null;
  #shape = "";
  #spec = null;

  constructor({ heading, name, empty, extra = [], zoomed }) {
    this.name = name;
    this.zoomed = zoomed;
    this.empty = el("div", { class: "empty-plot" }, empty ?? "nothing yet");
    this.plotAt = el("div", { class: "plot", hidden: true });
    this.element = el("div", { class: "card chart" },
      el("div", { class: "top" }, el("h3", {}, heading), el("span", { class: "buttons" }, ...extra, ...buttons(() => this.picture()))), this.empty, this.plotAt);
    charts.add(this);
    this.observer = new ResizeObserver(() => this.#resize());
    this.observer.observe(this.plotAt);
  }

  end() {
    charts.delete(this);
    this.observer.disconnect();
    this.#plot?.destroy();
  }

  /** set shows a spec, null for nothing. */
  set(spec) {
    this.#spec = spec;
    const some = spec !== null && spec.series.some((s) => s.x.length > 0);
    this.empty.hidden = some;
    this.plotAt.hidden = !some;
    if (!some) return;
    const shape = JSON.stringify([spec.log, spec.x, spec.y, spec.series.map((s) => [s.name, s.faint, s.ink, s.dash, Boolean(s.low)])]);
    if (this.#plot && shape === this.#shape) this.#plot.setData(this.#data());
    else this.rebuild();
    this.#shape = shape;
  }

  rebuild() {
    this.#plot?.destroy();
    this.#plot = null;
    if (!this.#spec || this.plotAt.hidden) return;
    const s = this.#spec, bands = [], series = [{ label: s.x, value: (_, v) => (v === null || v === undefined ? "–" : figure(v, 7)) }];
    for (const one of s.series) {
      const ink = colour(one.ink ?? "accent");
      series.push({ label: one.name || s.y, stroke: one.faint ? `color-mix(in srgb, ${ink} 45%, transparent)` : ink, width: one.faint ? 1 : 1.6, dash: one.dash, spanGaps: Boolean(s.join), points: { show: Boolean(one.marks), size: 7, fill: ink },
        value: (_, v, __, k) => this.#value(one, v, k) });
      if (one.low) {
        const edge = { label: "edge of a band", stroke: "transparent", points: { show: false }, spanGaps: true, class: "band" };
        series.push({ ...edge }, { ...edge });
        bands.push({ series: [series.length - 1, series.length - 2], fill: `color-mix(in srgb, ${ink} 16%, transparent)` });
      }
    }
    const axis = { stroke: colour("muted"), grid: { stroke: colour("grid"), width: 1 }, ticks: { stroke: colour("edge"), width: 1, size: 5 }, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif", labelSize: 20 };
    const values = (_, list) => list.map((v) => (v === null || (s.log && Number(v.toPrecision(1)) !== v) ? "" : figure(v)));
    const steps = (_, list) => list.map((v) => compact.format(v));
    this.#plot = new uPlot({
      width: Math.max(200, this.plotAt.clientWidth), height: 250, series, bands,
      scales: { x: { time: false }, y: { distr: s.log ? 3 : 1, range: () => extent(this.#spec.series.flatMap((one) => [one.y, one.low ?? [], one.high ?? []]), { log: s.log }) } },
      axes: [{ ...axis, label: s.x, size: 36, values: s.x === "step" ? steps : values }, { ...axis, label: s.y, size: 62, values }],
      cursor: { drag: { x: Boolean(this.zoomed), y: false, setScale: false }, bind: { dblclick: (_, __, handler) => (e) => { handler(e); this.zoomed?.(null); return null; } } },
      legend: { live: true }, hooks: { setSelect: [(u) => this.#selected(u)] },
    }, this.#data(), this.plotAt);
  }

  #value(one, v, k) {
    if (v === null || v === undefined) return "–";
    const at = k === null || !one.err ? -1 : one.x.indexOf(this.#plot?.data[0][k]);
    return at >= 0 ? `${figure(v, 5)} ± ${figure(one.err[at], 2)}` : figure(v, 5);
  }

  /** data are all series over the union of their x. */
  #data() {
    const list = this.#spec.series;
    const tables = list.map((s) => [s.x, s.y, ...(s.low ? [s.low, s.high] : [])]);
    const clean = tables.map((t) => [t[0], ...t.slice(1).map((c) => c.map((v) => (v === null || !Number.isFinite(v) || (this.#spec.log && v <= 0) ? null : v)))]);
    return clean.length === 1 ? clean[0] : uPlot.join(clean, clean.map((t) => t.map(() => 1)));
  }

  #selected(u) {
    if (!this.zoomed || u.select.width < 4) return;
    const from = u.posToVal(u.select.left, "x"), to = u.posToVal(u.select.left + u.select.width, "x");
    u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.zoomed([from, to]);
  }

  #resize() {
    const w = this.plotAt.clientWidth;
    if (!w) return;
    if (!this.#plot) this.rebuild();
    else if (w !== this.#plot.width) this.#plot.setSize({ width: w, height: 250 });
  }

  picture() {
    const spec = this.#spec;
    return spec && { width: 760, height: 420, name: this.name, draw: (ctx, w, h) => drawChart(ctx, w, h, spec) };
  }
}

export { inks };
