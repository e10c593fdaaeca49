use proptest::prelude::*;

use super::*;

/// One text for each rule; all but the last four also stand in the published vectors.
const REJECTED: &[&str] = &[
    r#"{"a":2.0}"#,
    r#"{"a":1e3}"#,
    r#"{"a":null}"#,
    r#"{"Ab":1}"#,
    r#"{"a":9007199254740992}"#,
    r#"{"a":-9007199254740992}"#,
    r#"{"a":"\u0000"}"#,
    "[1]",
    r#"{"a":1,"a":2}"#,
    r#"{"a":"\ud800"}"#,
    r#"{"a":"\ud800\ud800"}"#,
    r#"{"payload_sha256":"00","a":1}"#,
    r#"{"payload_sha256":"00"}"#,
    r#"{"a":{"payload_sha256":"00"}}"#,
    r#"{"a":01}"#,
    r#"{"a":99999999999999999999}"#,
    "{\"a\":\"\n\"}",
    r#"{"a":1}x"#,
    r#"{"a":1,}"#,
    r#"{"":1}"#,
    r#"{"a":[[[[[[[[1]]]]]]]]}"#,
    "",
];

#[test]
fn rejects_what_the_profile_excludes() {
    for text in REJECTED {
        assert!(parse(text.as_bytes()).is_err(), "{text}");
        assert!(check(text.as_bytes()).is_err(), "{text}");
    }
    assert!(parse(b"{\"a\":\"\xff\"}").is_err());
    assert!(check(b"{\"a\":\"\xff\"}").is_err());
}

#[test]
fn the_limits_themselves_are_inside() {
    let nested = r#"{"a":[[[[[[[1]]]]]]]}"#;
    assert_eq!(
        parse(nested.as_bytes()).unwrap().canonical(),
        nested.as_bytes()
    );
    assert!(check(nested.as_bytes()).is_ok());
    let largest = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_BYTES - 8));
    assert_eq!(largest.len(), MAX_BYTES);
    assert!(check(largest.as_bytes()).is_ok());
    assert!(parse(largest.as_bytes()).is_ok());
    let larger = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_BYTES - 7));
    assert!(check(larger.as_bytes()).is_err());
    assert!(parse(larger.as_bytes()).is_err());
    assert!(check(br#"{"a":9007199254740991,"b":-9007199254740991}"#).is_ok());
    let key = "k".repeat(64);
    assert!(check(format!(r#"{{"{key}":1}}"#).as_bytes()).is_ok());
    assert!(check(format!(r#"{{"{key}k":1}}"#).as_bytes()).is_err());
}

#[test]
fn any_spelling_becomes_the_one_canonical_form() {
    let text = r#" { "b" : [ true , -0 ] , "a" : "\u00e9\u0008\/\ud83d\ude80\u001F\u007f" } "#;
    let value = parse(text.as_bytes()).unwrap();
    assert_eq!(
        String::from_utf8(value.canonical()).unwrap(),
        "{\"a\":\"é\\b/🚀\\u001f\u{7f}\",\"b\":[true,0]}",
    );
    assert_eq!(Value::from_json(&value.to_json()).unwrap(), value);
    assert!(Value::from_json(&serde_json::json!({"a": 1.5})).is_err());
    assert!(Value::from_json(&serde_json::json!({"a": null})).is_err());
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        (1 - MAX_INT..MAX_INT).prop_map(Value::Int),
        "[^\u{0}]{0,12}".prop_map(Value::String),
        "[\u{1}-\u{20}\"\\\\/\u{7f}]{0,8}".prop_map(Value::String),
    ];
    let inside = leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::btree_map("[a-z][a-z0-9_]{0,6}", inner, 0..5).prop_map(Value::Object),
        ]
    });
    prop::collection::btree_map("[a-z][a-z0-9_]{0,6}", inside, 0..5).prop_map(Value::Object)
}

proptest! {
    #[test]
    fn canonical_bytes_are_read_back_by_both_readers(value in value()) {
        let bytes = value.canonical();
        prop_assert_eq!(parse(&bytes).unwrap(), value.clone());
        prop_assert!(check(&bytes).is_ok());
        prop_assert_eq!(Value::from_json(&value.to_json()).unwrap(), value.clone());
        let foreign: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(foreign, value.to_json());
    }

    /// `check` accepts exactly those texts that `parse` would write back unchanged.
    #[test]
    fn check_is_parse_and_write_back(
        value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = value.canonical();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let same = parse(&bytes).is_ok_and(|value| value.canonical() == bytes);
        prop_assert_eq!(check(&bytes).is_ok(), same, "{}", String::from_utf8_lossy(&bytes));
    }
}
