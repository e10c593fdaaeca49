//! The content of a variant in the fields of a form: what pages understand has a field each, and
//! whatever else it may be stands as JSON in the field `more`.

use samplit_domain::{Violations, json_pointer};
use serde_json::{Map, Value as Json};

/// Members that are a line or more of text.
const TEXTS: [&str; 6] = ["text", "html", "href", "src", "srcset", "alt"];

/// Members that are names with values, a line each.
const PAIRS: [&str; 2] = ["style", "attributes"];

/// Puts `content` into the fields of a variant.
pub(super) fn to_fields(content: Json, variant: &mut Map<String, Json>) {
    let Json::Object(members) = content else {
        variant.insert("more".to_owned(), content);
        return;
    };
    let mut fields = Map::new();
    let mut more = Map::new();
    for (name, value) in members {
        match to_field(&name, &value) {
            Some(field) => fields.insert(name, field),
            None => more.insert(name, value),
        };
    }
    variant.insert("content".to_owned(), fields.into());
    if !more.is_empty() {
        variant.insert("more".to_owned(), more.into());
    }
}

/// What stands in the field of a member; none where the field could not say the same.
fn to_field(name: &str, value: &Json) -> Option<Json> {
    match (name, value) {
        ("hidden", Json::Bool(_)) => Some(value.clone()),
        (name, Json::String(text)) if TEXTS.contains(&name) => {
            (!text.is_empty() && !text.contains('\r')).then(|| value.clone())
        }
        (name, Json::Object(pairs)) if PAIRS.contains(&name) => {
            let lines: Option<Vec<Json>> = pairs.iter().map(line).collect();
            lines.filter(|lines| !lines.is_empty()).map(Json::from)
        }
        ("class", Json::Object(lists)) => {
            let lists = lists.iter().map(|(name, list)| {
                let is_known = name == "add" || name == "remove";
                let words = words(list).filter(|_| is_known)?;
                Some((name.clone(), words))
            });
            let lists: Option<Map<String, Json>> = lists.collect();
            lists.filter(|lists| !lists.is_empty()).map(Json::Object)
        }
        _ => None,
    }
}

/// `name: value`, or `name:` for what is taken away.
fn line((name, value): (&String, &Json)) -> Option<Json> {
    let value = match value {
        Json::Null => "",
        Json::String(text) if !text.is_empty() => text,
        _ => return None,
    };
    let is_plain = |text: &str| text.trim() == text && !text.contains(['\r', '\n']);
    let is_name = !name.is_empty() && is_plain(name) && !name.contains(':');
    (is_name && is_plain(value) && !value.ends_with(';'))
        .then(|| Json::from(format!("{name}: {value}").trim_end()))
}

/// Class names with spaces between them.
fn words(list: &Json) -> Option<Json> {
    let words: Option<Vec<&str>> = list.as_array()?.iter().map(Json::as_str).collect();
    let words = words.filter(|words| {
        let is_word = |word: &&str| !word.is_empty() && !word.contains(char::is_whitespace);
        !words.is_empty() && words.iter().all(is_word)
    });
    words.map(|words| Json::from(words.join(" ")))
}

/// Takes the fields of the variant at `pointer` together to its content again.
pub(super) fn from_fields(
    variant: &mut Map<String, Json>,
    pointer: &str,
    violations: &mut Violations,
) {
    let fields = match variant.remove("content") {
        Some(Json::Object(fields)) => fields,
        _ => Map::new(),
    };
    let mut members = Map::new();
    for (name, value) in fields {
        let at = json_pointer(&format!("{pointer}/content"), &name);
        members.insert(name.clone(), from_field(&name, value, &at, violations));
    }
    let content = match variant.remove("more") {
        None => Json::Object(members),
        Some(Json::Object(mut more)) => {
            for (name, value) in members {
                if more.insert(name.clone(), value).is_some() {
                    let detail = format!("has `{name}`, which has a field of its own, too");
                    violations.add(format!("{pointer}/more"), "conflict", detail);
                }
            }
            Json::Object(more)
        }
        Some(other) => {
            if !members.is_empty() {
                let detail = "is the whole content if it is no object; empty the other fields";
                violations.add(format!("{pointer}/more"), "conflict", detail);
            }
            other
        }
    };
    variant.insert("content".to_owned(), content);
}

fn from_field(name: &str, value: Json, at: &str, violations: &mut Violations) -> Json {
    match (name, value) {
        (name, Json::Array(lines)) if PAIRS.contains(&name) => {
            let mut pairs = Map::new();
            for (index, line) in lines.iter().enumerate() {
                let line = line.as_str().unwrap_or_default();
                match line
                    .split_once(':')
                    .map(|(name, value)| (name.trim(), value.trim()))
                {
                    Some((name, value)) if !name.is_empty() => {
                        // Semicolons are a habit of style sheets.
                        let value = value.strip_suffix(';').map_or(value, str::trim_end);
                        let value = (!value.is_empty()).then_some(value);
                        pairs.insert(name.to_owned(), value.into());
                    }
                    _ => {
                        let detail = "must be `name: value`, or `name:` to take it away";
                        violations.add(format!("{at}/{index}"), "malformed", detail);
                    }
                }
            }
            pairs.into()
        }
        ("class", Json::Object(lists)) => {
            let list = |(name, words): (String, Json)| {
                let words = words.as_str().unwrap_or_default().split_whitespace();
                (name, words.collect::<Vec<_>>().into())
            };
            Json::Object(lists.into_iter().map(list).collect())
        }
        (_, value) => value,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use samplit_domain::Violations;
    use serde_json::{Map, Value as Json, json};

    use super::{from_fields, to_fields};

    fn fields(content: Json) -> Json {
        let mut variant = Map::new();
        to_fields(content, &mut variant);
        variant.into()
    }

    fn content(fields: Json) -> (Json, Vec<String>) {
        let Json::Object(mut variant) = fields else {
            panic!("an object")
        };
        let mut violations = Violations::default();
        from_fields(&mut variant, "/v", &mut violations);
        let told = violations.0.iter();
        let told = told.map(|v| format!("{} {}", v.pointer, v.code)).collect();
        (variant["content"].clone(), told)
    }

    #[test]
    fn each_member_has_its_field() {
        let all = json!({
            "text": "Buy\nnow", "href": "/buy", "hidden": false, "own": {"a": 1},
            "style": {"color": "red !important", "margin": null},
            "attributes": {"title": "a: b"},
            "class": {"add": ["big", "red"], "remove": ["small"]},
        });
        let expected = json!({
            "content": {
                "text": "Buy\nnow", "href": "/buy", "hidden": false,
                "style": ["color: red !important", "margin:"],
                "attributes": ["title: a: b"],
                "class": {"add": "big red", "remove": "small"},
            },
            "more": {"own": {"a": 1}},
        });
        assert_eq!(fields(all.clone()), expected);
        assert_eq!(content(expected), (all, vec![]));
    }

    #[test]
    fn what_no_field_can_say_stands_as_json() {
        for odd in [
            json!("Buy"),
            json!(null),
            json!([1]),
            json!({"text": ""}),
            json!({"text": 5}),
            json!({"style": {}}),
            json!({"style": {"a:b": "c"}}),
            json!({"style": {"a": " b"}}),
            json!({"class": {"add": ["a b"]}}),
            json!({"class": {"toggle": ["a"]}}),
            json!({"hidden": "yes"}),
        ] {
            assert_eq!(fields(odd.clone())["more"], odd);
        }
    }

    #[test]
    fn what_contradicts_itself_or_is_no_pair_is_refused_in_its_field() {
        let pairs = json!({"content": {"style": ["color: red;", "bold", ": x"]}});
        assert_eq!(
            content(pairs),
            (
                json!({"style": {"color": "red"}}),
                vec![
                    "/v/content/style/1 malformed".to_owned(),
                    "/v/content/style/2 malformed".to_owned()
                ]
            )
        );
        let twice = json!({"content": {"text": "a"}, "more": {"text": "b"}});
        assert_eq!(content(twice).1, ["/v/more conflict"]);
        let whole = json!({"content": {"text": "a"}, "more": 5});
        assert_eq!(content(whole).1, ["/v/more conflict"]);
        assert_eq!(content(json!({})), (json!({}), vec![]));
    }

    fn any_content() -> impl Strategy<Value = Json> {
        let text = || "[a-z:; \\r\\n\"]{0,6}";
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i32>().prop_map(Json::from),
            text().prop_map(Json::from),
            prop::collection::vec(text(), 0..3).prop_map(Json::from),
            prop::collection::btree_map(text(), prop::option::of(text()), 0..3)
                .prop_map(|map| json!(map)),
            prop::collection::btree_map("add|remove|x", prop::collection::vec(text(), 0..3), 0..3)
                .prop_map(|map| json!(map)),
        ];
        let name = "text|html|href|src|srcset|alt|hidden|style|attributes|class|other";
        let object = prop::collection::btree_map(name, leaf.clone(), 0..6);
        prop_oneof![leaf, object.prop_map(|map| json!(map))]
    }

    proptest! {
        #[test]
        fn every_content_comes_back_as_it_was(before in any_content()) {
            let (after, told) = content(fields(before.clone()));
            prop_assert_eq!(after, before);
            prop_assert!(told.is_empty());
        }
    }
}
