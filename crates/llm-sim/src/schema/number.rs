//! Numbers within bounds.

use fastrand::Rng;
use serde_json::Value;

use super::Schema;

/// How far a number goes where only one end is bounded.
const SPAN: f64 = 100.0;

pub(super) fn integer(schema: &Schema, rng: &mut Rng) -> Value {
    let step = bound(schema, "multipleOf").filter(|step| *step >= 1.0 && step.fract() == 0.0).unwrap_or(1.0);
    let (least, most) = range(schema, 1.0, step);
    let (first, last) = ((least / step).ceil() as i64, (most / step).floor() as i64);
    let factor = if first < last { rng.i64(first..=last) } else { first };
    Value::from(factor.saturating_mul(step as i64))
}

pub(super) fn number(schema: &Schema, rng: &mut Rng) -> Value {
    if let Some(step) = bound(schema, "multipleOf").filter(|step| *step > 0.0) {
        let (least, most) = range(schema, step, step);
        let (first, last) = ((least / step).ceil() as i64, (most / step).floor() as i64);
        let factor = if first < last { rng.i64(first..=last) } else { first };
        // Division by the inverse keeps 0.01 steps exact, where multiplying by 0.01 would not.
        let inverse = (1.0 / step).round();
        let is_decimal = (inverse * step - 1.0).abs() < 1e-12;
        return Value::from(if is_decimal { factor as f64 / inverse } else { factor as f64 * step });
    }
    let (least, most) = range(schema, 0.0, 1.0);
    let exact = least + (most - least) * (0.1 + 0.8 * rng.f64());
    let rounded = (exact * 100.0).round() / 100.0;
    Value::from(if rounded > least && rounded < most { rounded } else { exact })
}

/// The bounds, both inclusive. An exclusive bound is moved inwards by `margin`.
fn range(schema: &Schema, margin: f64, step: f64) -> (f64, f64) {
    let at_least = |value: f64| if margin >= 1.0 { value.floor() + 1.0 } else { value + margin };
    let at_most = |value: f64| if margin >= 1.0 { value.ceil() - 1.0 } else { value - margin };
    let least = tighter(bound(schema, "minimum"), bound(schema, "exclusiveMinimum").map(at_least), f64::max);
    let most = tighter(bound(schema, "maximum"), bound(schema, "exclusiveMaximum").map(at_most), f64::min);
    let span = SPAN * step.max(1.0);
    match (least, most) {
        (Some(least), Some(most)) => (least, most),
        (Some(least), None) => (least, least + span),
        (None, Some(most)) => (if most > 0.0 { 0.0 } else { most - span }, most),
        (None, None) => (0.0, span),
    }
}

fn tighter(one: Option<f64>, other: Option<f64>, pick: fn(f64, f64) -> f64) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(pick(one, other)),
        (one, other) => one.or(other),
    }
}

fn bound(schema: &Schema, keyword: &str) -> Option<f64> {
    schema.get(keyword).and_then(Value::as_f64)
}
