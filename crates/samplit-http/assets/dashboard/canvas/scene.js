// Draws a funnel as SVG. What is drawn is kept by id and only told what has changed, so that what has the
// focus, or is being dragged, stays the element that it is.
import { put, svg } from "./dom.js";
import { HEIGHT, WIDTH, curve, entryOf, exitOf, middle, tip } from "./geometry.js";
import { nodeOf } from "./model.js";
import { aloud, condition, wayAloud, what } from "./words.js";

const canvas = document.getElementById("canvas");
const ground = document.getElementById("canvas-dots");
const world = document.getElementById("world");
const layers = { edge: document.getElementById("edges"), node: document.getElementById("nodes") };
const sketch = document.getElementById("sketch");
const DOTS = 24;

const drawn = { edge: new Map(), node: new Map() };

/** The elements of one kind for what is there, and no others. */
function keep(kind, items, make) {
  const known = drawn[kind];
  const ids = new Set(items.map((item) => item.id));
  for (const [id, element] of known) {
    if (ids.has(id)) continue;
    element.remove();
    known.delete(id);
  }
  return items.map((item) => {
    if (!known.has(item.id)) {
      const element = make(item);
      known.set(item.id, element);
      layers[kind].append(element);
    }
    return known.get(item.id);
  });
}

/** Writes words into a text, and no more of them than fit. */
function write(text, words, width) {
  if (text.dataset.words === words) return;
  text.dataset.words = words;
  text.textContent = words;
  for (let length = words.length - 1; length > 0 && text.getComputedTextLength() > width; length -= 1) {
    text.textContent = `${words.slice(0, length).trimEnd()}…`;
  }
}

function makeNode(node) {
  return svg("g", { class: "node", "data-node": node.id, tabindex: 0, role: "group", "aria-roledescription": "step" },
    svg("rect", { class: "box", width: WIDTH, height: HEIGHT, rx: 12 }),
    svg("rect", { class: "chip", x: 14, y: 18, width: 36, height: 36, rx: 9 }),
    svg("use", { class: "icon", x: 20, y: 24, width: 24, height: 24 }),
    // Who hears of the step hears its label, in which these words are said in full.
    svg("text", { class: "name", x: 62, y: 33, "aria-hidden": "true" }),
    svg("text", { class: "what", x: 62, y: 52, "aria-hidden": "true" }),
    svg("g", { class: "carried", "aria-hidden": "true", transform: `translate(62 ${HEIGHT - 10})` },
      svg("rect", { height: 20, rx: 10 }), svg("text", { x: 10, y: 14 })),
    svg("g", { class: "exit", "data-exit": node.id },
      svg("circle", { class: "reach", cx: WIDTH, cy: HEIGHT / 2, r: 18 }),
      svg("circle", { class: "dot", cx: WIDTH, cy: HEIGHT / 2, r: 7 }),
      svg("path", { class: "plus", d: `M${WIDTH - 3} ${HEIGHT / 2}h6m-3 -3v6` })),
    svg("g", { class: "flag", transform: `translate(${WIDTH - 6} 4)` },
      svg("circle", { r: 11 }), svg("path", { d: "M0 -5.5v6.5m0 3.4v.8" })));
}

function tellNode(element, node, editor) {
  const { document: doc, experiments } = editor;
  const faults = editor.faults.filter((fault) => fault.node_id === node.id).length;
  put(element, "transform", `translate(${node.x} ${node.y})`);
  put(element, "data-type", node.type);
  put(element, "data-faulty", faults > 0);
  put(element, "aria-label", aloud(doc, node, experiments, faults));
  put(element, "aria-current", editor.isSelected("node", node.id) && "true");
  put(element, "data-joining", editor.joining === node.id);
  const part = (name) => element.querySelector(`.${name}`);
  put(part("icon"), "href", `#icon-${node.type}`);
  write(part("name"), node.name || "No name yet", WIDTH - 82);
  write(part("what"), what(doc, node), WIDTH - 82);
  const carried = part("carried");
  const name = node.experiment_id && (experiments.find((known) => known.id === node.experiment_id)?.name ?? "An experiment");
  put(carried, "hidden", !name);
  if (!name) return;
  const text = carried.querySelector("text");
  write(text, name, WIDTH - 106);
  put(carried.querySelector("rect"), "width", Math.ceil(text.getComputedTextLength()) + 20);
}

function makeEdge(edge) {
  return svg("g", { class: "edge", "data-edge": edge.id, tabindex: -1, role: "group", "aria-roledescription": "way" },
    svg("path", { class: "reach" }), svg("path", { class: "line" }), svg("path", { class: "tip" }),
    svg("g", { class: "label", "aria-hidden": "true" }, svg("rect", { height: 24, rx: 12, y: -12 }), svg("text", { y: 4.5 })));
}

function tellEdge(element, edge, editor) {
  const { document: doc, experiments } = editor;
  const [from, to] = [exitOf(nodeOf(doc, edge.source)), entryOf(nodeOf(doc, edge.target))];
  const part = (name) => element.querySelector(`.${name}`);
  for (const name of ["reach", "line"]) put(part(name), "d", curve(from, to));
  put(part("tip"), "d", tip(to));
  put(element, "data-faulty", editor.faults.some((fault) => fault.edge_id === edge.id));
  put(element, "aria-label", wayAloud(doc, edge, experiments));
  put(element, "aria-current", editor.isSelected("edge", edge.id) && "true");
  const words = condition(edge, experiments);
  const label = part("label");
  put(label, "hidden", !words);
  if (!words) return;
  const text = label.querySelector("text");
  write(text, words, 112);
  const width = Math.ceil(text.getComputedTextLength()) + 20;
  const at = middle(from, to);
  put(label, "transform", `translate(${at.x - width / 2} ${at.y})`);
  put(label.querySelector("rect"), "width", width);
  put(text, "x", 10);
}

/** A way that is still being drawn, from a step to a point of the world; none: takes it away. */
export function drawSketch(from, to) {
  put(sketch, "d", from ? curve(from, to) : "M0 0");
  put(sketch, "hidden", !from);
}

export function drawScene(editor) {
  const { x, y, zoom } = editor.view;
  put(world, "transform", `translate(${x} ${y}) scale(${zoom})`);
  const step = DOTS * zoom * (zoom < 0.5 ? 2 : 1);
  for (const [name, value] of Object.entries({ x: x % step, y: y % step, width: step, height: step })) put(ground, name, value);
  const { nodes, edges } = editor.document;
  keep("node", nodes, makeNode).forEach((element, at) => tellNode(element, nodes[at], editor));
  keep("edge", edges, makeEdge).forEach((element, at) => tellEdge(element, edges[at], editor));
  const { selected } = editor;
  put(canvas, "data-selecting", Boolean(selected));
  put(canvas, "data-joining", Boolean(editor.joining));
}

/** The element of a node or an edge. */
export const elementOf = (kind, id) => drawn[kind].get(id);
