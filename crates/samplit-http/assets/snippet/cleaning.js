// Makes HTML harmless, by a list of what is allowed. What was parsed goes into the page as nodes and
// is never written out again, so it cannot be read in two ways.

let policy;
try {
  policy = window.trustedTypes?.createPolicy("samplit", {
    createHTML: (html) => html,
    createScriptURL: (url) => url,
  });
} catch {
  // Not in the page's list: sinks refuse us, and HTML stays out.
}
const trustedHtml = (html) => policy?.createHTML(html) ?? html;

const TAGS =
  " a abbr article aside b blockquote br button code dd del details div dl dt em figcaption figure footer h1 h2 h3 h4 h5 h6 header hr i img ins li main mark nav ol p picture pre s section small source span strong sub summary sup table tbody td tfoot th thead time tr u ul wbr ";
const ATTRIBUTES =
  /^(class|title|lang|dir|role|href|src|srcset|sizes|media|type|alt|width|height|loading|target|rel|colspan|rowspan|datetime|value|open|hidden|tabindex|aria-[\w-]+|data-[\w-]+)$/;

// Where a link or an image may lead: also everything relative.
const isSafeUrl = (url, isImage) => {
  try {
    const { protocol } = new URL(url, location.href);
    return (isImage ? /^(https?|data|blob):$/ : /^(https?|mailto|tel|sms):$/).test(protocol);
  } catch {
    return false;
  }
};

// Names of attributes that hold where something leads, and the rule for what they say.
const isSafeAttribute = (name, value) =>
  name === "src"
    ? isSafeUrl(value, true)
    : !/^(href|xlink:href|action|formaction|poster|background|ping)$/.test(name) || isSafeUrl(value);

// A policy may forbid the attribute `style`, already when it is read; this one it does not know.
const STYLE = "data-samplit-style";
const renameStyle = (html) =>
  html.replace(/<[a-z][^>]*>/gi, (tag) => tag.replace(/(\s)style(?=\s*=)/gi, "$1" + STYLE));

const clean = (parent) => {
  for (const node of [...parent.childNodes]) {
    if (node.nodeType === 3) continue;
    if (!TAGS.includes(` ${node.localName} `)) {
      node.remove();
      continue;
    }
    const css = node.getAttribute(STYLE);
    node.removeAttribute(STYLE);
    for (const { name, value } of [...node.attributes])
      if (!ATTRIBUTES.test(name) || !isSafeAttribute(name, value)) node.removeAttribute(name);
    if (css) node.style.cssText = css;
    clean(node);
  }
};

// The nodes of HTML for `element`, in its document.
const nodesOf = (html, element) => {
  if (settings.raw_html) {
    const range = new Range();
    range.selectNodeContents(element);
    return [...range.createContextualFragment(trustedHtml(html)).childNodes];
  }
  const { body } = new DOMParser().parseFromString(trustedHtml(renameStyle(html)), "text/html");
  clean(body);
  return [...body.childNodes];
};
