// The form of an experiment, one step at a time. Without this all steps stand below each other. The
// server draws the form whatever is asked of it, so that its shape and its errors are made in one place.
const LAST = 3;

let form = document.getElementById("experiment");
let step = Number(form.dataset.step);
let typing;
let asked;
let isMoving = false;

/** Sends the form with what a button wants; the form that comes back. */
async function ask(wish) {
  clearTimeout(typing);
  asked?.abort();
  asked = new AbortController();
  const body = new URLSearchParams(new FormData(form));
  body.set("do", wish);
  const answer = await fetch(location.href, { method: "POST", body, signal: asked.signal });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = page.getElementById("experiment");
  if (!next) throw new Error("another page than that of the form");
  return next;
}

/** Does what a button wants, one after the other. What cannot be done is said, and nothing typed is lost. */
async function carefully(work) {
  if (isMoving) return;
  isMoving = true;
  form.querySelector(".callout.trouble")?.remove();
  try {
    await work();
  } catch {
    const trouble = document.createElement("p");
    trouble.className = "callout trouble";
    trouble.dataset.kind = "bad";
    trouble.setAttribute("role", "alert");
    trouble.textContent = "The server did not answer with this form. If you were signed out, sign in again in another tab, then go on here.";
    form.querySelector(".wizard-actions").before(trouble);
  } finally {
    isMoving = false;
  }
}

const fieldsets = () => form.querySelectorAll("fieldset[data-step]");
const nameIn = (details) => details.querySelector("[name]")?.name;

/** Puts another state of the form in the place of this one, with what was unfolded left so. */
function swap(next) {
  const open = new Set([...form.querySelectorAll("details[open]")].map(nameIn));
  for (const details of next.querySelectorAll("details")) details.open ||= open.has(nameIn(details));
  const focused = document.activeElement?.id;
  form.replaceWith(next);
  form = next;
  bind();
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

function show(number) {
  step = number;
  for (const fieldset of fieldsets()) fieldset.hidden = Number(fieldset.dataset.step) !== step;
  for (const button of form.querySelectorAll("[data-go]")) {
    const isCurrent = Number(button.dataset.go) === step;
    if (isCurrent) button.setAttribute("aria-current", "step");
    else button.removeAttribute("aria-current");
    button.toggleAttribute("data-done", Number(button.dataset.go) < step);
  }
  const isNew = !form.elements.version;
  form.querySelector("[data-back]").hidden = step === 1;
  form.querySelector("[data-next]").hidden = step === LAST;
  form.querySelector("[data-save]").hidden = isNew && step !== LAST;
}

/** To the top of a step, which takes the focus so that it is read from its name on. */
function begin(number) {
  show(number);
  const complaint = form.querySelector('.callout[role="alert"]');
  const fieldset = [...fieldsets()].find((fieldset) => !fieldset.hidden);
  fieldset.tabIndex = -1;
  (complaint ?? fieldset).focus({ preventScroll: true });
  form.scrollIntoView({ block: "start" });
}

/** Goes to a step, if nothing is wrong with those before it. */
async function go(number) {
  if (number <= step) return begin(number);
  swap(await ask(`check ${number - 1}`));
  begin(Number(form.dataset.step));
}

/** What depends on a choice is shown for that choice only. */
function follow() {
  for (const part of form.querySelectorAll("[data-when]")) {
    const [name, values] = part.dataset.when.split("=");
    part.hidden = !values.split(",").includes(form.elements[name]?.value);
  }
}

async function forecast() {
  const next = await ask("forecast");
  form.querySelector("#forecast").replaceChildren(...next.querySelector("#forecast").childNodes);
}

async function reshape(wish) {
  const next = await ask(wish);
  const before = form.querySelectorAll(".element, .variant").length;
  swap(next);
  show(step);
  const added = [...form.querySelectorAll(wish === "add_element" ? ".element" : `#f-elements-${wish.split(" ")[1]}-variants .variant`)].at(-1);
  if (form.querySelectorAll(".element, .variant").length > before) added?.querySelector("input:not([type=hidden])")?.focus();
}

/** The same form with the fields of another kind of element first. */
async function redraw() {
  swap(await ask("forecast"));
  show(step);
}

function bind() {
  form.querySelector(".wizard-steps").hidden = false;
  form.addEventListener("submit", (event) => {
    const button = event.submitter;
    const wish = button?.value ?? "save";
    const isEnter = button?.classList.contains("visually-hidden");
    if (isEnter && step < LAST) {
      event.preventDefault();
      carefully(() => go(step + 1));
    } else if (wish === "forecast") {
      event.preventDefault();
      carefully(forecast);
    } else if (wish !== "save") {
      event.preventDefault();
      carefully(() => reshape(wish));
    }
  });
  form.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    const field = link && form.querySelector(link.getAttribute("href"));
    const home = field?.closest("fieldset[data-step]");
    if (home) show(Number(home.dataset.step));
    const button = event.target.closest("button");
    if (button?.dataset.go) carefully(() => go(Number(button.dataset.go)));
    if (button?.hasAttribute("data-next")) carefully(() => go(step + 1));
    if (button?.hasAttribute("data-back")) begin(step - 1);
  });
  form.addEventListener("input", (event) => {
    follow();
    const name = event.target.name ?? "";
    if (name.endsWith("/element_type")) carefully(redraw);
    if (!event.target.closest('.outlook, [data-step="3"]') && name !== "/traffic_allocation:percent") return;
    clearTimeout(typing);
    // What was overtaken by a button, or did not come, stays as it was.
    typing = setTimeout(() => isMoving || forecast().catch(() => {}), 400);
  });
  follow();
}

bind();
show(step);
