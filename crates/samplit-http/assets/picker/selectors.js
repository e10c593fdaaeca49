// Which selectors find an element, and which of them will still find it after the page's next release.

// Names that build tools make anew with every release, or frameworks with every visit.
const GENERATED = [
  /^(css|sc|jss|jsx|emotion|svelte|styled|astro|ember|radix|headlessui|react-aria|mui|yui|ext-gen|gwt-uid)[-_]?[a-z]*[-_:]?[a-z]*\d/i,
  /^(sc|jss|jsx|makeStyles|svelte)-/,
  // A hash: letters and digits mixed, at the end of the name.
  /(^|[-_])(?=[a-z]*\d+[a-z]|[a-z]+\d+[a-z\d]*\d)[a-z\d]{5,}$/i,
  // CSS modules: Button_primary__x7Yz3, and hashes without a digit.
  /__[a-z\d-]{5,8}$/i,
  /(^|[-_])[bcdfghjklmnpqrstvwxz]{5,}$/i,
  /\d{4,}/,
  /[^\w-]/,
];
// Names that say how things stand now.
const STATE =
  /^(is|has|js|ng|v)-|^(active|open|opened|closed|selected|hover|focus|focused|current|disabled|loaded|loading|visible|hidden|show|shown|collapsed|expanded|sticky|first|last|odd|even)$/;

const isStable = (name) => !!name && name.length <= 64 && !GENERATED.some((shape) => shape.test(name));
const isStableClass = (name) => isStable(name) && !STATE.test(name);

const quoted = (text) => `"${text.replace(/["\\]/g, "\\$&").replace(/[\n\r\f]/g, (c) => `\\${c.codePointAt(0).toString(16)} `)}"`;

// As the snippet finds them: ids and classes by their attributes.
const toCss = ({ type, value }) =>
  ({ css: value, id: `[id=${quoted(value)}]`, class: `[class~=${quoted(value)}]` })[type];

// Every element that a selector finds; none for one that is no selector.
const findAll = (selector) => {
  try {
    const css = toCss(selector);
    if (css) return [...document.querySelectorAll(css)].filter((node) => !isOurs(node));
    const found = document.evaluate(selector.value, document, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE, null);
    return Array.from({ length: found.snapshotLength }, (_, at) => found.snapshotItem(at));
  } catch {
    return [];
  }
};

// The first element that any of the selectors finds.
const findFirst = (selectors) => {
  for (const selector of selectors) {
    const [found] = findAll(selector);
    if (found) return found;
  }
  return null;
};

const isOurs = (node) => node.localName === "samplit-picker";

// What of `node` alone says which one it is, best first: CSS of one step.
const marksOf = (node) => {
  const tag = CSS.escape(node.localName);
  const marks = [];
  if (isStable(node.id)) marks.push(`#${CSS.escape(node.id)}`);
  const data = [...node.attributes].filter(
    ({ name, value }) => /^data-[\w-]+$/.test(name) && !/^data-(v-|react|samplit|state|index|ng|aos)/.test(name) && isStable(value.replace(/\W+/g, "-")),
  );
  // Those that are there to be found, first.
  const isForTests = ({ name }) => /^data-(test|testid|test-id|qa|cy|component|section|name)$/.test(name);
  data.sort((a, b) => isForTests(b) - isForTests(a));
  for (const { name, value } of data) marks.push(`${tag}[${name}=${quoted(value)}]`);
  const classes = [...node.classList].filter(isStableClass).slice(0, 4).map((name) => `.${CSS.escape(name)}`);
  for (const name of classes) marks.push(tag + name);
  for (const [at, name] of classes.entries())
    for (const other of classes.slice(at + 1)) marks.push(tag + name + other);
  return marks;
};

// Where `node` stands among its siblings.
const stepOf = (node) => {
  const tag = CSS.escape(node.localName);
  const like = [...(node.parentElement?.children ?? [node])].filter((other) => other.localName === node.localName);
  return like.length > 1 ? `${tag}:nth-of-type(${like.indexOf(node) + 1})` : tag;
};

const isOnly = (css, node) => {
  const found = findAll({ type: "css", value: css });
  return found.length === 1 && found[0] === node;
};

// From the nearest ancestor that is the only one of its kind down to `node`, as short as it goes.
const pathsOf = (node) => {
  const paths = [];
  const steps = [stepOf(node)];
  for (let above = node.parentElement; above; above = above.parentElement) {
    const anchor = above === document.body ? "body" : marksOf(above).find((css) => isOnly(css, above));
    if (anchor) {
      const [own] = marksOf(node).filter((css) => !css.startsWith("#"));
      const short = [own, CSS.escape(node.localName)].find((css) => css && isOnly(`${anchor} ${css}`, node));
      if (short) paths.push(`${anchor} ${short}`);
      paths.push([anchor, ...steps].join(" > "));
      if (above === document.body || paths.length > 3) break;
    }
    steps.unshift(stepOf(above));
  }
  return paths;
};

// Selectors that find `node` and nothing else, the most durable first: its id, a data attribute, classes,
// and its place below something durable. The first one is stored, the others stand in for it.
const selectorsOf = (node) => {
  const css = [...marksOf(node), ...pathsOf(node)];
  const found = [];
  for (const value of new Set(css)) {
    if (value.length > 1024 || !isOnly(value, node)) continue;
    found.push(value === `#${CSS.escape(node.id)}` ? { type: "id", value: node.id } : { type: "css", value });
    if (found.length === 5) break;
  }
  return found;
};

// What can be pointed at: not the page itself, not a part of a drawing. What is inside of a shadow root
// is one with its host, as no selector leads into it.
const pickableOf = (node) => {
  if (!node || node.nodeType !== Node.ELEMENT_NODE) return null;
  let root = node.getRootNode();
  while (root instanceof ShadowRoot) {
    node = root.host;
    root = node.getRootNode();
  }
  if (node instanceof SVGElement)
    for (let svg = node; svg; svg = svg.parentElement?.closest("svg")) node = svg.closest("svg") ?? node;
  return root !== document || node === document.documentElement || node === document.body || isOurs(node) ? null : node;
};

// What kind of thing it is.
const typeOf = (node) => {
  const role = node.getAttribute("role");
  if (/^(img|picture|svg)$/.test(node.localName) || role === "img") return "image";
  const looksLike = /(^|[-_])(btn|button|cta)([-_]|$)/i;
  const isButton = node.localName === "button" || role === "button" || node.matches("input:is([type=submit],[type=button])");
  if (isButton || (node.localName === "a" && [...node.classList].some((name) => looksLike.test(name)))) return "button";
  if (/^h[1-6]$/.test(node.localName) || role === "heading") return "headline";
  if (node.localName === "a" || role === "link") return "link";
  return "text";
};
