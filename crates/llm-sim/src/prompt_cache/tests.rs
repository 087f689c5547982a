//! What is read and written, prompt after prompt.

use llm_core::{LlmRequest, Message, Part, Payload, Role, TokenFamily, estimate_prompt};

use super::*;

/// A block of about this many tokens, marked or not. Blocks of different words are different blocks.
fn block(word: &str, tokens: usize, cache: Option<CacheTtl>) -> Part {
    Part { cache, ..Part::text(vec![word; tokens].join(" ")) }
}

const SHORT: Option<CacheTtl> = Some(CacheTtl::FiveMinutes);
const LONG: Option<CacheTtl> = Some(CacheTtl::OneHour);

fn chat(parts: Vec<Part>) -> Chat {
    Chat { messages: vec![Message::new(Role::User, parts)], ..Chat::default() }
}

fn tokens(chat: &Chat) -> u64 {
    estimate_prompt(&Payload::CountTokens(chat.clone()), TokenFamily::of("m")).likely
}

/// What a prompt reads, writes, and writes for an hour, of all its tokens.
fn call(cache: &PromptCache, chat: &Chat, now: Instant) -> [u64; 3] {
    let caching = cache.look("m", chat, now);
    let usage = caching.told_in(Usage::reported(tokens(chat), 0));
    assert!(usage.cache_read + usage.cache_write <= usage.input);
    cache.keep(caching, now);
    [usage.cache_read, usage.cache_write, usage.cache_write_1h]
}

#[test]
fn a_marked_beginning_is_written_once_and_then_read() {
    let (cache, now) = (PromptCache::default(), Instant::now());
    let asks = |question| chat(vec![block("long", 2_000, SHORT), block(question, 5, None)]);
    let marked = tokens(&chat(vec![block("long", 2_000, None)]));
    assert_eq!(call(&cache, &asks("why"), now), [0, marked, 0]);
    assert_eq!(call(&cache, &asks("why"), now), [marked, 0, 0]);
    assert_eq!(call(&cache, &asks("how"), now), [marked, 0, 0], "only the beginning counts");
    let other = chat(vec![block("other", 2_000, SHORT)]);
    assert_eq!(call(&cache, &other, now)[0], 0);
}

#[test]
fn what_is_not_marked_or_too_short_is_not_kept() {
    let (cache, now) = (PromptCache::default(), Instant::now());
    for prompt in [chat(vec![block("long", 2_000, None)]), chat(vec![block("short", 500, SHORT)])] {
        assert_eq!(call(&cache, &prompt, now), [0; 3]);
        assert_eq!(call(&cache, &prompt, now), [0; 3]);
    }
}

#[test]
fn nothing_is_kept_of_a_prompt_that_was_only_looked_at() {
    let (cache, now) = (PromptCache::default(), Instant::now());
    let prompt = chat(vec![block("long", 2_000, SHORT)]);
    cache.look("m", &prompt, now);
    assert_eq!(call(&cache, &prompt, now)[0], 0);
}

#[test]
fn a_mark_that_moves_on_reads_what_the_last_turn_has_written() {
    let (cache, now) = (PromptCache::default(), Instant::now());
    let mut parts = vec![block("first", 2_000, SHORT)];
    let first = tokens(&chat(parts.clone()));
    assert_eq!(call(&cache, &chat(parts.clone()), now), [0, first, 0]);
    parts[0].cache = None;
    parts.extend([block("second", 100, None), block("third", 100, SHORT)]);
    let all = tokens(&chat(parts.clone()));
    assert_eq!(call(&cache, &chat(parts.clone()), now), [first, all - first, 0]);

    // Too many blocks lie between the marks.
    let far = (0..LOOK_BACK).map(|_| block("far", 1, None)).chain([block("last", 1, SHORT)]);
    let parts: Vec<_> = [block("first", 2_000, None)].into_iter().chain(far).collect();
    assert_eq!(call(&cache, &chat(parts), now)[0], 0);
}

#[test]
fn what_lives_for_an_hour_is_told_apart_and_outlives_the_rest() {
    let (cache, now) = (PromptCache::default(), Instant::now());
    let prompt = chat(vec![block("hour", 2_000, LONG), block("minutes", 1_500, SHORT)]);
    let (hour, all) = (tokens(&chat(vec![block("hour", 2_000, None)])), tokens(&prompt));
    assert_eq!(call(&cache, &prompt, now), [0, all, hour]);
    let later = now + Duration::from_secs(5 * 60);
    assert_eq!(call(&cache, &prompt, later), [hour, all - hour, 0]);
    let soon = later + Duration::from_secs(4 * 60);
    assert_eq!(call(&cache, &prompt, soon), [all, 0, 0], "a use starts the time anew");
    assert_eq!(call(&cache, &prompt, soon + Duration::from_secs(60 * 60)), [0, all, hour]);
}

#[test]
fn tools_come_before_the_instructions_and_those_before_the_conversation() {
    let (cache, now) = (PromptCache::default(), Instant::now());
    let schema = llm_core::Json::from_text(format!(r#"{{"description":"{}"}}"#, "word ".repeat(2_000))).unwrap();
    let mut tool = llm_core::Tool::function("look", "looks", schema);
    tool.cache = SHORT;
    let with = |system: &str| {
        let request = LlmRequest::chat("m").system(system).user("hi").tool(tool.clone()).build();
        let Payload::Chat(chat) = request.payload() else { panic!("not a chat") };
        chat.clone()
    };
    assert_eq!(call(&cache, &with("Be brief."), now)[0], 0);
    assert!(call(&cache, &with("Be verbose."), now)[0] > 2_000);
}

#[test]
fn the_least_used_goes_when_there_are_too_many() {
    let (mut kept, now) = (Kept::default(), Instant::now());
    for hash in 0..MOST_KEPT as u64 {
        kept.insert(hash, CacheTtl::FiveMinutes, now);
    }
    kept.use_again(0, now);
    kept.insert(MOST_KEPT as u64, CacheTtl::FiveMinutes, now);
    assert_eq!(kept.beginnings.len(), MOST_KEPT);
    assert!(kept.has(0, now) && !kept.has(1, now) && kept.has(2, now));
}
