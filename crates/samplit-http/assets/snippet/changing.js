// Changes elements as the content of a variant says. Every change knows how to tell whether it still
// holds, how to be made again, and how to be undone, if nobody has changed the same since.

const change = (read, write, value) => {
  let before;
  let after;
  const made = {
    make() {
      before = read();
      write(value);
      after = read();
    },
    holds: () => read() === after,
    undo: () => made.holds() && write(before),
  };
  made.make();
  return made;
};

const attributeChange = (element, name, value) =>
  change(
    () => element.getAttribute(name),
    (value) => (value === null ? element.removeAttribute(name) : element.setAttribute(name, value)),
    value,
  );

const styleChange = ({ style }, name, value) =>
  change(
    () => style.getPropertyValue(name) + (style.getPropertyPriority(name) && " !important"),
    (value) => {
      const [, plain, important] = /^(.*?)\s*(!important)?$/s.exec(value);
      style.setProperty(name, plain, important ? "important" : "");
    },
    value ?? "",
  );

const classChange = ({ classList }, name, isOn) =>
  change(
    () => classList.contains(name),
    (isOn) => classList.toggle(name, isOn),
    isOn,
  );

// A text alone keeps its node, which the page's own code may hold on to.
const isText = ({ childNodes: [only, more] }) => only?.nodeType === 3 && !more;

const textChange = (element, text) =>
  isText(element)
    ? change(
        () => element.textContent,
        (text) => (isText(element) ? (element.firstChild.data = text) : (element.textContent = text)),
        text,
      )
    : nodesChange(element, () => [document.createTextNode(text)]);

const nodesChange = (element, make) => {
  let before;
  let after;
  let text;
  const made = {
    make() {
      const nodes = make();
      if (!nodes) return;
      before = [...element.childNodes];
      element.replaceChildren(...nodes);
      after = [...element.childNodes];
      text = element.textContent;
    },
    // What the page does inside of it is its own as long as the nodes are ours.
    holds: () =>
      !after ||
      (element.childNodes.length === after.length &&
        after.every((node, at) => node === element.childNodes[at]) &&
        (!isText(element) || element.textContent === text)),
    undo: () => after && made.holds() && element.replaceChildren(...before),
  };
  made.make();
  return made;
};

const CONTENT = {
  text: (element, text) => [textChange(element, text)],
  html: (element, html) => [nodesChange(element, () => nodesOf(html, element))],
  style: (element, styles) =>
    Object.entries(styles).map(([name, value]) => styleChange(element, name, value)),
  class: (element, { add = [], remove = [] }) => [
    ...remove.map((name) => classChange(element, name, false)),
    ...add.map((name) => classChange(element, name, true)),
  ],
  hidden: (element, isHidden) =>
    isHidden
      ? [styleChange(element, "display", "none !important")]
      : [
          attributeChange(element, "hidden", null),
          ...(getComputedStyle(element).display === "none" ? [styleChange(element, "display", "revert")] : []),
        ],
  attributes: (element, attributes) =>
    Object.entries(attributes).flatMap(([name, value]) => {
      name = name.toLowerCase();
      if (name === "style") return [];
      const isSafe = value === null || (!/^(on|srcdoc$)/.test(name) && isSafeAttribute(name, value));
      return isSafe || settings.raw_html ? [attributeChange(element, name, value)] : [];
    }),
  href: (element, url) => (isSafeUrl(url) ? [attributeChange(element, "href", url)] : []),
  // What would go before the new source has to go.
  src: (element, url) =>
    isSafeUrl(url, true)
      ? [
          ...[element, ...(element.closest("picture")?.querySelectorAll("source") ?? [])]
            .filter((image) => image.hasAttribute("srcset"))
            .map((image) => attributeChange(image, "srcset", null)),
          attributeChange(element, "src", url),
        ]
      : [],
  srcset: (element, text) => [attributeChange(element, "srcset", text)],
  alt: (element, text) => [attributeChange(element, "alt", text)],
};

const KINDS = { style: "object", class: "object", attributes: "object", hidden: "boolean" };

// What runs, loads or redirects by itself is no content.
const ACTIVE = /^(script|style|iframe|frame|object|embed|base|meta|link|template|animate|set)$/i;

// The changes of `content`, made. Content that is not ours makes none.
const changesOf = (element, content) => {
  if (!settings.raw_html && ACTIVE.test(element.localName)) return [];
  if (typeof content === "string") content = { text: content };
  if (!content || typeof content !== "object") return [];
  return Object.keys(CONTENT).flatMap((name) => {
    const value = content[name];
    const isGood = value !== null && typeof value === (KINDS[name] ?? "string");
    try {
      return isGood && Object.hasOwn(content, name) ? CONTENT[name](element, value) : [];
    } catch {
      return [];
    }
  });
};
