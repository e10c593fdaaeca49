// Keeps the elements under test as their variants want them, while the page goes on changing, and
// tells when they are really seen.

// A page that undoes us that often in a second gets its way.
const MOST_FIGHTS = 10;
// How long an element may be missing before that is reported.
const MISSING_MS = 2000;

let treated = [];

const treat = (experiment, element) => ({
  experiment,
  ...element,
  fights: [],
  changes: [],
});

// The primary selector alone while the page is still being read, as a fallback may find what only
// looks like it then. What has found something once is what finds it again.
const locate = (one, mayFallBack) => {
  const last = one.at ?? (mayFallBack ? one.selectors.length - 1 : 0);
  for (let at = one.at ?? 0; at <= last; at++) {
    const found = find(one.selectors[at]);
    if (found) {
      one.at = at;
      return found;
    }
  }
};

const isFought = (one) => {
  const now = performance.now();
  one.fights = one.fights.filter((at) => now - at < 1000);
  return one.fights.push(now) > MOST_FIGHTS;
};

const settle = (one, mayFallBack) => {
  if (one.isLost) return;
  if (one.node?.isConnected) {
    const broken = one.changes.filter((made) => !made.holds());
    if (!broken.length) return;
    if (isFought(one)) one.isLost = true;
    else for (const made of broken) made.make();
    return;
  }
  const node = locate(one, mayFallBack);
  if (!node) return;
  if (one.node && isFought(one)) {
    one.isLost = true;
    return;
  }
  one.node = node;
  one.changes = changesOf(node, one.variant.content);
  if (one.isWatched) watchForView(one);
};

const mutations = new MutationObserver(() => settleAll());

const settleAll = () => {
  const mayFallBack = document.readyState !== "loading" || view.isUp;
  for (const one of treated) settle(one, mayFallBack);
  // What we did ourselves is no news.
  mutations.takeRecords();
};

const watchMutations = () => {
  mutations.disconnect();
  if (!treated.length) return;
  const names = treated.flatMap(({ variant: { content } }) => Object.keys(content?.attributes ?? {}));
  mutations.observe(document.documentElement, {
    subtree: true,
    childList: true,
    characterData: true,
    attributeFilter: ["class", "style", "href", "src", "srcset", "alt", "hidden", ...names],
  });
};

// Undoes what is not kept.
const restore = (isKept = () => false) => {
  for (const one of treated)
    if (!isKept(one)) {
      for (const made of one.changes.reverse()) made.undo();
      if (one.target) sight.unobserve(one.target);
    }
  treated = treated.filter(isKept);
  watchMutations();
};

// A variant counts as seen when the first pixel of it is on the screen of a visible page: control by
// the same measure. One that hides its element is seen where the element would be.
const sight = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries)
    if (isIntersecting)
      for (const one of treated) if (one.target === target && !one.isLost) see(one.experiment);
});

const watchForView = (one) => {
  one.isWatched = true;
  if (!one.node) return;
  if (one.target) sight.unobserve(one.target);
  one.target = one.variant.content?.hidden === true ? one.node.parentElement : one.node;
  if (one.target) sight.observe(one.target);
};

// Says which elements are nowhere, once per view.
const reportMissing = () => {
  for (const { node, experiment, id, selectors } of treated)
    if (!node) {
      tell("no_match", { experiment_id: experiment.id, element_id: id, selectors });
      report("no_match", experiment.id, { element_id: id, url: location.href });
    }
};
