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

const variants = () =>
  shown.flatMap(({ id, key, name, in_experiment, reason, elements }) =>
    elements.map((element) => ({
      experiment_id: id,
      experiment_key: key,
      experiment_name: name,
      in_experiment,
      reason,
      element_id: element.id,
      element_name: element.name,
      variant_id: element.variant.id,
      variant_name: element.variant.name,
      is_control: element.variant.is_control,
    })),
  );

const see = ({ id, name, in_experiment, reason, elements }) => {
  if (reason || !in_experiment || seen.has(id)) return;
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

const context = () => ({
  device: matchMedia("(max-width: 640px)").matches ? "phone" : "desktop",
  language: navigator.language,
});

const ask = async (url) => {
  const body = { url, ...asker(), context: context() };
  if (preview) body.preview = preview;
  const response = await post("/v1/page", body, { priority: "high" });
  if (response.status === 429) askNotBefore = Date.now() + retryAfter(response);
  if (!response.ok) throw response.status;
  return response.json();
};
let askNotBefore = 0;
let asking = Promise.resolve();

const learn = ({ visitor_id, experiments, selectors }) => {
  const known = recall("visitor");
  if (known && visitor_id && visitor_id !== known) {
    keep("goals");
    startAfresh();
  }
  keep("visitor", visitor_id ?? known);
  hints = selectors;
  rememberGoals(experiments.filter(({ reason }) => !reason));
};

const identity = (experiment, { id, variant }) => experiment.id + id + variant.id;

// Elements whose variant stays from one view to the next stay as they are.
const showAll = (experiments) => {
  shown = experiments;
  const wanted = experiments.flatMap((experiment) =>
    experiment.elements.map((element) => [identity(experiment, element), experiment, element]),
  );
  restore((one) => wanted.some(([name]) => name === identity(one.experiment, one)));
  for (const [name, experiment, element] of wanted)
    if (!treated.some((one) => name === identity(one.experiment, one)))
      treated.push(treat(experiment, element));
  watchMutations();
  settleAll();
  treated.forEach(watchForView);
};

// What may still be found by a fallback only, when the page has been read, stays hidden so long.
const showFound = () => {
  const open = treated.filter(({ node }) => !node);
  if (PATIENCE && document.readyState === "loading" && !view.isUp && open.length)
    hide(open.flatMap(({ selectors }) => selectors.map(cssOf)).filter(Boolean));
  else show();
};

const whenRead = (then) =>
  document.readyState === "loading"
    ? document.addEventListener("DOMContentLoaded", then, { once: true })
    : then();

const startView = async ({ isFirst, isQuiet } = {}) => {
  const mine = (view = { url: location.href, isFirst });
  const isMine = () => mine === view;
  if (consent !== "granted" || Date.now() < askNotBefore) {
    restore();
    show();
    // Shops forget whom they have noted.
    if (consent !== "granted") tell("ready", { visitor_id: null, in_time: false, variants: [] });
    return;
  }
  mine.timeUp = () => {
    mine.isUp = true;
    if (mine.isDecided) settleAll();
  };
  startPatience(mine);
  const under = underTest(mine.url);
  restore(({ selectors }) => under.includes(cssOf(selectors[0])));
  const keptCss = treated.map(({ selectors }) => cssOf(selectors[0]));
  if (!mine.isLate && !isQuiet && PATIENCE) hide(under.filter((css) => !keptCss.includes(css)));
  try {
    // Who has no name yet gets one, and not two.
    if (!recall("visitor")) await asking.catch(() => {});
    const answer = await (asking = ask(mine.url));
    if (consent !== "granted") return;
    learn(answer);
    if (!isMine()) return;
    mine.isDecided = true;
    if (mine.isLate) shown = [];
    else showAll(answer.experiments);
    showFound();
    whenRead(() => {
      if (!isMine()) return;
      settleAll();
      show();
      if (mine.isLate) return;
      const css = treated.map(({ selectors, at }) => cssOf(selectors[at ?? 0])).filter(Boolean);
      keepRule([...new Set([...underTest(mine.url), ...css])]);
      setTimeout(() => isMine() && reportMissing(), MISSING_MS);
    });
  } catch {
    if (!isMine()) return;
    restore();
    show();
  }
  reachByPage();
  schedule(GATHER_MS);
  tell("ready", { visitor_id: recall("visitor") || null, in_time: !!mine.isDecided && !mine.isLate, variants: variants() });
};

const follow = () => {
  if (location.href !== view.url) startView();
};

// Begins to follow, and gives what ends it. Where there is no Navigation API, two functions of the
// page's history are wrapped, and put back unless somebody else has wrapped them again.
const followPage = () => {
  if (window.navigation) {
    navigation.addEventListener("currententrychange", follow);
    return () => navigation.removeEventListener("currententrychange", follow);
  }
  const wrapped = ["pushState", "replaceState"].map((name) => {
    const original = history[name];
    const ours = function (...args) {
      const result = original.apply(this, args);
      follow();
      return result;
    };
    history[name] = ours;
    return () => history[name] === ours && delete history[name];
  });
  addEventListener("popstate", follow);
  addEventListener("hashchange", follow);
  return () => {
    wrapped.forEach((unwrap) => unwrap());
    removeEventListener("popstate", follow);
    removeEventListener("hashchange", follow);
  };
};
