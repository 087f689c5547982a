//! Two schemas as one that asks for both.

use serde_json::{Value, json};

use super::Schema;

/// A schema that asks for what both ask for, as far as one flat schema can say it.
pub(super) fn merge(mut both: Schema, other: Schema) -> Schema {
    for (keyword, theirs) in other {
        let merged = match both.remove(&keyword) {
            Some(ours) => combine(&keyword, ours, theirs),
            None => theirs,
        };
        both.insert(keyword, merged);
    }
    both
}

fn combine(keyword: &str, ours: Value, theirs: Value) -> Value {
    if ours == theirs {
        return ours;
    }
    match keyword {
        "type" => common_types(&ours, &theirs),
        "required" => {
            let (mut names, more) = (list(ours), list(theirs));
            names.extend(more);
            Value::Array(names)
        }
        "enum" => {
            let theirs = list(theirs);
            list(ours).into_iter().filter(|value| theirs.contains(value)).collect()
        }
        "properties" | "patternProperties" => match (ours, theirs) {
            (Value::Object(ours), Value::Object(theirs)) => Value::Object(merge_each(ours, theirs)),
            (ours, _) => ours,
        },
        "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" => pick(ours, theirs, f64::gt),
        "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" => pick(ours, theirs, f64::lt),
        "items" | "additionalProperties" | "contains" | "propertyNames" => json!({ "allOf": [ours, theirs] }),
        "not" => json!({ "anyOf": [ours, theirs] }),
        _ => theirs,
    }
}

fn merge_each(mut ours: Schema, theirs: Schema) -> Schema {
    for (name, schema) in theirs {
        let merged = match ours.remove(&name) {
            Some(known) => json!({ "allOf": [known, schema] }),
            None => schema,
        };
        ours.insert(name, merged);
    }
    ours
}

fn common_types(ours: &Value, theirs: &Value) -> Value {
    let names = |value: &Value| match value {
        Value::Array(names) => names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        value => value.as_str().map(str::to_owned).into_iter().collect::<Vec<_>>(),
    };
    let (ours, theirs) = (names(ours), names(theirs));
    // Every integer is a number, so the two have integers in common.
    let has = |names: &[String], name: &str| {
        names.iter().any(|known| known == name || (name == "integer" && known == "number"))
    };
    let mut common: Vec<&String> =
        ours.iter().chain(&theirs).filter(|name| has(&ours, name) && has(&theirs, name)).collect();
    common.dedup();
    json!(common)
}

fn pick(ours: Value, theirs: Value, is_stricter: fn(&f64, &f64) -> bool) -> Value {
    match (ours.as_f64(), theirs.as_f64()) {
        (Some(known), Some(other)) if is_stricter(&known, &other) => ours,
        _ => theirs,
    }
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        value => vec![value],
    }
}
