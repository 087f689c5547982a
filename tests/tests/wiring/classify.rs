//! `[classify]`: what a request is about, and whether it may leave the house. Rules of the router tell what came of it.

use crate::{
    ask::ask,
    entry::{Entry, set},
};

const CODE: &str = "Write a Rust function that reverses a linked list in place, with unit tests and doc comments.";

/// A text for each pattern. A `§` is taken out first: it keeps those who search repositories for leaked keys from finding one
/// here.
const TEXTS: [(&str, &str); 26] = [
    ("email", "Write to jane.doe@example.com, please."),
    ("phone", "Call me at +1 212 555 0123 tomorrow"),
    ("card", "4111 1111 1111 1111"),
    ("iban", "DE89370400440532013000"),
    ("us_ssn", "123-45-6789"),
    ("uk_nino", "AB 12 34 56 C"),
    ("es_dni", "12345678Z"),
    ("fr_nir", "1 84 12 76 451 089 46"),
    ("de_tax_id", "Steuer-ID: 86 095 742 719"),
    ("it_codice_fiscale", "RCCMNL83S18D969H"),
    ("nl_bsn", "Mijn BSN is 111222333."),
    ("pl_pesel", "PESEL: 44051401359"),
    ("se_personnummer", "personnummer 811218-9876"),
    ("br_cpf", "529.982.247-25"),
    ("in_aadhaar", "Aadhaar 2341 2341 2346"),
    ("cn_resident_id", "11010519491231002X"),
    ("aws_key", "aws_access_key_id = AKIA§IOSFODNN7EXAMPLE"),
    ("github_token", "gh§p_16C7e42F292c6912E7710c838347Ae178B4a"),
    ("slack_token", "xox§b-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx"),
    ("openai_key", "OPENAI: s§k-abcdEFGH1234ijklMNOP5678qrstUVWX9012yzAB3456CDEF"),
    ("anthropic_key", "s§k-ant-api03-Ab12Cd34Ef56Gh78Ij90Kl12Mn34Op56Qr78"),
    ("google_key", "key=AIza§SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q"),
    ("stripe_key", "s§k_live_4eC39HqLyjWDarjtT1zdp7dc"),
    ("jwt", "eyJ§hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"),
    ("private_key", "-----BEGIN RSA PRIVATE§ KEY-----\nMIIEpAIBAAKCAQEA"),
    ("credential", "password = hunter2!"),
];

pub(crate) fn entries() -> Vec<Entry> {
    let told = |classify: &str, when: &str| {
        format!("classify = {{ {classify} }}\nrouter = {{ rules = [{{ when = {{ {when} }}, refuse = 'no' }}] }}")
    };
    let mut entries = vec![
        set("classify.intent", &told("intent = true", "intent = 'code'")).ask(ask("m").says(CODE)).sees("forbidden"),
        set("classify.intent.confidence", &told("intent = { confidence = 1.0 }", "intent = 'code'"))
            .ask(ask("m").says(CODE))
            .sees("ok"),
        set("classify.detect", &told("detect = 'all'", "sensitivity = 'sensitive'"))
            .ask(ask("m").says("Write to jane.doe@example.com."))
            .sees("forbidden"),
        set("classify.tenants", &told("tenants = ['clinic']", "sensitivity = 'sensitive'"))
            .ask(ask("m").of("clinic"))
            .ask(ask("m").of("a"))
            .sees("forbidden | ok"),
    ];
    let others = TEXTS.iter().cycle().skip(1);
    entries.extend(TEXTS.iter().zip(others).map(|((pattern, text), (other, _))| {
        set("classify.detect", &told(&format!("detect = '{pattern}'"), "sensitivity = 'sensitive'"))
            .rather(&format!("'{other}'"))
            .ask(ask("m").says(text.replace('§', "")))
            .sees("forbidden")
    }));
    entries
}
