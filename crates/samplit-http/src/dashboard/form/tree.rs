//! What was typed as a tree, by the tokens of the pointers that name its fields.

use std::collections::BTreeMap;

use hyper::StatusCode;
use samplit_domain::{Violations, json_pointer};
use serde_json::{Map, Value as Json, json};

use super::name::{Kind, Name};
use crate::problem::Problem;

/// Names go no deeper.
const MAX_DEPTH: usize = 12;

#[derive(Debug)]
pub(super) enum Node {
    Leaf {
        text: String,
        kind: Kind,
        clears: bool,
    },
    Branch(BTreeMap<Step, Self>),
}

/// One token of a pointer. Numbers come in their order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Index(usize),
    Key(String),
}

impl Node {
    /// Nothing was typed.
    pub(super) fn root() -> Self {
        Self::Branch(BTreeMap::new())
    }

    /// Puts a leaf where its name says.
    pub(super) fn put(&mut self, name: Name<'_>, text: String) -> Result<(), Problem> {
        let contradiction = || {
            let detail = "the names of the form contradict each other";
            Problem::new(StatusCode::BAD_REQUEST, "malformed_form", detail)
        };
        let tokens: Vec<&str> = name.pointer.split('/').skip(1).collect();
        if tokens.len() > MAX_DEPTH {
            return Err(contradiction());
        }
        let mut place = self;
        let last = tokens.len().saturating_sub(1);
        for (depth, token) in tokens.into_iter().enumerate() {
            let Self::Branch(branch) = place else {
                return Err(contradiction());
            };
            let step = Step::of(token, branch);
            place = branch.entry(step).or_insert_with(|| {
                if depth == last {
                    Self::Leaf {
                        text: String::new(),
                        kind: name.kind,
                        clears: name.clears,
                    }
                } else {
                    Self::Branch(BTreeMap::new())
                }
            });
        }
        let Self::Leaf { text: place, .. } = place else {
            return Err(contradiction());
        };
        *place = text;
        Ok(())
    }

    /// The JSON that stands at the pointer `at`; none where nothing was typed. Items of lists move up
    /// where others are left out, and so does what was typed in them.
    pub(super) fn build(
        self,
        at: &str,
        typed: &mut BTreeMap<String, String>,
        violations: &mut Violations,
    ) -> Option<Json> {
        match self {
            Self::Leaf { text, kind, clears } => {
                let json = if text.is_empty() {
                    None
                } else {
                    kind.json(&text, at, violations)
                };
                typed.insert(at.to_owned(), text);
                let cleared = if kind == Kind::Lines {
                    json!([])
                } else {
                    Json::Null
                };
                json.or_else(|| clears.then_some(cleared))
            }
            Self::Branch(branch) => {
                let is_list =
                    !branch.is_empty() && branch.keys().all(|step| matches!(step, Step::Index(_)));
                let (mut list, mut map) = (Vec::new(), Map::new());
                for (step, node) in branch {
                    let key = match step {
                        Step::Index(_) if is_list => list.len().to_string(),
                        Step::Index(index) => index.to_string(),
                        Step::Key(key) => key,
                    };
                    let json = node.build(&json_pointer(at, &key), typed, violations);
                    match json {
                        Some(json) if is_list => list.push(json),
                        Some(json) => {
                            map.insert(key, json);
                        }
                        None => {}
                    }
                }
                if is_list {
                    (!list.is_empty()).then(|| Json::from(list))
                } else {
                    (!map.is_empty()).then(|| Json::from(map))
                }
            }
        }
    }
}

impl Step {
    pub(super) fn of(token: &str, branch: &BTreeMap<Self, Node>) -> Self {
        if token == "-" {
            let next = branch.keys().rev().find_map(|step| match step {
                Self::Index(index) => Some(index.saturating_add(1)),
                Self::Key(_) => None,
            });
            return Self::Index(next.unwrap_or(0));
        }
        match token.parse() {
            Ok(index) => Self::Index(index),
            Err(_) => Self::Key(token.replace("~1", "/").replace("~0", "~")),
        }
    }
}
