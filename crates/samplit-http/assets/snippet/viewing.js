// One page view: asks what is to be shown, shows it in time or not at all, and follows the page where
// it goes without loading.

let view = {};
let shown = [];
const seen = new Set();

// Somebody else, as far as anybody may know.
const startAfresh = () => {
  seen.clear();
  underWay.clear();
};

const tell = (name, detail) =>
  document.dispatchEvent(new CustomEvent("samplit:" + name, { detail }));

// As the server has answered, element by element.
const variants = () =>
  shown.flatMap(({ elements, ...experiment }) =>
    elements.map(({ variant, ...element }) => ({ experiment, element, variant })),
  );

const see = ({ id, name, in_experiment, elements }) => {
  if (!in_experiment || seen.has(id)) return;
  seen.add(id);
  report("exposure", id);
  const chosen = elements.map(({ variant }) => variant);
  const detail = {
    experiment_id: id,
    experiment_name: name,
    variant_id: chosen.map(({ id }) => id).join(),
    variant_name: chosen.map(({ name }) => name).join(" + "),
  };
  (window.dataLayer ??= []).push({ event: "samplit_exposure", ...detail });
  tell("exposure", detail);
};

const ask = async (url) => {
  const device = innerWidth > 640 ? "desktop" : "phone";
  const what = { url, context: { device, language: navigator.language }, preview };
  const response = await post("/v1/page", what, { priority: "high" });
  if (response.status === 429) askNotBefore = Date.now() + retryAfter(response);
  if (!response.ok) throw response.status;
  return response.json();
};
let askNotBefore = 0;
let asking = Promise.resolve();

const learn = ({ visitor_id, experiments, selectors, steps = [] }) => {
  const known = recall("visitor");
  if (known && visitor_id && visitor_id !== known) {
    keep("goals");
    startAfresh();
  }
  keep("visitor", visitor_id ?? known);
  hints = selectors;
  rememberGoals([...steps, ...experiments]);
};

// Elements whose variant stays from one view to the next stay as they are.
const showAll = (experiments) => {
  shown = experiments;
  const wanted = experiments.flatMap((experiment) =>
    experiment.elements.map((element) => {
      const one = treat(experiment, element);
      return treated.find(({ key }) => key === one.key) ?? one;
    }),
  );
  restore((one) => wanted.includes(one));
  treated = wanted;
  settleAll();
  treated.forEach(watchForView);
};

// What may still be found by a fallback only, when the page has been read, stays hidden so long.
const showFound = () => {
  const open = treated.filter(({ node }) => !node);
  if (PATIENCE && !isRead() && !view.isUp && open.length)
    hide(open.flatMap(({ selectors }) => selectors.map(cssOf)).filter(Boolean));
  else show();
};

// What is already on the screen is not hidden again, if it `isQuiet`.
const startView = async (isQuiet) => {
  const mine = (view = { url: location.href, isFirst: !view.url });
  const isMine = () => mine === view;
  try {
    if (consent !== "granted") throw consent;
    startPatience(mine);
    const under = underTest(mine.url);
    restore(({ selectors }) => under.includes(cssOf(selectors[0])));
    const keptCss = treated.map(({ selectors }) => cssOf(selectors[0]));
    if (!mine.isUp && !isQuiet && PATIENCE) hide(under.filter((css) => !keptCss.includes(css)));
    // Who has no name yet gets one, and not two.
    await (recall("visitor") || asking.catch(() => {}));
    // What was done before this view arrives before it, as funnels go by the order.
    if (notBefore < Date.now()) await flush();
    // It counts whatever becomes of the question, and again with the goals of the answer.
    reachByPage(mine.url);
    if (Date.now() < askNotBefore) throw 429;
    const answer = await (asking = ask(mine.url));
    if (consent !== "granted") return;
    learn(answer);
    reachByPage(mine.url);
    if (!isMine()) return;
    // Late is late, for all of the view.
    mine.isDecided = !mine.isUp;
    if (mine.isDecided) showAll(answer.experiments);
    else shown = [];
    showFound();
    const whenRead = () => {
      if (!isMine()) return;
      settleAll();
      show();
      if (!mine.isDecided) return;
      const css = treated.map(({ selectors, found }) => cssOf(found ?? selectors[0])).filter(Boolean);
      keepRule([...new Set([...underTest(mine.url), ...css])]);
      setTimeout(() => isMine() && reportMissing(), MISSING_MS);
    };
    if (isRead()) whenRead();
    else document.addEventListener("DOMContentLoaded", whenRead, { once: true });
  } catch {
    if (!isMine()) return;
    shown = [];
    restore();
    show();
  }
  schedule(GATHER_MS);
  // Shops forget whom they have noted where there is no consent.
  const visitor_id = (consent === "granted" && recall("visitor")) || null;
  tell("ready", { visitor_id, in_time: !!mine.isDecided, variants: variants() });
};

const follow = () => {
  if (location.href !== view.url) startView();
};

// Begins to follow, and gives what ends it. Where there is no Navigation API, two functions of the
// page's history are wrapped, and put back unless somebody else has wrapped them again.
const followPage = () => {
  const ending = new AbortController();
  const { signal } = ending;
  const followOn = (target, type) => target.addEventListener(type, follow, { signal });
  if (window.navigation) followOn(navigation, "currententrychange");
  else {
    followOn(window, "popstate");
    followOn(window, "hashchange");
    for (const name of ["pushState", "replaceState"]) {
      const original = history[name];
      const ours = (...args) => {
        original.apply(history, args);
        follow();
      };
      history[name] = ours;
      signal.addEventListener("abort", () => history[name] === ours && delete history[name]);
    }
  }
  return () => ending.abort();
};
