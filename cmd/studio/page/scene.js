// The picture of the dial: points with density, score and paths; a histogram; images; waveforms.
import { colour, figure } from "./dom.js";
import { Frame, textFont } from "./plot.js";

/** quantileBox is a box about most of the points of a frame, with room around it. */
export function quantileBox(x, n, d, i, j) {
  const side = (k) => {
    const v = [];
    for (let s = 0; s < n; s++) if (Number.isFinite(x[s * d + k])) v.push(x[s * d + k]);
    if (!v.length) return [-1, 1];
    v.sort((a, b) => a - b);
    const lo = v[Math.floor(0.002 * (v.length - 1))], hi = v[Math.ceil(0.998 * (v.length - 1))];
    const room = 0.08 * (hi - lo) || Math.abs(hi) || 1;
    return [lo - room, hi + room].map((e) => Number(e.toPrecision(3)));
  };
  const [x0, x1] = side(i);
  const [y0, y1] = d > 1 ? side(j) : [0, 0];
  return { x0, x1, y0, y1 };
}

/** rows are the first and last column of an unfinished grid of n. */
const columnsOf = (s) => {
  const classes = s.labels ? new Set(s.labels).size : 0;
  if (classes > 1 && classes <= 32 && s.n > classes && s.labels.every((l, i) => l === s.labels[i % classes])) return classes;
  return Math.ceil(Math.sqrt(s.n));
};

/** heightFor is the height of the picture of samples s at a width. */
export function heightFor(s, width) {
  if (!s || s.kind === "points") {
    if (s && s.d === 1) return Math.round(Math.min(460, Math.max(260, width * 0.6)));
    return Math.round(Math.min(width * 0.86, Math.max(320, innerHeight - 250)));
  }
  if (s.kind === "image") {
    const c = columnsOf(s), r = Math.ceil(s.n / c), [h, w] = s.shape;
    return Math.round(Math.min(((width - 8) / c) * (h / w) * r + 8, Math.max(360, innerHeight - 240)));
  }
  return Math.max(200, Math.min(s.n, 24) * 46 + 30);
}

/** draw draws samples s at a frame. o: {box, i, j, labels, density, score, paths, at}. It returns the Frame, or the place of images. */
export function draw(ctx, width, height, s, frame, o) {
  if (s.kind === "image") return images(ctx, width, height, s, frame);
  if (s.kind === "sequence") return waves(ctx, width, height, s, frame);
  if (s.d === 1) return histogram(ctx, width, height, s, frame, o);
  return scatter(ctx, width, height, s, frame, o);
}

const title = (s, frame, width) => width < 520 ? `h = ${figure(s.options.h)},  t = ${figure(s.times[frame], 3)}` : `h = ${figure(s.options.h)},  t = ${figure(s.times[frame], 3)},  ${s.options.steps} steps of ${s.options.sampler},  seed ${s.options.seed}`;

function scatter(ctx, width, height, s, frame, o) {
  const f = new Frame(width, height, o.box, { x: o.labels.x, y: o.labels.y, title: title(s, frame, width) });
  const { d, n } = s;
  if (o.density) f.inside(ctx, () => picture(ctx, f, o.density));
  f.axes(ctx);
  f.inside(ctx, () => {
    if (o.paths) paths(ctx, f, s, frame, o);
    const x = s.x.subarray(frame * n * d, (frame + 1) * n * d);
    const r = n > 5000 ? 1.1 : n > 1500 ? 1.5 : n > 300 ? 2 : 2.8;
    ctx.globalAlpha = n > 1500 ? 0.62 : 0.8;
    ctx.fillStyle = colour("accent");
    ctx.beginPath();
    for (let k = 0; k < n; k++) {
      const px = f.x(x[k * d + o.i]), py = f.y(x[k * d + o.j]);
      if (!f.holds(px, py)) continue;
      ctx.moveTo(px + r, py);
      ctx.arc(px, py, r, 0, 2 * Math.PI);
    }
    ctx.fill();
    ctx.globalAlpha = 1;
    if (o.score) arrows(ctx, f, o.score);
    if (o.at) cross(ctx, f.x(o.at[0]), f.y(o.at[1]));
  });
  return f;
}

function cross(ctx, x, y) {
  ctx.strokeStyle = colour("second");
  ctx.lineWidth = 2;
  ctx.beginPath();
  ctx.moveTo(x - 9, y); ctx.lineTo(x + 9, y);
  ctx.moveTo(x, y - 9); ctx.lineTo(x, y + 9);
  ctx.stroke();
  ctx.beginPath();
  ctx.arc(x, y, 5, 0, 2 * Math.PI);
  ctx.stroke();
}

const PATHS = 24;

/** paths are the ways of the first samples, from noise to the frame. */
function paths(ctx, f, s, frame, o) {
  const { d, n } = s;
  const at = (t, k) => [f.x(s.x[(t * n + k) * d + o.i]), f.y(s.x[(t * n + k) * d + o.j])];
  ctx.strokeStyle = colour("second");
  ctx.lineWidth = 1.2;
  for (let t = 1; t <= frame; t++) { // the nearer to the sample, the stronger
    ctx.globalAlpha = 0.12 + 0.75 * (t / (s.times.length - 1)) ** 2;
    ctx.beginPath();
    for (let k = 0; k < Math.min(n, PATHS); k++) {
      ctx.moveTo(...at(t - 1, k));
      ctx.lineTo(...at(t, k));
    }
    ctx.stroke();
  }
  ctx.globalAlpha = 1;
}

/** picture paints a density: opacity grows with the root of it, so that what is thin is seen too. */
function picture(ctx, f, field) {
  const n = field.options.size;
  const c = (field.canvas ??= document.createElement("canvas"));
  const ink = colour("density");
  if (field.ink !== ink) {
    field.ink = ink;
    c.width = c.height = n;
    const [r, g, b] = ink.split(",").map(Number);
    const p = c.getContext("2d"), m = p.createImageData(n, n);
    for (let y = 0; y < n; y++) for (let x = 0; x < n; x++) {
      const v = field.values[(n - 1 - y) * n + x], k = 4 * (y * n + x);
      m.data[k] = r; m.data[k + 1] = g; m.data[k + 2] = b;
      m.data[k + 3] = v > 0 ? 165 * Math.sqrt(Math.min(1, v / field.top)) : 0;
    }
    p.putImageData(m, 0, 0);
  }
  const { x0, x1, y0, y1 } = field.options;
  ctx.globalAlpha = field.stale ? 0.45 : 1;
  ctx.imageSmoothingEnabled = true;
  ctx.drawImage(c, f.x(x0), f.y(y1), f.x(x1) - f.x(x0), f.y(y0) - f.y(y1));
  ctx.globalAlpha = 1;
}

const sizes = (field) => Float32Array.from({ length: field.values.length / 2 }, (_, k) => Math.hypot(field.values[2 * k], field.values[2 * k + 1]));

/** longest is the size that is drawn at full length: only a twentieth of the arrows would be longer. */
export function longest(field) {
  const sorted = sizes(field).filter(Number.isFinite).sort();
  return sorted[Math.floor(0.95 * (sorted.length - 1))] || 1;
}

/** arrows show the direction of the score; their length is the root of its size relative to the largest. */
function arrows(ctx, f, field) {
  const n = field.options.size, v = field.values, { x0, x1, y0, y1 } = field.options;
  const size = sizes(field), top = field.top;
  const cell = Math.min(f.w, f.h) / n;
  ctx.strokeStyle = colour("third");
  ctx.globalAlpha = field.stale ? 0.4 : 0.9;
  ctx.lineWidth = 1.2;
  ctx.beginPath();
  for (let j = 0; j < n; j++) for (let i = 0; i < n; i++) {
    const k = j * n + i;
    if (!(size[k] > 0)) continue;
    const length = 0.95 * cell * Math.sqrt(Math.min(1, size[k] / top));
    const sx = v[2 * k] / (x1 - x0) * f.w, sy = -v[2 * k + 1] / (y1 - y0) * f.h, norm = Math.hypot(sx, sy) || 1;
    const ux = sx / norm, uy = sy / norm;
    const px = f.x(x0 + ((x1 - x0) * (i + 0.5)) / n), py = f.y(y0 + ((y1 - y0) * (j + 0.5)) / n);
    const ex = px + ux * length, ey = py + uy * length, a = Math.min(4, length * 0.5);
    ctx.moveTo(px, py); ctx.lineTo(ex, ey);
    ctx.moveTo(ex - a * (ux + 0.6 * uy), ey - a * (uy - 0.6 * ux));
    ctx.lineTo(ex, ey);
    ctx.lineTo(ex - a * (ux - 0.6 * uy), ey - a * (uy + 0.6 * ux));
  }
  ctx.stroke();
  ctx.globalAlpha = 1;
}

function histogram(ctx, width, height, s, frame, o) {
  const { n } = s, x = s.x.subarray(frame * n, (frame + 1) * n), { x0, x1 } = o.box;
  const bins = Math.max(12, Math.min(80, Math.round(Math.sqrt(n))));
  const counts = new Float64Array(bins);
  for (const v of x) {
    const k = Math.floor(((v - x0) / (x1 - x0)) * bins);
    if (k >= 0 && k < bins) counts[k]++;
  }
  const unit = 1 / (n * ((x1 - x0) / bins));
  let top = Math.max(...counts) * unit;
  if (o.density) top = Math.max(top, o.density.top);
  const f = new Frame(width, height, { x0, x1, y0: 0, y1: 1.08 * top || 1 }, { x: o.labels.x, y: "density", title: title(s, frame, width) });
  f.axes(ctx);
  f.inside(ctx, () => {
    ctx.fillStyle = colour("accent");
    ctx.globalAlpha = 0.55;
    for (let k = 0; k < bins; k++) {
      const a = f.x(x0 + ((x1 - x0) * k) / bins), b = f.x(x0 + ((x1 - x0) * (k + 1)) / bins), y = f.y(counts[k] * unit);
      ctx.fillRect(a, y, b - a - 1, f.y(0) - y);
    }
    ctx.globalAlpha = 1;
    if (o.density) {
      ctx.strokeStyle = colour("second");
      ctx.lineWidth = 2;
      ctx.beginPath();
      o.density.values.forEach((v, k) => {
        const px = f.x(o.density.options.x0 + ((o.density.options.x1 - o.density.options.x0) * (k + 0.5)) / o.density.values.length);
        if (k) ctx.lineTo(px, f.y(v));
        else ctx.moveTo(px, f.y(v));
      });
      ctx.stroke();
    }
    if (o.at) cross(ctx, f.x(o.at[0]), f.y(0) - 10);
  });
  return f;
}

/** imageCanvas is one image as a canvas of its own size. */
export function imageCanvas(bytes, shape) {
  const [h, w, c] = shape;
  const canvas = document.createElement("canvas");
  canvas.width = w;
  canvas.height = h;
  const ctx = canvas.getContext("2d"), m = ctx.createImageData(w, h);
  for (let p = 0; p < h * w; p++) {
    for (let k = 0; k < 3; k++) m.data[4 * p + k] = bytes[p * c + (c === 3 ? k : 0)];
    m.data[4 * p + 3] = 255;
  }
  ctx.putImageData(m, 0, 0);
  return canvas;
}

function images(ctx, width, height, s, frame) {
  const columns = columnsOf(s), lines = Math.ceil(s.n / columns), [h, w] = s.shape, gap = 3;
  const scale = Math.max(0.05, Math.min((width - gap * (columns + 1)) / (columns * w), (height - gap * (lines + 1)) / (lines * h)));
  const tw = w * scale, th = h * scale, left = (width - columns * (tw + gap) + gap) / 2;
  const size = s.d;
  ctx.imageSmoothingEnabled = scale < 1;
  ctx.strokeStyle = colour("edge");
  ctx.lineWidth = 1;
  for (let k = 0; k < s.n; k++) {
    const at = (frame * s.n + k) * size;
    const x = left + (k % columns) * (tw + gap), y = gap + Math.floor(k / columns) * (th + gap);
    ctx.drawImage(imageCanvas(s.x.subarray(at, at + size), s.shape), x, y, tw, th);
    ctx.beginPath();
    ctx.rect(x - 0.5, y - 0.5, tw + 1, th + 1);
    ctx.stroke();
  }
  return { images: true, columns, left, gap, tw, th, holds: () => false };
}

/** imageAt is the number of the image at a point of the picture, or −1. */
export function imageAt(place, s, px, py) {
  const c = Math.floor((px - place.left) / (place.tw + place.gap)), r = Math.floor((py - place.gap) / (place.th + place.gap));
  const k = r * place.columns + c;
  return c >= 0 && c < place.columns && r >= 0 && k < s.n ? k : -1;
}

function waves(ctx, width, height, s, frame) {
  const [length, channels] = s.shape, rows = Math.min(s.n, 24), row = (height - 30) / rows;
  let top = 0;
  for (let k = 0; k < rows * s.d; k++) {
    const v = Math.abs(s.x[frame * s.n * s.d + k]);
    if (Number.isFinite(v)) top = Math.max(top, v);
  }
  ctx.font = textFont(13, true);
  ctx.fillStyle = colour("text");
  ctx.textAlign = "left";
  ctx.textBaseline = "top";
  ctx.fillText(title(s, frame, width), 8, 6);
  const inks = ["accent", "second", "third", "fourth"].map(colour);
  for (let k = 0; k < rows; k++) {
    for (let c = 0; c < channels; c++) {
      ctx.strokeStyle = inks[c % inks.length];
      ctx.lineWidth = 1;
      ctx.beginPath();
      for (let t = 0; t < length; t++) {
        const v = s.x[(frame * s.n + k) * s.d + t * channels + c] / (top || 1);
        const px = 8 + (t / Math.max(1, length - 1)) * (width - 16), py = 30 + (k + 0.5 - 0.45 * v) * row;
        if (t) ctx.lineTo(px, py);
        else ctx.moveTo(px, py);
      }
      ctx.stroke();
    }
  }
  return { holds: () => false };
}
