//! Says whether a made-up value fits its schema.
//!
//! It knows the keywords that the generator can get wrong. Patterns and formats are not among them: texts are made
//! after them, never by chance.

use serde_json::{Map, Value};

use super::{Generator, MAX_DEPTH, count, required};

impl Generator<'_> {
    pub(super) fn fits(&self, schema: &Value, value: &Value) -> bool {
        self.fits_below(schema, value, 0)
    }

    fn fits_below(&self, schema: &Value, value: &Value, depth: usize) -> bool {
        let Value::Object(schema) = schema else { return schema != &Value::Bool(false) };
        // Out of work, or in a schema that is nothing but itself: the benefit of the doubt ends the search.
        if depth > 2 * MAX_DEPTH || !self.step() {
            return true;
        }
        let all = |keyword: &str| schema.get(keyword).and_then(Value::as_array);
        let fits = |schema: &Value| self.fits_below(schema, value, depth + 1);
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|name| self.target(name));
        target.is_none_or(fits)
            && all("allOf").is_none_or(|all| all.iter().all(fits))
            && all("anyOf").is_none_or(|any| any.iter().any(fits))
            && all("oneOf").is_none_or(|one| one.iter().filter(|schema| fits(schema)).count() == 1)
            && schema.get("not").is_none_or(|not| !fits(not))
            && schema
                .get("if")
                .is_none_or(|condition| schema.get(if fits(condition) { "then" } else { "else" }).is_none_or(fits))
            && schema.get("type").is_none_or(|name| fits_type(name, value))
            && all("enum").is_none_or(|values| values.contains(value))
            && schema.get("const").is_none_or(|only| only == value)
            && match value {
                Value::Number(number) => fits_number(schema, number.as_f64().unwrap_or_default()),
                Value::String(text) => fits_count(schema, "minLength", "maxLength", text.chars().count()),
                Value::Array(items) => self.fits_array(schema, items, depth + 1),
                Value::Object(object) => self.fits_object(schema, object, depth + 1),
                Value::Null | Value::Bool(_) => true,
            }
    }

    fn fits_array(&self, schema: &Map<String, Value>, items: &[Value], depth: usize) -> bool {
        let (first, rest) = match (schema.get("prefixItems"), schema.get("items")) {
            (Some(Value::Array(first)), rest) => (&first[..], rest),
            (_, Some(Value::Array(first))) => (&first[..], schema.get("additionalItems")),
            (_, rest) => (&[][..], rest),
        };
        let is_repeated = |at: usize| items[..at].contains(&items[at]);
        fits_count(schema, "minItems", "maxItems", items.len())
            && !(schema.get("uniqueItems") == Some(&Value::Bool(true)) && (0..items.len()).any(is_repeated))
            && items
                .iter()
                .enumerate()
                .all(|(at, item)| first.get(at).or(rest).is_none_or(|schema| self.fits_below(schema, item, depth)))
            && schema.get("contains").is_none_or(|schema_of_some| {
                let found = items.iter().filter(|item| self.fits_below(schema_of_some, item, depth)).count();
                found >= count(schema, "minContains").unwrap_or(1)
                    && found <= count(schema, "maxContains").unwrap_or(usize::MAX)
            })
    }

    fn fits_object(&self, schema: &Map<String, Value>, object: &Map<String, Value>, depth: usize) -> bool {
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties").filter(|_| !schema.contains_key("patternProperties"));
        fits_count(schema, "minProperties", "maxProperties", object.len())
            && required(schema).all(|name| object.contains_key(name))
            && object.iter().all(|(name, value)| {
                let property = known.and_then(|known| known.get(name)).or(others);
                property.is_none_or(|schema| self.fits_below(schema, value, depth))
                    && super::dependents(schema, name).all(|name| object.contains_key(name))
                    && schema
                        .get("propertyNames")
                        .is_none_or(|schema| self.fits_below(schema, &Value::String(name.clone()), depth))
            })
    }
}

fn fits_type(name: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => true,
    };
    match name {
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
        name => name.as_str().is_none_or(is),
    }
}

fn fits_number(schema: &Map<String, Value>, number: f64) -> bool {
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    bound("minimum").is_none_or(|least| number >= least)
        && bound("maximum").is_none_or(|most| number <= most)
        && bound("exclusiveMinimum").is_none_or(|below| number > below)
        && bound("exclusiveMaximum").is_none_or(|above| number < above)
        && bound("multipleOf").is_none_or(|step| ((number / step).round() * step - number).abs() < 1e-9)
}

fn fits_count(schema: &Map<String, Value>, least: &str, most: &str, number: usize) -> bool {
    count(schema, least).is_none_or(|least| number >= least) && count(schema, most).is_none_or(|most| number <= most)
}
