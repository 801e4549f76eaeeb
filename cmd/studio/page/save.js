// Pictures as files. draw(context, width, height) draws the same on a canvas and as SVG.
import { SvgContext } from "./svg.js";
import { colour, el } from "./dom.js";

function offer(blob, name) {
  const url = URL.createObjectURL(blob);
  const a = el("a", { href: url, download: name });
  document.body.append(a);
  a.click();
  a.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function ground(ctx, width, height) {
  ctx.fillStyle = colour("surface");
  ctx.fillRect(0, 0, width, height);
}

/** svgText is the picture as SVG. */
export function svgText(draw, width, height) {
  const ctx = new SvgContext(width, height);
  ground(ctx, width, height);
  draw(ctx, width, height);
  return ctx.toString();
}

export function saveSVG(draw, width, height, name) {
  offer(new Blob([svgText(draw, width, height)], { type: "image/svg+xml" }), name + ".svg");
}

/** savePNG saves at twice the size on the page. */
export function savePNG(draw, width, height, name) {
  const canvas = el("canvas");
  canvas.width = 2 * width;
  canvas.height = 2 * height;
  const ctx = canvas.getContext("2d");
  ctx.scale(2, 2);
  ground(ctx, width, height);
  draw(ctx, width, height);
  canvas.toBlob((blob) => offer(blob, name + ".png"), "image/png");
}

/** saveNpy saves numbers as an array of numpy of that shape. */
export function saveNpy(values, shape, name) {
  const dims = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  let head = `{'descr': '<f8', 'fortran_order': False, 'shape': (${dims}), }`;
  head = head.padEnd(Math.ceil((head.length + 11) / 64) * 64 - 11) + "\n";
  const b = new Uint8Array(10 + head.length + 8 * values.length);
  b.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, head.length & 255, head.length >> 8]);
  b.set(new TextEncoder().encode(head), 10);
  const view = new DataView(b.buffer);
  values.forEach((v, i) => view.setFloat64(10 + head.length + 8 * i, v, true));
  offer(new Blob([b]), name);
}

/** buttons are "PNG" and "SVG" for a picture; what() gives {draw, width, height, name}. */
export function buttons(what) {
  const button = (label, save) => el("button", { type: "button", class: "small", title: `Save as ${label}`, onclick: () => {
    const p = what();
    if (p) save(p.draw, p.width, p.height, p.name);
  } }, label);
  return [button("PNG", savePNG), button("SVG", saveSVG)];
}
