// What is remembered, and whether it may be: consent, storage that may be blocked, identifiers.

const hex = (byte) => byte.toString(16).padStart(2, "0");
const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), hex).join("");

const parameter = (name) => new URLSearchParams(location.search).get(name);

// The browser says so to the server, too; a page that says it for its visitor says it only here.
const isPrivate = settings.gpc && navigator.globalPrivacyControl;
// A preview is for looking, and counts for nothing.
const preview = parameter("samplit_preview") || undefined;
let consent = isPrivate ? "denied" : "granted";

// Stands in where the browser keeps nothing for us: the page then remembers as long as it is open.
const held = {};

const recall = (key, area = "localStorage") => {
  try {
    return JSON.parse(window[area].getItem("samplit_" + key)) ?? held[key];
  } catch {
    return held[key];
  }
};

// `undefined` forgets. A preview leaves no trace.
const keep = (key, value, area = "localStorage") => {
  held[key] = value;
  if (preview) return;
  try {
    if (value === undefined) window[area].removeItem("samplit_" + key);
    else window[area].setItem("samplit_" + key, JSON.stringify(value));
  } catch {
    // Blocked or full.
  }
};

const forget = () => {
  for (const key of ["visitor", "goals", "queue", "hide"]) keep(key);
  keep("session", undefined, "sessionStorage");
};

const sessionId = () => {
  const id = recall("session", "sessionStorage") ?? newId();
  keep("session", id, "sessionStorage");
  return id;
};
