// A funnel as it is edited. A document `{ nodes, edges }` is never changed, only replaced by another, so
// that undo is to keep the one before, and "nothing to save" is to be the one that was saved.

/** A new id: a UUID of version 7, made of the time and of chance, as the server makes them. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let time = Date.now();
  for (let at = 5; at >= 0; at -= 1) {
    bytes[at] = time % 256;
    time = Math.floor(time / 256);
  }
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

export const nodeOf = (doc, id) => doc.nodes.find((node) => node.id === id);
export const edgeOf = (doc, id) => doc.edges.find((edge) => edge.id === id);
export const waysOut = (doc, id) => doc.edges.filter((edge) => edge.source === id);
export const waysIn = (doc, id) => doc.edges.filter((edge) => edge.target === id);

const replaced = (list, item) => list.map((known) => (known.id === item.id ? item : known));

/** With a node in the place of the one with its id, or as one more. */
export function withNode(doc, node) {
  const nodes = nodeOf(doc, node.id) ? replaced(doc.nodes, node) : [...doc.nodes, node];
  return { ...doc, nodes };
}

/** With an edge in the place of the one with its id, or as one more. */
export function withEdge(doc, edge) {
  const edges = edgeOf(doc, edge.id) ? replaced(doc.edges, edge) : [...doc.edges, edge];
  return { ...doc, edges };
}

/** Without a node and the edges that it had. */
export function withoutNode(doc, id) {
  return {
    nodes: doc.nodes.filter((node) => node.id !== id),
    edges: doc.edges.filter((edge) => edge.source !== id && edge.target !== id),
  };
}

export const withoutEdge = (doc, id) => ({ ...doc, edges: doc.edges.filter((edge) => edge.id !== id) });

/** The documents that were, are, and would be again. */
export class History {
  #past = [];
  #future = [];
  #key = null;

  constructor(doc) {
    this.now = doc;
  }

  /**
   * Goes on to another document; `said` tells what was done. Changes in a row with the same key are undone
   * together.
   */
  put(doc, said, key = null) {
    const isMore = key !== null && key === this.#key;
    if (isMore) this.#past.at(-1).said = said;
    else this.#past.push({ doc: this.now, said });
    this.#future = [];
    this.#key = key;
    this.now = doc;
  }

  /** What comes next is undone by itself, whatever its key. */
  seal() {
    this.#key = null;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  /** Back to the document before; what was undone, or `null` if there is nothing to undo. */
  undo() {
    return this.#step(this.#past, this.#future);
  }

  /** The same the other way round. */
  redo() {
    return this.#step(this.#future, this.#past);
  }

  #step(from, to) {
    this.#key = null;
    const step = from.pop();
    if (!step) return null;
    to.push({ doc: this.now, said: step.said });
    this.now = step.doc;
    return step.said;
  }
}
