// Hides what is under test until it is decided, and no longer than the page's patience. Only by
// `visibility`, so that nothing moves, and in a sheet of ours, which every policy allows.

const PATIENCE = Math.min(settings.hide_ms, 1000);
const sheet = early.sheet ?? new CSSStyleSheet();
if (!early.sheet) document.adoptedStyleSheets.push(sheet);

let patience;

const show = () => {
  clearTimeout(patience);
  sheet.replaceSync("");
};

// Two patterns of `:is` in one list: what is visible by itself inside of what is hidden hides, too.
const hidingRule = (list) => {
  const valid = list.filter((css) => CSS.supports(`selector(:is(${css}))`));
  const all = [...valid, "[data-samplit]"].join();
  return `:is(${all}),:is(${all}) *{visibility:hidden!important}`;
};

const hide = (list) => sheet.replaceSync(hidingRule(list));

// Gives the view its time, and then shows whatever there is.
const startPatience = (view) => {
  clearTimeout(patience);
  early.show = () => {};
  const timeUp = () => {
    view.isUp = true;
    if (view.isDecided) settleAll();
    show();
  };
  // The stub's clock runs since the head of the page, and asks this.
  if (view.isFirst && early.sheet) {
    if (early.done) view.isUp = PATIENCE > 0;
    else early.show = timeUp;
  } else if (PATIENCE) patience = setTimeout(timeUp, PATIENCE);
};

// What the server last said is under test on a page.
let hints = settings.selectors;
const underTest = (url) =>
  hints.filter((hint) => matchesPage(hint.url, url)).flatMap((hint) => hint.css);

// The stub knows no patterns: it finds ready rules by path, of the pages seen last.
const keepRule = (list) => {
  const rules = recall("hide") ?? {};
  delete rules[location.pathname];
  rules[location.pathname] = hidingRule(list);
  keep("hide", Object.fromEntries(Object.entries(rules).slice(-20)));
};
