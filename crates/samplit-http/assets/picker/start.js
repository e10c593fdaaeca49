// What happens: picking, editing, saving, leaving.

// The experiment as the server has it.
let draft = null;
// What the variant that is being made changes, and how it is taken back.
let content = {};
let undo = null;
let isShown = true;
let isSaving = false;
let selectors = [];
const names = { element: "", variant: "" };
// Of elements that are saved what is shown of them.
const shown = new Map();

const isDraft = () => draft?.status === "draft";
const selectorsOfSaved = ({ selector, fallback_selectors }) => [selector, ...fallback_selectors];

// The saved element that this one is.
const elementOf = (node) => (node && draft?.elements.find((element) => findFirst(selectorsOfSaved(element)) === node)) ?? null;

const nameFor = (node) => {
  const text = (holdsText(node) ? node.textContent : (node.getAttribute("alt") ?? "")).trim().replace(/\s+/g, " ");
  const name = text ? `${HEADLINE[typeOf(node)]}: ${shorten(text, 40)}` : HEADLINE[typeOf(node)];
  const taken = new Set(draft.elements.map((element) => element.name));
  let unique = name;
  for (let at = 2; taken.has(unique); at++) unique = `${name} (${at})`;
  return unique;
};

const nameOfNext = (element) => {
  const taken = new Set(element?.variants.map((variant) => variant.name));
  let at = 1;
  while (taken.has(`Variant ${at}`)) at++;
  return `Variant ${at}`;
};

const render = () => {
  undo?.();
  undo = selected && isShown ? show(selected, content) : null;
};

const setShown = (isOn) => {
  if (editing) endEdit();
  isShown = isOn;
  render();
  panel.drawFooter();
};

const setContent = (change) => {
  content = { ...content, ...change };
  for (const name of Object.keys(content)) if (content[name] === undefined) delete content[name];
  isShown = true;
  render();
  panel.drawFooter();
};

const hideSaved = () => {
  for (const { undo } of shown.values()) undo();
  shown.clear();
};

const select = (node) => {
  if (editing) endEdit();
  undo?.();
  undo = null;
  hideSaved();
  content = {};
  isShown = true;
  selected = node;
  hovered = null;
  selectors = node ? selectorsOf(node) : [];
  if (node && draft) Object.assign(names, { element: nameFor(node), variant: nameOfNext(elementOf(node)) });
  panel.say("");
  panel.setLow(!node);
  panel.draw();
  panel.reveal();
};

// Edits the text where it stands.
const edit = () => {
  const node = selected;
  if (!draft || editing || !holdsText(node) || !isLeaf(node)) return;
  setContent({ text: content.text ?? node.textContent });
  editing = node;
  const before = node.getAttribute("contenteditable");
  const { outline } = node.style;
  node.style.outline = "none";
  try {
    node.contentEditable = "plaintext-only";
  } catch {
    node.contentEditable = "true";
  }
  const input = () => {
    content.text = node.textContent;
    panel.setText(content.text);
    panel.drawFooter();
  };
  node.addEventListener("input", input);
  endEditing = () => {
    node.removeEventListener("input", input);
    if (before === null) node.removeAttribute("contenteditable");
    else node.setAttribute("contenteditable", before);
    node.style.outline = outline;
    node.blur();
    if (content.text === originalText(node)) setContent({ text: undefined });
  };
  node.focus();
  getSelection().selectAllChildren(node);
};
let endEditing = null;
const endEdit = () => {
  editing = null;
  endEditing();
};
// As it is without the change.
const originalText = (node) => {
  undo?.();
  undo = null;
  const { textContent } = node;
  render();
  return textContent;
};

const showSaved = (element, variant) => {
  const isOn = shown.get(element.id)?.variant === variant.id;
  if (selected) select(null);
  shown.get(element.id)?.undo();
  shown.delete(element.id);
  const node = findFirst(selectorsOfSaved(element));
  if (!isOn && node) {
    // Of one node one at a time, so that each gives back what it found.
    for (const [id, other] of shown)
      if (other.node === node) {
        other.undo();
        shown.delete(id);
      }
    shown.set(element.id, { node, variant: variant.id, undo: show(node, variant.content) });
    node.scrollIntoView({ block: "nearest" });
  }
  panel.draw();
};

const save = async () => {
  if (editing) endEdit();
  const known = elementOf(selected);
  const [selector, ...fallback_selectors] = selectors;
  undo?.();
  undo = null;
  const original_content = originalOf(selected);
  render();
  const variant = { name: names.variant.trim(), content };
  const body = known
    ? { element: known.id, variant }
    : { element: null, name: names.element.trim(), selector, fallback_selectors, element_type: typeOf(selected), original_content, variant };
  isSaving = true;
  panel.drawFooter();
  try {
    draft = await ask("POST", "/variants", body);
    isSaving = false;
    select(null);
    panel.setLow(false);
    panel.say(`Saved “${variant.name}”.`);
  } catch (error) {
    isSaving = false;
    panel.say(error.message, true);
    // What somebody else changed is in it.
    draft = await ask("GET", "").catch(() => draft);
    panel.drawFooter();
  }
};

const removeVariant = async (variant) => {
  hideSaved();
  try {
    draft = await ask("DELETE", `/variants/${variant.id}`);
    panel.say(`Deleted “${variant.name}”.`);
  } catch (error) {
    panel.say(error.message, true);
  }
  panel.draw();
};

// The page as it is for everybody else.
const leave = () => {
  hideSaved();
  undo?.();
  location.reload();
};

const start = async () => {
  forgetToken();
  listen();
  follow();
  panel.draw();
  panel.say("Opening the experiment…");
  try {
    draft = await ask("GET", "");
    panel.say(isDraft() ? "" : "The experiment was started. Its variants can be looked at, and do not change any more.", !isDraft());
  } catch (error) {
    panel.say(error.message, true);
  }
  panel.draw();
};

// Without a link there is nothing to edit.
if (token) {
  document.documentElement.append(host);
  start();
}
