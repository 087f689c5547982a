//! Tests of the token estimate, against a slow second count.

use proptest::prelude::*;

use super::*;

fn count(text: &str) -> TextCount {
    let mut count = TextCount::new();
    count.add(text);
    count
}

fn likely(text: &str) -> u64 {
    count(text).likely(TokenFamily::O200k)
}

#[test]
fn no_text_is_no_tokens() {
    assert_eq!(count("").estimate(TokenFamily::O200k), TokenEstimate::exact(0));
}

#[test]
fn ordinary_texts_come_close_to_the_tokenizer() {
    // Counted with o200k_base.
    for (text, exact) in [
        ("The quick brown fox jumps over the lazy dog.", 10),
        ("fn main() {\n    println!(\"Hello, world!\");\n}\n", 12),
        ("In 2024, 1234567 people paid $19.99 each.", 17),
        ("Der schnelle braune Fuchs springt über den faulen Hund.", 14),
        ("Быстрая коричневая лиса прыгает через ленивую собаку.", 20),
    ] {
        let likely = likely(text);
        assert!(likely * 10 >= exact * 7 && likely * 10 <= exact * 13, "{text}: {likely}, exactly {exact}");
    }
}

#[test]
fn a_single_space_is_free_and_a_run_counts_once() {
    assert_eq!(likely("one two"), likely("onetwo") + 1);
    assert_eq!(count("a  b").likely(TokenFamily::O200k), count("a          b").likely(TokenFamily::O200k));
    assert!(likely(&"  x".repeat(10)) > likely(&" x".repeat(10)) + 5);
}

#[test]
fn words_that_no_vocabulary_holds_are_not_cheap() {
    let random_letters = "qzxjvkwpqgfhzxcvbnmlkjhgfdsapoiuytrewq".repeat(50);
    assert!(likely(&random_letters) > random_letters.len() as u64 / 3);
    let emoji = "😀🎉🚀🔥".repeat(100);
    assert!(likely(&emoji) >= 400, "no emoji is less than a token");
}

#[test]
fn scripts_have_their_own_weights() {
    assert_eq!(count(&"中".repeat(1_000)).likely(TokenFamily::O200k), 871);
    assert_eq!(count(&"中".repeat(1_000)).likely(TokenFamily::Cl100k), 1_214);
    assert_eq!(count(&"я".repeat(1_000)).likely(TokenFamily::O200k), 310);
    assert_eq!(likely("café"), likely("cafe"), "a marked letter continues its word");
}

#[test]
fn the_bound_has_the_margin_of_its_family() {
    let text = count(&"one two three, four ".repeat(1_000));
    let readings = |family| (text.likely(family), text.bound(family));
    let (o200k, o200k_bound) = readings(TokenFamily::O200k);
    assert_eq!(o200k_bound, (o200k * 12).div_ceil(10));
    let (newest, newest_bound) = readings(TokenFamily::ClaudeNewest);
    assert!(newest_bound.abs_diff(newest * 14 / 10) <= 1);
    assert!(newest * 10 >= o200k * 14, "the newest Claude tokenizer takes at least 1.42 times as many");
    assert!(newest_bound * 100 >= o200k * 179, "the bound covers the highest measured ratio");
}

#[test]
fn families_are_read_from_model_names() {
    use TokenFamily::*;
    for (model, family) in [
        ("gpt-4o-mini", O200k),
        ("gpt-4.1", O200k),
        ("gpt-5.4", O200k),
        ("o3", O200k),
        ("openai/gpt-oss-120b", O200k),
        ("llama-3.3-70b-versatile", O200k),
        ("", O200k),
        ("gpt-4", Cl100k),
        ("gpt-4-turbo-2024-04-09", Cl100k),
        ("gpt-3.5-turbo", Cl100k),
        ("ft:gpt-3.5-turbo:acme::abc", Cl100k),
        ("text-embedding-3-small", Cl100k),
        ("claude-3-haiku-20240307", Claude),
        ("claude-3-5-sonnet-20241022", Claude),
        ("claude-sonnet-4-5-20250929", Claude),
        ("claude-opus-4-20250514", Claude),
        ("claude-opus-4-6", Claude),
        ("anthropic/claude-sonnet-4.6", Claude),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Claude),
        ("claude-opus-4-7", ClaudeNewest),
        ("anthropic/claude-opus-4.8", ClaudeNewest),
        ("claude-sonnet-5", ClaudeNewest),
        ("claude-fable-5@20260701", ClaudeNewest),
        ("claude-opus-latest", ClaudeNewest),
        ("gemini-2.5-pro", Gemini),
        ("google/gemini-3.1-pro-preview", Gemini),
    ] {
        assert_eq!(TokenFamily::of(model), family, "{model}");
    }
}

#[test]
fn a_counter_keeps_texts_apart() {
    let apart = ClassCounter.count("gpt-4o", &mut ["one", "two"].into_iter());
    let together = ClassCounter.count("gpt-4o", &mut ["onetwo"].into_iter());
    assert!(apart.likely > together.likely);
    let cl100k = ClassCounter.count("gpt-4", &mut ["中文中文中文"].into_iter());
    assert_eq!(cl100k.likely, 8, "the model's own weights are used");
}

#[test]
fn estimates_add_up_and_saturate() {
    let mut sum = TokenEstimate { likely: 10, bound: 12 };
    sum += TokenEstimate::exact(MESSAGE_TOKENS + REPLY_TOKENS);
    assert_eq!(sum, TokenEstimate { likely: 17, bound: 19 });
    assert_eq!(sum + TokenEstimate::exact(u64::MAX), TokenEstimate::exact(u64::MAX));
}

#[test]
fn counts_do_not_show_text() {
    assert!(!format!("{:?}", count("canary")).contains("canary"));
}

/// The same estimate in plain floating-point, a character at a time, for texts of the fitted classes.
fn naive_o200k(text: &str) -> f64 {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == 'é';
    let is_space = |c: char| c == ' ' || c == '\t';
    let characters: Vec<char> = text.chars().collect();
    let runs = |is: &dyn Fn(char) -> bool, at_least: usize| {
        characters.chunk_by(|a, b| is(*a) == is(*b)).filter(|run| is(run[0]) && run.len() >= at_least).count() as f64
    };
    let of = |is: &dyn Fn(char) -> bool| characters.iter().filter(|c| is(**c)).count() as f64;
    let is_digit = |c: char| c.is_ascii_digit();
    let long = characters
        .chunk_by(|a, b| is_letter(*a) == is_letter(*b))
        .filter(|run| is_letter(run[0]))
        .map(|run| run.len().saturating_sub(20) as f64)
        .sum::<f64>();
    0.853 * runs(&is_letter, 1)
        + 0.051 * of(&is_letter)
        + 0.4 * long
        + 0.328 * of(&is_digit)
        + 1.289 * runs(&is_digit, 1)
        + 0.579 * of(&|c| c.is_ascii_punctuation())
        + 0.388 * of(&|c| c == '\n')
        + 0.685 * runs(&is_space, 2)
        + 0.871 * of(&|c| c == '中')
        + 0.310 * of(&|c| c == 'я')
}

proptest! {
    #[test]
    fn counts_agree_with_a_slow_second_count(text in "([a-cé]{0,30}|[0-9]{0,5}|[ \t]{0,4}|[.,{\n]|[中я]){0,80}") {
        let naive = naive_o200k(&text);
        let likely = likely(&text) as f64;
        prop_assert!((naive - 1e-6..naive + 1.0 + 1e-6).contains(&likely), "{} against {}", likely, naive);
    }

    #[test]
    fn however_a_text_is_cut_the_counts_are_the_same(
        pieces in prop::collection::vec("[a-z0-9 \n.]{0,40}|.{0,12}|[a-z ]{250,600}", 0..12),
    ) {
        let mut in_pieces = TextCount::new();
        let mut in_characters = TextCount::new();
        for piece in &pieces {
            in_pieces.add(piece);
            for character in piece.chars() {
                in_characters.add(character.encode_utf8(&mut [0; 4]));
            }
        }
        let whole = count(&pieces.concat());
        prop_assert_eq!(in_pieces, whole);
        prop_assert_eq!(in_characters, whole);
    }

    #[test]
    fn more_text_is_never_fewer_tokens(text in ".{0,60}", more in ".{0,20}") {
        let mut longer = count(&text);
        for family in [TokenFamily::O200k, TokenFamily::Cl100k, TokenFamily::ClaudeNewest] {
            let before = longer.estimate(family);
            prop_assert!(before.likely <= before.bound);
        }
        let before = longer.likely(TokenFamily::O200k);
        longer.add(&more);
        prop_assert!(longer.likely(TokenFamily::O200k) >= before);
    }
}
