// The fields of what a step waits for: a page, a trigger, a time.
import { choice, field, filled, text, typing } from "./controls.js";
import { nodeOf } from "./model.js";
import { TRIGGERS, nameOf } from "./words.js";

const SELECTORS = { css: "CSS", xpath: "XPath", id: "Id", class: "Class" };
const OF_ACTIONS = ["click", "submit", "event"];
/** An address; the page has the site that stands for any other one. */
const address = (path) => {
  const { example } = document.getElementById("editor").dataset;
  return { maxlength: 2048, spellcheck: "false", placeholder: example + path };
};

/** The fields of a node. Each change is one of its `config`. */
export function waitingFields(editor, node) {
  const put = (config, key) => {
    const now = nodeOf(editor.document, node.id);
    const said = `Changed what ${nameOf(editor.document, node.id)} waits for.`;
    editor.edit({ ...now, config }, said, key ? typing(`${key} ${node.id}`) : {});
  };
  switch (node.type) {
    case "page":
      return [pageField(editor, node, put)];
    case "wait":
      return [hoursField(editor, node, put)];
    case "action":
      return triggerFields(editor, node.config.trigger, OF_ACTIONS, put);
    case "conversion":
      return triggerFields(editor, node.config.trigger, Object.keys(TRIGGERS), put);
    default:
      return [];
  }
}

function pageField(editor, node, put) {
  const url = text(editor, "n-page", node.config.url, (url) => put(filled({ url }), "url"), address("/pricing*"));
  return field("Address", url, "* stands for anything.");
}

function hoursField(editor, node, put) {
  const read = (typed) => {
    const hours = Number(typed);
    put(Number.isInteger(hours) && hours > 0 ? { hours } : {}, "hours");
  };
  const hours = text(editor, "n-hours", node.config.hours, read, { inputmode: "numeric", maxlength: 4 });
  return field("Hours", hours, "1 to 2160, since the step before.");
}

function triggerFields(editor, trigger, kinds, put) {
  const selector = trigger?.selector ?? { type: "css", value: "" };
  const become = (type) => put(type ? { trigger: fresh(type, selector) } : {});
  const options = [["", "Choose …"], ...kinds.map((kind) => [kind, TRIGGERS[kind]])];
  const kind = field("Reached by", choice(editor, "n-trigger", options, trigger?.type, become));
  return [kind, ...partsOf(editor, trigger, selector, put)];
}

const fresh = (type, selector) => {
  const parts = { click: { selector }, submit: { selector }, page_view: { url: "" }, event: { name: "" } };
  return { type, ...parts[type] };
};

function partsOf(editor, trigger, selector, put) {
  const { type } = trigger ?? {};
  const typed = (name) => (value) => put({ trigger: { type, [name]: value } }, name);
  switch (type) {
    case "click":
    case "submit":
      return [selectorFields(editor, type, selector, put)];
    case "page_view": {
      const url = text(editor, "n-url", trigger.url, typed("url"), address("/thanks*"));
      return [field("Page that is seen", url, "* stands for anything.")];
    }
    case "event": {
      const event = text(editor, "n-event", trigger.name, typed("name"), { placeholder: "signed up" });
      return [field("Event", event, "What the page says by samplit.event(…).")];
    }
    case "lead": {
      const form = text(editor, "n-form", trigger.form, (form) => put({ trigger: filled({ type, form }) }, "form"));
      return [field("Form", form, "Empty: any form that captures leads.")];
    }
    default:
      return [];
  }
}

function selectorFields(editor, type, selector, put) {
  let now = selector;
  const set = (part, key) => {
    now = { ...now, ...part };
    put({ trigger: { type, selector: now } }, key);
  };
  const kind = choice(editor, "n-selector-type", Object.entries(SELECTORS), selector.type, (kind) => set({ type: kind }));
  const more = { maxlength: 1024, placeholder: "#buy", spellcheck: "false" };
  const value = text(editor, "n-selector", selector.value, (value) => set({ value }, "selector"), more);
  const pair = document.createElement("div");
  pair.className = "selector-pair";
  pair.append(field("Found by", kind), field(type === "click" ? "Selector" : "Selector of the form", value));
  return pair;
}
