// Fields of the panel. Of a funnel whose steps are fixed they are disabled.
import { html } from "./dom.js";
import { faultAloud } from "./words.js";

/** What is typed redraws the canvas, but not the field that it is typed into. */
export const typing = (key) => ({ cause: "typed", key });

/** An object without what is empty: a draft may lack anything. */
export const filled = (object) =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== "" && value !== undefined));

/** A control with its label, and with what to know before filling it in. */
export function field(label, control, hint) {
  const id = `${control.id}-hint`;
  if (hint) control.setAttribute("aria-describedby", id);
  return html("div", { class: "field" },
    html("label", { for: control.id }, label),
    hint && html("p", { class: "hint", id }, hint),
    html("div", { class: "control" }, control));
}

/** A line of text; `put` gets what is typed. */
export function text(editor, id, value, put, more) {
  const oninput = (event) => put(event.target.value);
  return html("input", { type: "text", id, value: value ?? "", maxlength: 255, disabled: editor.isFixed, oninput, ...more });
}

/** One of several `[value, words]`; `put` gets the value. */
export function choice(editor, id, options, value, put) {
  const onchange = (event) => put(event.target.value);
  return html("select", { id, disabled: editor.isFixed, onchange },
    ...options.map(([key, words]) => html("option", { value: key, selected: key === (value ?? "") }, words)));
}

export const button = (editor, words, onclick, more) =>
  html("button", { type: "button", class: "button small", disabled: editor.isFixed, onclick, ...more }, words);

/** What is wrong with a step or a way. */
export function faultsOf(editor, isOf) {
  const faults = editor.faults.filter(isOf);
  if (faults.length === 0) return null;
  return html("div", { class: "callout", "data-kind": "bad" },
    ...faults.map((fault) => html("p", {}, faultAloud(fault))));
}
