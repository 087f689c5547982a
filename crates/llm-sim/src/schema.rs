//! Invents JSON that fits a JSON Schema.
//!
//! A schema is first made flat: references are followed, `allOf` is merged, and of `anyOf` and `oneOf` one branch is
//! chosen. What the flat schema then asks for is made up. Where a choice can be wrong (`oneOf`, `not`, `if`), the
//! result is checked and made up again. All work is bounded, whatever the schema: below a depth of
//! four only what is required is made, and a schema that nothing fits gets the best that was found.

mod check;
mod merge;
mod number;
mod pattern;
mod string;

use std::cell::Cell;

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// From this depth on only what is required is made, and the shallowest branch is taken.
const TERSE_DEPTH: usize = 4;
/// Nothing is made below this depth: a schema that requires itself without end gets `null` there.
const MAX_DEPTH: usize = 48;
/// Steps of work for one value. Ordinary schemas take a few hundred.
const WORK: u32 = 100_000;
/// How often a value that does not fit is made again.
const TRIES: usize = 12;

type Schema = Map<String, Value>;

/// Makes a value that fits `schema`.
pub(crate) fn generate(schema: &Value, rng: &mut Rng) -> Value {
    let generator = Generator { root: schema, work: Cell::new(WORK) };
    generator.value(schema, rng, 0)
}

struct Generator<'a> {
    root: &'a Value,
    work: Cell<u32>,
}

impl Generator<'_> {
    /// Counts one step of work. False when there has been enough.
    fn step(&self) -> bool {
        let left = self.work.get();
        self.work.set(left.saturating_sub(1));
        left > 0
    }

    fn value(&self, schema: &Value, rng: &mut Rng, depth: usize) -> Value {
        if depth > MAX_DEPTH || !self.step() {
            return Value::Null;
        }
        let mut value = Value::Null;
        for _ in 0..TRIES {
            let flat = self.flatten(schema, rng, depth);
            value = self.flat_value(&flat, rng, depth);
            // Checking a value checks all within it, so only what can go wrong at this level is worth it.
            if !can_go_wrong(schema, &flat) || self.fits(schema, &value) || !self.step() {
                break;
            }
        }
        value
    }

    /// The target of a local reference.
    fn target(&self, reference: &str) -> Option<&Value> {
        let pointer = reference.strip_prefix('#')?;
        self.root.pointer(&pointer.replace("%24", "$").replace("%25", "%"))
    }

    /// One schema without references, combinations and conditions, of which one way through is chosen.
    fn flatten(&self, schema: &Value, rng: &mut Rng, depth: usize) -> Schema {
        let Value::Object(schema) = schema else {
            return if schema == &Value::Bool(false) { never() } else { Schema::new() };
        };
        if depth > MAX_DEPTH || !self.step() {
            return Schema::new();
        }
        let mut flat = Schema::new();
        let mut combined = Vec::new();
        for (keyword, value) in schema {
            match (keyword.as_str(), value) {
                ("$ref", Value::String(reference)) => combined.extend(self.target(reference)),
                ("allOf", Value::Array(all)) => combined.extend(all),
                ("anyOf" | "oneOf", Value::Array(branches)) => combined.extend(self.branch(branches, rng, depth)),
                ("if" | "then" | "else" | "$defs" | "definitions" | "$schema" | "$id" | "title" | "description", _) => {
                }
                _ => {
                    flat.insert(keyword.clone(), value.clone());
                }
            }
        }
        match (schema.get("if"), schema.get("then"), schema.get("else")) {
            (Some(condition), Some(then), _) if rng.bool() || !schema.contains_key("else") => {
                combined.extend([condition, then]);
            }
            (Some(_), _, Some(otherwise)) => combined.push(otherwise),
            _ => {}
        }
        for part in combined {
            flat = merge::merge(flat, self.flatten(part, rng, depth + 1));
        }
        flat
    }

    fn branch<'b>(&self, branches: &'b [Value], rng: &mut Rng, depth: usize) -> Option<&'b Value> {
        if depth >= TERSE_DEPTH {
            return branches.iter().min_by_key(|branch| self.height(branch, 12));
        }
        rng.choice(branches)
    }

    /// How deep a value must at least be to fit; large where it has no end.
    fn height(&self, schema: &Value, fuel: u32) -> u32 {
        let Some(schema) = schema.as_object().filter(|_| fuel > 0 && self.step()) else {
            return 100 * (1 - fuel.min(1));
        };
        let below = |schema: &Value| self.height(schema, fuel - 1);
        let mut height = 0;
        if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|name| self.target(name)) {
            height = height.max(below(target));
        }
        for combination in ["anyOf", "oneOf"] {
            let branches = schema.get(combination).and_then(Value::as_array).into_iter().flatten();
            height = height.max(branches.map(below).min().unwrap_or(0));
        }
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            height = height.max(below(part));
        }
        if let Some(properties) = schema.get("properties") {
            for name in required(schema) {
                height = height.max(properties.get(name).map_or(0, |property| 1 + below(property)));
            }
        }
        if count(schema, "minItems").unwrap_or(0) > 0 {
            height = height.max(schema.get("items").map_or(0, |items| 1 + below(items)));
        }
        height
    }

    fn flat_value(&self, schema: &Schema, rng: &mut Rng, depth: usize) -> Value {
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            let others = Value::Object(schema.iter().filter(|(name, _)| *name != "enum").map(owned).collect());
            let fitting: Vec<_> = values.iter().filter(|value| self.fits(&others, value)).collect();
            return rng.choice(fitting).or(values.first()).cloned().unwrap_or_default();
        }
        match type_of(schema, rng, depth) {
            "object" => self.object(schema, rng, depth),
            "array" => self.array(schema, rng, depth),
            "integer" => number::integer(schema, rng),
            "number" => number::number(schema, rng),
            "boolean" => Value::Bool(rng.bool()),
            "null" => Value::Null,
            _ => Value::String(string::string(schema, rng)),
        }
    }

    fn object(&self, schema: &Schema, rng: &mut Rng, depth: usize) -> Value {
        let nothing = Schema::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&nothing);
        let least = count(schema, "minProperties").unwrap_or(0);
        let most = count(schema, "maxProperties").unwrap_or(usize::MAX);
        let anything = json!({ "type": "string" });
        let additional = schema.get("additionalProperties").filter(|schema| schema.is_object()).unwrap_or(&anything);
        let mut object = Map::new();
        for name in required(schema) {
            let property = properties.get(name).unwrap_or(additional);
            object.insert(name.to_owned(), self.value(property, rng, depth + 1));
        }
        for (name, property) in properties {
            let is_wanted = object.len() < least || (depth < TERSE_DEPTH && object.len() < most && rng.bool());
            if is_wanted && !object.contains_key(name) && property != &Value::Bool(false) {
                object.insert(name.clone(), self.value(property, rng, depth + 1));
            }
        }
        let present: Vec<_> = object.keys().cloned().collect();
        for name in present.iter().flat_map(|name| dependents(schema, name)) {
            let property = properties.get(name).unwrap_or(additional);
            object.entry(name).or_insert_with(|| self.value(property, rng, depth + 1));
        }
        self.fill(&mut object, least, schema, additional, rng, depth);
        Value::Object(object)
    }

    /// Adds properties that have no name in the schema until there are enough.
    fn fill(
        &self,
        object: &mut Schema,
        least: usize,
        schema: &Schema,
        additional: &Value,
        rng: &mut Rng,
        depth: usize,
    ) {
        let by_pattern = schema.get("patternProperties").and_then(Value::as_object).and_then(|all| all.iter().next());
        for number in 0..least.saturating_mul(TRIES) {
            if object.len() >= least || !self.step() {
                return;
            }
            let (name, property) = match by_pattern {
                Some((pattern, property)) => {
                    (pattern::text(pattern, rng, 0, 40).unwrap_or_else(|| format!("field_{number}")), property)
                }
                None => (format!("field_{number}"), additional),
            };
            object.entry(name).or_insert_with(|| self.value(property, rng, depth + 1));
        }
    }

    fn array(&self, schema: &Schema, rng: &mut Rng, depth: usize) -> Value {
        // A list under `items` is how drafts before 2020-12 spell `prefixItems`.
        let (first, rest) = match (schema.get("prefixItems"), schema.get("items")) {
            (Some(Value::Array(first)), rest) => (&first[..], rest),
            (_, Some(Value::Array(first))) => (&first[..], schema.get("additionalItems")),
            (_, rest) => (&[][..], rest),
        };
        let anything = json!({ "type": "string" });
        let least = count(schema, "minItems").unwrap_or(0);
        let most = if rest == Some(&Value::Bool(false)) { first.len() } else { usize::MAX };
        let most = most.min(count(schema, "maxItems").unwrap_or(usize::MAX));
        let wanted = if depth >= TERSE_DEPTH { 0 } else { first.len().max(rng.usize(1..=3)) };
        let length = wanted.max(least).min(most);
        let is_unique = schema.get("uniqueItems") == Some(&Value::Bool(true));
        let mut items = Vec::new();
        if let Some(contained) = schema.get("contains").filter(|_| first.is_empty() && most > 0) {
            let both = json!({ "allOf": [contained, rest.unwrap_or(&Value::Bool(true))] });
            for _ in 0..count(schema, "minContains").unwrap_or(1) {
                items.push(self.value(&both, rng, depth + 1));
            }
        }
        while items.len() < length && self.step() {
            let schema = first.get(items.len()).or(rest).filter(|schema| schema.is_object()).unwrap_or(&anything);
            let mut item = self.value(schema, rng, depth + 1);
            for _ in 0..TRIES * 4 {
                if !is_unique || !items.contains(&item) {
                    break;
                }
                item = self.value(schema, rng, depth + 1);
            }
            if is_unique && items.contains(&item) && items.len() >= least {
                break;
            }
            items.push(item);
        }
        Value::Array(items)
    }
}

/// Whether what is made of the flat schema may still not fit the schema it was made from.
fn can_go_wrong(schema: &Value, flat: &Schema) -> bool {
    let is_chosen = ["oneOf", "anyOf", "if", "allOf", "$ref"].iter().any(|keyword| schema.get(keyword).is_some());
    is_chosen || ["not", "propertyNames", "maxContains"].iter().any(|keyword| flat.contains_key(*keyword))
}

fn never() -> Schema {
    Schema::from_iter([("not".to_owned(), json!({}))])
}

fn owned<'a>((name, value): (&'a String, &'a Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

fn required(schema: &Schema) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn dependents<'a>(schema: &'a Schema, name: &str) -> impl Iterator<Item = &'a str> {
    let all = schema.get("dependentRequired").and_then(|all| all.get(name)).and_then(Value::as_array);
    all.into_iter().flatten().filter_map(Value::as_str)
}

fn count(schema: &Schema, keyword: &str) -> Option<usize> {
    schema.get(keyword).and_then(Value::as_f64).map(|count| count as usize)
}

/// The type to make: stated, or guessed from the other keywords.
fn type_of<'a>(schema: &'a Schema, rng: &mut Rng, depth: usize) -> &'a str {
    match schema.get("type") {
        Some(Value::String(name)) => return name,
        Some(Value::Array(names)) => {
            let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
            if depth >= TERSE_DEPTH {
                let is_flat = |name: &&&str| !matches!(**name, "object" | "array");
                return names.iter().find(is_flat).or(names.first()).copied().unwrap_or("null");
            }
            return rng.choice(names).unwrap_or("null");
        }
        _ => {}
    }
    let has = |keywords: &[&str]| keywords.iter().any(|keyword| schema.contains_key(*keyword));
    if has(&["properties", "required", "additionalProperties", "patternProperties", "minProperties", "propertyNames"]) {
        "object"
    } else if has(&["items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"]) {
        "array"
    } else if has(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]) {
        "number"
    } else {
        "string"
    }
}

#[cfg(test)]
mod tests;
