// What is shown, and its form in the address: a link reproduces the picture.

export const defaults = {
  run: "", tab: "dial", file: "",
  h: 1, steps: 100, sampler: "exp2", grid: "lambda", last: "full", denoise: "", cls: "", w: 0, seed: "0", n: 0,
  t: 1, // position on the way from noise (0) to sample (1)
  density: "", score: "", paths: "",
  i: 0, j: 1, // coordinates that are drawn
  box: "", // x0,x1,y0,y1 in data units
  at: "", // the point whose likelihood is shown, x,y
  log: "1", from: "", to: "", // training: logarithmic loss, steps shown
  sweep: "", change: "",
};

const listeners = new Set();

function read() {
  const s = { ...defaults };
  for (const [k, v] of new URLSearchParams(location.hash.slice(1))) {
    if (!(k in defaults)) continue;
    if (typeof defaults[k] === "number") {
      if (v !== "" && Number.isFinite(Number(v))) s[k] = Number(v);
    } else s[k] = v;
  }
  return s;
}

export const state = read();

/** link is the address of what is shown. */
export function link(s = state) {
  const p = new URLSearchParams();
  for (const k of Object.keys(defaults)) if (String(s[k]) !== String(defaults[k])) p.set(k, s[k]);
  return location.origin + location.pathname + "#" + p;
}

let timer = 0;

/** set changes the state, tells who listens which keys changed, and brings the address up to date a moment later. */
export function set(changes) {
  const keys = Object.keys(changes).filter((k) => String(state[k]) !== String(changes[k]));
  if (!keys.length) return;
  Object.assign(state, changes);
  clearTimeout(timer);
  timer = setTimeout(() => history.replaceState(null, "", link()), 200); // browsers limit how often
  for (const f of listeners) f(new Set(keys));
}

export function listen(f) { listeners.add(f); }

addEventListener("hashchange", () => {
  clearTimeout(timer);
  const now = read();
  const keys = Object.keys(defaults).filter((k) => String(state[k]) !== String(now[k]));
  Object.assign(state, now);
  if (keys.length) for (const f of listeners) f(new Set(keys));
});
