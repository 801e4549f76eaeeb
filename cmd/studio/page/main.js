// The page: the list of runs, which view is shown, and what changes on the server.
import { $, count, el, show } from "./dom.js";
import { Failed, compute, get } from "./api.js";
import { Dial, forgotten } from "./dial.js";
import { Sweeps } from "./sweeps.js";
import { Training } from "./training.js";
import { rescheme } from "./charts.js";
import { defaults, listen, set, state } from "./state.js";

const tabs = ["dial", "training", "sweeps"];
let runs = null; // as the server lists them
let dir = "";
let fresh = !location.hash.includes("steps="); // nobody has chosen how to sample
const views = { dial: null, training: null, sweeps: null };
let shown = ""; // the run, file and version that the views show
let source = null;

const current = () => runs?.find((r) => r.name === state.run);

// Theme: the system's, unless the button was pressed.
const dark = matchMedia("(prefers-color-scheme: dark)");
function theme(choice) {
  if (choice !== undefined) try { localStorage.setItem("theme", choice); } catch { /* private window */ }
  let wish = "auto";
  try { wish = localStorage.getItem("theme") ?? "auto"; } catch { /* private window */ }
  document.documentElement.dataset.theme = wish === "auto" ? (dark.matches ? "dark" : "light") : wish;
  $("theme").textContent = { auto: "Theme: auto", light: "Theme: light", dark: "Theme: dark" }[wish];
  rescheme();
  views.dial?.paint();
  return wish;
}
dark.addEventListener("change", () => theme());
const nextTheme = () => theme({ auto: "light", light: "dark", dark: "auto" }[theme()]);
$("theme").addEventListener("click", nextTheme);

function problem(text) {
  $("problem").hidden = !text;
  $("problem").textContent = text ?? "";
}

function listRuns() {
  $("runcount").textContent = `(${runs.length})`;
  $("where").textContent = dir;
  const items = runs.map((r) => {
    const part = r.steps ? Math.min(1, r.step / r.steps) : 0;
    const bar = el("span", { class: "bar", "aria-hidden": "true" }, el("i"));
    bar.firstChild.style.width = `${100 * part}%`;
    const about = [r.data, r.net, r.schedule].filter(Boolean).join(" · ");
    return el("li", {}, el("button", { type: "button", "aria-current": String(r.name === state.run), "data-run": r.name, onclick: () => choose(r.name) },
      el("span", { class: "name" }, r.name === "." ? "(this folder)" : r.name, r.running ? el("span", { class: "badge" }, "● training") : null),
      el("span", { class: "muted" }, about || "checkpoint", r.steps ? `, step ${count(r.step)} of ${count(r.steps)}` : ""),
      r.error ? el("span", { class: "wrong" }, el("br"), r.error) : null, r.steps ? bar : null));
  });
  const focused = document.activeElement?.dataset?.run;
  $("runlist").replaceChildren(...items);
  if (focused !== undefined) $("runlist").querySelector(`[data-run="${CSS.escape(focused)}"]`)?.focus();
}

function choose(name) {
  if (name === state.run) return;
  fresh = true;
  set({ ...forgotten, run: name, h: defaults.h, steps: defaults.steps, denoise: defaults.denoise, w: defaults.w });
}

function took(list) {
  runs = list.runs;
  dir = list.dir;
  if (!current() && (!state.run || !shown) && runs.length) set({ run: (runs.find((r) => r.running && r.checkpoints.length) ?? runs.find((r) => r.checkpoints.length) ?? runs[0]).name });
  listRuns();
  update();
}

/** file is the checkpoint that is shown. */
const fileOf = (r) => (r.checkpoints.includes(state.file) ? state.file : r.checkpoints[0]);

/** update brings the views to what is listed and chosen. */
function update() {
  const r = current();
  for (const t of tabs) {
    const on = state.tab === t;
    $(`tab-${t}`).setAttribute("aria-selected", String(on));
    $(`tab-${t}`).tabIndex = on ? 0 : -1;
    $(`view-${t}`).hidden = !on || !r;
  }
  $("tabs").hidden = !r;
  $("view-none").hidden = Boolean(r);
  if (!r) {
    end();
    $("title").textContent = runs.length ? "No such run" : "No runs yet";
    $("about").textContent = "";
    document.title = "hbar studio";
    $("view-none").replaceChildren(...(runs.length ? [el("p", {}, state.run ? `${state.run} is not there, or not any more. Choose a run.` : "Choose a run.")]
      : [el("p", {}, `There is no run in ${dir} so far. This trains a small one in some seconds, and it will appear here:`), el("pre", {}, `go run ./cmd/train --out ${dir}/first`)]));
    return;
  }
  $("title").textContent = r.name === "." ? dir : r.name;
  $("about").textContent = [r.data && `data ${r.data}`, r.net && `network ${r.net}`, r.schedule && `schedule ${r.schedule}`, r.running && "training now"].filter(Boolean).join(" · ") || r.path;
  document.title = `${r.name} – hbar studio`;
  const key = JSON.stringify([r.name, fileOf(r), r.modified]);
  if (JSON.stringify(r.name) !== JSON.stringify(shownRun())) {
    end();
    views.training = new Training($("view-training"), r);
    views.sweeps = new Sweeps($("view-sweeps"), r);
    watch(r.name);
  } else {
    views.training?.update(r);
    views.sweeps?.update(r);
  }
  if (key !== shown) {
    shown = key;
    open(r);
  }
}

const shownRun = () => (shown ? JSON.parse(shown)[0] : null);

function end() {
  shown = "";
  for (const v of Object.values(views)) v?.end?.();
  for (const t of tabs) {
    views[t] = null;
    $(`view-${t}`).replaceChildren();
  }
}

let opening = null;

/** open reads the checkpoint. A checkpoint that a training run has just replaced is taken without a change of what is set. */
async function open(r) {
  opening?.abort();
  const c = (opening = new AbortController());
  const file = fileOf(r), view = $("view-dial");
  if (!file) {
    views.dial = null;
    view.replaceChildren(el("div", { class: "card empty" }, el("p", {}, r.running ? "No checkpoint yet: training saves the first one after some steps, and the dial appears then." : "This run has no checkpoint."), el("p", { class: "muted" }, r.error ?? "")));
    return;
  }
  try {
    const info = await compute("/api/checkpoint", { run: r.name, file }, { signal: c.signal });
    if (views.dial && !views.dial.ended && views.dial.info.id === info.id) return;
    if (views.dial && !views.dial.ended && views.dial.run.name === r.name && views.dial.info.kind === info.kind && views.dial.info.d === info.d) {
      views.dial.info = info;
      views.dial.refresh();
      return;
    }
    if (file !== state.file && file !== r.checkpoints[0]) set({ file });
    if (fresh && info.kind !== "points") set({ steps: 20, denoise: "1" }); // their networks take long
    fresh = false;
    views.dial = new Dial(view, r, info);
  } catch (e) {
    if (!(e instanceof Failed)) return;
    views.dial = null;
    view.replaceChildren(el("div", { class: "card empty" }, el("p", { class: "bad" }, e.message), el("p", { class: "muted" }, "It is tried again when the file changes.")));
  }
}

// What the server tells. A page that is not seen does not ask: browsers allow few connections to one server.
function watch(run) {
  source?.close();
  source = null;
  if (document.hidden) return;
  source = new EventSource(run ? `/api/events?${new URLSearchParams({ run })}` : "/api/events");
  source.addEventListener("open", () => live(true));
  source.addEventListener("error", () => live(false));
  source.addEventListener("runs", (e) => took(JSON.parse(e.data)));
  source.addEventListener("log", (e) => views.training?.grew(JSON.parse(e.data)));
  source.addEventListener("problem", (e) => problem(JSON.parse(e.data)?.error));
}

function live(on) {
  $("live").className = `live ${on ? "on" : "off"}`;
  $("live").textContent = on ? "live" : "not connected";
}

document.addEventListener("visibilitychange", () => watch(current()?.name));
addEventListener("pagehide", () => source?.close());

for (const t of tabs) $(`tab-${t}`).addEventListener("click", () => set({ tab: t }));
$("tabs").addEventListener("keydown", (e) => {
  const way = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
  if (!way) return;
  const next = tabs[(tabs.indexOf(state.tab) + way + tabs.length) % tabs.length];
  set({ tab: next });
  $(`tab-${next}`).focus();
});

const keys = [
  ["1 2 3", "dial, training, sweeps"], ["[ ]", "run before, run after"], ["h H", "less noise, more noise"], ["n", "another seed"], ["space", "play from noise to sample"],
  ["d s p", "density, score, paths"], ["f", "fit the axes"], ["c", "the command that draws the same"], ["arrows", "on the picture: move the cross; Enter: its likelihood"], ["t", "theme"], ["?", "these keys"],
];
const help = () => show("Keys", el("table", {}, ...keys.map(([k, v]) => el("tr", {}, el("td", {}, ...k.split(" ").flatMap((x) => [el("kbd", {}, x), " "])), el("td", {}, v)))));
$("help").addEventListener("click", help);

const flip = (key) => set({ [key]: state[key] ? "" : "1" });
function step(by) {
  const k = runs?.findIndex((r) => r.name === state.run) ?? -1, next = runs?.[k + by];
  if (next) choose(next.name);
}
document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || $("dialog").open || /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName) && e.target.type !== "range" && e.target.type !== "checkbox") return;
  if (e.key === " " && /^(BUTTON|INPUT|SUMMARY)$/.test(e.target.tagName)) return;
  const dial = views.dial && state.tab === "dial" ? views.dial : null;
  const points = dial?.info.kind === "points" && dial.info.d <= 2;
  const round = (v) => Number(Math.max(0, v).toFixed(4));
  const act = {
    "1": () => set({ tab: "dial" }), "2": () => set({ tab: "training" }), "3": () => set({ tab: "sweeps" }), "[": () => step(-1), "]": () => step(1), t: nextTheme, "?": help,
    h: dial && (() => set({ h: round(state.h - 0.05) })), H: dial && (() => set({ h: round(state.h + 0.05) })), n: dial && (() => dial.another()), " ": dial && (() => dial.toggle()),
    d: points && (() => flip("density")), s: points && (() => flip("score")), p: points && (() => flip("paths")), f: dial && (() => dial.fit()), c: dial && (() => dial.command()),
  }[e.key];
  if (!act) return;
  e.preventDefault();
  act();
});

// A file that is dropped beside the picture must not replace the page.
for (const event of ["dragover", "drop"]) addEventListener(event, (e) => e.preventDefault());

listen((changed) => {
  if (!runs) return;
  if (changed.has("run")) listRuns();
  if (["run", "tab", "file"].some((k) => changed.has(k))) update();
  if (changed.has("tab")) {
    views.training?.refresh();
    views.dial?.paint();
    views.dial?.changed(new Set(["density"]));
  }
});

theme();
if (innerWidth <= 760) document.querySelector("nav details").open = false;
try {
  took(await get("/api/runs"));
} catch (e) {
  problem(e.message);
}
if (!source) watch(current()?.name);
