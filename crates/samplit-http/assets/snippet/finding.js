// Finds elements by the four kinds of selectors.

// In the server's spelling, by which hints are compared. None for XPath.
const cssOf = ({ type, value }) => {
  const text = `"${value.replace(/["\\]/g, "\\$&")}"`;
  return { css: value, id: `[id=${text}]`, class: `[class~=${text}]` }[type];
};

const isRead = () => document.readyState !== "loading";

const find = (selector) => {
  try {
    const css = cssOf(selector);
    if (css) return document.querySelector(css);
    const found = document.evaluate(selector.value, document, null, 9, null).singleNodeValue;
    return found?.nodeType === 1 ? found : null;
  } catch {
    return null;
  }
};

const isInside = (node, selector) => {
  try {
    const css = cssOf(selector);
    return css ? node.closest(css) : find(selector)?.contains(node);
  } catch {
    return false;
  }
};
