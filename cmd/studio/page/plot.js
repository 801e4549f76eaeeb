// A frame with axes, and the map from data to pixels.
import { colour, figure } from "./dom.js";

/** ticks are round numbers from lo to hi, about so many. */
export function ticks(lo, hi, about = 6) {
  if (!(hi > lo) || !Number.isFinite(hi - lo)) return [];
  const raw = (hi - lo) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((m) => m * power >= raw * 0.999) ?? 10);
  const out = [];
  for (let k = Math.ceil(lo / step - 1e-9); k * step <= hi + step * 1e-9; k++) out.push(Number((k * step).toPrecision(12)));
  return out;
}

/** logTicks are powers of ten from lo to hi, with 2 and 5 times them if there are few. */
export function logTicks(lo, hi) {
  const decades = Math.log10(hi / lo);
  const multiples = decades < 1.2 ? [1, 2, 3, 4, 5, 6, 7, 8, 9] : decades < 3 ? [1, 2, 5] : [1];
  const out = [];
  for (let e = Math.floor(Math.log10(lo)); e <= Math.ceil(Math.log10(hi)); e++) {
    for (const m of multiples) {
      const v = Number((m * 10 ** e).toPrecision(3));
      if (v >= lo * 0.999 && v <= hi * 1.001) out.push(v);
    }
  }
  if (out.length < 2) return ticks(lo, hi, 4);
  const every = Math.ceil(out.length / 10);
  return out.filter((_, i) => i % every === 0);
}

const family = 'system-ui, "Liberation Sans", sans-serif';

export class Frame {
  /** box is {x0, x1, y0, y1} in data; labels {x, y, title}; logY makes the vertical axis logarithmic. */
  constructor(width, height, box, labels = {}, { logY = false } = {}) {
    Object.assign(this, { width, height, box, labels, logY });
    this.left = labels.y === undefined ? 16 : 62;
    this.right = 14;
    this.top = labels.title ? 34 : 12;
    this.bottom = labels.x === undefined ? 16 : 46;
    this.w = Math.max(10, width - this.left - this.right);
    this.h = Math.max(10, height - this.top - this.bottom);
  }

  x(v) { return this.left + ((v - this.box.x0) / (this.box.x1 - this.box.x0)) * this.w; }
  y(v) {
    const { y0, y1 } = this.box;
    const f = this.logY ? Math.log(v / y0) / Math.log(y1 / y0) : (v - y0) / (y1 - y0);
    return this.top + (1 - f) * this.h;
  }
  dataX(px) { return this.box.x0 + ((px - this.left) / this.w) * (this.box.x1 - this.box.x0); }
  dataY(py) { return this.box.y0 + (1 - (py - this.top) / this.h) * (this.box.y1 - this.box.y0); }
  holds(px, py) { return px >= this.left && px <= this.left + this.w && py >= this.top && py <= this.top + this.h; }

  /** axes draws grid, ticks and labels. */
  axes(ctx) {
    const { box } = this;
    const xs = ticks(box.x0, box.x1, Math.max(2, Math.min(8, this.w / 80)));
    const ys = this.logY ? logTicks(box.y0, box.y1) : ticks(box.y0, box.y1, Math.max(2, Math.min(8, this.h / 55)));
    ctx.lineWidth = 1;
    ctx.strokeStyle = colour("grid");
    ctx.beginPath();
    for (const v of xs) { ctx.moveTo(this.x(v), this.top); ctx.lineTo(this.x(v), this.top + this.h); }
    for (const v of ys) { ctx.moveTo(this.left, this.y(v)); ctx.lineTo(this.left + this.w, this.y(v)); }
    ctx.stroke();
    ctx.font = `12px ${family}`;
    ctx.fillStyle = colour("muted");
    ctx.textAlign = "center";
    ctx.textBaseline = "top";
    for (const v of xs) ctx.fillText(figure(v), this.x(v), this.top + this.h + 6);
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    for (const v of ys) ctx.fillText(figure(v), this.left - 7, this.y(v));
    ctx.strokeStyle = colour("edge");
    ctx.beginPath();
    ctx.rect(this.left, this.top, this.w, this.h);
    ctx.stroke();
    ctx.fillStyle = colour("text");
    ctx.textAlign = "center";
    if (this.labels.x) {
      ctx.textBaseline = "bottom";
      ctx.fillText(this.labels.x, this.left + this.w / 2, this.height - 6);
    }
    if (this.labels.y) {
      ctx.save();
      ctx.translate(14, this.top + this.h / 2);
      ctx.rotate(-Math.PI / 2);
      ctx.textBaseline = "middle";
      ctx.fillText(this.labels.y, 0, 0);
      ctx.restore();
    }
    if (this.labels.title) {
      ctx.font = `600 13px ${family}`;
      ctx.textAlign = "left";
      ctx.textBaseline = "top";
      ctx.fillText(this.labels.title, this.left, 9);
    }
  }

  /** inside draws with f, cut off at the frame. */
  inside(ctx, f) {
    ctx.save();
    ctx.beginPath();
    ctx.rect(this.left, this.top, this.w, this.h);
    ctx.clip();
    f();
    ctx.restore();
  }
}

export const textFont = (size, bold) => `${bold ? "600 " : ""}${size}px ${family}`;
