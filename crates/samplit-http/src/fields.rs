//! Reads an object of a request body and collects every field that breaks a rule, instead of
//! stopping at the first.

use std::{fmt::Display, str::FromStr};

use samplit_domain::{Violations, json_pointer};
use serde_json::{Map, Value as Json};

use crate::problem::Problem;

/// What a JSON value has to be, so that a field can be read from it.
pub(crate) trait FromJson: Sized {
    /// The type in words, for the message: "a string".
    const EXPECTED: &'static str;

    /// The value, or none when the JSON is of another type.
    fn from_json(json: Json) -> Option<Self>;
}

impl FromJson for String {
    const EXPECTED: &'static str = "a string";

    fn from_json(json: Json) -> Option<Self> {
        match json {
            Json::String(text) => Some(text),
            _ => None,
        }
    }
}

impl FromJson for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_json(json: Json) -> Option<Self> {
        json.as_bool()
    }
}

impl FromJson for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_json(json: Json) -> Option<Self> {
        json.as_f64()
    }
}

impl FromJson for u64 {
    const EXPECTED: &'static str = "a whole number, 0 or more";

    fn from_json(json: Json) -> Option<Self> {
        json.as_u64()
    }
}

impl FromJson for Vec<Json> {
    const EXPECTED: &'static str = "an array";

    fn from_json(json: Json) -> Option<Self> {
        match json {
            Json::Array(items) => Some(items),
            _ => None,
        }
    }
}

impl FromJson for Map<String, Json> {
    const EXPECTED: &'static str = "an object";

    fn from_json(json: Json) -> Option<Self> {
        match json {
            Json::Object(map) => Some(map),
            _ => None,
        }
    }
}

impl FromJson for Json {
    const EXPECTED: &'static str = "any JSON value";

    fn from_json(json: Json) -> Option<Self> {
        Some(json)
    }
}

/// A field of a change: left alone, cleared, or set.
pub(crate) type Patch<T> = Option<Option<T>>;

/// One object being read. `null` counts as absent. Every field that is asked for is taken out, so
/// that what is left at the end is unknown.
#[derive(Debug)]
pub(crate) struct Fields<'v> {
    at: String,
    map: Map<String, Json>,
    /// Not an object: said so once, so its fields are not called missing as well.
    void: bool,
    violations: &'v mut Violations,
}

impl<'v> Fields<'v> {
    /// Reads the object `json` that stands at the pointer `at` of the body, and lets `read` take
    /// its fields.
    pub(crate) fn read<T>(
        json: Json,
        at: String,
        violations: &'v mut Violations,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let (map, void) = match json {
            Json::Object(map) => (map, false),
            _ => {
                violations.add(at.as_str(), "wrong_type", "must be an object");
                (Map::new(), true)
            }
        };
        let mut fields = Self {
            at,
            map,
            void,
            violations,
        };
        let value = read(&mut fields);
        for key in fields.map.keys() {
            let pointer = json_pointer(&fields.at, key);
            fields
                .violations
                .add(pointer, "unknown_field", "is not a field of this request");
        }
        value
    }

    /// Notes it when the field `name` is missing. What is no object misses none.
    pub(crate) fn require(&mut self, name: &str) {
        #[cfg(test)]
        recorded::note(&self.at, name, recorded::REQUIRED);
        if !self.void && !self.is_given(name) {
            self.refuse(name, "required", "is missing");
        }
    }

    /// Notes that the field `name` breaks the rule `code`.
    pub(crate) fn refuse(&mut self, name: &str, code: &'static str, detail: impl Into<String>) {
        let pointer = json_pointer(&self.at, name);
        self.violations.add(pointer, code, detail);
    }

    /// Notes that the item at `index` of the array `name` breaks the rule `code`.
    pub(crate) fn refuse_item(
        &mut self,
        name: &str,
        index: usize,
        code: &'static str,
        detail: impl Into<String>,
    ) {
        let array = json_pointer(&self.at, name);
        self.violations
            .add(format!("{array}/{index}"), code, detail);
    }

    /// Whether the field `name` is there, whatever it holds.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|json| !json.is_null())
    }

    /// A field that may be absent.
    pub(crate) fn optional<T: FromJson>(&mut self, name: &str) -> Option<T> {
        #[cfg(test)]
        recorded::note(&self.at, name, T::EXPECTED);
        match self.map.remove(name)? {
            Json::Null => None,
            json => {
                let value = T::from_json(json);
                if value.is_none() {
                    self.refuse(name, "wrong_type", format!("must be {}", T::EXPECTED));
                }
                value
            }
        }
    }

    /// A field that has to be there; `T::default()` stands in for it when it is not.
    pub(crate) fn required<T: FromJson + Default>(&mut self, name: &str) -> T {
        self.require(name);
        self.optional(name).unwrap_or_default()
    }

    /// A field whose `null` means "clear it".
    pub(crate) fn patch<T: FromJson>(&mut self, name: &str) -> Patch<T> {
        let clears = self.map.get(name).is_some_and(Json::is_null);
        let value = self.optional(name);
        (clears || value.is_some()).then_some(value)
    }

    /// A field that holds one word of a closed set, or an id.
    pub(crate) fn word<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let text: String = self.optional(name)?;
        match text.parse() {
            Ok(word) => Some(word),
            Err(error) => {
                self.refuse(name, "unknown_value", error.to_string());
                None
            }
        }
    }

    /// A field that holds an array of numbers; NaN stands in for what is none.
    pub(crate) fn numbers(&mut self, name: &str) -> Option<Vec<f64>> {
        let items: Vec<Json> = self.optional(name)?;
        let at = json_pointer(&self.at, name);
        let number = |(index, item): (usize, Json)| {
            item.as_f64().unwrap_or_else(|| {
                let pointer = format!("{at}/{index}");
                self.violations
                    .add(pointer, "wrong_type", "must be a number");
                f64::NAN
            })
        };
        Some(items.into_iter().enumerate().map(number).collect())
    }

    /// A field that holds an array of strings; an empty one stands in for what is none.
    pub(crate) fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        let items: Vec<Json> = self.optional(name)?;
        let at = json_pointer(&self.at, name);
        let text = |(index, item): (usize, Json)| {
            String::from_json(item).unwrap_or_else(|| {
                let pointer = format!("{at}/{index}");
                self.violations
                    .add(pointer, "wrong_type", "must be a string");
                String::new()
            })
        };
        Some(items.into_iter().enumerate().map(text).collect())
    }

    /// A field that holds an array of words of a closed set; one that is none is left out.
    pub(crate) fn words<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<Vec<T>> {
        let items: Vec<Json> = self.optional(name)?;
        let at = json_pointer(&self.at, name);
        let word = |(index, item): (usize, Json)| {
            let pointer = format!("{at}/{index}");
            let Some(text) = String::from_json(item) else {
                self.violations
                    .add(pointer, "wrong_type", "must be a string");
                return None;
            };
            let word = text.parse();
            word.map_err(|error: T::Err| {
                self.violations
                    .add(pointer, "unknown_value", error.to_string());
            })
            .ok()
        };
        Some(items.into_iter().enumerate().filter_map(word).collect())
    }

    /// A field that holds an object, read by `read`.
    pub(crate) fn object<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Fields<'_>) -> T,
    ) -> Option<T> {
        let json: Json = self.optional(name)?;
        let at = json_pointer(&self.at, name);
        Some(Fields::read(json, at, self.violations, read))
    }

    /// A field that holds an object, read by `read`, and whose `null` means "clear it".
    pub(crate) fn patch_object<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Fields<'_>) -> T,
    ) -> Patch<T> {
        let clears = self.map.get(name).is_some_and(Json::is_null);
        let value = self.object(name, read);
        (clears || value.is_some()).then_some(value)
    }

    /// A field that holds an array of objects, each read by `read`.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        mut read: impl FnMut(&mut Fields<'_>) -> T,
    ) -> Option<Vec<T>> {
        let items: Vec<Json> = self.optional(name)?;
        let at = json_pointer(&self.at, name);
        let read_item =
            |(index, item)| Fields::read(item, format!("{at}/{index}"), self.violations, &mut read);
        Some(items.into_iter().enumerate().map(read_item).collect())
    }

    /// Like [`Self::list`], for an array that has to be there.
    pub(crate) fn required_list<T>(
        &mut self,
        name: &str,
        read: impl FnMut(&mut Fields<'_>) -> T,
    ) -> Vec<T> {
        self.require(name);
        self.list(name, read).unwrap_or_default()
    }
}

/// Checks a body in which no field is known.
///
/// # Errors
/// 422 with every field that is there.
pub(crate) fn no_fields(body: Json) -> Result<(), Problem> {
    let mut violations = Violations::default();
    Fields::read(body, String::new(), &mut violations, |_| ());
    violations.into_result(()).map_err(Problem::invalid)
}

/// Adds what the domain's rules say to what the reader noted, without saying anything twice.
///
/// Where the reader could not use a field, a stand-in was checked in its place, so the rules about
/// that field, about what is below it, and about a whole of which it is a part are left out.
pub(crate) fn merge(read: &mut Violations, rules: Violations) {
    let within = |pointer: &str, whole: &str| {
        pointer
            .strip_prefix(whole)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let new = rules.0.into_iter().filter(|rule| {
        !read.0.iter().any(|noted| {
            let unusable = matches!(noted.code, "wrong_type" | "unknown_value");
            within(&rule.pointer, &noted.pointer)
                || (unusable && within(&noted.pointer, &rule.pointer))
        })
    });
    let new: Vec<_> = new.collect();
    read.0.extend(new);
}

/// What readers ask for, for the test that compares it with the schemas of requests.
#[cfg(test)]
pub(crate) mod recorded {
    use std::{cell::RefCell, collections::BTreeSet};

    use samplit_domain::json_pointer;

    /// Noted of a field that has to be there.
    pub(crate) const REQUIRED: &str = "required";

    /// A field by its pointer, items of arrays as `*`, with a type in words or [`REQUIRED`].
    pub(crate) type Asked = BTreeSet<(String, &'static str)>;

    thread_local! {
        static ASKED: RefCell<Option<Asked>> = const { RefCell::new(None) };
    }

    /// Everything that is asked for while `read` runs.
    pub(crate) fn during(read: impl FnOnce()) -> Asked {
        ASKED.set(Some(Asked::new()));
        read();
        ASKED.take().unwrap_or_default()
    }

    pub(super) fn note(at: &str, name: &str, what: &'static str) {
        let parts = at.split('/').map(|part| match part.parse::<usize>() {
            Ok(_index) => "*",
            Err(_) => part,
        });
        let at: Vec<&str> = parts.collect();
        ASKED.with_borrow_mut(|asked| {
            if let Some(asked) = asked {
                asked.insert((json_pointer(&at.join("/"), name), what));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use samplit_domain::{Status, Violations};
    use serde_json::{Value as Json, json};

    use super::{Fields, merge};

    fn summary(violations: &Violations) -> Vec<String> {
        let line = |v: &samplit_domain::Violation| format!("{} {}", v.pointer, v.code);
        violations.0.iter().map(line).collect()
    }

    /// Reads an example object with a field of each kind.
    fn read(json: Json) -> (String, Vec<String>) {
        let mut violations = Violations::default();
        let value = Fields::read(json, String::new(), &mut violations, |fields| {
            let name: String = fields.required("name");
            let share: Option<f64> = fields.optional("share");
            let count: Option<u64> = fields.optional("count");
            let status: Option<Status> = fields.word("status");
            let note = fields.patch::<String>("note");
            let inner = fields.object("inner", |inner| inner.required::<bool>("flag"));
            let items = fields.list("items", |item| item.required::<String>("id"));
            format!("{name:?} {share:?} {count:?} {status:?} {note:?} {inner:?} {items:?}")
        });
        (value, summary(&violations))
    }

    #[test]
    fn a_good_object_reads_without_violations() {
        let (value, violations) = read(json!({
            "name": "n", "share": 1, "count": 2, "status": "draft", "note": null,
            "inner": {"flag": true}, "items": [{"id": "a"}],
        }));
        assert_eq!(
            value,
            r#""n" Some(1.0) Some(2) Some(Draft) Some(None) Some(true) Some(["a"])"#
        );
        assert_eq!(violations, [""; 0]);
    }

    #[test]
    fn every_bad_field_is_named_at_once() {
        let cases = [
            (json!({}), vec!["/name required"]),
            (json!({"name": null}), vec!["/name required"]),
            (json!([]), vec![" wrong_type"]),
            (json!(null), vec![" wrong_type"]),
            (
                json!({
                    "name": 1, "share": "a", "count": -1, "status": "gone", "note": 5,
                    "inner": {"flag": "yes", "more": 1}, "items": [{}, 3, {"id": "a", "x/y": 1}],
                    "extra~": 1,
                }),
                vec![
                    "/name wrong_type",
                    "/share wrong_type",
                    "/count wrong_type",
                    "/status unknown_value",
                    "/note wrong_type",
                    "/inner/flag wrong_type",
                    "/inner/more unknown_field",
                    "/items/0/id required",
                    "/items/1 wrong_type",
                    "/items/2/x~1y unknown_field",
                    "/extra~0 unknown_field",
                ],
            ),
            (
                json!({"name": "n", "inner": 1, "items": {}}),
                vec!["/inner wrong_type", "/items wrong_type"],
            ),
            (
                json!({"name": "n", "count": 1.5}),
                vec!["/count wrong_type"],
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(read(body.clone()).1, expected, "{body}");
        }
    }

    #[test]
    fn a_rule_about_an_unreadable_field_is_not_reported() {
        let noted = |pairs: &[(&str, &'static str)]| {
            let mut violations = Violations::default();
            for (pointer, code) in pairs {
                violations.add(*pointer, code, "");
            }
            violations
        };
        let mut read = noted(&[
            ("/name", "required"),
            ("/a/0/is_control", "wrong_type"),
            ("/b/0/x", "unknown_field"),
            ("/c", "wrong_type"),
        ]);
        merge(
            &mut read,
            noted(&[
                ("/name", "required"),
                ("/names", "too_long"),
                ("/a", "one_control"),
                ("/b", "one_control"),
                ("/c/0/name", "required"),
            ]),
        );
        assert_eq!(summary(&read)[4..], ["/names too_long", "/b one_control"]);
    }
}
