//! What is read off types of every make.

use std::collections::{BTreeMap, BTreeSet};

use llm_core::{OneOrMany, Overrides};
use llm_stack::{StackConfig, Switch};
use serde::Deserialize;
use xtask_options::{options_of, words_of};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    #[serde(with = "llm_core::duration::option")]
    wait: Option<std::time::Duration>,
    words: OneOrMany<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(dead_code, reason = "it is never read")]
enum Choice {
    First,
    Second(f64),
    Third { depth: u8 },
}

#[derive(Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case", deny_unknown_fields)]
#[expect(dead_code, reason = "it is never read")]
enum Tagged {
    Count { most: Option<u32> },
    Share { share: Option<f64> },
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
enum Word {
    Chat,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it is never read")]
struct Config {
    #[serde(rename = "use")]
    to: String,
    layer: Switch<Overrides<Settings>>,
    choice: Option<Choice>,
    tagged: Tagged,
    tables: Vec<Settings>,
    numbers: Vec<u8>,
    names: BTreeMap<String, Settings>,
    headers: BTreeMap<String, String>,
    words: BTreeMap<Word, bool>,
    one_or_several: Option<OneOrMany<Settings>>,
}

fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    texts.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_make_of_table_tells_its_options() {
    let expected = texts([
        "use",
        "layer",
        "layer.wait",
        "layer.words",
        "layer.providers",
        "layer.models",
        "choice",
        "choice.second",
        "choice.third.depth",
        "tagged.rule",
        "tagged.most",
        "tagged.share",
        "tables[].wait",
        "tables[].words",
        "numbers",
        "names.*.wait",
        "names.*.words",
        "headers.*",
        "words.chat",
        "one_or_several.wait",
        "one_or_several.words",
    ]);
    assert_eq!(options_of::<Config>(), expected);
}

#[test]
fn an_option_that_is_one_of_some_words_tells_them() {
    let word = |option: &str, word: &str| (option.to_owned(), word.to_owned());
    // The second has a number, and so is an option of its own.
    assert_eq!(
        words_of::<Config>(),
        BTreeSet::from([word("choice", "first"), word("tagged.rule", "count"), word("tagged.rule", "share")])
    );
}

#[test]
#[should_panic(expected = "takes unknown keys")]
fn a_table_that_takes_any_key_is_refused() {
    #[derive(Deserialize)]
    struct Loose {
        #[serde(rename = "known")]
        _known: u8,
    }
    options_of::<Loose>();
}

#[test]
fn the_stack_tells_options_of_all_its_layers() {
    let options = options_of::<StackConfig>();
    for option in [
        "providers[].keys[].key_env",
        "providers[].auth",
        "providers[].auth.header",
        "providers[].headers.*",
        "simulated.models[].faults[].every",
        "models[].capabilities.vision",
        "models[].long_context.above",
        "router.routes.*.targets.weight",
        "router.rules[].when.input_tokens.at_most",
        "router.strategy.blend",
        "cache",
        "cache.rules[].use_for",
        "retry",
        "retry.quota.percent",
        "retry.providers",
        "breaker.trip",
        "breaker.trip.min_calls",
        "breaker.models",
        "budget.when_short.finish",
        "budget.caps[].amounts.usd",
        "timeout.head",
        "timeout.head.per_output_token",
    ] {
        assert!(options.contains(option), "{option} is not among {options:#?}");
    }
}
