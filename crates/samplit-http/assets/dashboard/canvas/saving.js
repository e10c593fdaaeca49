// Keeps a funnel on the server: never over what somebody else has saved meanwhile, unless that is wanted.
import { fromPointers } from "./faults.js";

const conflict = document.getElementById("conflict");
const trouble = document.getElementById("trouble");

export class Saving {
  #editor;
  #path;
  #isAtIt = null;

  constructor(editor, id) {
    this.#editor = editor;
    this.#path = `/v1/funnels/${id}`;
    // Whoever leaves with changes that are not saved is asked first.
    addEventListener("beforeunload", (event) => {
      if (editor.isDirty) event.preventDefault();
    });
    conflict.querySelector("[data-reload]").addEventListener("click", () => this.#reload());
    conflict.querySelector("[data-over]").addEventListener("click", () => this.#saveOver());
  }

  get isAtIt() {
    return this.#isAtIt !== null;
  }

  /** Saves; whether that was done. Who asks meanwhile gets the same answer. */
  save() {
    this.#isAtIt ??= this.#send().finally(() => {
      this.#isAtIt = null;
      this.#editor.draw("said");
    });
    this.#editor.draw("said");
    return this.#isAtIt;
  }

  /** Asks what keeps the draft, as it was saved, from starting. */
  async check() {
    if (this.#editor.isFixed) return;
    const answer = await this.#ask(`${this.#path}/check`);
    if (!answer?.ok) return;
    this.#editor.faults = (await answer.json()).data;
    this.#editor.draw("faults");
  }

  async #send() {
    const editor = this.#editor;
    const { document: doc, view } = editor;
    const viewport = { x: Math.round(view.x), y: Math.round(view.y), zoom: Math.round(view.zoom * 1000) / 1000 };
    trouble.hidden = true;
    const answer = await this.#ask(this.#path, {
      method: "PATCH",
      headers: { "content-type": "application/json", "if-match": editor.tag },
      body: JSON.stringify({ ...doc, viewport }),
    });
    if (!answer) return this.#fail("The server did not answer. Nothing is lost: try again in a moment.");
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) {
      conflict.hidden = true;
      editor.saved(doc, answer.headers.get("etag"));
      for (const input of document.querySelectorAll("input[name=version]")) input.value = said.version;
      editor.say("Saved.");
      await this.check();
      return true;
    }
    if (answer.status === 412) {
      conflict.hidden = false;
      conflict.focus();
      return false;
    }
    if (answer.status === 422) {
      editor.faults = fromPointers(doc, said.errors ?? []);
      editor.draw("faults");
      return this.#fail("Nothing was saved: some values cannot be kept. They are marked.");
    }
    if (answer.status === 401) {
      return this.#fail("You were signed out. Sign in again in another tab, then save here: nothing is lost.");
    }
    return this.#fail(said.detail ? `Nothing was saved: ${said.detail}.` : "Nothing was saved. Try again in a moment.");
  }

  async #ask(path, options) {
    try {
      return await fetch(path, options);
    } catch {
      return null;
    }
  }

  #fail(words) {
    trouble.textContent = words;
    trouble.hidden = false;
    return false;
  }

  #reload() {
    const editor = this.#editor;
    editor.saved(editor.document, editor.tag);
    location.reload();
  }

  async #saveOver() {
    const answer = await this.#ask(this.#path);
    if (!answer?.ok) return this.#fail("The server did not answer. Nothing is lost: try again in a moment.");
    this.#editor.tag = answer.headers.get("etag");
    await this.save();
  }
}
