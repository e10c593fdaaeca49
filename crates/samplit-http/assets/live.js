// The live page: asks the API once a second and shows what it says. The API key is read from the
// fragment of the URL (#key=sk_...), which browsers do not send to servers.

const REFRESH_MS = 1000;
const COLOURS = 8;

const id = document.body.dataset.experiment;
const key = new URLSearchParams(location.hash.slice(1)).get("key");
const at = (name) => document.getElementById(name);

const count = new Intl.NumberFormat("en");
const percent = (value, digits) => `${(100 * value).toFixed(digits)}\u00a0%`;
const METHODS = { uniform: "even split", thompson: "Thompson", top_two: "top two", fixed: "fixed shares" };

const RATIOS = { sound: "Split as planned", too_early: "Split: too early to tell", mismatch: "Split differs from plan" };
const LOSS = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });

/** A relative change with its sign. */
function change(value) {
  const digits = Math.abs(value) < 0.0995 ? 1 : 0;
  return `${value < 0 ? "−" : "+"}${percent(Math.abs(value), digits)}`;
}

/** Asks the API; throws an Error with its words when it refuses. */
async function ask(path) {
  const response = await fetch(`/v1/experiments/${id}/${path}`, {
    headers: { authorization: `Bearer ${key}` },
    cache: "no-store",
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Error(problem.detail ?? `the server answered ${response.status}`);
}

function say(text) {
  at("notice").textContent = text;
  at("notice").hidden = text === "";
}

function cell(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

function arm(arm, index, isLeader) {
  const row = document.createElement("tr");
  row.className = `arm-${index % COLOURS}`;
  row.classList.toggle("leader", isLeader);
  row.classList.toggle("inactive", !arm.is_active);

  const name = document.createElement("th");
  name.scope = "row";
  name.append(cell("span", arm.name));
  const notes = [arm.is_control && "control", !arm.is_active && "inactive"].filter(Boolean);
  if (notes.length > 0) name.append(cell("small", notes.join(", ")));

  const [low, high] = arm.credible_interval;
  const share = cell("td", percent(arm.weight, 1));
  const meter = document.createElement("meter");
  meter.value = arm.weight;
  share.append(meter);
  row.append(
    name,
    cell("td", count.format(arm.assignments)),
    cell("td", count.format(arm.conversions)),
    cell("td", arm.rate === null ? "–" : percent(arm.rate, 2)),
    cell("td", `${percent(low, 2)} – ${percent(high, 2)}`),
    cell("td", percent(arm.p_best, 1), "best"),
    share,
  );
  return row;
}

/** What is known in words: who leads, how surely, by how much, and whether it may stop. */
function verdict(element, hasEnded) {
  const { leader, may_stop: mayStop, missing } = element.stopping;
  const { name, is_control: isControl, p_best: p, lift, expected_loss } = element.arms[leader.position];
  if (element.arms.every((arm) => arm.assignments === 0)) return ["No visitor yet."];
  let lead = `${isControl ? ", the control," : ""} leads: ${percent(p, 1)} likely to be the best`;
  if (lift) {
    const [low, high] = lift.interval.map(change);
    lead += `, ${change(lift.median)} against control (95 % interval ${low} to ${high})`;
  }
  const loss = 1000 * expected_loss;
  const lost = loss < 0.001 ? "less than 0.001" : LOSS.format(loss);
  lead += `. Choosing it now would lose ${lost} conversions per 1,000 visitors on average. `;
  const said = [cell("strong", `“${name}”`), lead];
  if (hasEnded) return said;
  if (mayStop) return [...said, cell("span", "The stopping rule is met: you may stop.", "enough")];
  const wanted = missing.join("; ").replace(/`([^`]*)`/g, "“$1”");
  return [...said, cell("span", `Before you stop, wait for ${wanted}.`)];
}

/** The badge that says whether visitors were split as the weights say. */
function ratio(badge, ratio) {
  const verdict = ratio?.verdict ?? "too_early";
  badge.dataset.verdict = verdict;
  badge.textContent = RATIOS[verdict];
  badge.title = ratio ? `Sample ratio: p = ${ratio.always_valid_p.toPrecision(2)}, valid at every look` : "";
}

/** The section of an element, made when it is first seen. */
function section(index) {
  const place = at("elements");
  while (place.children.length <= index) {
    place.append(at("element").content.cloneNode(true));
  }
  return place.children[index];
}

async function element(element, index, hasEnded) {
  const shown = section(index);
  shown.querySelector("h2").textContent = element.name;
  ratio(shown.querySelector(".ratio"), element.sample_ratio);
  shown.querySelector(".verdict").replaceChildren(...verdict(element, hasEnded));
  const leader = element.stopping.leader.position;
  const rows = element.arms.map((one, at) => arm(one, at, at === leader));
  shown.querySelector("tbody").replaceChildren(...rows);

  const svg = await (await ask(`weights.svg?element=${index}`)).text();
  const chart = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
  chart.setAttribute("role", "img");
  chart.setAttribute("aria-label", `Share of traffic over time: ${element.name}`);
  shown.querySelector(".chart").replaceChildren(document.adoptNode(chart));
}

async function refresh() {
  const results = await (await ask("results")).json();
  document.title = `${results.name} · Samplit`;
  at("name").textContent = results.name;
  at("status").textContent = results.status;
  at("status").dataset.status = results.status;
  at("visitors").textContent = count.format(results.visitors);
  at("conversions").textContent = count.format(results.conversions);
  at("rate").textContent = results.visitors > 0 ? percent(results.conversions / results.visitors, 2) : "–";
  at("method").textContent = METHODS[results.method] ?? results.method;
  at("as-of").textContent = `As of ${new Date(results.as_of).toLocaleTimeString()}.`;
  at("totals").hidden = false;
  const hasEnded = ["completed", "archived"].includes(results.status);
  await Promise.all(results.elements.map((one, index) => element(one, index, hasEnded)));
}

async function run() {
  if (!key) {
    say("Open this page with an API key in the fragment of its address: #key=sk_…");
    return;
  }
  for (;;) {
    if (!document.hidden) {
      await refresh().then(() => say(""), (error) => say(`No news: ${error.message}.`));
    }
    await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
  }
}

addEventListener("hashchange", () => location.reload());
run();
