// Small helpers to make elements. Text goes in as text, never as markup.

/** el makes an element: el("button", {type: "button", onclick: f}, "text", child). */
export function el(name, props = {}, ...children) {
  const e = document.createElement(name);
  for (const [k, v] of Object.entries(props)) {
    if (v === undefined || v === null || v === false) continue;
    if (k === "class") e.className = v;
    else if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (k in e && k !== "list" && typeof v !== "string") e[k] = v;
    else e.setAttribute(k, v === true ? "" : v);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined && c !== false));
  return e;
}

export const $ = (id) => document.getElementById(id);

/** colour reads a colour of the theme. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

/** figure writes a number with so many significant digits, without an exponent where it is of usual size. */
export function figure(v, digits = 4) {
  if (v === null || v === undefined || Number.isNaN(v)) return "–";
  if (!Number.isFinite(v)) return v > 0 ? "∞" : "−∞";
  if (v === 0) return "0";
  const a = Math.abs(v);
  if (a >= 1e6 || a < 1e-4) {
    const [m, e] = v.toExponential(Math.max(0, digits - 1)).split("e");
    return `${minus(String(Number(m)))}·10${[...String(Number(e))].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"["0123456789".indexOf(c)] ?? "⁻").join("")}`;
  }
  return minus(String(Number(v.toPrecision(digits))));
}

const minus = (s) => s.replace("-", "−");

/** withError writes value ± error, the value to the digits that the error leaves. */
export function withError(v, e) {
  if (v === null || v === undefined) return "–";
  if (!(e > 0)) return figure(v, 6);
  if (e < 1e-5) return `${minus(v.toFixed(5))} ± <0.00001`;
  const place = Math.max(0, Math.min(6, 1 - Math.floor(Math.log10(e))));
  return `${minus(v.toFixed(place))} ± ${e.toFixed(place)}`;
}

export const count = (n) => Math.round(n).toLocaleString("en-US");

export function span(seconds) {
  if (!(seconds >= 0)) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 100) return `${figure(seconds, 3)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${figure(seconds / 3600, 2)} h`;
}

/** show opens the dialog. */
export function show(title, ...body) {
  $("dialog-title").textContent = title;
  $("dialog-body").replaceChildren(...body.filter((b) => b));
  if (!$("dialog").open) $("dialog").showModal();
}

/** showText opens the dialog with a text to copy. */
export function showText(title, text, about) {
  const copy = el("button", { type: "button", class: "main", onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(pre);
      copy.textContent = "Selected: press Ctrl+C";
    }
  } }, "Copy");
  const pre = el("pre", { tabindex: "0" }, text);
  show(title, about ? el("p", { class: "muted" }, about) : null, pre, el("div", {}, copy));
}
