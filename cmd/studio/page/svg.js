// A drawing context that writes SVG. It has the part of CanvasRenderingContext2D that plot.js, scene.js and lines.js use, so that what
// is seen and what is saved as SVG are drawn by the same code.

const escape = (s) => String(s).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const n = (v) => Number(v.toFixed(2));

export class SvgContext {
  fillStyle = "#000";
  strokeStyle = "#000";
  lineWidth = 1;
  globalAlpha = 1;
  font = "12px sans-serif";
  textAlign = "start";
  textBaseline = "alphabetic";
  imageSmoothingEnabled = true;
  #dash = [];
  #path = "";
  #out = [];
  #open = [0]; // groups opened since each save
  #clips = 0;

  constructor(width, height) {
    this.width = width;
    this.height = height;
  }

  save() { this.#open.push(0); }

  restore() {
    for (let k = this.#open.pop(); k > 0; k--) this.#out.push("</g>");
  }

  #group(attributes) {
    this.#out.push(`<g ${attributes}>`);
    this.#open[this.#open.length - 1]++;
  }

  translate(x, y) { this.#group(`transform="translate(${n(x)} ${n(y)})"`); }
  rotate(a) { this.#group(`transform="rotate(${n((a * 180) / Math.PI)})"`); }
  setLineDash(d) { this.#dash = d; }

  beginPath() { this.#path = ""; }
  moveTo(x, y) { this.#path += `M${n(x)} ${n(y)}`; }
  lineTo(x, y) { this.#path += `L${n(x)} ${n(y)}`; }
  closePath() { this.#path += "Z"; }
  rect(x, y, w, h) { this.#path += `M${n(x)} ${n(y)}h${n(w)}v${n(h)}h${n(-w)}Z`; }
  arc(x, y, r) { this.#path += `M${n(x - r)} ${n(y)}a${n(r)} ${n(r)} 0 1 0 ${n(2 * r)} 0a${n(r)} ${n(r)} 0 1 0 ${n(-2 * r)} 0`; }

  clip() {
    const id = `c${++this.#clips}`;
    this.#out.push(`<clipPath id="${id}"><path d="${this.#path}"/></clipPath>`);
    this.#group(`clip-path="url(#${id})"`);
  }

  #alpha() { return this.globalAlpha < 1 ? ` opacity="${n(this.globalAlpha)}"` : ""; }

  fill() { if (this.#path) this.#out.push(`<path d="${this.#path}" fill="${escape(this.fillStyle)}"${this.#alpha()}/>`); }

  stroke() {
    const dash = this.#dash.length ? ` stroke-dasharray="${this.#dash.join(" ")}"` : "";
    if (this.#path) this.#out.push(`<path d="${this.#path}" fill="none" stroke="${escape(this.strokeStyle)}" stroke-width="${n(this.lineWidth)}" stroke-linejoin="round"${dash}${this.#alpha()}/>`);
  }

  fillRect(x, y, w, h) { this.#out.push(`<rect x="${n(x)}" y="${n(y)}" width="${n(w)}" height="${n(h)}" fill="${escape(this.fillStyle)}"${this.#alpha()}/>`); }
  clearRect() {}

  fillText(text, x, y) {
    const anchor = { center: "middle", right: "end", end: "end" }[this.textAlign] ?? "start";
    const shift = { middle: "0.35em", top: "0.8em", hanging: "0.8em", bottom: "-0.2em" }[this.textBaseline] ?? "0";
    const [, weight, size, family] = /^(bold |600 )?([\d.]+px) (.*)$/.exec(this.font) ?? [null, "", "12px", "sans-serif"];
    this.#out.push(`<text x="${n(x)}" y="${n(y)}" dy="${shift}" text-anchor="${anchor}" font-size="${size}" font-family="${escape(family)}"${weight ? ' font-weight="600"' : ""} fill="${escape(this.fillStyle)}"${this.#alpha()}>${escape(text)}</text>`);
  }

  /** drawImage takes a canvas, whole. */
  drawImage(canvas, x, y, w, h) {
    const style = this.imageSmoothingEnabled ? "" : ' style="image-rendering:pixelated"';
    this.#out.push(`<image x="${n(x)}" y="${n(y)}" width="${n(w)}" height="${n(h)}" preserveAspectRatio="none"${style}${this.#alpha()} href="${canvas.toDataURL("image/png")}"/>`);
  }

  toString() {
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${this.width}" height="${this.height}" viewBox="0 0 ${this.width} ${this.height}">\n${this.#out.join("\n")}\n</svg>\n`;
  }
}
