// Sends what happened: gathered for a moment, again where that may help, and at the latest when the
// page goes.

const GATHER_MS = 100;
const MOST_AT_ONCE = 50;

let queue = (!preview && recall("queue")) || [];
let tries = 0;
let notBefore = 0;
let isSending = false;
let timer;

// Where the server is on the site of the page.
const { hostname } = new URL(settings.api);
const isOnSite = (host) => ("." + host).endsWith("." + settings.domain.replace(/:\d+$/, ""));
const isSameSite = hostname === location.hostname || (isOnSite(hostname) && isOnSite(location.hostname));

const bodyOf = (what) =>
  JSON.stringify({ token: settings.token, visitor_id: recall("visitor") ?? null, session_id: sessionId(), ...what });

// As text, which a browser sends without asking first.
const post = (path, what, options) =>
  fetch(settings.api + path, {
    method: "POST",
    body: bodyOf(what),
    credentials: isSameSite ? "include" : "omit",
    signal: AbortSignal.timeout(10_000),
    ...options,
  });

const retryAfter = ({ headers }) => (+headers.get("Retry-After") || 0) * 1000;

const report = (type, experiment_id, more) => {
  if (preview) return;
  queue.push({ type, experiment_id, event_id: newId(), ...more });
  queue = queue.slice(-500);
  schedule(GATHER_MS);
};

const schedule = (wait) => {
  clearTimeout(timer);
  timer = setTimeout(flush, Math.max(wait, notBefore - Date.now()));
};

const flush = async () => {
  const visitor = recall("visitor");
  if (isSending || consent !== "granted" || !visitor || !queue.length) return;
  const events = queue.splice(0, MOST_AT_ONCE);
  isSending = true;
  let results;
  // Longer each time, and not with everybody else. Never, where it would be refused again.
  let wait = 2 ** tries * 1000 * (0.5 + Math.random());
  try {
    const response = await post("/v1/events", { events }, { keepalive: true });
    if (response.ok) ({ results } = await response.json());
    else if (response.status === 429 || response.status >= 500) wait = Math.max(wait, retryAfter(response));
    else wait = 0;
  } catch {
    // Nobody there.
  }
  isSending = false;
  // Else the answer is about somebody who has asked to be forgotten meanwhile.
  if (consent === "granted" && recall("visitor") === visitor) {
    if (results) noteResults(events, results);
    // Five times at most.
    if (results || !wait || ++tries === 5) tries = 0;
    else {
      queue.unshift(...events);
      notBefore = Date.now() + wait;
    }
  }
  if (queue.length) schedule(GATHER_MS);
};

// The page goes, perhaps for good. What the server does not want yet waits for the next page.
const flushAtEnd = () => {
  if (consent !== "granted" || !recall("visitor")) return;
  while (queue.length && notBefore <= Date.now()) {
    const body = bodyOf({ events: queue.slice(0, MOST_AT_ONCE) });
    if (!navigator.sendBeacon(settings.api + "/v1/events", body)) break;
    queue = queue.slice(MOST_AT_ONCE);
  }
  if (queue.length) keep("queue", queue);
};
