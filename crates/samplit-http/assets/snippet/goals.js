// Goals: what the visitor's experiments wait for. They are remembered from page to page, as the page
// that is under test is seldom the one where something is bought.

const MOST_GOALS = 50;
const GOALS_MS = 90 * 864e5;

const goals = () => (recall("goals") ?? []).filter(({ at }) => Date.now() - at < GOALS_MS);

const rememberGoals = (experiments) => {
  const known = goals();
  const fresh = experiments
    .filter(({ in_experiment, goal }) => in_experiment && goal)
    .map(({ id, goal }) => ({ ...known.find((one) => one.id === id), ...goal, id, at: Date.now() }));
  const others = known.filter(({ id }) => !fresh.some((one) => one.id === id));
  keep("goals", [...others, ...fresh].slice(-MOST_GOALS));
};

// On this page already under way.
const underWay = new Set();

// Whoever does it again, because nobody knows yet whether it has arrived, sends the same event.
const reachAll = (isMeant, { value = null, event_id } = {}) => {
  const known = goals();
  const meant = known.filter(
    ({ id, name, trigger, isDone }) => !isDone && !underWay.has(id) && isMeant(trigger ?? {}, name),
  );
  for (const goal of meant) {
    underWay.add(goal.id);
    goal.event_id ??= event_id ?? newId();
    report("conversion", goal.id, { goal: goal.name, value, event_id: goal.event_id });
  }
  if (meant.length) keep("goals", known);
};

const reachByNode = ({ type, target }) =>
  reachAll((trigger) => trigger.type === type && target?.closest && isInside(target, trigger.selector));

const reachByPage = (url) =>
  reachAll((trigger) => trigger.type === "page_view" && matchesPage(trigger.url, url));

// A visitor converts once per experiment; what the server does not know any more, nobody waits for. Its
// results are in the order of the events, which may share an id.
const noteResults = (events, results) => {
  const known = goals();
  events.forEach(({ type, experiment_id }, at) => {
    const goal = type === "conversion" && known.find(({ id }) => id === experiment_id);
    if (!goal) return;
    goal.isDone = true;
    underWay.delete(experiment_id);
    if (results[at].status === "ignored") known.splice(known.indexOf(goal), 1);
  });
  keep("goals", known);
};

// What the page's own code says of a conversion, as the server takes it; nothing where it makes no sense.
const checked = (details) => {
  try {
    const { value, event_id } = details ?? {};
    // A text may be a number, too.
    const number = value == null ? null : +JSON.parse(value);
    const id = event_id == null ? undefined : `${event_id}`;
    if (number >= 0 && number <= 1e12 && /^(?=\s*\S)[^\0\p{Cs}]{1,255}$/u.test(id))
      return { value: number, event_id: id };
  } catch {
    // What throws makes no sense either.
  }
  console.warn("samplit: no conversion:", details);
};
