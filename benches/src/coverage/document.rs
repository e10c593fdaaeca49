//! Writes what a command found between its two markers in a document.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use time::OffsetDateTime;

/// A document with `<!-- NAME:begin -->` and `<!-- NAME:end -->`, each on a line of its own.
#[derive(Debug)]
pub(crate) struct Document(PathBuf);

impl Document {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Where the document's pictures are.
    pub(crate) fn images(&self) -> PathBuf {
        self.0.parent().unwrap_or(Path::new("")).join("img")
    }

    /// Replaces what is between the markers by the command, the date and `body`.
    pub(crate) fn write(&self, name: &str, command: &str, body: &str) -> anyhow::Result<()> {
        let path = self.0.display();
        #[expect(
            clippy::disallowed_methods,
            reason = "the document says when it was written"
        )]
        let date = OffsetDateTime::now_utc().date();
        let body = format!("`{command}`, {date}:\n\n{}\n", body.trim_end());
        let text = fs::read_to_string(&self.0).with_context(|| format!("cannot read {path}"))?;
        let text = replace(&text, name, &body)
            .with_context(|| format!("{path} lacks the markers of {name}"))?;
        fs::write(&self.0, text).with_context(|| format!("cannot write {path}"))
    }
}

fn replace(text: &str, name: &str, body: &str) -> Option<String> {
    let begin = format!("<!-- {name}:begin -->\n");
    let end = format!("<!-- {name}:end -->\n");
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{body}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_between_markers_only() {
        let text = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb\n";
        let once = replace(text, "x", "new\n").unwrap();
        assert_eq!(once, "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb\n");
        assert_eq!(replace(&once, "x", "new\n").unwrap(), once);
        assert_eq!(replace(text, "y", "new\n"), None);
    }
}
