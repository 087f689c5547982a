//! What the built-in detector finds.
//!
//! One automaton goes over the text and stops where something could begin: at a digit, an at sign, the first letters of a
//! key. What is there is looked at by the patterns that it could be, none of which goes far. Nothing is copied, unless
//! there is something in the text that could be written more plainly, such as digits of another script.

mod card;
mod checksum;
mod credential;
mod email;
mod fold;
mod iban;
mod keys;
mod national;
mod numbers;
mod phone;
mod shape;
mod view;
mod words;

use std::{fmt, sync::Arc};

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input};
use serde::Deserialize;

use self::{
    fold::fold,
    keys::KEYS,
    numbers::{FORMS, Form},
    view::View,
};
use crate::{Detector, Finding};

/// Something that [`Patterns`] find. Its name in configurations and findings is in snake case and stable.
///
/// What its form and check leave to chance is found only near a word that says what it is, such as `bsn` or `phone`: in
/// the 48 bytes before it or the 24 behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// An address of mail.
    Email,
    /// A telephone number: international after a plus; as it is written in North America, France, the United Kingdom,
    /// Brazil, Japan, China and others; any of nine to twelve digits near a word.
    Phone,
    /// A payment card: a known issuer's prefix and length, and Luhn's check digit.
    Card,
    /// An international bank account number, as its country writes it.
    Iban,
    /// A Social Security number of the United States: with hyphens, or near a word.
    UsSsn,
    /// A National Insurance number of the United Kingdom: in pairs, or near a word.
    UkNino,
    /// A DNI or NIE of Spain.
    EsDni,
    /// A NIR of France, with its key.
    FrNir,
    /// A Steuer-ID of Germany, near a word.
    DeTaxId,
    /// A codice fiscale of Italy.
    ItCodiceFiscale,
    /// A BSN of the Netherlands, near a word.
    NlBsn,
    /// A PESEL of Poland, near a word.
    PlPesel,
    /// A personnummer of Sweden, near a word.
    SePersonnummer,
    /// A CPF of Brazil: with full stops and a hyphen, or near a word.
    BrCpf,
    /// An Aadhaar of India, near a word.
    InAadhaar,
    /// A resident identity number of China.
    CnResidentId,
    /// An access key id of AWS.
    AwsKey,
    /// A token of GitHub.
    GithubToken,
    /// A token of Slack.
    SlackToken,
    /// An API key of OpenAI.
    OpenaiKey,
    /// An API key of Anthropic.
    AnthropicKey,
    /// An API key of Google.
    GoogleKey,
    /// A live key of Stripe.
    StripeKey,
    /// A JSON Web Token with a signature.
    Jwt,
    /// A private key as PEM.
    PrivateKey,
    /// A password or random key that is assigned to a name such as `password` or `api_key`, stands behind `Bearer`, or in
    /// the address of a server.
    Credential,
}

impl Pattern {
    /// Every pattern, for tables and tests.
    pub const ALL: [Self; 26] = [
        Self::Email,
        Self::Phone,
        Self::Card,
        Self::Iban,
        Self::UsSsn,
        Self::UkNino,
        Self::EsDni,
        Self::FrNir,
        Self::DeTaxId,
        Self::ItCodiceFiscale,
        Self::NlBsn,
        Self::PlPesel,
        Self::SePersonnummer,
        Self::BrCpf,
        Self::InAadhaar,
        Self::CnResidentId,
        Self::AwsKey,
        Self::GithubToken,
        Self::SlackToken,
        Self::OpenaiKey,
        Self::AnthropicKey,
        Self::GoogleKey,
        Self::StripeKey,
        Self::Jwt,
        Self::PrivateKey,
        Self::Credential,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::UsSsn => "us_ssn",
            Self::UkNino => "uk_nino",
            Self::EsDni => "es_dni",
            Self::FrNir => "fr_nir",
            Self::DeTaxId => "de_tax_id",
            Self::ItCodiceFiscale => "it_codice_fiscale",
            Self::NlBsn => "nl_bsn",
            Self::PlPesel => "pl_pesel",
            Self::SePersonnummer => "se_personnummer",
            Self::BrCpf => "br_cpf",
            Self::InAadhaar => "in_aadhaar",
            Self::CnResidentId => "cn_resident_id",
            Self::AwsKey => "aws_key",
            Self::GithubToken => "github_token",
            Self::SlackToken => "slack_token",
            Self::OpenaiKey => "openai_key",
            Self::AnthropicKey => "anthropic_key",
            Self::GoogleKey => "google_key",
            Self::StripeKey => "stripe_key",
            Self::Jwt => "jwt",
            Self::PrivateKey => "private_key",
            Self::Credential => "credential",
        }
    }
}

/// The built-in detector: finds personal data and secrets by their form. See the [crate docs](crate) for what it cannot
/// find. Clones share what was built.
///
/// ```
/// use llm_classify::{Detector, Pattern, Patterns};
///
/// let patterns = Patterns::of([Pattern::Email, Pattern::Card]);
/// let finding = patterns.find("Charge 4111 1111 1111 1111, please.").expect("Luhn's check digit is right");
/// assert_eq!(finding.kind, "card");
/// assert_eq!(patterns.find("Order 4111 1111 1111 1112 has left the house."), None);
/// ```
#[derive(Clone)]
pub struct Patterns(Arc<Scanner>);

struct Scanner {
    patterns: Vec<Pattern>,
    marks: AhoCorasick,
    /// What is looked at where a mark stands, by mark.
    looks: Vec<Look>,
    /// The forms of numbers by the length of their first group.
    forms: [Vec<&'static Form>; MOST_IN_GROUP + 1],
    has_iban: bool,
    has_phone: bool,
}

/// The most digits without a separator that any number has: cards of nineteen.
const MOST_IN_GROUP: usize = 19;

type IsAt = fn(&View<'_>, usize) -> bool;

enum Look {
    Number,
    /// The patterns that have this mark.
    Mark(Vec<(Pattern, IsAt)>),
}

impl Patterns {
    /// Every pattern.
    pub fn all() -> Self {
        Self::of(Pattern::ALL)
    }

    /// These patterns. With none it finds nothing.
    pub fn of(patterns: impl IntoIterator<Item = Pattern>) -> Self {
        Self(Arc::new(Scanner::new(patterns.into_iter().collect())))
    }
}

impl Default for Patterns {
    /// [`all`](Self::all) of them.
    fn default() -> Self {
        Self::all()
    }
}

impl Detector for Patterns {
    fn find(&self, text: &str) -> Option<Finding> {
        let find = |text: &str| self.0.find(&View::new(text));
        let pattern = find(text).or_else(|| find(&fold(text)?))?;
        Some(Finding { kind: pattern.as_str() })
    }
}

impl fmt::Debug for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Patterns").field(&self.0.patterns).finish()
    }
}

impl Scanner {
    fn new(patterns: Vec<Pattern>) -> Self {
        let has = |pattern: Pattern| patterns.contains(&pattern);
        let mut forms = [const { Vec::new() }; MOST_IN_GROUP + 1];
        for form in FORMS.iter().filter(|form| has(form.pattern)) {
            forms[form.first_group()].push(form);
        }
        let (has_iban, has_phone) = (has(Pattern::Iban), has(Pattern::Phone));
        let (mut texts, mut looks) = (Vec::new(), Vec::new());
        if has_iban || has_phone || forms.iter().any(|forms| !forms.is_empty()) {
            texts.extend(DIGITS);
            looks.extend(DIGITS.map(|_| Look::Number));
        }
        let mut add = |pattern, marks: &[&'static str], is_at: IsAt| {
            for &mark in marks.iter().filter(|_| has(pattern)) {
                match texts.iter().zip(&mut looks).find(|(text, _)| **text == mark) {
                    Some((_, Look::Mark(looks))) => looks.push((pattern, is_at)),
                    _ => {
                        texts.push(mark);
                        looks.push(Look::Mark(vec![(pattern, is_at)]));
                    }
                }
            }
        };
        add(Pattern::Email, &["@"], email::is_at);
        for key in KEYS {
            add(key.pattern, key.marks, key.is_at);
        }
        add(Pattern::Credential, &credential::PASSWORDS, credential::is_password);
        add(Pattern::Credential, &credential::SECRETS, credential::is_secret);
        add(Pattern::Credential, &[credential::BEARER], credential::is_bearer);
        add(Pattern::Credential, &[credential::ADDRESS], credential::is_address);
        let marks = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&texts)
            .expect("a few dozen short texts are within every limit");
        Self { patterns, marks, looks, forms, has_iban, has_phone }
    }

    fn find(&self, view: &View<'_>) -> Option<Pattern> {
        let mut at = 0;
        // Marks that overlap another are not lost: where the second begins, a letter stands before it.
        while let Some(mark) = self.marks.find(Input::new(view.bytes()).range(at..)) {
            match &self.looks[mark.pattern().as_usize()] {
                Look::Number => {
                    let digit = mark.start();
                    let end = view.run(digit, usize::MAX, |byte| byte.is_ascii_digit());
                    if !is_short_and_alone(view, digit, end)
                        && let Some(pattern) = self.number(view, digit, end - digit)
                    {
                        return Some(pattern);
                    }
                    at = end;
                }
                Look::Mark(looks) => {
                    if let Some((pattern, _)) = looks.iter().find(|(_, is_at)| is_at(view, mark.start())) {
                        return Some(*pattern);
                    }
                    at = mark.end();
                }
            }
        }
        None
    }

    /// The pattern whose number has its first group of digits at `digit`, `length` of them.
    fn number(&self, view: &View<'_>, digit: usize, length: usize) -> Option<Pattern> {
        let mut forms = self.forms.get(length).into_iter().flatten();
        if let Some(form) = forms.find(|form| form.is_at(view, digit)) {
            return Some(form.pattern);
        }
        if self.has_iban && iban::is_at(view, digit) {
            return Some(Pattern::Iban);
        }
        (self.has_phone && phone::is_at(view, digit)).then_some(Pattern::Phone)
    }
}

/// Whether the digits from `start` to `end` are few and nothing that belongs to a longer number stands beside them, as
/// most digits in prose and code: then no pattern needs to look.
fn is_short_and_alone(view: &View<'_>, start: usize, end: usize) -> bool {
    let goes_on =
        |at| matches!(view.get(at), Some(byte) if byte.is_ascii_alphanumeric() || matches!(byte, b'(' | b')' | b'+'));
    let behind = view.separator(end).map_or(end, |(_, length)| end + length);
    end - start < 6
        && !goes_on(end)
        && !(behind > end && (view.is_digit(behind) || view.get(behind) == Some(b'(')))
        && !view.before(start, 1).is_some_and(|byte| byte.is_ascii_alphanumeric())
}

const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

#[cfg(test)]
#[path = "patterns_tests.rs"]
mod tests;
