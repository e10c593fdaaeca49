// Shows the content of a variant on the page, and takes it back. The snippet does the same to visitors;
// here only what can be edited is shown.

const isLeaf = (node) => node.childElementCount === 0;
const holdsText = (node) => !/^(img|picture|svg|input|video|iframe|canvas|hr|br|table|thead|tbody|tr)$/.test(node.localName);

const isSafeUrl = (url, isImage) => {
  try {
    const { protocol } = new URL(url, location.href);
    return (isImage ? /^(https?|data|blob):$/ : /^(https?|mailto|tel|sms):$/).test(protocol);
  } catch {
    return false;
  }
};

// A style that belongs to nothing, to read what CSS means.
const scratch = document.createElement("i").style;

// Changes `node`, and gives the function that undoes it.
const show = (node, content) => {
  const undo = [];
  const setAttribute = (of, name, value) => {
    const before = of.getAttribute(name);
    undo.push(() => (before === null ? of.removeAttribute(name) : of.setAttribute(name, before)));
    if (value === null) of.removeAttribute(name);
    else of.setAttribute(name, value);
  };
  // A shorthand takes its parts with it, and each of them comes back.
  const setStyle = (name, value) => {
    scratch.cssText = `${name}: ${value || "inherit"}`;
    if (!scratch.length) return;
    const { style } = node;
    const before = [name, ...scratch].map((part) => [part, style.getPropertyValue(part), style.getPropertyPriority(part)]);
    undo.push(() => {
      style.removeProperty(name);
      for (const [part, value, priority] of before) if (value) style.setProperty(part, value, priority);
    });
    if (value) style.setProperty(name, scratch.getPropertyValue(name), scratch.getPropertyPriority(name));
    else style.removeProperty(name);
  };
  const { text, src, alt, href, hidden, style = {} } = typeof content === "string" ? { text: content } : (content ?? {});
  if (typeof text === "string" && holdsText(node)) {
    const before = [...node.childNodes];
    undo.push(() => node.replaceChildren(...before));
    node.replaceChildren(text);
  }
  if (typeof src === "string" && isSafeUrl(src, true)) {
    const others = node.closest("picture")?.querySelectorAll("source") ?? [];
    for (const image of [node, ...others]) if (image.hasAttribute("srcset")) setAttribute(image, "srcset", null);
    setAttribute(node, "src", src);
  }
  if (typeof alt === "string") setAttribute(node, "alt", alt);
  if (typeof href === "string" && isSafeUrl(href)) setAttribute(node, "href", href);
  for (const [name, value] of Object.entries(style ?? {})) setStyle(name, value);
  if (hidden) setStyle("display", "none !important");
  return () => undo.reverse().forEach((step) => step());
};

// What of `node` content can replace, as it is.
const originalOf = (node) => {
  const original = {};
  if (holdsText(node) && isLeaf(node)) original.text = node.textContent;
  for (const name of ["src", "alt", "href"]) if (node.hasAttribute(name)) original[name] = node.getAttribute(name);
  return original;
};

// A colour of CSS as #rrggbb; white where there is none.
const toHex = (colour) => {
  const [red, green, blue, alpha = "1"] = colour.match(/[\d.]+/g) ?? [];
  if (blue === undefined || Number(alpha) === 0) return "#ffffff";
  return `#${[red, green, blue].map((part) => Math.round(part).toString(16).padStart(2, "0")).join("")}`;
};
