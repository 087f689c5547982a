//! Embeddings, which are kept for each input: a batch only asks for what is missing.

use std::{collections::HashSet, sync::Arc, time::Duration};

use llm_core::{
    Body, CacheStatus, Embed, EmbedInput, EmbedOutput, Error, ErrorKind, Extra, Head, LlmRequest, LlmResponse, Output,
    Payload, Striped, Usage, Vector,
};
use tower::{Service, ServiceExt};

use crate::{
    Entry, Key, Refused, ResponseFuture,
    boarding::{Arrived, fly_together},
    counts::Happened,
    entry::Kept,
    flight::Whole,
    plan::{Flying, Plan, not_kept},
    recorder::Asked,
    replay,
    shared::{Known, Shared},
};

/// What is kept of a batch: for each input its key, and its vector if there is one.
#[derive(Debug)]
struct Batch {
    inputs: Vec<(Key, Option<Found>)>,
}

#[derive(Clone, Debug)]
struct Found {
    entry: Arc<Entry>,
    age: Duration,
    is_expired: bool,
    /// It is only for the case that there is no other.
    is_last_resort: bool,
}

/// Answers a request for embeddings.
pub(crate) fn call<S>(shared: &Striped<Shared>, inner: &S, request: LlmRequest) -> ResponseFuture<S>
where
    S: Service<LlmRequest, Response = LlmResponse, Future: Send + 'static> + Clone + Send + 'static,
    S::Error: Into<Error> + Send + 'static,
{
    let pass_by = |request: LlmRequest, reason| match shared.pass_by(&request, reason) {
        Plan::Refuse(error) => ResponseFuture::known(Err(error)),
        Plan::PassBy | Plan::Answer(..) | Plan::Renew(..) | Plan::Fly(..) => {
            ResponseFuture::passed_by(inner.clone().oneshot(request))
        }
    };
    let Payload::Embed(embed) = request.payload() else { return pass_by(request, Refused::Kind) };
    let ttl = match shared.admit(&request) {
        Ok(ttl) => ttl,
        Err(reason) => return pass_by(request, reason),
    };
    if embed.input.is_empty() {
        return pass_by(request, Refused::Empty);
    }
    let directive = *request.context().cache();
    let batch = Batch::find(shared, &request, directive.no_cache);
    let expired_will_do = directive.only_if_cached;
    if batch.is_complete(expired_will_do) {
        return ResponseFuture::known(Ok(batch.answer(shared, &request)));
    }
    if directive.only_if_cached {
        return ResponseFuture::known(Err(not_kept()));
    }
    if directive.no_store {
        return pass_by(request, Refused::NoStore);
    }
    let missing = batch.missing(embed);
    let asked = Asked::Vectors(missing.iter().map(|(key, input)| (*key, length(input))).collect());
    let mut rest = request.clone();
    if missing.len() < embed.input.len() {
        let input = missing.into_iter().map(|(_, input)| input.clone()).collect();
        let rest_of = Embed { input, single: false, ..embed.clone() };
        *rest.payload_mut() = Payload::Embed(rest_of);
    }
    let flying = Flying { has_last_resort: batch.is_complete(true), ..Flying::new(shared.key(&rest), &directive, ttl) };
    let (shared, inner) = (shared.clone(), inner.clone());
    ResponseFuture::under_way(Box::pin(fly(shared, inner, request, rest, batch, flying, asked)))
}

/// Asks for the `rest` of the request, and puts what comes of it in its places.
async fn fly<S>(
    shared: Striped<Shared>,
    inner: S,
    request: LlmRequest,
    rest: LlmRequest,
    batch: Batch,
    flying: Flying,
    asked: Asked,
) -> Result<LlmResponse, Error>
where
    S: Service<LlmRequest, Response = LlmResponse, Future: Send + 'static> + Clone + Send + 'static,
    S::Error: Into<Error> + Send + 'static,
{
    let find = || Some(Batch::find(&shared, &request, false)).filter(|batch| batch.is_complete(false));
    match fly_together(&shared, inner, &rest, &flying, &asked, find).await {
        Ok(Arrived::Found(batch)) => Ok(batch.answer(&shared, &request)),
        Ok(Arrived::Whole { head, whole, has_joined }) => {
            let body = match is_all(&request, &rest) {
                // Whoever made the call may have asked for vectors written in another way than who joined it.
                true if has_joined => Body::full(whole.output.clone()),
                true => replay::full(whole),
                false => Body::full(Output::Embed(batch.filled(&whole)?)),
            };
            Ok(replay::live(&rest, head, body, has_joined))
        }
        Ok(Arrived::Stream { head, reader }) => match is_all(&request, &rest) {
            true => {
                let has_joined = reader.has_joined();
                Ok(replay::live(&rest, head, Body::stream(reader), has_joined))
            }
            false => Err(other_number()),
        },
        Err(error) => match shared.instead_of(&error, Some(batch).filter(|batch| batch.is_complete(true))) {
            Some(batch) => Ok(batch.answer(&shared, &request)),
            None => Err(error),
        },
    }
}

/// Whether nothing of the request was kept, so that the answer is the provider's own.
fn is_all(request: &LlmRequest, rest: &LlmRequest) -> bool {
    Arc::ptr_eq(&request.shared_payload(), &rest.shared_payload())
}

impl Batch {
    fn find(shared: &Shared, request: &LlmRequest, is_in_vain: bool) -> Self {
        let find = |key| {
            let (entry, age, is_expired, is_last_resort) = match shared.find_for(&key, request) {
                _ if is_in_vain => return (key, None),
                Known::Fresh(entry, age) => (entry, age, false, false),
                // Vectors do not change while a model does not, so nothing is gained by renewing them early.
                Known::Stale(entry, age) => (entry, age, true, false),
                Known::LastResort(entry, age) => (entry, age, true, true),
                Known::Nothing => return (key, None),
            };
            let is_vector = matches!(entry.kept, Kept::Vector(..));
            (key, is_vector.then_some(Found { entry, age, is_expired, is_last_resort }))
        };
        Self { inputs: shared.settings.keys.of_inputs(request).into_iter().map(find).collect() }
    }

    fn is_complete(&self, expired_will_do: bool) -> bool {
        self.inputs
            .iter()
            .all(|(_, found)| found.as_ref().is_some_and(|found| expired_will_do || !found.is_last_resort))
    }

    /// The inputs of which nothing good is kept, each once.
    fn missing<'a>(&self, embed: &'a Embed) -> Vec<(Key, &'a EmbedInput)> {
        let mut seen = HashSet::new();
        let inputs = self.inputs.iter().zip(&embed.input);
        let missing = inputs.filter(|((_, found), _)| found.as_ref().is_none_or(|found| found.is_last_resort));
        missing.filter(|((key, _), _)| seen.insert(*key)).map(|((key, _), input)| (*key, input)).collect()
    }

    /// The answer, all of which is kept.
    fn answer(&self, shared: &Shared, request: &LlmRequest) -> LlmResponse {
        let found = || self.inputs.iter().filter_map(|(_, found)| found.as_ref());
        let age = found().map(|found| found.age).max().unwrap_or_default();
        let is_stale = found().any(|found| found.is_expired);
        let (happened, cache) = match is_stale {
            true => (Happened::Stale, CacheStatus::Stale { age }),
            false => (Happened::Hit, CacheStatus::Hit { age }),
        };
        shared.counts.note(happened);
        found().filter_map(|found| found.entry.cost).for_each(|cost| shared.counts.save(cost));
        let kept = |found: &Found| match &found.entry.kept {
            Kept::Vector(vector, tokens) => Some((vector.clone(), *tokens)),
            Kept::Whole(_) | Kept::Stream(_) | Kept::Failure(_) => None,
        };
        let (vectors, tokens): (Vec<Vector>, Vec<u64>) = found().filter_map(kept).unzip();
        let usage = Usage::estimated(tokens.iter().sum(), 0);
        let output = EmbedOutput { vectors, usage: Some(usage), extra: Extra::new() };
        let head = found().next().map(|found| found.entry.head.clone()).unwrap_or_default();
        replay::live(request, Head { cache, ..head }, Body::full(Output::Embed(output)), true)
    }

    /// The answer, with what was kept in its places and what has come now in the others. Its usage is that of what came.
    fn filled(&self, whole: &Whole) -> Result<EmbedOutput, Error> {
        let Output::Embed(came) = &whole.output else { return Err(other_number()) };
        let mut missing = came.vectors.iter();
        let mut new = std::collections::HashMap::new();
        let mut vectors = Vec::with_capacity(self.inputs.len());
        for (key, found) in &self.inputs {
            let kept = found.as_ref().filter(|found| !found.is_last_resort).map(|found| &found.entry.kept);
            let vector = match (kept, new.get(key)) {
                (Some(Kept::Vector(vector, _)), _) => vector,
                (_, Some(vector)) => *vector,
                _ => {
                    let vector = missing.next().ok_or_else(other_number)?;
                    new.insert(*key, vector);
                    vector
                }
            };
            vectors.push(vector.clone());
        }
        match missing.next() {
            None => Ok(EmbedOutput { vectors, ..came.clone() }),
            Some(_) => Err(other_number()),
        }
    }
}

fn length(input: &EmbedInput) -> usize {
    match input {
        EmbedInput::Text(text) => text.len(),
        EmbedInput::Tokens(tokens) => tokens.len(),
    }
}

fn other_number() -> Error {
    Error::new(ErrorKind::Undecodable, "the answer has another number of vectors than were asked for")
}
