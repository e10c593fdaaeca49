// What the page can call, and the beginning.

const api = {
  // The visitor reached the goal of this name, whatever its trigger.
  convert: (name, details) => whenAsked(() => reachAll((_, its) => its === name, details)),
  // Something happened that goals may wait for.
  event: (name, details) =>
    whenAsked(() => reachAll(({ type, name: its }) => type === "event" && its === name, details)),
  // What the visitor allows: `granted`, `pending` (nothing is sent or kept yet) or `denied`.
  consent: (answer) => {
    const before = consent;
    consent = isPrivate ? "denied" : answer;
    if (consent === before) return;
    if (consent === "denied") {
      queue = [];
      forget();
      startAfresh();
    }
    if (isStarted) begin();
  },
  // Decides anew for the page as it is.
  refresh: () => begin(),
  // What is shown on this page.
  variants,
};

let isStarted = false;
let asked = Promise.resolve();
let endFollowing;

// Calls before the first answer wait for it; those before consent wait for that, and go if denied.
const whenAsked = (then) =>
  asked.then(() => {
    if (consent === "granted") then();
    else if (consent === "pending") undecided.push(then);
  });
const undecided = [];

const begin = () => {
  endFollowing?.();
  endFollowing = consent === "granted" ? followPage() : undefined;
  // What is already on the screen is not hidden again.
  asked = startView({ isFirst: !isStarted, isQuiet: isStarted });
  isStarted = true;
  if (consent !== "pending") undecided.splice(0).forEach(whenAsked);
};

const script = document.currentScript;
const loadPicker = () => {
  const picker = document.createElement("script");
  const url = settings.api + "/assets/picker.js";
  picker.src = policy?.createScriptURL(url) ?? url;
  picker.nonce = script?.nonce;
  document.head.append(picker);
};

const calls = (early.q ??= []);
Object.assign(early, api);
window.samplit = early;
keep("queue");
if (isPrivate) forget();
for (const [name, args] of calls) if (name === "consent") api.consent(...args);
if (new URLSearchParams(location.search).has("samplit_edit")) {
  // It wants the page as it is.
  show();
  loadPicker();
} else {
  addEventListener("click", reachByNode("click"), true);
  addEventListener("submit", reachByNode("submit"), true);
  addEventListener("pagehide", flushAtEnd);
  document.addEventListener("visibilitychange", () => document.hidden && flushAtEnd());
  begin();
  for (const [name, args] of calls) if (name !== "consent") api[name](...args);
}
} catch (error) {
early.show?.();
throw error;
}
})();
