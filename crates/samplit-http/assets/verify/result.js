// The panel of the result: the verdict in words, what was checked, the counts and the hashes.

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
  ["roots", "Checkpoint roots", (r) => r.checkpoints && `${many(r.checkpoints, "Merkle root")} recomputed`,
    "there is no checkpoint"],
  ["signatures", "Signatures", (r) => r.signatures && `${many(r.signatures, "signature")} held under your keys`],
  ["redactions", "Redactions", (r) => r.redactions
    ? `${many(r.redactions, "payload")} redacted, each in an entry of its own` : "none"],
  ["restores", "Restores", (r) => r.incarnation > 1
    ? `${many(r.incarnation - 1, "restore")}, ${many(r.abandoned, "checkpoint")} given up in the open` : "none"],
  ["draws", "Draws", (r) => r.replay.draws && `${many(r.replay.draws, "draw")} recomputed from the draw key`,
    "not recomputed: there is no draw key until the trail is sealed"],
  ["arms", "Arms", (r) => `${many(r.replay.assignments, "assignment")} follow from draw and weights`],
  ["snapshots", "Age of weights", () => "no assignment used weights older than announced"],
  ["visitors", "One draw per visitor", () => "nobody was assigned twice"],
  ["conversions", "Conversions", (r) => `${many(r.replay.conversions, "conversion")}, each of an assigned visitor and once`],
  ["counts", "Counts", (r) =>
    `recounted at ${many(r.replay.reallocations, "change")} of weights${r.sealed ? " and at the seal" : ""}`],
  ["seal", "Seal", (r) => r.sealed
    && "the draw key is the one committed to at the start, and nothing is decided after it",
    "the trail is still running"],
];

const MARKS = {
  held: ["✓", "held"],
  failed: ["✕", "failed"],
  not: ["–", "not checked"],
  limit: ["!", "not checked"],
};

function check(state, name, found) {
  const item = element("li", "");
  item.dataset.state = state;
  const [glyph, spoken] = MARKS[state];
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
    return ["unsigned", "Sound in itself, but unsigned", "You gave no verifier key, so no signature was checked. "
      + `Whoever wrote these ${all} could have written all of them anew.`];
  }
  if (!ed25519) {
    return ["unsigned", "Sound in itself, signatures not checked", `Here ${CANNOT}. ${hint()}`];
  }
  const behind = report.entries - report.signedSize;
  if (behind === 0) {
    return ["sound", "Sound",
      `All ${all} are as they were signed, and every decision follows from the weights as logged.`];
  }
  const rest = behind === 1 ? "last entry is" : `last ${count.format(behind)} entries are`;
  return ["sound", `Sound, signed up to entry ${count.format(report.signedSize)}`, `The ${rest} not signed yet.`];
}

const hint = () => isSecureContext ? "Try a current browser." : "It may, if you save this page and open it from disk.";

/** What is wrong, with its place. */
const located = ({ sequence, what }) => sequence ? `Entry ${count.format(sequence)}: ${what}` : sentence(what);

function show({ outcome, keys, ed25519 }, file, seconds) {
  const { report, failure } = outcome;
  const entries = report?.entries ?? outcome.entries;
  const [verdict, title, why] = failure
    ? [failure.kind, "Not sound", located(failure)]
    : soundness(outcome, keys, ed25519);
  at("result").dataset.verdict = verdict;
  at("verdict").textContent = title;
  at("why").textContent = why;
  at("kind").textContent = failure
    ? `${KINDS[failure.kind]} Exit code ${failure.exitCode} (${failure.kind}). Nothing behind it was looked at.`
    : "";

  const numbers = [[failure ? "Entries read" : "Entries", count.format(entries)]];
  if (report) {
    numbers.push(["Assignments", count.format(report.replay.assignments)]);
    numbers.push(["Conversions", count.format(report.replay.conversions)]);
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

  const tables = report?.replay.totals.map((arms, index) => totals(arms, index, report)) ?? [];
  at("arms").replaceChildren(...tables);
  const hashes = report ? [
    ["Experiment", report.experimentId],
    ["Last entry", moment(report.lastUs)],
    ["Merkle root", report.root],
    ["Hash of the last entry", report.head],
  ] : [];
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
