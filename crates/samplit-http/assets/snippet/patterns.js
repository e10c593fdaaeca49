// Which pages are meant. The rules are those of `PagePattern` in samplit-domain, and both sides are
// held to the same vectors.

// What stands behind `http://` or `https://`.
const web = (url) => /^https?:\/\/([^]*)$/i.exec(url)?.[1];

// Percent escapes for all but printable ASCII, and every escape with upper-case digits.
const escaped = (text) =>
  text
    .replace(/[^!-~]+/g, encodeURIComponent)
    .replace(/%[0-9a-f]{2}/gi, (escape) => escape.toUpperCase());

const partsOf = (text) => {
  // Each at the first of its marks.
  const [head, fragment] = text.split(/#([^]*)/);
  const [place, query = ""] = head.split(/\?([^]*)/);
  const [authority, path = ""] = place.split(/\/([^]*)/);
  return {
    host: authority
      .slice(authority.lastIndexOf("@") + 1)
      .toLowerCase()
      .replace(/:(443|80)$/, "")
      .replace(/^www\./, ""),
    path: escaped("/" + path),
    query: [...new URLSearchParams("?" + query)],
    fragment: fragment && escaped(fragment),
  };
};

// Where a character does not fit, the last `*` takes one more; earlier ones never have to.
const glob = (pattern, text) => {
  let p = 0;
  let t = 0;
  let behind = 0;
  let reach;
  while (t < text.length) {
    if (pattern[p] === "*") {
      behind = ++p;
      reach = t;
    } else if (pattern[p] === text[t]) {
      p++;
      t++;
    } else if (behind) {
      p = behind;
      t = ++reach;
    } else return false;
  }
  return /^\**$/.test(pattern.slice(p));
};

const withSlash = (path) => (path.endsWith("/") ? path : path + "/");

const matchesPage = (pattern, url) => {
  const rest = web(url);
  if (rest === undefined) return false;
  if (pattern === "*") return true;
  const meant = partsOf(web(pattern) ?? pattern);
  const page = partsOf(rest);
  const path = meant.path.endsWith("*") ? meant.path : withSlash(meant.path);
  return (
    (glob(meant.host, page.host) || meant.host === "*." + page.host) &&
    glob(path, withSlash(page.path)) &&
    meant.query.every(([name, value]) => page.query.some(([n, v]) => n === name && v === value)) &&
    (meant.fragment === undefined || meant.fragment === page.fragment)
  );
};
