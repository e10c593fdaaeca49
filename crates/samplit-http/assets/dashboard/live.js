// Keeps the part of the page fresh that changes by itself. The server sends it as HTML when the experiment
// has moved; what is open stays open, what has the focus keeps it, and where it was scrolled it stays.
import { localise } from "./times.js";

const part = document.querySelector("[data-stream]");
const state = document.getElementById("live-state");
let events = null;

function say(word, text) {
  state.hidden = false;
  if (state.dataset.state === word) return;
  state.dataset.state = word;
  state.textContent = text;
}

/** Where in `root` an element is, so that its successor can be found: by id, else as the nth of its kind. */
function place(root, element) {
  if (element.id) return () => document.getElementById(element.id);
  const nth = [...root.querySelectorAll(element.localName)].indexOf(element);
  return () => root.querySelectorAll(element.localName)[nth];
}

/** The status that the experiment has, as the part says. */
const status = () => part.querySelector(".figures")?.dataset.status;

function swap(html) {
  const open = [...part.querySelectorAll("details[open][id]")].map((details) => details.id);
  const scrolled = [...part.querySelectorAll(".scroll")].map((box) => [box.scrollLeft, box.scrollTop]);
  const active = part.contains(document.activeElement) ? place(part, document.activeElement) : null;
  const before = status();
  part.innerHTML = html;
  // What can be done with it is beyond the part. A form that somebody is filling in is left alone.
  if (status() !== before && !document.querySelector("#lifecycle details[open]")) location.reload();
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  part.querySelectorAll(".scroll").forEach((box, index) => {
    [box.scrollLeft, box.scrollTop] = scrolled[index] ?? [0, 0];
  });
  active?.()?.focus({ preventScroll: true });
  localise(part);
}

/** Whether somebody is selecting text in the part, which a swap would undo. */
function isSelecting() {
  const selection = getSelection();
  return !selection.isCollapsed && part.contains(selection.anchorNode);
}

function connect() {
  if (events || document.hidden) return;
  events = new EventSource(part.dataset.stream);
  events.addEventListener("open", () => say("live", "live"));
  events.addEventListener("part", (event) => {
    if (!isSelecting()) swap(event.data);
  });
  events.addEventListener("error", () => {
    say("reconnecting", "reconnecting");
    // A browser gives up where the answer is no stream: signed out, or too many of them.
    if (events.readyState === EventSource.CLOSED) {
      disconnect();
      setTimeout(connect, 5000);
    }
  });
}

function disconnect() {
  events?.close();
  events = null;
}

// A page that nobody sees holds no connection: browsers have few of them for one server.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) disconnect();
  else connect();
});
addEventListener("pagehide", disconnect);
addEventListener("pageshow", connect);
connect();
