// The state of the editor and all that can be done with it: mouse, keyboard, toolbar and panel call what
// stands here, which says aloud what it did.
import { fitted, freePlace, placeAfter, tidied, toWorld, zoomed } from "./geometry.js";
import { History, edgeOf, newId, nodeOf, withEdge, withNode, withoutEdge, withoutNode } from "./model.js";
import { KINDS, nameOf, wayAloud } from "./words.js";

/** As many as the server takes. */
const MOST_NODES = 100;
const MOST_EDGES = 300;

const FIXED = "Only a draft can change so. Duplicate the funnel, and change the copy.";

export class Editor {
  #history;
  #saved;
  #drawers = [];

  /** `isFixed`: only where the steps stand may change. */
  constructor({ funnel, tag, experiments, isFixed }) {
    const { nodes, edges, viewport } = funnel;
    this.#history = new History({ nodes, edges });
    this.#saved = this.document;
    this.view = viewport;
    this.tag = tag;
    this.experiments = experiments;
    this.isFixed = isFixed;
    this.faults = [];
    /** `{ kind: "node" | "edge", id }` */
    this.selected = null;
    /** The step from which a way is being drawn by keyboard. */
    this.joining = null;
    this.said = "";
    this.size = () => ({ width: 0, height: 0 });
  }

  get document() {
    return this.#history.now;
  }

  get isDirty() {
    return this.document !== this.#saved;
  }

  get canUndo() {
    return this.#history.canUndo;
  }

  get canRedo() {
    return this.#history.canRedo;
  }

  /** `draw(editor, cause)` is called whenever something has changed. */
  drawnBy(...drawers) {
    this.#drawers.push(...drawers);
  }

  draw(cause = null) {
    for (const drawer of this.#drawers) drawer(this, cause);
  }

  say(words) {
    this.said = words;
    this.draw("said");
  }

  /** Puts another document in the place of this one. `key`: see `History.put`. */
  change(doc, said, { key = null, cause = null } = {}) {
    this.#history.put(doc, said, key);
    this.said = said;
    this.draw(cause);
  }

  /** Ends a movement, so that the next one is undone by itself. */
  seal() {
    this.#history.seal();
  }

  /** Notes that `doc` is what the server has, under this entity tag. */
  saved(doc, tag) {
    this.#saved = doc;
    this.tag = tag;
    this.seal();
  }

  isSelected(kind, id) {
    return this.selected?.kind === kind && this.selected.id === id;
  }

  get selectedNode() {
    return this.selected?.kind === "node" ? nodeOf(this.document, this.selected.id) : undefined;
  }

  get selectedEdge() {
    return this.selected?.kind === "edge" ? edgeOf(this.document, this.selected.id) : undefined;
  }

  /** Shows one node or edge in the panel; `focus`: on the canvas as well. */
  select(kind, id, { focus = false } = {}) {
    if (!this.isSelected(kind, id)) {
      this.seal();
      this.selected = { kind, id };
      this.draw("selected");
    }
    if (focus) this.draw("focus");
  }

  deselect() {
    if (!this.selected) return;
    this.seal();
    this.selected = null;
    this.draw("selected");
  }

  /** What is selected may have gone. */
  #settle() {
    if (this.selected && !this.selectedNode && !this.selectedEdge) this.selected = null;
  }

  #mayChange() {
    if (this.isFixed) this.say(FIXED);
    return !this.isFixed;
  }

  /** One more step: behind the selected one, to which it is joined, or in the middle of what is seen. */
  add(type) {
    if (!this.#mayChange()) return;
    const doc = this.document;
    if (doc.nodes.length >= MOST_NODES) return this.say(`A funnel has at most ${MOST_NODES} steps.`);
    const before = this.selectedNode ?? (this.selectedEdge && nodeOf(doc, this.selectedEdge.target));
    const isJoined = before && before.type !== "conversion" && doc.edges.length < MOST_EDGES;
    const { width, height } = this.size();
    const centre = toWorld(this.view, { x: width / 3, y: height / 3 });
    const place = isJoined ? placeAfter(doc, before) : freePlace(doc, before ?? centre);
    const node = { id: newId(), type, name: KINDS[type].fresh, ...place, config: {}, experiment_id: null };
    let next = withNode(doc, node);
    if (isJoined) next = withEdge(next, always(before.id, node.id));
    const behind = isJoined ? `, behind ${nameOf(doc, before.id)}` : "";
    this.selected = { kind: "node", id: node.id };
    this.change(next, `Added ${nameOf(next, node.id)}${behind}.`, { cause: "selected" });
    this.draw("reveal");
    this.draw("focus");
  }

  /** A way from one step to another. */
  join(source, target) {
    if (!this.#mayChange()) return;
    const doc = this.document;
    this.joining = null;
    const known = doc.edges.find((edge) => edge.source === source && edge.target === target);
    if (source === target) return this.say("A step cannot lead to itself.");
    if (nodeOf(doc, source).type === "conversion") return this.say("A conversion is the end: nothing comes after it.");
    if (doc.edges.length >= MOST_EDGES) return this.say(`A funnel has at most ${MOST_EDGES} ways.`);
    if (known) {
      this.select("edge", known.id);
      return this.say(`There is a way from ${nameOf(doc, source)} to ${nameOf(doc, target)} already.`);
    }
    const edge = always(source, target);
    this.selected = { kind: "edge", id: edge.id };
    this.change(withEdge(doc, edge), `Joined ${nameOf(doc, source)} to ${nameOf(doc, target)}.`);
  }

  /** Begins a way by keyboard or by button; it ends at the step that is chosen next. */
  beginWay(id) {
    if (!this.#mayChange()) return;
    if (nodeOf(this.document, id).type === "conversion") return this.say("A conversion is the end: nothing comes after it.");
    this.joining = id;
    this.say(`Where does ${nameOf(this.document, id)} lead? Choose a step with Tab and Enter, or click it. Escape breaks off.`);
    this.draw("focus");
  }

  breakOff() {
    if (!this.joining) return false;
    this.joining = null;
    this.say("No way was drawn.");
    return true;
  }

  /** Calls a step something else. Like moving it, that is always allowed. */
  rename(id, name) {
    const node = nodeOf(this.document, id);
    this.change(withNode(this.document, { ...node, name }), `Named it “${name}”.`, { key: `name ${id}`, cause: "typed" });
  }

  /** Puts another node in the place of the one with its id. */
  edit(node, said, options) {
    if (this.#mayChange()) this.change(withNode(this.document, node), said, options);
  }

  /** The same of an edge. */
  editEdge(edge, said, options) {
    if (this.#mayChange()) this.change(withEdge(this.document, edge), said, options);
  }

  /** Moves a node. That is no change of the steps, and always allowed. */
  move(id, { x, y }, key) {
    const node = nodeOf(this.document, id);
    const moved = { ...node, x: Math.round(x), y: Math.round(y) };
    if (moved.x === node.x && moved.y === node.y) return;
    const options = { key: `move ${id} ${key}`, cause: "moved" };
    this.change(withNode(this.document, moved), `Moved ${nameOf(this.document, id)}.`, options);
  }

  remove(kind, id) {
    if (!this.#mayChange()) return;
    const doc = this.document;
    this.joining = null;
    if (kind === "node") {
      const at = doc.nodes.findIndex((node) => node.id === id);
      const next = withoutNode(doc, id);
      const neighbour = next.nodes[Math.min(at, next.nodes.length - 1)];
      this.selected = neighbour ? { kind: "node", id: neighbour.id } : null;
      this.change(next, `Removed ${nameOf(doc, id)} with its ways.`, { cause: "selected" });
    } else {
      const edge = edgeOf(doc, id);
      this.selected = { kind: "node", id: edge.source };
      this.change(withoutEdge(doc, id), `Removed the ${wayAloud(doc, edge, []).replace("Way", "way")}.`, { cause: "selected" });
    }
    this.draw("focus");
  }

  removeSelected() {
    if (this.selected) this.remove(this.selected.kind, this.selected.id);
  }

  undo() {
    this.#travel(this.#history.undo(), "Undone: ", "There is nothing to undo.");
  }

  redo() {
    this.#travel(this.#history.redo(), "Done again: ", "There is nothing to do again.");
  }

  #travel(step, lead, nothing) {
    if (step === null) return this.say(nothing);
    this.joining = null;
    this.#settle();
    this.said = lead + step.charAt(0).toLowerCase() + step.slice(1);
    this.draw("selected");
  }

  tidy() {
    if (this.document.nodes.length === 0) return this.say("There is nothing to tidy up.");
    this.change(tidied(this.document), "Put the steps in order.");
    this.fit();
  }

  /** Shows everything. */
  fit() {
    this.look(fitted(this.document.nodes, this.size()));
  }

  /** Nearer or farther; without a centre, that of the canvas. */
  zoom(factor, centre) {
    const { width, height } = this.size();
    this.look(zoomed(this.view, factor, centre ?? { x: width / 2, y: height / 2 }));
  }

  pan(dx, dy) {
    this.look({ ...this.view, x: this.view.x + dx, y: this.view.y + dy });
  }

  look(view) {
    this.view = view;
    this.draw("looked");
  }
}

const always = (source, target) => ({ id: newId(), source, target, condition: { type: "always" } });
