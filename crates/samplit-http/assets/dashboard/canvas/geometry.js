// Where things are. A node's `x` and `y` are its upper left corner in the world; a viewport
// `{ x, y, zoom }` puts the point (wx, wy) of the world at (wx * zoom + x, wy * zoom + y) of the canvas.
import { waysIn, waysOut } from "./model.js";

export const WIDTH = 224;
export const HEIGHT = 72;
/** From one column of steps to the next, with room for what ways say and without; and from row to row. */
const WIDE_COLUMN = WIDTH + 152;
const COLUMN = WIDTH + 88;
const ROW = HEIGHT + 48;
const SMALLEST = 0.2;
const LARGEST = 2;

export const exitOf = (node) => ({ x: node.x + WIDTH, y: node.y + HEIGHT / 2 });
export const entryOf = (node) => ({ x: node.x, y: node.y + HEIGHT / 2 });

/** The curve from one point to another, which leaves and arrives level. */
export function curve(from, to) {
  const reach = Math.max(40, Math.abs(to.x - from.x) / 2);
  return `M${from.x} ${from.y}C${from.x + reach} ${from.y} ${to.x - reach} ${to.y} ${to.x} ${to.y}`;
}

/** The tip where a curve arrives. */
export const tip = (to) => `M${to.x - 10} ${to.y - 5.5}L${to.x} ${to.y}L${to.x - 10} ${to.y + 5.5}Z`;

export const middle = (from, to) => ({ x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 });

export const toWorld = (view, point) => ({
  x: (point.x - view.x) / view.zoom,
  y: (point.y - view.y) / view.zoom,
});

/** The node under a point of the world; a little beside it counts, too. */
export function nodeAt(doc, point, beside = 12) {
  const isIn = ({ x, y }) =>
    point.x >= x - beside && point.x <= x + WIDTH + beside && point.y >= y - beside && point.y <= y + HEIGHT + beside;
  return doc.nodes.findLast(isIn);
}

/** Nearer or farther, with the same point of the world at `centre` of the canvas. */
export function zoomed(view, factor, centre) {
  const zoom = Math.min(LARGEST, Math.max(SMALLEST, view.zoom * factor));
  const at = toWorld(view, centre);
  return { zoom, x: centre.x - at.x * zoom, y: centre.y - at.y * zoom };
}

function bounds(nodes) {
  const xs = nodes.map((node) => node.x);
  const ys = nodes.map((node) => node.y);
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  return { left, top, width: Math.max(...xs) + WIDTH - left, height: Math.max(...ys) + HEIGHT - top };
}

/**
 * The viewport that shows all nodes in the middle of a canvas of this size; where they would get smaller
 * than `smallest`, only as many from the left as there is room for.
 */
export function fitted(nodes, { width, height }, smallest = SMALLEST) {
  if (nodes.length === 0) return { x: 0, y: 0, zoom: 1 };
  const room = Math.min(48, width / 12);
  const box = bounds(nodes);
  const zoom = Math.min(1.1, (width - 2 * room) / box.width, (height - 2 * room) / box.height);
  const bound = Math.max(smallest, zoom);
  const beside = (space, size) => Math.max(room, (space - size * bound) / 2);
  return {
    zoom: bound,
    x: beside(width, box.width) - box.left * bound,
    y: beside(height, box.height) - box.top * bound,
  };
}

/** Whether a viewport shows every node as a whole, and none at the very edge. */
export function showsAll(view, nodes, { width, height }) {
  return nodes.every((node) => {
    const [x, y] = [node.x * view.zoom + view.x, node.y * view.zoom + view.y];
    const [right, bottom] = [x + WIDTH * view.zoom, y + HEIGHT * view.zoom];
    return x >= 16 && y >= 16 && right <= width - 16 && bottom <= height - 16;
  });
}

/** The nearest place for one more node from `wanted` downwards. */
export function freePlace(doc, wanted) {
  let { x, y } = wanted;
  const isTaken = (node) => Math.abs(node.x - x) < WIDTH + 16 && Math.abs(node.y - y) < HEIGHT + 16;
  while (doc.nodes.some(isTaken)) y += ROW;
  return { x: Math.round(x), y: Math.round(y) };
}

/** Where a step goes that comes after `node`. */
export const placeAfter = (doc, node) => freePlace(doc, { x: node.x + COLUMN, y: node.y });

/** All nodes in columns: each to the right of those that lead to it, near them in height. */
export function tidied(doc) {
  const pitch = doc.edges.some((edge) => edge.condition.type !== "always") ? WIDE_COLUMN : COLUMN;
  const columns = new Map();
  const column = (node, above = new Set()) => {
    if (columns.has(node.id)) return columns.get(node.id);
    if (above.has(node.id)) return 0;
    const way = new Set(above).add(node.id);
    const before = waysIn(doc, node.id).map((edge) => doc.nodes.find((known) => known.id === edge.source));
    const at = Math.max(-1, ...before.map((known) => column(known, way))) + 1;
    columns.set(node.id, at);
    return at;
  };
  doc.nodes.forEach((node) => column(node));
  const heights = new Map();
  const placed = new Map();
  for (let at = 0; at <= Math.max(0, ...columns.values()); at += 1) {
    const inColumn = doc.nodes.filter((node) => columns.get(node.id) === at);
    const wish = (node) => {
      const above = waysIn(doc, node.id).map((edge) => heights.get(edge.source)).filter((y) => y !== undefined);
      if (above.length === 0) return node.y;
      const spread = waysIn(doc, node.id)
        .map((edge) => waysOut(doc, edge.source))
        .map((ways) => ways.findIndex((edge) => edge.target === node.id) - (ways.length - 1) / 2);
      const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
      return mean(above) + mean(spread) * ROW;
    };
    const wishes = inColumn.map((node) => ({ node, y: wish(node) })).sort((one, two) => one.y - two.y);
    let lowest = -Infinity;
    for (const { node, y } of wishes) {
      lowest = Math.max(y, lowest + ROW);
      heights.set(node.id, lowest);
      placed.set(node.id, { ...node, x: at * pitch, y: Math.round(lowest) });
    }
  }
  return { ...doc, nodes: doc.nodes.map((node) => placed.get(node.id)) };
}
