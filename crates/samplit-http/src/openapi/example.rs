//! Examples for the document, made from its schemas, so that they can be nothing but right.

use serde_json::{Map, Value as Json, json};

const ID: &str = "0197f0a0-0000-7000-8000-000000000001";

/// What stands for a parameter of the path.
pub(super) fn of_path(name: &str) -> Json {
    match name {
        "visitor" => "visitor-42".into(),
        "key" => "button-colour".into(),
        "name" => "team".into(),
        "token" => "pk_0000000000000000000000000000000000000000000".into(),
        "asset" => "base.js".into(),
        "hook" => "0000000000000000000000000000000000000000000".into(),
        _ => ID.into(),
    }
}

/// What stands for a field that has this name, where the schema says no more than its type.
fn by_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "email" => "ada@example.org",
        "url" | "target_url" => "https://shop.example/",
        "domain" => "shop.example",
        "shop" => "shop.myshopify.com",
        "origins" => "https://shop.example",
        "name" | "experiment_name" => "Button colour",
        "key" => "button-colour",
        "visitor_id" | "visitor" => "visitor-42",
        "plan" => "team",
        "title" => "Team",
        "element" => "buy",
        "goal" => "purchase",
        "statement" => "A green button sells more.",
        "reason" => "asked for by the visitor",
        "password" | "new" => "correct horse battery staple",
        "company" => "Example Ltd",
        "current" => "the password until now",
        "address" => "203.0.113.7",
        _ => return None,
    })
}

/// A value by `schema`, whose references point into `components`.
pub(super) fn of(schema: &Json, components: &Json) -> Json {
    value("", schema, components)
}

fn value(name: &str, schema: &Json, components: &Json) -> Json {
    if let Some(example) = schema.get("example").or_else(|| schema.get("const")) {
        return example.clone();
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let component = reference.rsplit('/').next().unwrap_or_default();
        return value(name, &components[component], components);
    }
    if let Some(first) = schema["enum"].as_array().and_then(|words| words.first()) {
        return first.clone();
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut whole = Map::new();
        for part in parts {
            if let Json::Object(part) = value(name, part, components) {
                whole.extend(part);
            }
        }
        return whole.into();
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[choice].as_array() {
            let real = choices.iter().find(|choice| choice["type"] != "null");
            return real.map_or(Json::Null, |real| value(name, real, components));
        }
    }
    let kind = match &schema["type"] {
        Json::Array(kinds) => kinds.first().and_then(Json::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("object") => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            let fields =
                properties.map(|(name, schema)| (name.clone(), value(name, schema, components)));
            fields.collect::<Map<_, _>>().into()
        }
        Some("array") => {
            let items = &schema["items"];
            if let Some(parts) = schema["prefixItems"].as_array() {
                let parts = parts.iter();
                return parts.map(|part| value(name, part, components)).collect();
            }
            let least = schema["minItems"].as_u64().unwrap_or(1).clamp(1, 4);
            let item = value(name, items, components);
            (0..least).map(|_| item.clone()).collect()
        }
        Some("string") => text(name, schema),
        Some("integer") => schema["minimum"].as_i64().unwrap_or_default().max(1).into(),
        Some("number") => json!(0.5),
        Some("boolean") => true.into(),
        Some("null") => Json::Null,
        _ => json!({}),
    }
}

fn text(name: &str, schema: &Json) -> Json {
    match schema["format"].as_str() {
        Some("uuid") => return ID.into(),
        Some("date-time") => return "2026-05-04T12:00:00Z".into(),
        _ => {}
    }
    if schema["pattern"].as_str() == Some("^[0-9a-f]{64}$") {
        return "0".repeat(64).into();
    }
    by_name(name).unwrap_or("text").into()
}
