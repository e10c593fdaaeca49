// Goals: what the visitor's experiments wait for. They are remembered from page to page, as the page
// that is under test is seldom the one where something is bought.

const MOST_GOALS = 50;
const GOALS_MS = 90 * 864e5;

const goals = () => (recall("goals") ?? []).filter(({ at }) => Date.now() - at < GOALS_MS);

const rememberGoals = (experiments) => {
  const known = goals();
  for (const { id, goal, in_experiment } of experiments) {
    if (!in_experiment || !goal) continue;
    const old = known.findIndex((one) => one.id === id);
    const [was] = old < 0 ? [] : known.splice(old, 1);
    known.push({ ...was, id, name: goal.name, trigger: goal.trigger, at: Date.now() });
  }
  keep("goals", known.slice(-MOST_GOALS));
};

// On this page already under way.
const underWay = new Set();

// Whoever does it again, because nobody knows yet whether it has arrived, sends the same event.
const reachAll = (isMeant, { value = null, event_id } = {}) => {
  const known = goals();
  let isReached;
  for (const goal of known) {
    const { id, name, trigger, isDone } = goal;
    if (isDone || underWay.has(id) || !isMeant(trigger ?? {}, name)) continue;
    underWay.add(id);
    isReached = true;
    goal.event_id ??= event_id ?? newId();
    report("conversion", id, { goal: name, value }, goal.event_id);
  }
  if (isReached) keep("goals", known);
};

const reachByNode = (type) => ({ target }) =>
  reachAll((trigger) => trigger.type === type && target?.closest && isInside(target, trigger.selector));

const reachByPage = () =>
  reachAll((trigger) => trigger.type === "page_view" && matchesPage(trigger.url, location.href));

// A visitor converts once per experiment; what the server does not know any more, nobody waits for.
const noteResults = (events, results) => {
  const known = goals();
  for (const { event_id, status } of results) {
    const event = events.find((event) => event.event_id === event_id);
    const goal = event?.type === "conversion" && known.find(({ id }) => id === event.experiment_id);
    if (goal) {
      goal.isDone = true;
      if (status === "ignored") known.splice(known.indexOf(goal), 1);
    }
  }
  keep("goals", known);
};
