// Mouse, pen and fingers on the canvas: moving steps, drawing ways, moving and scaling the view.
import { exitOf, nodeAt, toWorld } from "./geometry.js";
import { nodeOf } from "./model.js";
import { drawSketch, elementOf } from "./scene.js";

/** Whoever moves less than so many pixels has clicked. */
const CLICK = 4;

export function listenToPointers(canvas, editor) {
  const pointers = new Map();
  let gesture = null;
  let gestures = 0;

  const pointOf = ({ clientX, clientY }) => {
    const box = canvas.getBoundingClientRect();
    return { x: clientX - box.left, y: clientY - box.top };
  };

  /** Two fingers: where their middle is, and how far they are apart. */
  const pinched = () => {
    const [one, two] = [...pointers.values()];
    return { x: (one.x + two.x) / 2, y: (one.y + two.y) / 2, apart: Math.hypot(one.x - two.x, one.y - two.y) };
  };

  function begin(event, point) {
    const { target } = event;
    const exit = target.closest("[data-exit]");
    const node = target.closest("[data-node]");
    const edge = target.closest("[data-edge]");
    const common = { at: point, last: point, isMoving: false, key: (gestures += 1) };
    if (event.button === 1) return { ...common, what: "ground" };
    if (exit && !editor.isFixed && !editor.joining) return { ...common, what: "way", id: exit.dataset.exit };
    if (node) return { ...common, what: "node", id: node.dataset.node, from: nodeOf(editor.document, node.dataset.node) };
    if (edge) return { ...common, what: "edge", id: edge.dataset.edge };
    return { ...common, what: "ground" };
  }

  function proceed(point) {
    const { what, id, from, at, last, key } = gesture;
    gesture.isMoving ||= Math.hypot(point.x - at.x, point.y - at.y) >= CLICK;
    gesture.last = point;
    if (!gesture.isMoving || editor.joining) return;
    const { zoom } = editor.view;
    if (what === "node") {
      editor.move(id, { x: from.x + (point.x - at.x) / zoom, y: from.y + (point.y - at.y) / zoom }, key);
    } else if (what === "way") {
      const to = toWorld(editor.view, point);
      aim(nodeAt(editor.document, to)?.id);
      drawSketch(exitOf(nodeOf(editor.document, id)), to);
    } else {
      editor.pan(point.x - last.x, point.y - last.y);
    }
  }

  /** Marks the step that a way would lead to. */
  function aim(id) {
    if (gesture.aim === id) return;
    if (gesture.aim) elementOf("node", gesture.aim)?.removeAttribute("data-aimed");
    if (id) elementOf("node", id).setAttribute("data-aimed", "");
    gesture.aim = id;
  }

  function finish(point) {
    const { what, id, isMoving } = gesture;
    if (what === "way") {
      aim(undefined);
      drawSketch(null);
      const target = nodeAt(editor.document, toWorld(editor.view, point));
      if (!isMoving) editor.beginWay(id);
      else if (target) editor.join(id, target.id);
      else editor.say("There is no step: no way was drawn.");
    } else if (what === "node") {
      if (editor.joining) editor.join(editor.joining, id);
      else editor.select("node", id);
      editor.seal();
    } else if (what === "edge") {
      editor.select("edge", id);
    } else if (!isMoving && !editor.breakOff()) {
      editor.deselect();
    }
    gesture = null;
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    const point = pointOf(event);
    pointers.set(event.pointerId, point);
    canvas.setPointerCapture(event.pointerId);
    if (pointers.size === 2) {
      drawSketch(null);
      gesture = { what: "pinch", ...pinched() };
    } else if (pointers.size === 1) {
      gesture = begin(event, point);
    }
  });

  canvas.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId) || !gesture) return;
    const point = pointOf(event);
    pointers.set(event.pointerId, point);
    if (gesture.what !== "pinch") return proceed(point);
    const next = pinched();
    editor.pan(next.x - gesture.x, next.y - gesture.y);
    editor.zoom(next.apart / gesture.apart, next);
    gesture = { what: "pinch", ...next };
  });

  canvas.addEventListener("pointerup", (event) => {
    if (!pointers.delete(event.pointerId) || !gesture) return;
    if (gesture.what === "pinch") gesture = null;
    else finish(pointOf(event));
  });

  canvas.addEventListener("pointercancel", (event) => {
    pointers.delete(event.pointerId);
    drawSketch(null);
    gesture = null;
  });

  // A page has to scroll past the canvas, so the wheel is the canvas's only while somebody is at work on it.
  canvas.addEventListener("wheel", (event) => {
    const isMeant = event.ctrlKey || event.metaKey || canvas.contains(document.activeElement);
    if (!isMeant) return editor.say("To zoom with the wheel, click the canvas first or hold Ctrl.");
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1);
    editor.zoom(Math.exp(-pixels / 600), pointOf(event));
  }, { passive: false });
}
