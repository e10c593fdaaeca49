// The page around the verifier: the form and the progress; result.js shows what was found. The work is done in a worker
// that is made from the text in this very file, so that nothing is ever loaded.
"use strict";

const at = (id) => document.getElementById(id);
const count = new Intl.NumberFormat("en");
const many = (number, one, more = `${one}s`) => `${count.format(number)} ${number === 1 ? one : more}`;

const logic = URL.createObjectURL(new Blob([at("logic").textContent], { type: "text/javascript" }));
let chosen = null;
let worker = null;

const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1);

function element(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

/** A size in bytes, for people. */
function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  const power = Math.min(3, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

function choose(file) {
  if (!file) return;
  chosen = file;
  at("file-name").textContent = file.name;
  at("file-size").textContent = size(file.size);
  at("drop").classList.add("chosen");
  at("start").disabled = worker !== null;
  at("note").textContent = "";
}

function running(is) {
  at("start").disabled = is || chosen === null;
  at("cancel").hidden = !is;
  at("running").hidden = !is;
  for (const id of ["file", "keys", "draw-key"]) at(id).disabled = is;
}

function stop() {
  worker?.terminate();
  worker = null;
  running(false);
}

function refuse(id, text) {
  at(id).toggleAttribute("aria-invalid", text !== "");
  if (text !== "") at(id).setAttribute("aria-invalid", "true");
  at(`${id}-error`).textContent = text;
  at(`${id}-error`).hidden = text === "";
}

function start() {
  refuse("keys", "");
  refuse("draw-key", "");
  at("result").hidden = true;
  at("note").textContent = "";
  at("progress").value = 0;
  at("rate").textContent = "Checking the tools of this page…";
  const began = performance.now();
  const file = chosen;
  worker = new Worker(logic);
  running(true);
  at("cancel").focus();
  worker.onmessage = ({ data }) => {
    if (data.progress) return advance(data.progress, file, began);
    stop();
    if (data.refused) return refused(data.refused);
    if (data.broken) return broken(data.broken);
    return show(data, file, (performance.now() - began) / 1000);
  };
  worker.onerror = (event) => {
    stop();
    broken(event.message ?? "the worker did not start");
  };
  worker.postMessage({ file, keys: at("keys").value, drawKey: at("draw-key").value });
}

function advance({ read, entries }, file, began) {
  const seconds = (performance.now() - began) / 1000;
  at("progress").value = read / file.size;
  const share = Math.floor((100 * read) / file.size);
  const rate = count.format(Math.round(entries / seconds));
  at("rate").textContent = `${share} % · ${many(entries, "entry", "entries")} · ${rate} entries/s`;
}

function refused({ field, line, what }) {
  const id = field === "keys" ? "keys" : "draw-key";
  refuse(id, field === "keys" ? `Line ${line} is ${what}.` : `This is ${what}.`);
  at(id).focus();
}

function broken(what) {
  at("note").textContent = `This could not be verified here: ${what}.`;
}

at("file").addEventListener("change", () => choose(at("file").files[0]));
at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
at("cancel").addEventListener("click", () => {
  stop();
  at("note").textContent = "Cancelled. Nothing was found out.";
  at("start").focus();
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  // Anywhere on the page, so that a file that misses the field does not replace the page.
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && worker === null) choose(event.dataTransfer.files[0]);
  });
}
at("save").hidden = location.protocol === "file:";
