const host = document.querySelector("my-card");
host.attachShadow({ mode: "open" }).append(document.createElement("button"));
const textOf = ({ type, value }) => (type === "css" ? value : `${type}: ${value}`);
const firstOf = (css) => textOf(selectorsOf(document.querySelector(css))[0]);
// Every element of the page: all that is given finds it alone, and there is a way to everything.
const wrong = [];
for (const node of document.querySelectorAll("main *")) {
  if (pickableOf(node) !== node) continue;
  const selectors = selectorsOf(node);
  const isGood = selectors.every((selector) => {
    const found = findAll(selector);
    return found.length === 1 && found[0] === node && !/css-|sc-|kWqXzz|ember|a81bc2d4|:r1|md:|x7Yz3|active/.test(selector.value);
  });
  if (!isGood || selectors.length === 0) wrong.push(node.outerHTML);
}
return {
  wrong,
  "an id": firstOf("#good"),
  "a number as id": firstOf("[id='7']"),
  "an id twice": firstOf(".second"),
  "an id of React": firstOf(".promo"),
  "an id of Ember": firstOf("[id^=ember]"),
  "a hash as id": firstOf("[data-testid]"),
  "generated classes": firstOf(".nav-link"),
  "a cell of a table": firstOf("tr:nth-child(2) td:nth-child(2)"),
  "a class with a colon": firstOf("h2"),
  "a link in a list": firstOf("li:nth-child(2) a"),
  "part of a drawing": pickableOf(document.querySelector("path")).localName,
  "inside of a shadow root": pickableOf(host.shadowRoot.firstChild).localName,
  "the page": pickableOf(document.body),
  "by xpath": findAll({ type: "xpath", value: "//td" }).length,
  "no selector": findAll({ type: "css", value: "a[" }).length,
  fallbacks: selectorsOf(document.querySelector("#good")).length > 1,
};
