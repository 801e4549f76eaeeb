// The controls of the dial. Each is bound to a key of the state.
import { el } from "./dom.js";
import { set, state, listen } from "./state.js";

const id = (key) => `dial-${key}`;

/** bind calls update now and whenever one of the keys changes. */
export function bind(keys, update) {
  listen((changed) => { if (keys.some((k) => changed.has(k))) update(); });
  update();
}

/** slider is a range with a field for the exact number. */
export function slider(key, label, { min, max, step, hint, most = Infinity }) {
  const range = el("input", { type: "range", id: id(key), min: String(min), max: String(max), step: String(step), oninput: () => set({ [key]: Number(range.value) }) });
  const number = el("input", { type: "number", "aria-label": `${label}, exact`, min: String(min), step: "any", onchange: () => {
    const v = Number(number.value);
    if (number.value !== "" && Number.isFinite(v)) set({ [key]: Math.min(most, Math.max(min, v)) });
    number.value = state[key];
  } });
  bind([key], () => {
    range.value = state[key];
    if (document.activeElement !== number) number.value = state[key];
  });
  return el("div", { class: "field" }, el("label", { for: range.id }, label), number, range, hint ? el("span", { class: "hint" }, hint) : null);
}

/** integer is a field for a whole number. */
export function integer(key, label, { min, max, hint, extra }) {
  const number = el("input", { type: "number", id: id(key), min: String(min), max: max === undefined ? undefined : String(max), step: "1", onchange: () => {
    const text = number.value.trim();
    if (/^\d+$/.test(text)) set({ [key]: typeof state[key] === "number" ? Math.min(max ?? Infinity, Math.max(min, Number(text))) : text });
    number.value = state[key];
  } });
  bind([key], () => { number.value = state[key]; });
  return el("div", { class: "field" }, el("label", { for: number.id }, label), el("span", { class: "pair" }, extra ?? null, number), hint ? el("span", { class: "hint" }, hint) : null);
}

/** choice is a list of names; options are [value, text]. */
export function choice(key, label, options, hint) {
  const select = el("select", { id: id(key), onchange: () => set({ [key]: select.value }) }, ...options.map(([v, t]) => el("option", { value: v }, t)));
  bind([key], () => { select.value = state[key]; });
  return el("div", { class: "field" }, el("label", { for: select.id }, label), select, hint ? el("span", { class: "hint" }, hint) : null);
}

/** check is a box that is "1" or "". */
export function check(key, label, title) {
  const box = el("input", { type: "checkbox", onchange: () => set({ [key]: box.checked ? "1" : "" }) });
  bind([key], () => { box.checked = state[key] === "1"; });
  return el("label", { class: "check", title }, box, label);
}
