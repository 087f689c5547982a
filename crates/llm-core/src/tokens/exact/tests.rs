//! Tests of the exact count, against figures that OpenAI publishes and against the estimate.

use super::*;

const ENGLISH: &str = "Calling a language model is easy; operating a product that depends on one is not. Model APIs are \
    slow, rate limited, sometimes down, billed by the token, and they answer in streams that can break half-way. What \
    helps is a set of layers, each with one concern, that can be put together as a service needs them.";
const CODE: &str = r#"
pub fn insert(&mut self, key: String, value: u32) -> Option<u32> {
    if self.len() >= self.capacity {
        self.evict_oldest();
    }
    match self.entries.get_mut(&key) {
        Some(entry) => Some(std::mem::replace(entry, value)),
        None => self.entries.insert(key, value),
    }
}
"#;
const CHINESE: &str = "调用语言模型很容易，但是运营一个依赖它的产品却不容易。模型的接口很慢，有速率限制，有时会停机，\
    按照令牌计费，而且以数据流的形式回答，数据流可能会在中途断开。";

const RUSSIAN: &str = "Вызвать языковую модель легко, а поддерживать продукт, который от неё зависит, нелегко. ";
const HINDI: &str = "भाषा मॉडल को बुलाना आसान है, लेकिन उस पर निर्भर उत्पाद को चलाना आसान नहीं है। ";
const FILES: &str = "src/tokens/exact\nsrc/über/größe\n";

fn exact(model: &str, text: &str) -> TokenEstimate {
    ExactCounter.count(model, &mut [text].into_iter())
}

#[test]
fn counts_are_those_of_openai() {
    // From "How to count tokens with tiktoken" in the OpenAI Cookbook: with o200k_base, with cl100k_base.
    for (text, o200k, cl100k) in [
        ("tiktoken is great!", 6, 6),
        ("antidisestablishmentarianism", 6, 6),
        ("2 + 2 = 4", 7, 7),
        ("お誕生日おめでとう", 8, 9),
        ("", 0, 0),
    ] {
        assert_eq!(exact("gpt-4o", text), TokenEstimate::exact(o200k), "{text}");
        assert_eq!(exact("gpt-4", text), TokenEstimate::exact(cl100k), "{text}");
    }
}

#[test]
fn models_are_counted_with_their_own_vocabulary() {
    for model in
        ["gpt-4o-mini", "openai/gpt-4.1", "gpt-5.4", "o1", "o3-mini", "o4-mini", "gpt-oss-120b", "ft:gpt-4o:acme::x"]
    {
        assert_eq!(exact(model, "お誕生日おめでとう"), TokenEstimate::exact(8), "{model}");
    }
    for model in ["gpt-4-turbo", "gpt-3.5-turbo", "openai/gpt-4", "text-embedding-3-small", "ft:gpt-3.5-turbo:acme::x"]
    {
        assert_eq!(exact(model, "お誕生日おめでとう"), TokenEstimate::exact(9), "{model}");
    }
}

#[test]
fn models_without_a_known_vocabulary_are_estimated() {
    for model in
        ["claude-sonnet-4-5", "claude-opus-4-7", "gemini-2.5-pro", "llama-3.3-70b", "gpt-neox-20b", "gpt-2", ""]
    {
        let estimate = exact(model, ENGLISH);
        assert_eq!(estimate, ClassCounter.count(model, &mut [ENGLISH].into_iter()), "{model}");
        assert!(estimate.likely < estimate.bound, "{model}: no count passes for exact");
    }
}

#[test]
fn the_estimate_is_close_to_the_count() {
    for text in [ENGLISH, CODE, CHINESE] {
        for model in ["gpt-4o", "gpt-4"] {
            let exact = exact(model, text).likely;
            let likely = ClassCounter.count(model, &mut [text].into_iter()).likely;
            assert!(likely.abs_diff(exact) * 4 <= exact, "{model}: {likely}, exactly {exact}: {text}");
        }
    }
}

#[test]
fn texts_are_counted_apart() {
    let apart = ExactCounter.count("gpt-4o", &mut ["hel", "lo"].into_iter());
    assert!(apart.likely > exact("gpt-4o", "hello").likely);
}

#[test]
fn control_tokens_in_a_text_are_text() {
    assert_eq!(exact("gpt-4o", "<|endoftext|>"), TokenEstimate::exact(7));
}

#[test]
fn ordinary_texts_are_never_cut() {
    let digits = "31415926535";
    for text in [ENGLISH, CODE, CHINESE, RUSSIAN, HINDI, FILES, digits] {
        let text = text.repeat(1_000);
        assert!(text.len() > 10 * LONGEST_RUN);
        assert_eq!(sections(&text).collect::<Vec<_>>(), [text.as_str()]);
    }
}

#[test]
fn long_runs_are_cut_and_the_bound_covers_the_cuts() {
    for model in ["gpt-4o", "gpt-4"] {
        let letters = exact(model, &"a".repeat(20_000));
        assert_eq!(letters, TokenEstimate { likely: 20_000 / 8, bound: 20_000 / 8 + 19 }, "{model}: 19 cuts");
        for unit in ["qzxjvkwpqgfhzxcvbnmlkjhgfdsapoiuytrewq", "=", " ", "я"] {
            let run = unit.repeat(20_000 / unit.len());
            let uncut = vocabulary(model).unwrap().count_ordinary(&run) as u64;
            let cut = exact(model, &run);
            assert!(cut.likely.abs_diff(uncut) <= 19 && uncut <= cut.bound, "{model}: {cut:?}, uncut {uncut}");
        }
    }
}

#[test]
fn every_text_that_is_one_piece_is_cut() {
    // Each repeats into a single piece of a vocabulary's pattern, though its characters are of several classes.
    for unit in [
        "a", "A", "=", " ", "\t", "\n", " \n", "中", "я", "ก", "😀", "e\u{301}", "=\u{301}", "=\u{93E}", "/\n", "=Ⓐ",
        "éa", "\u{301}=",
    ] {
        let text = unit.repeat(3 * LONGEST_RUN);
        assert!(sections(&text).all(|section| section.len() < LONGEST_RUN + 8), "{unit:?}");
        assert_eq!(sections(&text).collect::<String>(), text);
    }
}

#[test]
fn a_flood_of_spaces_is_counted() {
    // The pattern alone gives up here: its stack overflows.
    let spaces = exact("gpt-4o", &" ".repeat(1_500_000));
    assert!(spaces.likely.abs_diff(1_500_000 / 128) < 100, "{spaces:?}");
}
