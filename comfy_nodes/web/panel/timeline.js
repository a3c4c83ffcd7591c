// Memory over the last minutes, with the phases that checkpoints name.
import { bytes, el, section } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const WINDOW = 300; // seconds shown
const GAP = 2; // seconds without a reading that break a line
const [HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [150, 54, 4, 18, 18]; // pixels
// What is drawn where it is known, the first as an area. Names and order are the sampler's.
const LINES = {
  driver_used: ["device", "device"],
  own_process: ["this process", "own"],
  torch_reserved: ["torch reserved", "slack"],
  torch_allocated: ["torch allocated", "tensors"],
  ram: ["main memory, this process", "ram"],
};

export class TimelineView {
  constructor() {
    ({ root: this.root, body: this.body } = section("Last five minutes"));
    this.rows = [];
  }

  /** `rows` of a message continue what is there; with `channels` they replace it. */
  add(message) {
    if (message.channels) {
      this.channels = message.channels;
      this.rows = [];
    }
    const last = this.rows.at(-1)?.[0] ?? -1;
    this.rows.push(...message.rows.filter((row) => row[0] > last));
    const first = this.rows.findIndex((row) => row[0] >= message.now - WINDOW);
    this.rows.splice(0, Math.max(0, first));
  }

  update({ now, phases }) {
    const lines = Object.keys(LINES).filter((name) => this.rows.some((row) => this.value(row, name) !== null));
    if (this.rows.length < 2 || !lines.length) {
      this.body.replaceChildren(el("div", { class: "tt-soft" }, "Waiting for readings."));
      return;
    }
    const width = Math.max(100, this.body.clientWidth); // 0 before it is laid out
    const begin = this.rows[0][0];
    const highest = Math.max(...lines.flatMap((name) => this.rows.map((row) => this.value(row, name) ?? 0)));
    const scale = scaleOf(highest);
    const x = (at) => LEFT + ((width - LEFT - RIGHT) * (at - begin)) / Math.max(1, now - begin);
    const y = (count) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * count) / scale.top;
    const svg = shape("svg", { width, height: HEIGHT, role: "img", "aria-label": "memory over time" });
    drawPhases(svg, phases ?? [], begin, now, x);
    for (let mark = 0; mark <= scale.top; mark += scale.step) {
      svg.append(shape("path", { class: "tt-rule", d: `M${LEFT} ${y(mark)}H${width - RIGHT}` }));
      svg.append(label(LEFT - 6, y(mark) + 4, round(mark), "end"));
    }
    lines.forEach((name, at) => this.draw(svg, name, at === 0, x, y));
    svg.append(label(LEFT, HEIGHT - 3, `${Math.round(now - begin)} s ago`, "start"), label(width - RIGHT, HEIGHT - 3, "now", "end"));
    this.body.replaceChildren(svg, legend(lines));
  }

  value(row, name) {
    return row[1 + this.channels.indexOf(name)] ?? null;
  }

  draw(svg, name, filled, x, y) {
    const colour = `tt-${LINES[name][1]}`;
    for (const piece of this.pieces(name)) {
      const path = piece.map(([at, count]) => `${x(at).toFixed(1)} ${y(count).toFixed(1)}`).join("L");
      if (filled) {
        const ground = `V${y(0)}H${x(piece[0][0]).toFixed(1)}Z`;
        svg.append(shape("path", { class: `tt-area ${colour}`, d: `M${path}${ground}` }));
      }
      svg.append(shape("path", { class: `tt-stroke ${colour}`, d: `M${path}` }));
    }
  }

  /** Runs of readings: nobody looked in between them. */
  pieces(name) {
    const pieces = [];
    let before = -Infinity;
    for (const row of this.rows) {
      const count = this.value(row, name);
      if (count === null) continue;
      if (row[0] - before > GAP) pieces.push([]);
      pieces.at(-1).push([row[0], count]);
      before = row[0];
    }
    return pieces.filter((piece) => piece.length > 1);
  }
}

function drawPhases(svg, phases, begin, now, x) {
  phases.forEach((phase, at) => {
    const [from, to] = [Math.max(phase.begin, begin), Math.min(phase.end ?? now, now)];
    if (to <= from) return;
    const width = x(to) - x(from);
    const box = { x: x(from), y: TOP, width, height: HEIGHT - BOTTOM - TOP };
    const band = shape("rect", { class: at % 2 ? "tt-band tt-odd" : "tt-band", ...box });
    band.append(shape("title", {}, phase.name));
    svg.append(band);
    const letters = Math.floor((width - 6) / 6.5);
    if (letters < 3) return;
    const name = phase.name.length > letters ? `${phase.name.slice(0, letters - 1)}…` : phase.name;
    svg.append(label(x(from) + 3, TOP - 6, name, "start"));
  });
}

function legend(lines) {
  const items = lines.map((name) =>
    el("li", {}, el("i", { class: `tt-${LINES[name][1]}` }), el("span", {}, LINES[name][0])),
  );
  return el("ul", { class: "tt-lines" }, ...items);
}

/** At most four steps, each a power of two: memory comes in those. */
function scaleOf(highest) {
  const step = 2 ** Math.ceil(Math.log2(Math.max(highest, 2 ** 22) / 4));
  return { step, top: step * Math.max(1, Math.ceil(highest / step)) };
}

/** `1 GiB`, `1.5 GiB`, `512 MiB`. */
function round(count) {
  return bytes(count).replace(/\.?0+ (.iB)/, " $1");
}

function label(x, y, text, anchor) {
  return shape("text", { x, y, "text-anchor": anchor }, text);
}

function shape(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
