// What the page can call, and the beginning.

const api = {
  // The visitor reached the goal of this name, whatever its trigger.
  convert: (name, details) => reachBy(details, (_, its) => its === name),
  // Something happened that goals may wait for.
  event: (name, details) =>
    reachBy(details, ({ type, name: its }) => type === "event" && its === name),
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
    if (view.url) begin();
  },
  // Decides anew for the page as it is.
  refresh: () => begin(),
  // What is shown on this page.
  variants,
};

let asked = Promise.resolve();
let endFollowing;

// Calls before the first answer wait for it; those before consent wait for that, and go if denied.
const whenAsked = (then) =>
  asked.then(() => {
    if (consent === "granted") then();
    else if (consent === "pending") undecided.push(then);
  });
const undecided = [];

const reachBy = (details, isMeant) => {
  const good = checked(details);
  if (good) whenAsked(() => reachAll(isMeant, good));
};

const begin = () => {
  endFollowing?.();
  endFollowing = consent === "granted" ? followPage() : undefined;
  asked = startView(!!view.url);
  if (consent !== "pending") undecided.splice(0).forEach(whenAsked);
};

const calls = (early.q ??= []);
Object.assign(early, api);
window.samplit = early;
keep("queue");
if (isPrivate) forget();
for (const [name, args] of calls) if (name === "consent") api.consent(...args);
if (parameter("samplit_edit")) {
  // The picker wants the page as it is.
  show();
  const url = settings.api + "/assets/picker.js";
  const src = policy?.createScriptURL(url) ?? url;
  const { nonce } = document.currentScript ?? {};
  document.head.append(Object.assign(document.createElement("script"), { src, nonce }));
} else {
  addEventListener("click", reachByNode, true);
  addEventListener("submit", reachByNode, true);
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
