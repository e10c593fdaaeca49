//! The names of fields: where their text goes, what it is, and how it becomes JSON and text again.

use samplit_domain::Violations;
use serde_json::{Number, Value as Json, json};

use crate::call::parse;

/// How text becomes JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Percent,
    Boolean,
    Json,
    Lines,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'n> {
    pub(super) pointer: &'n str,
    pub(super) kind: Kind,
    pub(super) clears: bool,
}

impl<'n> Name<'n> {
    pub(super) fn of(name: &'n str) -> Self {
        let mut read = Self {
            pointer: name,
            kind: Kind::Text,
            clears: false,
        };
        while let Some((rest, suffix)) = read.pointer.rsplit_once(':') {
            match suffix {
                "number" => read.kind = Kind::Number,
                "percent" => read.kind = Kind::Percent,
                "boolean" => read.kind = Kind::Boolean,
                "json" => read.kind = Kind::Json,
                "lines" => read.kind = Kind::Lines,
                "clears" => read.clears = true,
                _ => break,
            }
            read.pointer = rest;
        }
        read
    }
}

impl Kind {
    /// The JSON of a text that is not empty. What cannot be read stays text, so that the reader of
    /// the API says what it should be.
    pub(super) fn json(self, text: &str, at: &str, violations: &mut Violations) -> Option<Json> {
        let as_text = || Some(Json::from(text));
        match self {
            Self::Text => Some(Json::from(text.replace("\r\n", "\n"))),
            Self::Number => number(text).map(Json::from).or_else(as_text),
            Self::Percent => {
                // Read as the decimal that it is: a division by 100 would be a bit off, so that what was
                // only looked at would have changed.
                let percent = without_spaces(text);
                let share = format!("{}e-2", percent.trim_end_matches('%')).parse().ok();
                let share = share.and_then(Number::from_f64);
                share.map(Json::from).or_else(as_text)
            }
            Self::Boolean => match text {
                "true" | "on" => Some(json!(true)),
                "false" => Some(json!(false)),
                _ => as_text(),
            },
            Self::Json if text.trim().is_empty() => None,
            Self::Json => match parse(text.as_bytes()) {
                Ok(json) => Some(json),
                Err(problem) => {
                    let detail = problem.detail.trim_start_matches("the body ").to_owned();
                    violations.add(at, problem.code, detail);
                    None
                }
            },
            Self::Lines => {
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                let lines: Vec<Json> = lines.map(Json::from).collect();
                (!lines.is_empty()).then(|| Json::from(lines))
            }
        }
    }

    /// The text of a JSON.
    pub(super) fn shown(self, json: &Json) -> String {
        match (self, json) {
            (_, Json::Null) => String::new(),
            (Self::Percent, Json::Number(share)) => {
                // As many digits as the share has, and not those of a division.
                let percent = 100.0 * share.as_f64().unwrap_or_default();
                let text = format!("{percent:.6}");
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
            (Self::Number, Json::Number(number)) => match number.as_f64() {
                // A whole number that is a real for programs is a whole number for people.
                Some(real) if number.is_f64() => real.to_string(),
                _ => number.to_string(),
            },
            (Self::Lines, Json::Array(lines)) => {
                let lines = lines.iter().map(|line| Self::Text.shown(line));
                lines.collect::<Vec<_>>().join("\n")
            }
            (Self::Json, json) => serde_json::to_string_pretty(json).unwrap_or_default(),
            (_, Json::String(text)) => text.clone(),
            (_, json) => json.to_string(),
        }
    }
}

/// A number as people write it, perhaps with spaces between its digits.
fn number(text: &str) -> Option<Number> {
    let text = without_spaces(text);
    let whole = text.parse::<i64>().ok().map(Number::from);
    whole.or_else(|| text.parse().ok().and_then(Number::from_f64))
}

fn without_spaces(text: &str) -> String {
    text.replace(char::is_whitespace, "")
}
