//! Outcomes as text for people or JSON for programs.
//!
//! What somebody else wrote reaches a terminal here: the goal of a receipt, the answer of a server. So
//! nothing is printed that a terminal acts upon, and [`foreign`] keeps it from looking like our own words.

use std::borrow::Cow;
use std::io::{self, Write as _};

use clap::ValueEnum;
use serde::Serialize;

/// How to print an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Text for people.
    Text,
    /// One JSON value.
    Json,
}

/// Prints an outcome on standard output.
pub(crate) fn print<T: Serialize>(
    output: Output,
    outcome: &T,
    text: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    match output {
        Output::Text => line(&text(outcome)),
        Output::Json => line(&serde_json::to_string_pretty(outcome)?),
    }
}

/// Prints text on standard output; lines and tabs stay, other control characters do not.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{}", escaped(text.trim_end(), is_layout))?;
    Ok(())
}

/// Tells people about the progress, on standard error; lines and tabs stay, other control characters do
/// not.
pub(crate) fn tell(text: &str) {
    // Nothing is left to be done when it is closed.
    let _ = writeln!(io::stderr(), "{}", escaped(text, is_layout));
}

/// Prints an error with all its causes, on standard error.
pub(crate) fn print_error(error: &anyhow::Error) {
    tell(&format!("error: {error:#}"));
}

/// The most that is printed of what somebody else wrote, in bytes before it is escaped.
const MAX_FOREIGN: usize = 1024;

/// What somebody else wrote, as part of one line: without line ends, and cut off where it gets long.
pub(crate) fn foreign(text: &str) -> String {
    let start = &text[..text.floor_char_boundary(MAX_FOREIGN)];
    let cut = if start.len() < text.len() { "..." } else { "" };
    format!("{}{cut}", escaped(start, |_| false))
}

fn is_layout(char: char) -> bool {
    matches!(char, '\n' | '\t')
}

/// Escapes, in the way of JSON, what a terminal acts upon or what changes the order of the text around
/// it: control characters, line separators and the controls of bidirectional text.
fn escaped(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    let acts = |char: char| {
        let bidi = matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let ends_line = matches!(char, '\u{2028}' | '\u{2029}');
        (char.is_control() || bidi || ends_line) && !keep(char)
    };
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if acts(char) {
            safe.push_str(&format!("\\u{:04x}", u32::from(char)));
        } else {
            safe.push(char);
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_upon_is_printed() {
        let acting = (0..=0x1f)
            .chain(0x7f..=0x9f)
            .chain([0x61c, 0x200e, 0x200f, 0x2028, 0x2029]);
        for code in acting.chain(0x202a..=0x202e).chain(0x2066..=0x2069) {
            let text = format!("a{}b", char::from_u32(code).unwrap());
            let safe = format!("a\\u{code:04x}b");
            assert_eq!(foreign(&text), safe);
            let layout = [0x9, 0xa].contains(&code);
            assert_eq!(
                escaped(&text, is_layout),
                if layout { &text } else { &safe }.as_str()
            );
        }
        let harmless = "a goal, \"Gr\u{fc}n\", \u{5d0}\u{5d1} \u{1f600} \\u001b";
        assert_eq!(foreign(harmless), harmless);
        assert!(matches!(escaped(harmless, is_layout), Cow::Borrowed(_)));
    }

    #[test]
    fn what_others_wrote_is_cut_off() {
        assert_eq!(foreign(&"x".repeat(1024)), "x".repeat(1024));
        assert_eq!(foreign(&"x".repeat(1025)), "x".repeat(1024) + "...");
        // Not in the middle of a character.
        assert_eq!(
            foreign(&"\u{1f600}".repeat(300)),
            "\u{1f600}".repeat(256) + "..."
        );
        assert_eq!(
            foreign(&format!("x{}", "\u{fc}".repeat(600))),
            format!("x{}...", "\u{fc}".repeat(511))
        );
    }

    /// JSON stays JSON.
    #[test]
    fn escapes_are_those_of_json() {
        let value = serde_json::json!({"goal": "\u{9b}31m\u{202e}\u{7f}\u{1b}"});
        let text = serde_json::to_string(&value).unwrap();
        let safe = escaped(&text, is_layout);
        assert!(
            safe.is_ascii() && !safe.contains(char::is_control),
            "{safe}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&safe).unwrap(),
            value
        );
    }
}
