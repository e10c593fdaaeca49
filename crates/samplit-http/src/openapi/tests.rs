//! The document says what is so.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::{document, operations};
use crate::{fields::recorded, routes};

#[test]
fn every_route_that_is_no_page_has_an_operation() {
    let mut described = BTreeSet::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            described.insert((method.to_uppercase(), path.clone()));
        }
    }
    let routes = routes().into_iter();
    let routes = routes.map(|(method, pattern)| (method.to_string(), pattern.to_owned()));
    let routes: BTreeSet<_> = routes.collect();
    let missing: Vec<_> = routes.difference(&described).collect();
    let stray: Vec<_> = described.difference(&routes).collect();
    assert!(
        missing.is_empty() && stray.is_empty(),
        "{missing:?} {stray:?}"
    );
}

/// The schema that `schema` refers to, if it does.
fn resolved(schema: &Json) -> &Json {
    match schema["$ref"].as_str() {
        Some(reference) => {
            let name = reference.rsplit('/').next().unwrap();
            &document()["components"]["schemas"][name]
        }
        None => schema,
    }
}

/// What a field may be, without null.
fn choices(schema: &Json) -> Vec<&Json> {
    let schema = resolved(schema);
    let choices = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
    match choices {
        Some(choices) => {
            let real = choices.iter().filter(|choice| choice["type"] != "null");
            real.flat_map(choices_of).collect()
        }
        None => vec![schema],
    }
}

fn choices_of(schema: &Json) -> Vec<&Json> {
    choices(schema)
}

/// In the words of the reader.
fn expected(schema: &Json) -> &'static str {
    let kind = match &schema["type"] {
        Json::Array(kinds) => kinds.iter().find(|kind| *kind != "null").unwrap(),
        kind => kind,
    };
    match kind.as_str() {
        Some("string") => "a string",
        Some("boolean") => "true or false",
        Some("number") => "a number",
        Some("integer") => "a whole number, 0 or more",
        Some("array") => "an array",
        Some("object") => "an object",
        _ => "any JSON value",
    }
}

/// Every field that the schema has, and bodies that hold all of them: one for each choice.
fn expect(at: &str, schema: &Json, fields: &mut recorded::Asked) -> Vec<Json> {
    let mut samples = Vec::new();
    for choice in choices(schema) {
        if choice["items"].is_object() {
            samples.push(expect(&format!("{at}/*"), &choice["items"], fields).into());
            continue;
        }
        let Some(properties) = choice["properties"].as_object() else {
            let word = choice["enum"].as_array().and_then(|words| words.first());
            let plain = match expected(choice) {
                "a string" => json!("x"),
                "true or false" => json!(true),
                "an object" => json!({}),
                _ => json!(1),
            };
            samples.push(word.cloned().unwrap_or(plain));
            continue;
        };
        let mut bodies = vec![Map::new()];
        for (name, property) in properties {
            let pointer = format!("{at}/{name}");
            let first = choices(property)[0];
            fields.insert((pointer.clone(), expected(first)));
            let values = expect(&pointer, property, fields);
            let with = |value: &Json| {
                let mut body = bodies[0].clone();
                body.insert(name.clone(), value.clone());
                body
            };
            // One body per value, and all of them have what comes later.
            let others: Vec<_> = values[1..].iter().map(with).collect();
            for body in &mut bodies {
                body.insert(name.clone(), values[0].clone());
            }
            bodies.extend(others);
        }
        for name in choice["required"].as_array().into_iter().flatten() {
            let pointer = format!("{at}/{}", name.as_str().unwrap());
            fields.insert((pointer, recorded::REQUIRED));
        }
        samples.extend(bodies.into_iter().map(Json::Object));
    }
    samples
}

/// Items that are read apart, each from its own root.
const APART: [&str; 2] = ["/requests/*", "/events/*"];

/// Where the schema has a field that was asked for.
fn placed(field: (String, &'static str), described: &recorded::Asked) -> (String, &'static str) {
    if described.contains(&field) {
        return field;
    }
    let (pointer, what) = &field;
    let inside = APART.iter().map(|root| (format!("{root}{pointer}"), *what));
    inside
        .into_iter()
        .find(|place| described.contains(place))
        .unwrap_or(field)
}

#[test]
fn requests_have_the_fields_that_the_handlers_read() {
    for operation in operations::all() {
        let Some(read) = operation.reader else {
            continue;
        };
        let method = operation.method.as_str().to_lowercase();
        let entry = &document()["paths"][operation.path][&method];
        let schema = &entry["requestBody"]["content"]["application/json"]["schema"];
        let mut described = recorded::Asked::new();
        let samples = expect("", schema, &mut described);
        let mut asked = recorded::Asked::new();
        for sample in samples {
            asked.extend(recorded::during(|| read(sample)));
        }
        let asked = asked.into_iter();
        let asked: recorded::Asked = asked.map(|field| placed(field, &described)).collect();
        // Objects are read as any value before their fields are.
        let as_read = described.iter().map(|(pointer, what)| {
            let is_read_whole = asked.contains(&(pointer.clone(), "any JSON value"));
            let what = match *what {
                "an object" if is_read_whole => "any JSON value",
                what => what,
            };
            (pointer.clone(), what)
        });
        let as_read: recorded::Asked = as_read.collect();
        let missing: Vec<_> = asked.difference(&as_read).collect();
        let stray: Vec<_> = as_read.difference(&asked).collect();
        assert!(
            missing.is_empty() && stray.is_empty(),
            "{method} {}: the schema lacks {missing:?}, and nobody reads {stray:?}",
            operation.path
        );
    }
}
