// The ways on from a step, in its panel, and the panel of one way.
import { button, choice, faultsOf, field, text, typing } from "./controls.js";
import { html } from "./dom.js";
import { edgeOf, nodeOf, waysOut } from "./model.js";
import { condition, nameOf } from "./words.js";

/** The ways on from a step, and one more. */
export function waysOf(editor, node) {
  const doc = editor.document;
  const ways = waysOut(doc, node.id);
  return html("section", { class: "ways", "aria-labelledby": "n-ways" },
    html("h3", { id: "n-ways" }, "Ways on"),
    ways.length === 0
      ? html("p", { class: "soft" }, "None yet.")
      : html("ul", { class: "ways-list" }, ...ways.map((way) => wayItem(editor, way))),
    oneMore(editor, node, ways));
}

function wayItem(editor, way) {
  const doc = editor.document;
  const target = nameOf(doc, way.target);
  const show = () => {
    editor.select("edge", way.id);
    editor.draw("edit");
  };
  return html("li", {},
    html("span", {},
      html("strong", {}, nodeOf(doc, way.target).name || "No name"),
      html("small", {}, condition(way, editor.experiments) || "always")),
    html("span", { class: "ways-do" },
      html("button", { type: "button", class: "button small", "aria-label": `Condition of the way to ${target}`, onclick: show },
        "Condition"),
      button(editor, "✕", () => editor.remove("edge", way.id),
        { class: "button small quiet", "aria-label": `Remove the way to ${target}` })));
}

function oneMore(editor, node, ways) {
  const { nodes } = editor.document;
  const others = nodes.filter((other) => other.id !== node.id && !ways.some((way) => way.target === other.id));
  if (others.length === 0) return null;
  const options = others.map((other) => [other.id, other.name || "No name"]);
  const target = choice(editor, "n-target", options, others[0].id, () => {});
  return html("div", { class: "way-add" },
    field("Lead on to", target),
    button(editor, "Join", () => editor.join(node.id, target.value)));
}

const CONDITIONS = {
  always: ["Everybody", {}],
  variant: ["Who saw a variant", { experiment_id: null, variant_id: null }],
  segment: ["Who belongs to a segment", { key: "", value: "" }],
  event: ["Who reported an event", { name: "" }],
};

/** The panel of a way. */
export function edgePanel(editor, edge) {
  const doc = editor.document;
  const kinds = Object.entries(CONDITIONS).map(([kind, [words]]) => [kind, words]);
  const become = (type) => editor.editEdge({ ...edge, condition: { type, ...CONDITIONS[type][1] } }, "Changed the condition.");
  return [
    html("h2", { class: "panel-title" }, "Way on"),
    html("p", { class: "soft" }, `From ${nameOf(doc, edge.source)} to ${nameOf(doc, edge.target)}.`),
    faultsOf(editor, (fault) => fault.edge_id === edge.id),
    field("Whom it is for", choice(editor, "e-type", kinds, edge.condition.type, become)),
    ...conditionFields(editor, edge),
    html("div", { class: "actions" }, button(editor, "Remove the way", () => editor.remove("edge", edge.id))),
  ];
}

function conditionFields(editor, edge) {
  const given = edge.condition;
  const put = (part, options) => {
    const now = edgeOf(editor.document, edge.id);
    editor.editEdge({ ...now, condition: { ...now.condition, ...part } }, "Changed the condition.", options);
  };
  const line = (label, name, example) => {
    const typed = (value) => put({ [name]: value }, typing(`${name} ${edge.id}`));
    return field(label, text(editor, `e-${name}`, given[name], typed, { placeholder: example }));
  };
  switch (given.type) {
    case "variant":
      return variantFields(editor, given, put);
    case "segment":
      return [line("Key of the context", "key", "device"), line("Value", "value", "phone")];
    case "event":
      return [line("Event", "name", "signed up")];
    default:
      return [];
  }
}

function variantFields(editor, given, put) {
  const none = ["", "Choose …"];
  const pairs = (list) => [none, ...list.map(({ id, name }) => [id, name])];
  // Those that run at steps of the funnel come first.
  const carried = new Set(editor.document.nodes.map((node) => node.experiment_id));
  const sorted = [...editor.experiments].sort((one, two) => carried.has(two.id) - carried.has(one.id));
  const variants = sorted.find((known) => known.id === given.experiment_id)?.variants ?? [];
  const chosen = (id) => put({ experiment_id: id || null, variant_id: null });
  return [
    field("Experiment", choice(editor, "e-experiment", pairs(sorted), given.experiment_id, chosen)),
    field("Variant", choice(editor, "e-variant", pairs(variants), given.variant_id, (id) => put({ variant_id: id || null }))),
  ];
}
