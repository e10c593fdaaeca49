// The live page: asks the API once a second and shows what it says. The API key is read from the
// fragment of the URL (#key=sk_...), which browsers do not send to servers.

const REFRESH_MS = 1000;
const COLOURS = 8;

const id = document.body.dataset.experiment;
const key = new URLSearchParams(location.hash.slice(1)).get("key");
const at = (name) => document.getElementById(name);

const count = new Intl.NumberFormat("en");
const percent = (value, digits) => `${(100 * value).toFixed(digits)} %`;
const METHODS = { uniform: "even split", thompson: "Thompson", top_two: "top two", fixed: "fixed shares" };

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

/** The section of an element, made when it is first seen. */
function section(index) {
  const place = at("elements");
  while (place.children.length <= index) {
    place.append(at("element").content.cloneNode(true));
  }
  return place.children[index];
}

async function element(element, index) {
  const shown = section(index);
  shown.querySelector("h2").textContent = element.name;
  const best = Math.max(...element.arms.map((arm) => arm.p_best));
  const rows = element.arms.map((one, at) => arm(one, at, one.p_best === best));
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
  await Promise.all(results.elements.map(element));
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
