// What the content of a variant changes, and where. A place (an attribute, a class, a style, what is
// inside) has what the page had there, and on top of it what each variant wants, of which the last is
// shown. So two variants may want the same place, and the page gets back its own, once they have left.
// What stands at a place is a list, compared item by item.

const places = new WeakMap();
const isSame = (a, b) => a.length === b.length && a.every((item, at) => item === b[at]);

const placeOf = (node, name, read, write) => {
  // By whom, the page's own first, by nobody.
  const wanted = new Map();
  let left;
  const put = () => {
    const shown = [...wanted.values()].pop();
    if (!isSame(read(), shown)) write(shown);
    left = read();
  };
  const place = {
    holds: () => isSame(read(), left),
    isOf: (who) => [...wanted.keys()].pop() === who,
    take(who, value) {
      if (wanted.size < 2) wanted.set(null, (left = read()));
      wanted.set(who, value);
      put();
    },
    // The page has changed it: that is its own from now on.
    renew() {
      wanted.set(null, read());
      put();
    },
    leave(who) {
      if (!place.holds()) wanted.set(null, read());
      wanted.delete(who);
      put();
    },
  };
  const known = places.get(node) ?? {};
  places.set(node, known);
  return (known[name] ??= place);
};

// One change of a variant.
const want = (one, node, name, value, read, write) => {
  const place = placeOf(node, name, read, write);
  one.places.add(place);
  one.isLeft = true;
  place.take(one, value);
};

const setAttribute = (one, node, name, value) =>
  want(
    one,
    node,
    "@" + name,
    [value],
    () => [node.getAttribute(name)],
    ([value]) => (value === null ? node.removeAttribute(name) : node.setAttribute(name, value)),
  );

const setAttributes = (one, attributes) => {
  for (const [given, value] of Object.entries(attributes)) {
    const name = given.toLowerCase();
    const isSafe = value === null || (!/^(on|srcdoc$)/.test(name) && isSafeAttribute(name, value));
    if (name !== "style" && (isSafe || settings.raw_html)) setAttribute(one, one.node, name, value);
  }
};

const setClass = (one, name, isOn) => {
  const { classList } = one.node;
  want(one, one.node, "." + name, [isOn], () => [classList.contains(name)], ([isOn]) => classList.toggle(name, isOn));
};

const scratch = document.createElement("i").style;
const read = (style, names) =>
  names.flatMap((name) => [style.getPropertyValue(name), style.getPropertyPriority(name)]);

// A shorthand is its parts, so that the page gets back each of them; with a variable in it, it has none
// yet, and stands for itself.
const setStyle = (one, name, value) => {
  const { style } = one.node;
  scratch.cssText = `${name}:${value || "inherit"}`;
  const parts = [...scratch];
  const hasParts = parts.every((part) => scratch.getPropertyValue(part));
  for (const names of hasParts ? parts.map((part) => [part]) : [[name, ...parts]])
    want(
      one,
      one.node,
      names[0],
      value ? read(scratch, names) : names.flatMap(() => ["", ""]),
      () => read(style, names),
      (values) =>
        names.forEach((name, at) => {
          const [value, priority] = values.slice(2 * at);
          if (value || !at) style.setProperty(name, value, priority);
        }),
    );
};

// A text alone is more than its node, which the page's own code may hold on to.
const isText = ([only, more]) => only?.nodeType === 3 && !more;
const contents = (nodes) => [isText(nodes) ? nodes[0].data : null, ...nodes];
const setInside = (one, value) => {
  const { node } = one;
  want(one, node, "inside", value, () => contents(node.childNodes), ([text, ...nodes]) => {
    if (text === null || nodes.length) node.replaceChildren(...nodes);
    else if (!isText(node.childNodes)) node.replaceChildren(text);
    if (text !== null) node.firstChild.data = text;
  });
};

const setOne = (one, value, name) => setAttributes(one, { [name]: value });

const CONTENT = {
  attributes: setAttributes,
  href: setOne,
  src: (one, url, name) => {
    setOne(one, url, name);
    // What would go before the new source has to go.
    for (const image of [one.node, ...(one.node.closest("picture")?.querySelectorAll("source") ?? [])])
      if (image.hasAttribute("srcset")) setAttribute(one, image, "srcset", null);
  },
  srcset: setOne,
  alt: setOne,
  style: (one, styles) => Object.entries(styles).forEach(([name, value]) => setStyle(one, name, value)),
  class: (one, { add = [], remove = [] }) => {
    for (const name of remove) setClass(one, name, false);
    for (const name of add) setClass(one, name, true);
  },
  hidden: (one, isHidden) => {
    if (isHidden) return setStyle(one, "display", "none!important");
    setAttribute(one, one.node, "hidden", null);
    if (getComputedStyle(one.node).display === "none") setStyle(one, "display", "revert");
  },
  text: (one, text) => setInside(one, [text]),
  html: (one, html) => {
    const nodes = nodesOf(html, one.node);
    if (!html.trim() || nodes.some(({ localName, data }) => localName || data.trim())) setInside(one, contents(nodes));
  },
};

const KINDS = { style: "object", class: "object", attributes: "object", hidden: "boolean" };

// What runs, loads or redirects by itself is no content.
const ACTIVE = /^(script|style|iframe|frame|object|embed|base|meta|link|template|animate|set)$/i;

// Changes the node of `one` as its content says. What is not allowed is left out, but not all of a member:
// that is thrown. Members that are not ours are the page's.
const changeAll = (one) => {
  let { content } = one.variant;
  if (typeof content === "string") content = { text: content };
  const isOurs = settings.raw_html || !ACTIVE.test(one.node.localName);
  for (const name in CONTENT) {
    const value = content?.[name] ?? null;
    if (value === null) continue;
    if (!isOurs || typeof value !== (KINDS[name] ?? "string")) throw name;
    one.isLeft = !Object.keys(value).length;
    CONTENT[name](one, value, name);
    if (!one.isLeft) throw name;
  }
};
