// The page around the verifier: the form, the progress and the result. The work is done in a worker
// that is made from the text in this very file, so that nothing is ever loaded.
"use strict";

const at = (id) => document.getElementById(id);
const count = new Intl.NumberFormat("en");
const many = (number, one, more = `${one}s`) => `${count.format(number)} ${number === 1 ? one : more}`;

const logic = URL.createObjectURL(new Blob([at("logic").textContent], { type: "text/javascript" }));
let chosen = null;
let worker = null;

const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1);

function element(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

/** A size in bytes, for people. */
function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  const power = Math.min(3, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

function choose(file) {
  if (!file) return;
  chosen = file;
  at("file-name").textContent = file.name;
  at("file-size").textContent = size(file.size);
  at("drop").classList.add("chosen");
  at("start").disabled = worker !== null;
  at("note").textContent = "";
}

function running(is) {
  at("start").disabled = is || chosen === null;
  at("cancel").hidden = !is;
  at("running").hidden = !is;
  for (const id of ["file", "keys", "draw-key"]) at(id).disabled = is;
}

function stop() {
  worker?.terminate();
  worker = null;
  running(false);
}

function refuse(id, text) {
  at(id).toggleAttribute("aria-invalid", text !== "");
  if (text !== "") at(id).setAttribute("aria-invalid", "true");
  at(`${id}-error`).textContent = text;
  at(`${id}-error`).hidden = text === "";
}

function start() {
  refuse("keys", "");
  refuse("draw-key", "");
  at("result").hidden = true;
  at("note").textContent = "";
  at("progress").value = 0;
  at("rate").textContent = "Checking the tools of this page…";
  const began = performance.now();
  const file = chosen;
  worker = new Worker(logic);
  running(true);
  worker.onmessage = ({ data }) => {
    if (data.progress) return advance(data.progress, file, began);
    stop();
    if (data.refused) return refused(data.refused);
    if (data.broken) return broken(data.broken);
    return show(data, file, (performance.now() - began) / 1000);
  };
  worker.onerror = (event) => {
    stop();
    broken(event.message ?? "the worker did not start");
  };
  worker.postMessage({ file, keys: at("keys").value, drawKey: at("draw-key").value });
}

function advance({ read, entries }, file, began) {
  const seconds = (performance.now() - began) / 1000;
  at("progress").value = read / file.size;
  const share = Math.floor((100 * read) / file.size);
  at("rate").textContent = `${share} % · ${many(entries, "entry", "entries")} · ${count.format(Math.round(entries / seconds))} entries/s`;
}

function refused({ field, line, what }) {
  const id = field === "keys" ? "keys" : "draw-key";
  refuse(id, field === "keys" ? `Line ${line} is ${what}.` : `This is ${what}.`);
  at(id).focus();
}

function broken(what) {
  at("note").textContent = `This could not be verified here: ${what}.`;
}

const KINDS = {
  integrity: "Entries were altered, moved, inserted or removed.",
  signature: "A checkpoint is not signed as it should be.",
  replay: "A decision did not follow the announced rule.",
  malformed: "The file is not of the format.",
};
const CANNOT = "this browser cannot check Ed25519 signatures";

/** Name, and what was found if it held, by the name of the check. */
const CHECKS = [
  ["lines", "Canonical lines", (r) => `${many(r.lines, "line")}, byte for byte`],
  ["chain", "Hash chain", (r) => `${many(r.entries, "hash", "hashes")} recomputed, no gap, time never goes back`],
  ["roots", "Checkpoint roots", (r) => r.checkpoints && `${many(r.checkpoints, "Merkle root")} recomputed`, "there is no checkpoint"],
  ["signatures", "Signatures", (r) => r.signatures && `${many(r.signatures, "signature")} held under your keys`],
  ["redactions", "Redactions", (r) => r.redactions ? `${many(r.redactions, "payload")} redacted, each in an entry of its own` : "none"],
  ["restores", "Restores", (r) => r.incarnation > 1 ? `${many(r.incarnation - 1, "restore")}, ${many(r.abandoned, "checkpoint")} given up in the open` : "none"],
  ["draws", "Draws", (r) => r.replay.draws && `${many(r.replay.draws, "draw")} recomputed from the draw key`, "not recomputed: there is no draw key until the trail is sealed"],
  ["arms", "Arms", (r) => `${many(r.replay.assignments, "assignment")} follow from draw and weights`],
  ["snapshots", "Age of weights", () => "no assignment used weights older than announced"],
  ["visitors", "One draw per visitor", () => "nobody was assigned twice"],
  ["conversions", "Conversions", (r) => `${many(r.replay.conversions, "conversion")}, each of an assigned visitor and once`],
  ["counts", "Counts", (r) => `recounted at ${many(r.replay.reallocations, "change")} of weights${r.sealed ? " and at the seal" : ""}`],
  ["seal", "Seal", (r) => r.sealed && "the draw key is the one committed to at the start, and nothing is decided after it", "the trail is still running"],
];

function check(state, name, found) {
  const item = element("li", "");
  item.dataset.state = state;
  const [glyph, spoken] = { held: ["✓", "held"], failed: ["✕", "failed"], not: ["–", "not checked"], limit: ["!", "not checked"] }[state];
  const mark = element("span", "", "mark");
  const seen = element("span", glyph);
  seen.ariaHidden = "true";
  mark.append(seen, element("span", spoken, "hidden"));
  item.append(mark, element("b", name), element("span", found, "found"));
  return item;
}

/** The words of the verdict on a sound trail. */
function soundness({ report }, keys, ed25519) {
  const all = many(report.entries, "entry", "entries");
  if (keys === 0) {
    return ["unsigned", "Sound in itself, but unsigned", `You gave no verifier key, so no signature was checked. Whoever wrote these ${all} could have written all of them anew.`];
  }
  if (!ed25519) {
    return ["unsigned", "Sound in itself, signatures not checked", `Here ${CANNOT}. ${hint()}`];
  }
  const behind = report.entries - report.signedSize;
  if (behind === 0) {
    return ["sound", "Sound", `All ${all} are as they were signed, and every decision follows from the weights as logged.`];
  }
  return ["sound", `Sound, signed up to entry ${count.format(report.signedSize)}`, `The ${behind === 1 ? "last entry is" : `last ${count.format(behind)} entries are`} not signed yet.`];
}

const hint = () => isSecureContext ? "Try a current browser." : "It may, if you save this page and open it from disk.";

function show({ outcome, keys, ed25519 }, file, seconds) {
  const { report, failure } = outcome;
  const entries = report?.entries ?? outcome.entries;
  const [verdict, title, why] = failure
    ? [failure.kind, "Not sound", failure.sequence ? `Entry ${count.format(failure.sequence)}: ${failure.what}` : sentence(failure.what)]
    : soundness(outcome, keys, ed25519);
  at("result").dataset.verdict = verdict;
  at("verdict").textContent = title;
  at("why").textContent = why;
  at("kind").textContent = failure ? `${KINDS[failure.kind]} Exit code ${failure.exitCode} (${failure.kind}). Nothing behind it was looked at.` : "";

  const numbers = [[failure ? "Entries read" : "Entries", count.format(entries)]];
  if (report) {
    numbers.push(["Assignments", count.format(report.replay.assignments)], ["Conversions", count.format(report.replay.conversions)]);
    numbers.push(["Checkpoints", count.format(report.checkpoints)]);
  }
  numbers.push(["Seconds", seconds < 0.1 ? "< 0.1" : seconds.toFixed(seconds < 10 ? 1 : 0)]);
  list(at("numbers"), numbers.map(([name, value]) => [name, element("dd", value)]));

  at("checks").replaceChildren(...CHECKS.map(([id, name, found, without]) => {
    if (failure) return failed(id, name, failure, keys, ed25519, entries);
    const held = found(report);
    if (held) return check("held", name, held);
    if (id === "signatures") return check("limit", name, unsigned(keys, ed25519));
    return check("not", name, without);
  }), check("limit", "Weights", "taken as logged, not recomputed here"));

  at("arms").replaceChildren(...(report ? report.replay.totals.map((arms, index) => totals(arms, index, report)) : []));
  const hashes = report ? [["Experiment", report.experimentId], ["Last entry", `${moment(report.lastUs)}`], ["Merkle root", report.root], ["Hash of the last entry", report.head]] : [];
  list(at("hashes"), hashes.map(([name, value]) => {
    const dd = element("dd", "");
    dd.append(element("code", value));
    return [name, dd];
  }));
  at("result").hidden = false;
  at("verdict").focus({ preventScroll: true });
  at("result").scrollIntoView({ block: "start" });
}

/** The line of a check where the trail is not sound. */
function failed(id, name, failure, keys, ed25519, entries) {
  if (id === failure.check) return check("failed", name, failure.what);
  if (id === "signatures" && (keys === 0 || !ed25519)) return check("limit", name, unsigned(keys, ed25519));
  // A checkpoint comes behind its entry, which was found in order.
  const behind = ["roots", "signatures"].includes(failure.check);
  const good = failure.sequence && !behind ? Math.min(entries, failure.sequence - 1) : entries;
  if (good === 0 || id === "seal") return check("not", name, "not reached");
  return check("held", name, `nothing wrong up to entry ${count.format(good)}`);
}

const unsigned = (keys, ed25519) => keys === 0 ? "not checked: you gave no key" : `not checked: ${CANNOT}`;

function list(into, pairs) {
  into.replaceChildren(...pairs.map(([name, dd]) => {
    const pair = document.createElement("div");
    pair.append(element("dt", name), dd);
    return pair;
  }));
}

/** A time in microseconds since the epoch. */
const moment = (us) => `${new Date(us / 1000).toISOString().slice(0, 19).replace("T", " ")} UTC`;

function totals(arms, index, report) {
  const table = document.createElement("table");
  const which = report.arms.length > 1 ? `, element ${index + 1}` : "";
  const hidden = report.redactions ? "; redacted entries are not in them" : "";
  table.append(element("caption", `Counts by arm${which}${hidden}`));
  const head = table.createTHead().insertRow();
  for (const name of ["Arm", "Visitors", "Conversions"]) {
    const cell = element("th", name);
    cell.scope = "col";
    head.append(cell);
  }
  const body = table.createTBody();
  arms.forEach(({ n, s }, arm) => {
    const row = body.insertRow();
    const name = element("th", report.arms[index][arm]);
    name.scope = "row";
    row.append(name, element("td", count.format(n)), element("td", count.format(s)));
  });
  const scroll = element("div", "", "scroll");
  scroll.append(table);
  return scroll;
}

at("file").addEventListener("change", () => choose(at("file").files[0]));
at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
at("cancel").addEventListener("click", () => {
  stop();
  at("note").textContent = "Cancelled. Nothing was found out.";
  at("start").focus();
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  // Anywhere on the page, so that a file that misses the field does not replace the page.
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && worker === null) choose(event.dataTransfer.files[0]);
  });
}
at("save").hidden = location.protocol === "file:";
