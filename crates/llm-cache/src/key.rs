//! What makes two requests the same question.

use std::{fmt, sync::Arc};

use llm_core::{Caller, EmbedInput, LlmRequest, Payload};
use serde::Deserialize;

use crate::{meaning::Meaning, tokens::Tokens};

/// Stands before everything that is hashed. It changes with what a key is made of.
const VERSION: &str = "llm-cache key 1";

/// What tells one question from all others: 256 bits over everything that can change its answer.
///
/// Displayed as 64 hexadecimal digits. It says nothing of the question to anybody who does not know that already.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of these bytes, as [`as_bytes`](Self::as_bytes) gave them.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key as bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who shares answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The callers of one tenant. Those who name no tenant share among themselves.
    #[default]
    Tenant,
    /// One user of one tenant: nobody but whoever asked before.
    User,
    /// All callers. For a house whose callers may all see each other's answers, though tenants share nothing else.
    Everyone,
}

/// How keys are made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    pub(crate) scope: Scope,
    /// Fields that are declared to make no difference, besides [`IRRELEVANT`](crate::meaning::IRRELEVANT).
    pub(crate) irrelevant: Box<[Box<str>]>,
    /// What is known of requests elsewhere that can change the answer.
    pub(crate) vary: Vary,
}

/// Says texts that tell requests apart.
pub(crate) type Says = dyn Fn(&LlmRequest, &mut dyn FnMut(&str)) + Send + Sync;

#[derive(Clone, Default)]
pub(crate) struct Vary(pub(crate) Option<Arc<Says>>);

impl fmt::Debug for Vary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Vary(set)" } else { "Vary" })
    }
}

impl Keys {
    /// Whether an answer under a key of these may be given to a caller under a key of the others, as far as can be told.
    pub(crate) fn shares_with(&self, others: &Self) -> bool {
        self.scope == others.scope && self.irrelevant == others.irrelevant
    }

    /// The key of a whole request.
    pub(crate) fn of(&self, request: &LlmRequest) -> Key {
        let mut tokens = self.begin(request);
        match request.payload() {
            Payload::Chat(chat) => {
                tokens.tag(b'c');
                Meaning::new(&mut tokens, chat.dialect, &self.irrelevant).chat(chat);
            }
            Payload::CountTokens(chat) => {
                tokens.tag(b't');
                Meaning::new(&mut tokens, chat.dialect, &self.irrelevant).chat(chat);
            }
            Payload::Embed(embed) => {
                tokens.tag(b'e');
                let mut meaning = Meaning::new(&mut tokens, None, &self.irrelevant);
                meaning.embed_terms(embed);
                meaning.list(&embed.input, Meaning::embed_input);
            }
        }
        Key(tokens.finish())
    }

    /// A key for each input of a request for embeddings; none for any other.
    pub(crate) fn of_inputs(&self, request: &LlmRequest) -> Vec<Key> {
        let Payload::Embed(embed) = request.payload() else { return Vec::new() };
        let mut terms = self.begin(request);
        terms.tag(b'i');
        Meaning::new(&mut terms, None, &self.irrelevant).embed_terms(embed);
        let key = |input: &EmbedInput| {
            let mut tokens = terms.clone();
            Meaning::new(&mut tokens, None, &self.irrelevant).embed_input(input);
            Key(tokens.finish())
        };
        embed.input.iter().map(key).collect()
    }

    /// Who asks whom.
    fn begin(&self, request: &LlmRequest) -> Tokens {
        let mut tokens = Tokens::default();
        tokens.text(VERSION);
        let context = request.context();
        // With which key, and in which job, somebody asks makes no difference to the answer.
        let Caller { tenant, user, key: _, workflow, job: _ } = context.caller();
        let (tenant, user) = match self.scope {
            Scope::Tenant => (tenant.as_deref(), None),
            Scope::User => (tenant.as_deref(), user.as_deref()),
            Scope::Everyone => (None, None),
        };
        tokens.option(tenant, Tokens::text);
        tokens.option(user, Tokens::text);
        tokens.text(request.model());
        // Which key of the provider's is used makes no difference to the answer.
        tokens.option(context.target(), |tokens, target| {
            tokens.text(target.provider());
            tokens.text(target.model());
        });
        tokens.option(context.output_ceiling(), Tokens::number);
        // Routes go by what follows, and answers of two models are two answers.
        tokens.tag(u8::from(context.sensitivity().is_sensitive()));
        tokens.option(context.intent(), Tokens::text);
        tokens.option(workflow.as_deref(), Tokens::text);
        sorted(&mut tokens, context.tags().iter().map(|tag| &**tag));
        tokens.option(context.allowed_models(), |tokens, allowed| sorted(tokens, allowed.names()));
        if let Some(says) = &self.vary.0 {
            says(request, &mut |text| tokens.option(Some(text), Tokens::text));
        }
        tokens.tag(0);
        tokens
    }
}

fn sorted<'a>(tokens: &mut Tokens, names: impl Iterator<Item = &'a str>) {
    let mut names: smallvec::SmallVec<[&str; 8]> = names.collect();
    names.sort_unstable();
    tokens.count(names.len());
    names.into_iter().for_each(|name| tokens.text(name));
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
