// The panel beside the canvas: the settings of the step or the way that is selected.
import { button, choice, faultsOf, field, text } from "./controls.js";
import { html } from "./dom.js";
import { nodeOf } from "./model.js";
import { waitingFields } from "./waiting.js";
import { edgePanel, waysOf } from "./ways.js";
import { KINDS } from "./words.js";

const side = document.getElementById("side");
const panel = document.getElementById("panel");

function experimentField(editor, node) {
  const { experiments } = editor;
  const words = ({ name, status }) => (status === "active" ? name : `${name} (${status})`);
  const options = [["", "None"], ...experiments.map((experiment) => [experiment.id, words(experiment)])];
  if (node.experiment_id && !experiments.some(({ id }) => id === node.experiment_id)) {
    options.push([node.experiment_id, "An experiment that is over"]);
  }
  const put = (id) => {
    const now = nodeOf(editor.document, node.id);
    editor.edit({ ...now, experiment_id: id || null }, `${id ? "An" : "No"} experiment runs at this step.`);
  };
  const control = choice(editor, "n-experiment", options, node.experiment_id, put);
  return field("Experiment at this step", control, "Results are shown by its variants, too.");
}

function nodePanel(editor, node) {
  const now = () => nodeOf(editor.document, node.id);
  const kinds = Object.entries(KINDS).map(([kind, { name }]) => [kind, name]);
  const rename = (name) => editor.rename(node.id, name);
  const become = (type) => editor.edit({ ...now(), type, config: {} }, `It is a ${KINDS[type].name.toLowerCase()} now.`);
  const isEnd = node.type === "conversion";
  return [
    html("h2", { class: "panel-title", "data-type": node.type }, html("span", { class: "dot" }), KINDS[node.type].name),
    html("p", { class: "soft" }, KINDS[node.type].note),
    faultsOf(editor, (fault) => fault.node_id === node.id),
    field("Name", text(editor, "n-name", node.name, rename, { disabled: false })),
    ...waitingFields(editor, node),
    field("Kind of step", choice(editor, "n-type", kinds, node.type, become)),
    experimentField(editor, node),
    isEnd ? null : waysOf(editor, node),
    html("div", { class: "actions" },
      isEnd ? null : button(editor, "Draw a way from here", () => editor.beginWay(node.id)),
      button(editor, "Remove the step", () => editor.remove("node", node.id))),
  ];
}

/** Of what happens, what changes the fields: not what is typed into them, and not where things stand. */
const REDRAWN = new Set([null, "selected", "faults", "edit"]);

export function drawPanel(editor, cause) {
  if (!REDRAWN.has(cause)) return;
  // Whoever works in the panel stays where they are.
  const focused = panel.contains(document.activeElement) ? document.activeElement.id : "";
  const { selectedNode: node, selectedEdge: edge } = editor;
  const parts = node ? nodePanel(editor, node) : edge ? edgePanel(editor, edge) : [];
  side.hidden = parts.length === 0;
  panel.replaceChildren(...parts.filter(Boolean));
  if (cause === "edit") panel.querySelector("input:enabled, select:enabled")?.focus();
  else if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

/** Escape leads back from the panel to the canvas, and its button closes it. */
export function listenToPanel(editor) {
  side.addEventListener("keydown", (event) => {
    if (event.key === "Escape") editor.draw("focus");
  });
  side.querySelector("[data-close]").addEventListener("click", () => {
    editor.deselect();
    editor.draw("focus");
  });
}
