// What the parts of a funnel are called, on the canvas and by who reads it aloud.
import { nodeOf, waysOut } from "./model.js";

export const KINDS = {
  page: { name: "Page", fresh: "New page", note: "Reached when a page is seen." },
  action: { name: "Action", fresh: "New action", note: "Reached by a click, a form, or an event of the page." },
  decision: { name: "Decision", fresh: "Decision", note: "Passed at once. Its ways say by their conditions who goes where." },
  wait: { name: "Wait", fresh: "Wait", note: "Passed when the visitor comes back after so long." },
  conversion: { name: "Conversion", fresh: "New conversion", note: "What the funnel is for. Nothing comes after it." },
};

export const TRIGGERS = {
  click: "A click",
  submit: "A form is sent",
  page_view: "A page is seen",
  event: "An event of the page",
  lead: "A lead is captured",
};

/** A short address: without scheme, as far as it says something. */
const shortened = (url) => url.replace(/^https?:\/\/(www\.)?/, "");

function told(trigger) {
  switch (trigger?.type) {
    case "click":
      return trigger.selector?.value ? `Clicks ${trigger.selector.value}` : "A click";
    case "submit":
      return trigger.selector?.value ? `Sends ${trigger.selector.value}` : "Sends a form";
    case "page_view":
      return trigger.url ? `Sees ${shortened(trigger.url)}` : "Sees a page";
    case "event":
      return trigger.name ? `Event “${trigger.name}”` : "An event";
    case "lead":
      return trigger.form ? `Lead by “${trigger.form}”` : "Becomes a lead";
    default:
      return "Not set up yet";
  }
}

/** What a step waits for, in a few words. */
export function what(doc, node) {
  switch (node.type) {
    case "page":
      return node.config.url ? shortened(node.config.url) : "Not set up yet";
    case "decision": {
      const ways = waysOut(doc, node.id).length;
      return ways === 1 ? "1 way on" : `${ways} ways on`;
    }
    case "wait": {
      const { hours } = node.config;
      if (!hours) return "Not set up yet";
      return hours % 24 === 0 && hours > 24 ? `At least ${hours / 24} days` : `At least ${hours} h`;
    }
    default:
      return told(node.config.trigger);
  }
}

/** The condition of a way; empty where there is none. */
export function condition(edge, experiments) {
  const { type, ...rest } = edge.condition;
  switch (type) {
    case "variant": {
      const experiment = experiments.find((known) => known.id === rest.experiment_id);
      const variant = experiment?.variants.find((known) => known.id === rest.variant_id);
      return variant ? `saw ${variant.name}` : "saw a variant";
    }
    case "segment":
      return rest.key && rest.value ? `${rest.key} = ${rest.value}` : "of a segment";
    case "event":
      return rest.name ? `after “${rest.name}”` : "after an event";
    default:
      return "";
  }
}

const quoted = (name) => (name ? `“${name}”` : "a step without a name");

export const nameOf = (doc, id) => quoted(nodeOf(doc, id)?.name);

/** A step as who does not see the canvas hears of it. */
export function aloud(doc, node, experiments, faults) {
  const ways = waysOut(doc, node.id).map((edge) => {
    const only = condition(edge, experiments);
    return nameOf(doc, edge.target) + (only ? `, if ${only}` : "");
  });
  const carried = experiments.find((known) => known.id === node.experiment_id);
  const parts = [
    `${node.name || "No name yet"}, ${KINDS[node.type].name.toLowerCase()}`,
    what(doc, node),
    node.experiment_id ? `experiment ${quoted(carried?.name ?? "")}` : "",
    ways.length > 0 ? `leads to ${ways.join("; ")}` : node.type === "conversion" ? "" : "leads nowhere yet",
    faults > 0 ? `${faults} ${faults === 1 ? "fault" : "faults"}` : "",
  ];
  return parts.filter(Boolean).join(". ");
}

/** A way as who does not see the canvas hears of it. */
export function wayAloud(doc, edge, experiments) {
  const only = condition(edge, experiments);
  return `Way from ${nameOf(doc, edge.source)} to ${nameOf(doc, edge.target)}${only ? `, if ${only}` : ""}`;
}

/** What a rule is about, by the end of its pointer. The pages made by the server call it the same. */
const SUBJECTS = {
  "name": "The name",
  "config/url": "The address",
  "config/hours": "The time",
  "config/trigger": "The step",
  "config/trigger/type": "What it waits for",
  "config/trigger/selector/value": "The selector",
  "config/trigger/url": "The page",
  "config/trigger/name": "The event",
  "config/trigger/form": "The form",
  "experiment_id": "The experiment",
  "condition/experiment_id": "The experiment",
  "condition/variant_id": "The variant",
  "condition/key": "The key",
  "condition/value": "The value",
  "condition/name": "The event",
};

/** A fault as a sentence. */
export function faultAloud({ pointer, detail }) {
  const subject = SUBJECTS[pointer.replace(/^\/(nodes|edges)\/\d+\//, "")];
  const said = (subject ? `${subject} ${detail}` : detail).replace(/`([^`]*)`/g, "“$1”");
  return said.charAt(0).toUpperCase() + said.slice(1) + (/[.!?]$/.test(said) ? "" : ".");
}
