//! `[classify]`: what a request is about, and whether it may leave the house. Rules of the router tell what came of it.

use crate::{
    entry::{Entry, set},
    stage::ask,
};

const CODE: &str = "Write a Rust function that reverses a linked list in place, with unit tests and doc comments.";

pub(crate) fn entries() -> Vec<Entry> {
    let told = |classify: &str, when: &str| {
        format!("classify = {{ {classify} }}\nrouter = {{ rules = [{{ when = {{ {when} }}, refuse = 'no' }}] }}")
    };
    vec![
        set("classify.intent", &told("intent = true", "intent = 'code'")).ask(ask("m").says(CODE)).sees("forbidden"),
        set("classify.intent.confidence", &told("intent = { confidence = 1.0 }", "intent = 'code'"))
            .ask(ask("m").says(CODE))
            .sees("ok"),
        set("classify.detect", &told("detect = 'email'", "sensitivity = 'sensitive'"))
            .ask(ask("m").says("Write to jane.doe@acme.com"))
            .sees("forbidden"),
        set("classify.tenants", &told("tenants = ['clinic']", "sensitivity = 'sensitive'"))
            .ask(ask("m").of("clinic"))
            .ask(ask("m").of("a"))
            .sees("forbidden | ok"),
    ]
}
