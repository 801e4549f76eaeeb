// Line charts as they are saved: the same lines as on the page, drawn with axes, legend and bands.
import { colour } from "./dom.js";
import { Frame, textFont } from "./plot.js";

export const inks = ["accent", "second", "third", "fourth", "fifth", "sixth"];

/** extent is the least and the largest of lists of numbers, with some room. */
export function extent(lists, { log = false } = {}) {
  let lo = Infinity, hi = -Infinity;
  for (const l of lists) for (const v of l) if (v !== null && v !== undefined && Number.isFinite(v) && (!log || v > 0)) { lo = Math.min(lo, v); hi = Math.max(hi, v); }
  if (lo > hi) return log ? [0.1, 10] : [0, 1];
  if (hi - lo <= 1e-9 * Math.max(Math.abs(lo), Math.abs(hi))) return log ? [lo / 2, hi * 2] : [lo - (Math.abs(lo) * 0.1 || 1), hi + (Math.abs(hi) * 0.1 || 1)];
  if (log) {
    const room = (hi / lo) ** 0.05;
    return [lo / room, hi * room];
  }
  return [lo - 0.06 * (hi - lo), hi + 0.06 * (hi - lo)];
}

/** chart draws {title, x, y, log, series: [{name, x, y, low, high, ink, dash}]}. */
export function chart(ctx, width, height, c) {
  const [x0, x1] = extent(c.series.map((s) => s.x)), ys = c.series.flatMap((s) => [s.y, s.low ?? [], s.high ?? []]);
  const [y0, y1] = extent(ys, { log: c.log });
  const named = c.series.filter((s) => s.name);
  const f = new Frame(width, height, { x0, x1, y0, y1 }, { x: c.x, y: c.y, title: c.title }, { logY: c.log });
  f.axes(ctx);
  f.inside(ctx, () => {
    for (const s of c.series) {
      const ink = colour(s.ink ?? "accent");
      if (s.low) {
        ctx.fillStyle = ink;
        ctx.globalAlpha = 0.16;
        ctx.beginPath();
        s.x.forEach((v, k) => (k ? ctx.lineTo(f.x(v), f.y(s.high[k])) : ctx.moveTo(f.x(v), f.y(s.high[k]))));
        for (let k = s.x.length - 1; k >= 0; k--) ctx.lineTo(f.x(s.x[k]), f.y(s.low[k]));
        ctx.closePath();
        ctx.fill();
        ctx.globalAlpha = 1;
      }
      ctx.strokeStyle = ink;
      ctx.lineWidth = s.faint ? 1 : 1.6;
      ctx.globalAlpha = s.faint ? 0.45 : 1;
      ctx.setLineDash(s.dash ?? []);
      ctx.beginPath();
      let down = false;
      s.x.forEach((v, k) => {
        const y = s.y[k], ok = y !== null && y !== undefined && Number.isFinite(y) && (!c.log || y > 0);
        if (ok && down) ctx.lineTo(f.x(v), f.y(y));
        else if (ok) ctx.moveTo(f.x(v), f.y(y));
        down = ok;
      });
      ctx.stroke();
      ctx.globalAlpha = 1;
      ctx.setLineDash([]);
      if (s.marks) {
        ctx.fillStyle = ink;
        ctx.beginPath();
        s.x.forEach((v, k) => { const y = s.y[k]; if (Number.isFinite(y)) { ctx.moveTo(f.x(v) + 3, f.y(y)); ctx.arc(f.x(v), f.y(y), 3, 0, 2 * Math.PI); } });
        ctx.fill();
      }
    }
  });
  if (named.length < 2 && !c.legend) return;
  ctx.font = textFont(12);
  ctx.textAlign = "right";
  ctx.textBaseline = "middle";
  named.forEach((s, k) => {
    const y = f.top + 14 + 17 * k;
    ctx.fillStyle = colour("text");
    ctx.fillText(s.name, f.left + f.w - 30, y);
    ctx.strokeStyle = colour(s.ink ?? "accent");
    ctx.lineWidth = 2;
    ctx.setLineDash(s.dash ?? []);
    ctx.beginPath();
    ctx.moveTo(f.left + f.w - 24, y);
    ctx.lineTo(f.left + f.w - 6, y);
    ctx.stroke();
    ctx.setLineDash([]);
  });
}
