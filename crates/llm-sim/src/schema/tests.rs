//! What is made is checked by a validator that knows all of JSON Schema.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::generate;

fn assert_fits(schema: &Value) {
    let validator = jsonschema::validator_for(schema).unwrap();
    for seed in 0..40 {
        let value = generate(schema, &mut fastrand::Rng::with_seed(seed));
        assert!(validator.is_valid(&value), "seed {seed} made {value} for {schema}");
    }
}

#[test]
fn scalars_keep_their_bounds() {
    assert_fits(&json!({ "type": "integer", "minimum": 3, "maximum": 5 }));
    assert_fits(&json!({ "type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5 }));
    assert_fits(&json!({ "type": "integer", "minimum": -1_000_000_007_i64 }));
    assert_fits(&json!({ "type": "integer", "maximum": -4 }));
    assert_fits(&json!({ "type": "integer", "minimum": 10, "multipleOf": 7 }));
    assert_fits(&json!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001 }));
    assert_fits(&json!({ "type": "number", "minimum": 1, "multipleOf": 0.25 }));
    assert_fits(&json!({ "type": "string", "minLength": 40, "maxLength": 41 }));
    assert_fits(&json!({ "type": "string", "maxLength": 0 }));
    assert_fits(&json!({ "type": ["null", "boolean"] }));
    assert_fits(&json!({ "minimum": 4 }));
    assert_fits(&json!({ "minLength": 4 }));
    assert_fits(&json!({}));
    assert_fits(&json!(true));
}

#[test]
fn texts_follow_patterns_and_formats() {
    for pattern in [
        "^[A-Z]{3}-\\d{4}$",
        "^(red|green|blue)$",
        "^\\w+@\\w+\\.com$",
        "^[^aeiou]{5}$",
        "\\.rs$",
        "^[a-z]+(-[a-z]+)*$",
    ] {
        assert_fits(&json!({ "type": "string", "pattern": pattern }));
    }
    assert_fits(&json!({ "type": "string", "pattern": "^[a-z]+$", "minLength": 20, "maxLength": 22 }));
    for format in ["date-time", "date", "time", "email", "uri", "ipv4", "ipv6", "uuid", "hostname", "duration"] {
        let schema = json!({ "type": "string", "format": format });
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        for seed in 0..40 {
            let value = generate(&schema, &mut fastrand::Rng::with_seed(seed));
            assert!(validator.is_valid(&value), "{format}: {value}");
        }
    }
}

#[test]
fn objects_have_what_is_required_and_nothing_forbidden() {
    assert_fits(&json!({
        "type": "object", "additionalProperties": false, "required": ["city", "unit"],
        "properties": {
            "city": { "type": "string", "description": "where" },
            "unit": { "type": "string", "enum": ["celsius", "fahrenheit"] },
            "days": { "type": "integer", "minimum": 1, "maximum": 14 },
        },
    }));
    assert_fits(&json!({ "type": "object", "minProperties": 3, "additionalProperties": { "type": "integer" } }));
    assert_fits(&json!({ "type": "object", "maxProperties": 1, "required": ["a"],
        "properties": { "a": {}, "b": {}, "c": {} } }));
    assert_fits(&json!({ "required": ["x", "y"] }));
    assert_fits(&json!({ "type": "object", "properties": { "a": {}, "b": {} },
        "dependentRequired": { "a": ["b"] } }));
    assert_fits(&json!({ "type": "object", "minProperties": 2, "additionalProperties": false,
        "patternProperties": { "^k[0-9]{2}$": { "type": "boolean" } } }));
    assert_fits(&json!({ "properties": { "kind": { "const": "circle" }, "r": { "type": "number" } },
        "required": ["kind", "r"] }));
}

#[test]
fn arrays_keep_length_order_and_uniqueness() {
    assert_fits(&json!({ "type": "array", "items": { "type": "integer" }, "minItems": 4, "maxItems": 4 }));
    assert_fits(&json!({ "type": "array", "items": { "type": "boolean" }, "uniqueItems": true }));
    assert_fits(&json!({ "type": "array", "items": { "enum": [1, 2, 3] }, "uniqueItems": true, "minItems": 3 }));
    assert_fits(&json!({ "prefixItems": [{ "type": "string" }, { "type": "integer" }], "items": false }));
    assert_fits(&json!({ "prefixItems": [{ "type": "string" }], "items": { "type": "null" }, "minItems": 3 }));
    assert_fits(&json!({ "type": "array", "contains": { "const": 7 }, "items": { "type": "integer" } }));
    assert_fits(&json!({ "type": "array", "maxItems": 0 }));
}

#[test]
fn combinations_are_resolved() {
    assert_fits(&json!({ "anyOf": [{ "type": "integer" }, { "type": "null" }] }));
    assert_fits(&json!({ "oneOf": [{ "type": "number", "minimum": 0 }, { "type": "integer", "maximum": 10 }] }));
    assert_fits(&json!({ "allOf": [{ "type": "number", "minimum": 2 }, { "type": "integer", "maximum": 4 }] }));
    assert_fits(&json!({ "type": "string", "not": { "const": "amber" } }));
    assert_fits(&json!({ "enum": [1, "a", null], "not": { "type": "integer" } }));
    assert_fits(&json!({ "type": "string", "enum": [1, "a", null] }));
    assert_fits(&json!({
        "type": "object", "required": ["kind"], "properties": { "kind": { "enum": ["a", "b"] } },
        "if": { "properties": { "kind": { "const": "a" } } },
        "then": { "required": ["left"] }, "else": { "required": ["right"] },
    }));
    assert_fits(&json!({
        "allOf": [
            { "properties": { "a": { "type": "integer" } }, "required": ["a"] },
            { "properties": { "a": { "minimum": 5 }, "b": { "type": "string" } }, "required": ["b"] },
        ],
    }));
    assert_fits(&json!({
        "oneOf": [
            { "type": "object", "required": ["circle"], "properties": { "circle": { "type": "number" } } },
            { "type": "object", "required": ["square"], "properties": { "square": { "type": "number" } } },
        ],
    }));
}

#[test]
fn references_and_recursion_end() {
    assert_fits(&json!({ "$ref": "#/$defs/a~1b", "$defs": { "a/b": { "type": "integer" } } }));
    assert_fits(&json!({
        "type": "object", "required": ["value", "next"], "additionalProperties": false,
        "properties": { "value": { "type": "integer" }, "next": { "anyOf": [{ "$ref": "#" }, { "type": "null" }] } },
    }));
    assert_fits(&json!({
        "$defs": { "node": { "type": "object", "required": ["children"], "additionalProperties": false,
            "properties": { "children": { "type": "array", "items": { "$ref": "#/$defs/node" } } } } },
        "$ref": "#/$defs/node",
    }));
    assert_fits(&json!({
        "$defs": {
            "sum": { "type": "object", "required": ["left", "right"], "properties": {
                "left": { "$ref": "#/$defs/term" }, "right": { "$ref": "#/$defs/term" } } },
            "number": { "type": "integer" },
            "term": { "oneOf": [{ "$ref": "#/$defs/sum" }, { "$ref": "#/$defs/number" }] },
        },
        "$ref": "#/$defs/term",
    }));
}

#[test]
fn a_schema_that_nothing_fits_still_ends() {
    for schema in [
        json!(false),
        json!({ "$ref": "#" }),
        json!({ "type": "object", "required": ["a"], "properties": { "a": { "$ref": "#" } } }),
        json!({ "allOf": [{ "$ref": "#" }, { "$ref": "#" }] }),
        json!({ "type": "array", "minItems": 9_000_000_000_u64, "items": { "$ref": "#" } }),
        json!({ "type": "array", "minItems": 3, "uniqueItems": true, "items": { "type": "null" } }),
        json!({ "type": "object", "minProperties": 100_000_000, "patternProperties": { "^a$": {} } }),
        json!({ "type": "string", "minLength": 5_000_000_000_u64, "pattern": "((a{1000}){1000}){1000}" }),
        json!({ "type": "string", "minLength": 5_000_000_000_u64 }),
        json!({ "type": "string", "pattern": "(?=look)ahead" }),
        json!({ "type": "integer", "minimum": 1e300 }),
        json!({ "type": "integer", "minimum": 5, "maximum": 3 }),
        json!({ "enum": [] }),
        json!({ "anyOf": [] }),
    ] {
        let _ = generate(&schema, &mut fastrand::Rng::with_seed(1));
    }
}

fn any_schema() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(json!({ "type": "null" })),
        Just(json!({ "type": "boolean" })),
        Just(json!({ "enum": ["a", 2, null] })),
        (-50i64..50, 0i64..20).prop_map(|(least, span)| json!({
            "type": "integer", "minimum": least, "maximum": least + span })),
        (-5.0..5.0f64).prop_map(|least| json!({ "type": "number", "exclusiveMinimum": least })),
        (0usize..9, 0usize..9).prop_map(|(least, span)| json!({
            "type": "string", "minLength": least, "maxLength": least + span })),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        let named = proptest::collection::btree_map("[a-d]", inner.clone(), 0..4);
        prop_oneof![
            (inner.clone(), 0usize..3, 0usize..3).prop_map(|(items, least, span)| json!({
                "type": "array", "items": items, "minItems": least, "maxItems": least + span })),
            (named, any::<bool>()).prop_map(|(properties, is_strict)| {
                let required: Vec<_> = properties.keys().cloned().collect();
                json!({ "type": "object", "properties": properties, "additionalProperties": !is_strict,
                    "required": if is_strict { required } else { Vec::new() } })
            }),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|branches| json!({ "anyOf": branches })),
            inner.prop_map(|part| json!({ "allOf": [part] })),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_can_be_satisfied_is(schema in any_schema(), seed in any::<u64>()) {
        let value = generate(&schema, &mut fastrand::Rng::with_seed(seed));
        prop_assert!(jsonschema::is_valid(&schema, &value), "{value} for {schema}");
    }
}
