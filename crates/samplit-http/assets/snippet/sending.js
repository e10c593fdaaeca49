// Sends what happened: gathered for a moment, again where that may help, and at the latest when the
// page goes.

const GATHER_MS = 100;
const MOST_AT_ONCE = 50;
const MOST_TRIES = 5;

let queue = recall("queue") ?? [];
let tries = 0;
let notBefore = 0;
let isSending = false;
let timer;

const withCookies = (() => {
  const { hostname } = new URL(settings.api);
  const domain = settings.domain.replace(/:\d+$/, "");
  const isWithin = (host) => host === domain || host.endsWith("." + domain);
  const isSameSite =
    hostname === location.hostname ||
    (domain.includes(".") && isWithin(hostname) && isWithin(location.hostname));
  return isSameSite ? "include" : "omit";
})();

// As text, which a browser sends without asking first.
const post = (path, body, options) =>
  fetch(settings.api + path, {
    method: "POST",
    body: JSON.stringify({ token: settings.token, ...body }),
    credentials: withCookies,
    signal: AbortSignal.timeout(10_000),
    ...options,
  });

const retryAfter = (response) => (Number(response.headers.get("Retry-After")) || 1) * 1000;

const asker = () => ({ visitor_id: recall("visitor") ?? null, session_id: sessionId() });

const report = (type, experiment, more, id = newId()) => {
  if (preview) return;
  queue.push({ type, experiment_id: experiment, ...more, event_id: id });
  queue = queue.slice(-500);
  schedule(GATHER_MS);
};

const schedule = (wait) => {
  clearTimeout(timer);
  timer = setTimeout(flush, Math.max(wait, notBefore - Date.now()));
};

const flush = async () => {
  const visitor = recall("visitor");
  if (isSending || consent !== "granted" || !visitor) return;
  // Else the answer is about somebody who has asked to be forgotten meanwhile.
  const isStill = () => consent === "granted" && recall("visitor") === visitor;
  const events = queue.splice(0, MOST_AT_ONCE);
  if (!events.length) return;
  isSending = true;
  const again = (wait) => {
    if (!isStill()) return;
    if (++tries < MOST_TRIES) {
      queue.unshift(...events);
      notBefore = Date.now() + wait;
    } else tries = 0;
  };
  // Longer each time, and not with everybody else.
  const jitter = 2 ** tries * 1000 * (0.5 + Math.random());
  try {
    const response = await post("/v1/events", { ...asker(), events }, { keepalive: true });
    if (response.ok) {
      tries = 0;
      const { results } = await response.json();
      if (isStill()) noteResults(events, results);
    } else if (response.status === 429 || response.status >= 500)
      again(Math.max(jitter, response.headers.has("Retry-After") ? retryAfter(response) : 0));
  } catch {
    again(jitter);
  }
  isSending = false;
  if (queue.length) schedule(GATHER_MS);
};

// The page goes, perhaps for good. What the server does not want yet waits for the next page.
const flushAtEnd = () => {
  if (consent !== "granted" || !queue.length || !recall("visitor")) return;
  if (notBefore > Date.now()) return keep("queue", queue);
  while (queue.length) {
    const events = queue.splice(0, MOST_AT_ONCE);
    const body = JSON.stringify({ token: settings.token, ...asker(), events });
    const type = { type: "text/plain;charset=utf-8" };
    if (!navigator.sendBeacon(settings.api + "/v1/events", new Blob([body], type))) {
      keep("queue", [...events, ...queue]);
      return;
    }
  }
};
