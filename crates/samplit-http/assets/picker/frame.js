// Points at elements: the outlines over the page, and the page's own events, which are kept from it.

const host = document.createElement("samplit-picker");
const root = host.attachShadow({ mode: "closed" });
root.adoptedStyleSheets = [sheet];

const outline = (kind) => {
  const box = make("div", { className: `frame ${kind}`, hidden: true });
  const tag = make("div", { className: "tag", hidden: true });
  root.append(box, tag);
  return {
    box,
    put(node, name) {
      const rect = node?.isConnected ? node.getBoundingClientRect() : null;
      box.hidden = tag.hidden = !rect || (rect.width === 0 && rect.height === 0);
      if (box.hidden) return;
      Object.assign(box.style, {
        top: `${rect.top - 3}px`,
        left: `${rect.left - 3}px`,
        width: `${rect.width + 6}px`,
        height: `${rect.height + 6}px`,
      });
      tag.textContent = name;
      const above = rect.top - 27;
      tag.style.top = `${Math.max(2, above < 2 ? Math.min(rect.bottom + 6, innerHeight - 24) : above)}px`;
      tag.style.left = `${Math.min(Math.max(2, rect.left - 3), innerWidth - 60)}px`;
    },
  };
};

const hovering = outline("hover");
const selecting = outline("selected");
// What is pointed at, what was picked, and whether its text is being edited in place.
let hovered = null;
let selected = null;
let editing = null;

const nameOf = (node) => `${typeOf(node)} <${node.localName}>`;

// The page may scroll, move and change at any time.
const follow = () => {
  hovering.put(hovered === selected ? null : hovered, hovered && nameOf(hovered));
  selecting.put(selected, selected && nameOf(selected));
  selecting.box.classList.toggle("editing", !!editing);
  requestAnimationFrame(follow);
};

const isInPanel = (event) => event.composedPath()[0] === host || event.target === host;
const isInEdited = (event) => editing?.contains(event.target);

// From here on the page hears nothing of what is done to it.
const SILENCED =
  "pointerdown pointerup pointercancel mousedown mouseup click dblclick auxclick touchstart touchend mouseover mouseenter focusin submit dragstart beforeinput keypress keyup".split(" ");

const silence = (event) => {
  // A dialog of the page would take the focus back.
  if (event.type === "focusin") event.stopImmediatePropagation();
  if (isInPanel(event)) return;
  event.stopImmediatePropagation();
  // The caret follows the pointer where text is edited.
  const isDefaultOurs = isInEdited(event) && !["click", "submit", "dragstart"].includes(event.type);
  if (!isDefaultOurs && /^(mousedown|click|dblclick|auxclick|submit|dragstart)$/.test(event.type)) event.preventDefault();
  if (event.type === "click" && event.button === 0 && !isInEdited(event)) {
    const node = pickableOf(event.target);
    if (node && node === selected) edit();
    else if (node) select(node);
  }
};

const point = (event) => {
  hovered = isInPanel(event) || event.pointerType === "touch" ? null : pickableOf(event.target);
};

// The page in the order of its elements.
const stepInPage = (from, isBack) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT, (node) =>
    pickableOf(node) === node && node.getClientRects().length ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_SKIP,
  );
  walker.currentNode = from ?? document.body;
  return isBack ? walker.previousNode() : walker.nextNode();
};

const neighbourOf = (node, key) => {
  const from = node ?? document.body;
  const next = {
    ArrowUp: () => from.parentElement,
    ArrowDown: () => from.firstElementChild,
    ArrowLeft: () => from.previousElementSibling,
    ArrowRight: () => from.nextElementSibling,
  }[key]();
  return pickableOf(next) ?? (key === "ArrowDown" && !node ? stepInPage(null, false) : null);
};

const isTyping = () => /^(input|textarea|select)$/.test(root.activeElement?.localName) && root.activeElement.type !== "radio";

const steer = (event) => {
  const { key } = event;
  const isOurs = isInPanel(event);
  event.stopImmediatePropagation();
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (key === "Escape") {
    event.preventDefault();
    if (editing) endEdit();
    else select(null);
  } else if (editing && !isOurs) {
    // A button takes the space for a press.
    if (key === " " && editing.closest("button, summary")) {
      event.preventDefault();
      document.execCommand("insertText", false, " ");
    }
    if (key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      endEdit();
    }
  } else if (key.startsWith("Arrow") && !isTyping() && root.activeElement?.type !== "radio") {
    const next = neighbourOf(selected ?? hovered, key);
    if (!next) return;
    event.preventDefault();
    select(next);
    next.scrollIntoView({ block: "nearest" });
  } else if (key === "Tab" && !isOurs) {
    // From the page into the panel, and not through everything that the page can focus.
    event.preventDefault();
    panel.focusFirst();
  } else if (key === "Enter" && !isOurs && selected) {
    event.preventDefault();
    edit();
  }
};

const listeners = [
  ...SILENCED.map((type) => [type, silence]),
  ["pointermove", point],
  ["keydown", steer],
];
const listen = () => {
  for (const [type, listener] of listeners) addEventListener(type, listener, { capture: true, passive: false });
  // Nor of what is done in the panel, once that has heard it.
  for (const type of [...SILENCED, "input", "change"]) host.addEventListener(type, (event) => event.stopPropagation());
};
