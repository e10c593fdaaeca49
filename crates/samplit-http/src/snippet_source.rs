//! The snippet put together from its sources, with nothing that would have to be installed: comments
//! and spaces go, the rest is what compression is for. For that the sources keep their comments on
//! lines of their own, write texts in `"` or backticks and on one line, and have no quote and no space in
//! a regular expression.

use std::sync::LazyLock;

const STUB: &str = include_str!("../assets/snippet/stub.html");

/// In the order in which they run.
const SOURCES: [&str; 12] = [
    include_str!("../assets/snippet/open.js"),
    include_str!("../assets/snippet/memory.js"),
    include_str!("../assets/snippet/patterns.js"),
    include_str!("../assets/snippet/hiding.js"),
    include_str!("../assets/snippet/finding.js"),
    include_str!("../assets/snippet/cleaning.js"),
    include_str!("../assets/snippet/changing.js"),
    include_str!("../assets/snippet/treating.js"),
    include_str!("../assets/snippet/sending.js"),
    include_str!("../assets/snippet/goals.js"),
    include_str!("../assets/snippet/viewing.js"),
    include_str!("../assets/snippet/start.js"),
];

static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    let lines = SOURCES.iter().flat_map(|source| source.lines());
    let lines = lines.map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    compact(&lines.collect::<Vec<_>>().join("\n"))
});

/// Leaves out spaces around signs, ends of lines behind what cannot end a statement, and commas that
/// nothing follows; texts and templates stay as they are.
fn compact(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut text = None;
    let mut chars = code.chars().peekable();
    while let Some(char) = chars.next() {
        let last = out.chars().next_back().unwrap_or(' ');
        let next = chars.peek().copied().unwrap_or(' ');
        match char {
            '\\' if text.is_some() => {
                out.push(char);
                out.extend(chars.next());
                continue;
            }
            '"' | '`' if text.is_none() => text = Some(char),
            '"' | '`' if text == Some(char) => text = None,
            _ if text.is_some() => {}
            ' ' if !is_word(last) || !is_word(next) => continue,
            '\n' if ",({[:?=&|;>".contains(last) => continue,
            ')' | ']' | '}' if last == ',' => {
                out.pop();
            }
            _ => {}
        }
        out.push(char);
    }
    out
}

fn is_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_' || char == '$'
}

/// The snippet of a site, given its settings as a JSON object: `api` (scheme, host and port of this
/// server), `token`, `domain`, `hide_ms`, `raw_html`, `gpc` and `selectors`.
#[must_use]
pub fn script(settings: &str) -> String {
    SCRIPT.replacen("__SAMPLIT_SETTINGS__", settings, 1)
}

/// What goes into the head of every page: the line that loads the snippet from `script_url`, and what
/// hides elements under test until it is there, for `hide_ms` milliseconds at most.
#[must_use]
pub fn stub(script_url: &str, hide_ms: u32) -> String {
    STUB.trim_end()
        .replace("__SAMPLIT_SCRIPT__", script_url)
        .replace("__SAMPLIT_HIDE_MS__", &hide_ms.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::{SCRIPT, STUB, compact, script, stub};

    #[test]
    fn the_sources_have_the_places_that_are_filled() {
        assert_eq!(SCRIPT.matches("__SAMPLIT_SETTINGS__").count(), 1);
        assert_eq!(STUB.matches("__SAMPLIT_SCRIPT__").count(), 1);
        assert_eq!(STUB.matches("__SAMPLIT_HIDE_MS__").count(), 1);
    }

    #[test]
    fn the_plugin_of_wordpress_prints_the_same_stub() {
        let of_plugin = include_str!("../../../integrations/wordpress/samplit/assets/stub.html");
        assert_eq!(of_plugin, STUB);
    }

    #[test]
    fn stub_and_file_are_as_small_as_promised() {
        let token = "x".repeat(43);
        let stub = stub(&format!("https://samplit.example.com/s/pk_{token}.js"), 500);
        assert!(stub.len() <= 700, "{}", stub.len());

        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(script("{}").as_bytes()).unwrap();
        let size = gzip.finish().unwrap().len();
        assert!(size <= 8 * 1024, "{size}");

        let told = include_str!("../../../docs/SNIPPET.md");
        let plain = SCRIPT.len();
        for size in [
            format!("{} bytes, with a host", stub.len()),
            format!("{size} bytes ({plain} plain)"),
        ] {
            assert!(told.contains(&size), "docs/SNIPPET.md lacks: {size}");
        }
    }

    #[test]
    fn only_what_means_nothing_is_left_out() {
        for (code, expected) in [
            (
                "const a = {\nb: 1,\n};\nreturn \"a, }\";",
                "const a={b:1};return\"a, }\";",
            ),
            (
                "a()\nb ? `${c} \\` d` : \"\\\" e\"",
                "a()\nb?`${c} \\` d`:\"\\\" e\"",
            ),
            ("typeof a\nelse in b", "typeof a\nelse in b"),
        ] {
            assert_eq!(compact(code), expected);
        }
    }

    #[test]
    fn nothing_makes_code_of_text() {
        for part in [
            "eval(",
            "new Function",
            "innerHTML =",
            "document.write",
            "setAttribute(\"style\"",
        ] {
            assert!(!SCRIPT.contains(part), "{part}");
        }
    }
}
