//! Numbers with a check are found wherever they stand, and not when a digit of them is changed.

use llm_classify::{Detector, Pattern, Patterns};
use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, RngSeed},
};

fn config() -> ProptestConfig {
    Config { cases: 400, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..Config::default() }
}

fn found(pattern: Pattern, text: &str) -> bool {
    Patterns::of([pattern]).find(text).is_some_and(|finding| finding.kind == pattern.as_str())
}

/// What may stand before or behind a number.
fn surroundings() -> impl Strategy<Value = &'static str> {
    select(vec![
        "", " ", "\n", "\t", "é", "号", "👍", "“", "(", ":", ": ", " x ", "\u{a0}", "\"", ", ", "\\n", "\r\n", "|",
        "=", "是",
    ])
}

/// `digits` with the one that follows such that `is_right` says so.
fn complete(digits: &str, is_right: impl Fn(&str) -> bool) -> Option<String> {
    ('0'..='9').map(|check| format!("{digits}{check}")).find(|number| is_right(number))
}

/// Luhn's sum, the way in which textbooks write it.
fn luhn(number: &str) -> bool {
    let digits: Vec<u32> = number.chars().rev().filter_map(|digit| digit.to_digit(10)).collect();
    let doubled = digits.iter().skip(1).step_by(2).map(|digit| [0, 2, 4, 6, 8, 1, 3, 5, 7, 9][*digit as usize]);
    (digits.iter().step_by(2).sum::<u32>() + doubled.sum::<u32>()) % 10 == 0
}

fn in_groups(digits: &str, groups: &[usize], separator: &str) -> String {
    let mut rest = digits;
    let mut parts = Vec::new();
    for length in groups {
        let (group, others) = rest.split_at(*length);
        parts.push(group);
        rest = others;
    }
    parts.join(separator)
}

/// A card's number.
fn card() -> impl Strategy<Value = String> {
    let kinds = select(vec![
        ("4", 16),
        ("51", 16),
        ("2221", 16),
        ("34", 15),
        ("37", 15),
        ("6011", 16),
        ("3528", 16),
        ("62", 19),
        ("36", 14),
    ]);
    (kinds, "[0-9]{18}").prop_map(|((prefix, length), digits)| {
        complete(&format!("{prefix}{digits}")[..length - 1], luhn).expect("one check digit is right")
    })
}

fn iban() -> impl Strategy<Value = String> {
    "[0-9]{18}".prop_map(|account| {
        // DE00 behind the account, D as 13 and E as 14.
        let remainder =
            format!("{account}131400").bytes().fold(0, |rest, digit| (rest * 10 + u32::from(digit - b'0')) % 97);
        format!("DE{:02}{account}", 98 - remainder)
    })
}

fn resident_id() -> impl Strategy<Value = String> {
    (1900..2025_u32, 1..=12_u32, 1..=28_u32, "[0-9]{3}").prop_map(|(year, month, day, order)| {
        let digits = format!("110105{year}{month:02}{day:02}{order}");
        let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
        let sum: u32 = digits.bytes().zip(weights).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
        let check = ['1', '0', 'X', '9', '8', '7', '6', '5', '4', '3', '2'][(sum % 11) as usize];
        format!("{digits}{check}")
    })
}

fn nir() -> impl Strategy<Value = String> {
    (1..=2_u64, 0..100_u64, 1..=12_u64, "[0-9]{8}").prop_map(|(sex, year, month, rest)| {
        let number = format!("{sex}{year:02}{month:02}{rest}");
        let key = 97 - number.parse::<u64>().expect("it is all digits") % 97;
        format!("{number}{key:02}")
    })
}

fn cpf() -> impl Strategy<Value = String> {
    "[0-8][0-9]{7}9".prop_map(|mut digits| {
        for weight in [10, 11] {
            let sum: u32 =
                digits.bytes().zip((2..=weight).rev()).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
            let check = match sum % 11 {
                0 | 1 => 0,
                rest => 11 - rest,
            };
            digits.push_str(&check.to_string());
        }
        format!("{}.{}.{}-{}", &digits[..3], &digits[3..6], &digits[6..9], &digits[9..])
    })
}

fn dni() -> impl Strategy<Value = String> {
    (30_000_000..99_999_999_u32)
        .prop_map(|number| format!("{number}{}", char::from(b"TRWAGMYFPDXBNJZSQVHLCKE"[(number % 23) as usize])))
}

/// Numbers that are found anywhere and whose check finds every changed digit, with their pattern.
fn checked() -> impl Strategy<Value = (Pattern, String)> {
    prop_oneof![
        card().prop_map(|number| (Pattern::Card, number)),
        card()
            .prop_filter("in fours", |number| number.len() == 16)
            .prop_map(|number| (Pattern::Card, in_groups(&number, &[4, 4, 4, 4], " "))),
        card()
            .prop_filter("in fours", |number| number.len() == 16)
            .prop_map(|number| (Pattern::Card, in_groups(&number, &[4, 4, 4, 4], "-"))),
        iban().prop_map(|number| (Pattern::Iban, number)),
        iban().prop_map(|number| (Pattern::Iban, in_groups(&number, &[4, 4, 4, 4, 4, 2], " "))),
        resident_id().prop_map(|number| (Pattern::CnResidentId, number)),
        nir().prop_map(|number| (Pattern::FrNir, number)),
        nir().prop_map(|number| (Pattern::FrNir, in_groups(&number, &[1, 2, 2, 2, 3, 3, 2], " "))),
        cpf().prop_map(|number| (Pattern::BrCpf, number)),
        dni().prop_map(|number| (Pattern::EsDni, number)),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_checked_number_is_found_wherever_it_stands(
        (pattern, number) in checked(),
        before in surroundings(),
        behind in surroundings(),
        noise in "[a-zé号 \n]{0,300}",
    ) {
        let text = format!("{noise}{}{before}{number}{behind}{noise}", if noise.is_empty() { "" } else { " " });
        // A letter or an escape's letter right behind makes it part of a word.
        let text = if behind.is_empty() && noise.starts_with(|first: char| first.is_ascii_alphabetic()) {
            format!("{noise} {before}{number} {noise}")
        } else {
            text
        };
        prop_assert!(found(pattern, &text), "{pattern:?} in {text:?}");
        prop_assert!(Patterns::all().find(&text).is_some(), "{text:?}");
    }

    #[test]
    fn a_checked_number_with_one_digit_changed_is_not_found(
        (pattern, number) in checked(),
        place in any::<Index>(),
        change in 1..10_u8,
    ) {
        let digits: Vec<usize> = number.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()).map(|(at, _)| at).collect();
        let at = digits[place.index(digits.len())];
        let mut changed = number.clone().into_bytes();
        changed[at] = b'0' + (changed[at] - b'0' + change) % 10;
        let changed = String::from_utf8(changed).expect("it is ASCII");
        prop_assert!(!found(pattern, &changed), "{pattern:?}: {number} as {changed}");
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = Patterns::all().find(&text);
    }

    #[test]
    fn text_made_of_what_patterns_look_for_never_panics(
        pieces in prop::collection::vec(
            select(vec![
                "1", "12", "123", "1234", "12345678901234567890", "+", "(", ")", "-", ".", "/", " ", "\u{a0}", "\u{202f}", "\u{2011}",
                "é", "号", "@", "a", "Z", "X", "DE", "eyJ", "sk-", "ant-", "AKIA", "ghp_", "-----BEGIN ", "PRIVATE KEY", "password",
                "=", ": ", "is ", "token", "://", "\\", "n", "\n", "\"", "bearer ", "phone ", "bsn ", "(0)", "d",
            ]),
            0..60,
        ),
    ) {
        let text = pieces.concat();
        let found = Patterns::all().find(&text);
        // What is found does not depend on what stands in front, if that is another sentence.
        if found.is_some() {
            prop_assert!(Patterns::all().find(&format!("Why is the sky blue? And:\n{text}")).is_some(), "{text:?}");
        }
    }
}
