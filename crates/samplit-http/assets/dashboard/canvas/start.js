// The editor of a funnel: puts its parts together, on the page that the server has made.
import { put } from "./dom.js";
import { Editor } from "./editor.js";
import { drawFaults } from "./faults.js";
import { HEIGHT, WIDTH, fitted, showsAll } from "./geometry.js";
import { listenToKeys } from "./keys.js";
import { drawPanel, listenToPanel } from "./panel.js";
import { listenToPointers } from "./pointer.js";
import { Saving } from "./saving.js";
import { drawScene, elementOf } from "./scene.js";

/** A page does not open with steps smaller than so; how small they get then is up to people. */
const READABLE = 0.5;

const root = document.getElementById("editor");
const canvas = document.getElementById("canvas");
const funnel = JSON.parse(root.dataset.funnel);
const editor = new Editor({
  funnel,
  tag: root.dataset.tag,
  experiments: JSON.parse(root.dataset.experiments),
  isFixed: funnel.status !== "draft",
});
const saving = new Saving(editor, funnel.id);

/** The part of the canvas that can be seen: on wide screens the panel covers some of it. */
editor.size = () => {
  const { right, width, height } = canvas.getBoundingClientRect();
  const panel = document.getElementById("side").getBoundingClientRect();
  const isCovering = panel.width > 0 && panel.left < right && panel.top < canvas.getBoundingClientRect().bottom;
  return { width: isCovering ? width - panel.width : width, height };
};

/** Moves the view just so far that the selected step is in sight. */
function reveal() {
  const id = canvas.contains(document.activeElement) ? document.activeElement.dataset.node : null;
  const node = editor.document.nodes.find((known) => known.id === (id ?? editor.selectedNode?.id));
  if (!node) return;
  const { x, y, zoom } = editor.view;
  const { width, height } = editor.size();
  const beside = (from, size, room) => (from < 24 ? 24 - from : Math.min(0, room - 24 - from - size));
  const dx = beside(node.x * zoom + x, WIDTH * zoom, width);
  const dy = beside(node.y * zoom + y, HEIGHT * zoom, height);
  if (dx !== 0 || dy !== 0) editor.pan(dx, dy);
}

function focusSelected() {
  const { joining, selected } = editor;
  const element = joining ? elementOf("node", joining) : selected && elementOf(selected.kind, selected.id);
  (element ?? canvas).focus({ preventScroll: true });
}

function drawTools() {
  const tool = (name) => root.querySelector(`[data-do="${name}"]`);
  // A button that is disabled loses the focus; these say instead that there is nothing to do.
  put(tool("undo"), "aria-disabled", String(!editor.canUndo));
  put(tool("redo"), "aria-disabled", String(!editor.canRedo));
  put(tool("save"), "aria-disabled", String(!editor.isDirty || saving.isAtIt));
  document.getElementById("zoom").textContent = `${Math.round(editor.view.zoom * 100)} %`;
  const state = document.getElementById("save-state");
  put(state, "data-state", saving.isAtIt ? "saving" : editor.isDirty ? "unsaved" : "saved");
  state.textContent = saving.isAtIt ? "Saving …" : editor.isDirty ? "Not saved yet" : "Saved";
  document.getElementById("canvas-said").textContent = editor.said;
  document.getElementById("canvas-empty").hidden = editor.document.nodes.length > 0;
}

function save() {
  if (editor.isDirty) saving.save();
  else editor.say("There is nothing to save.");
}

const TOOLS = {
  undo: () => editor.undo(),
  redo: () => editor.redo(),
  tidy: () => editor.tidy(),
  fit: () => editor.fit(),
  closer: () => editor.zoom(1.25),
  farther: () => editor.zoom(1 / 1.25),
  save,
};

for (const button of root.querySelectorAll("[data-do]")) button.addEventListener("click", TOOLS[button.dataset.do]);
for (const button of root.querySelectorAll("[data-add]")) button.addEventListener("click", () => editor.add(button.dataset.add));

// Other forms of the page are about what is saved, so that comes first.
for (const form of document.querySelectorAll("form[data-after-save]")) {
  form.addEventListener("submit", async (event) => {
    if (!editor.isDirty) return;
    event.preventDefault();
    if (await saving.save()) form.requestSubmit(event.submitter);
  });
}

editor.drawnBy(
  drawScene,
  drawPanel,
  drawFaults,
  drawTools,
  (_, cause) => {
    if (cause === "reveal" || cause === "selected") reveal();
    if (cause === "focus") focusSelected();
  },
);
listenToPointers(canvas, editor);
listenToKeys(canvas, editor, save);
listenToPanel(editor);

root.hidden = false;
if (!showsAll(editor.view, editor.document.nodes, editor.size())) {
  editor.look(fitted(editor.document.nodes, editor.size(), READABLE));
}
new ResizeObserver(() => editor.draw("looked")).observe(canvas);
editor.draw();
saving.check();
