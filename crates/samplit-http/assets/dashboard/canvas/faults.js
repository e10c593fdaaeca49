// What keeps a draft from starting, as the server says it, and the way to each fault.
import { html } from "./dom.js";
import { edgeOf, nodeOf } from "./model.js";
import { faultAloud, nameOf } from "./words.js";

const box = document.getElementById("faults");

/** The faults of an answer that refuses a document, which names places by pointers. */
export function fromPointers(doc, errors) {
  return errors.map(({ pointer, code, detail }) => {
    const [, list, index] = /^\/(nodes|edges)\/(\d+)/.exec(pointer) ?? [];
    const id = list && doc[list][index]?.id;
    return { node_id: list === "nodes" ? id : null, edge_id: list === "edges" ? id : null, pointer, code, detail };
  });
}

/** Where a fault is, if it is at one place that is still there. */
function placeOf(doc, { node_id: node, edge_id: edge }) {
  if (nodeOf(doc, node)) return { kind: "node", id: node, words: nameOf(doc, node) };
  const way = edgeOf(doc, edge);
  return way && { kind: "edge", id: edge, words: `Way from ${nameOf(doc, way.source)} to ${nameOf(doc, way.target)}` };
}

function item(editor, fault) {
  const place = placeOf(editor.document, fault);
  const said = html("span", {}, faultAloud(fault));
  if (!place) return html("li", {}, said);
  const go = () => {
    editor.select(place.kind, place.id);
    editor.draw("reveal");
    editor.draw("focus");
  };
  return html("li", {}, html("button", { type: "button", class: "link-button", onclick: go }, place.words), said);
}

export function drawFaults(editor, cause) {
  if (!box || (cause !== "faults" && cause !== null)) return;
  const { faults } = editor;
  box.querySelector("[data-none]").hidden = faults.length > 0;
  box.querySelector("[data-some]").hidden = faults.length === 0;
  box.querySelector("ul").replaceChildren(...faults.map((fault) => item(editor, fault)));
  box.querySelector("[data-count]").textContent = faults.length;
}
