// Keeps the elements under test as their variants want them, while the page goes on changing, and
// tells when they are really seen.

// A page that undoes us that often in a second gets its way.
const MOST_FIGHTS = 10;
// How long an element may be missing before that is reported.
const MISSING_MS = 2000;

let treated = [];

const treat = (experiment, element) => ({
  key: experiment.id + element.id + element.variant.id,
  experiment,
  ...element,
  fights: [],
  places: new Set(),
});

// The primary selector alone while the page is still being read, as a fallback may find what only
// looks like it then. What has found something once is what finds it again.
const locate = (one) => {
  const tried = one.found ? [one.found] : one.selectors.slice(0, isRead() || view.isUp ? Infinity : 1);
  one.found = tried.find(find) ?? one.found;
  return one.found && find(one.found);
};

const isFought = (one) => {
  const now = performance.now();
  one.fights = one.fights.filter((at) => now - at < 1000);
  return one.fights.push(now) > MOST_FIGHTS;
};

// All that it changed, or nothing: half a variant is none.
const unmake = (one) => {
  for (const place of one.places) place.leave(one);
  one.places.clear();
};

const giveUp = (one) => {
  one.isLost = true;
  unmake(one);
};

const make = (one, node) => {
  unmake(one);
  one.node = node;
  try {
    changeAll(one);
  } catch (why) {
    giveUp(one);
    console.warn("samplit: not shown:", one.experiment.name, one.name, why);
  }
};

const settle = (one) => {
  if (one.isLost) return;
  const broken = [...one.places].filter((place) => !place.holds());
  const isThere = one.node?.isConnected;
  const node = isThere ? broken.length : locate(one);
  if (!node) return;
  if (one.node && isFought(one)) giveUp(one);
  else if (isThere) for (const place of broken) place.renew();
  else {
    make(one, node);
    watchForView(one);
  }
};

const mutations = new MutationObserver(() => settleAll());

const settleAll = () => {
  treated.forEach(settle);
  // What we did ourselves is no news.
  mutations.disconnect();
  const all = { subtree: true, childList: true, characterData: true, attributes: true };
  if (treated.length) mutations.observe(document, all);
};

// Undoes what is not kept.
const restore = (isKept = () => false) => {
  for (const one of treated) if (!isKept(one)) unmake(one);
  treated = treated.filter(isKept);
};

// A variant counts as seen when the first pixel of it is on the screen of a visible page: control by
// the same measure. One that hides its element is seen where the element would be, one below another
// not at all.
const isShown = (one) => !one.isLost && [...one.places].every((place) => place.isOf(one));
const sight = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries)
    if (isIntersecting)
      for (const one of treated) if (one.target === target && isShown(one)) see(one.experiment);
});

const watchForView = (one) => {
  const { node, variant } = one;
  if (!node) return;
  one.target = (variant.content?.hidden === true && node.parentElement) || node;
  // Asked anew, it tells anew.
  sight.unobserve(one.target);
  sight.observe(one.target);
};

// Says which elements are nowhere, once per view.
const reportMissing = () => {
  for (const { node, experiment, id, selectors } of treated)
    if (!node) {
      tell("no_match", { experiment_id: experiment.id, element_id: id, selectors });
      report("no_match", experiment.id, { element_id: id, url: location.href });
    }
};
