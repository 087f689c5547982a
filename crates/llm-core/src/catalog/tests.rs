//! Tests of the catalog: its built-in table, how names resolve, what it refuses.

use super::*;
use crate::{money::NanoUsd, money::PicoUsd, usage::Usage};

fn usd(per_million: &str) -> PicoUsd {
    PicoUsd::per_million_tokens(per_million).unwrap()
}

fn toml(text: &str) -> Catalog {
    Catalog::from_toml(text).unwrap()
}

fn refusal(text: &str) -> String {
    Catalog::from_toml(text).unwrap_err().to_string()
}

fn found(provider: Option<&str>, model: &str) -> Option<String> {
    let model = Catalog::builtin().get(provider, model)?;
    Some(format!("{}/{}", model.provider.as_deref().unwrap_or("*"), model.name))
}

#[test]
fn the_builtin_table_has_every_row_with_a_price_and_a_window() {
    let catalog = Catalog::builtin();
    assert_eq!(catalog.models().len(), 69);
    for model in catalog.models() {
        assert!(model.price.as_ref().is_some_and(|price| price.input > PicoUsd::ZERO), "{}", model.name);
        assert!(model.context_window.is_some(), "{}", model.name);
        let provider = model.provider.as_deref();
        assert_eq!(catalog.get(provider, &model.name), Some(model));
    }
}

#[test]
fn the_builtin_table_says_which_models_reason_unasked() {
    let reasons = |model| Catalog::builtin().get(None, model).unwrap().supports(Capability::Reasoning);
    assert_eq!(["gpt-5", "o3", "gemini-2.5-pro", "deepseek-reasoner"].map(reasons), [Some(true); 4]);
    assert_eq!(["gpt-4o-mini", "claude-sonnet-4-5"].map(reasons), [None; 2]);
}

#[test]
fn the_builtin_figures_are_those_of_the_list() {
    let sol = Catalog::builtin().get(Some("openai"), "gpt-5.6-sol").unwrap();
    let price = sol.price.as_ref().unwrap();
    assert_eq!((price.input, price.output, price.cache_write), (usd("5"), usd("30"), Some(usd("6.25"))));
    assert_eq!(price.cache_write_1h, None);
    assert_eq!(price.batch.map(|batch| (batch.input, batch.output)), Some((usd("2.5"), usd("15"))));
    let tier = price.tiers[0];
    assert_eq!((tier.above, tier.input, tier.output), (272_000, usd("10"), usd("45")));
    assert_eq!(tier.cache_read, Some(usd("1")));
    assert_eq!((sol.context_window, sol.max_output), (Some(1_050_000), Some(128_000)));

    let flash = Catalog::builtin().get(Some("deepseek"), "deepseek-v4-flash").unwrap().price.as_ref().unwrap();
    assert_eq!(flash.cache_read, Some(PicoUsd(2_800)));
    assert_eq!(flash.cache_write, Some(PicoUsd::ZERO), "a stated zero is not an absent price");
    let usage = Usage { cache_read: 7, ..Usage::reported(7, 0) };
    assert_eq!(flash.cost(&usage).total(), NanoUsd(20), "7 × 2.8 rounds up");

    let embed = Catalog::builtin().get(Some("mistral"), "mistral-embed").unwrap();
    assert_eq!(embed.price.as_ref().unwrap().output, PicoUsd::ZERO);
    assert_eq!((embed.supports(Capability::Embeddings), embed.supports(Capability::Chat)), (Some(true), Some(false)));
    assert_eq!(embed.supports(Capability::Vision), None, "unknown stays unknown");
}

#[test]
fn names_resolve_as_they_are_called() {
    for (provider, model, expected) in [
        (Some("openai"), "gpt-4o", Some("openai/gpt-4o")),
        (Some("azure"), "gpt-4o", Some("azure/gpt-4o")),
        (Some("openai"), "gpt-4o-2024-08-06", Some("openai/gpt-4o")),
        (Some("anthropic"), "claude-sonnet-4-5-20250929", Some("anthropic/claude-sonnet-4-5")),
        (None, "claude-sonnet-4-5@20250929", Some("anthropic/claude-sonnet-4-5")),
        (None, "gemini-2.5-pro-latest", Some("gemini/gemini-2.5-pro")),
        (None, "mistral-small-latest", Some("mistral/mistral-small-latest")),
        (None, "claude-3-haiku-20240307", Some("anthropic/claude-3-haiku-20240307")),
        (None, "openai/gpt-4o", Some("openai/gpt-4o")),
        (None, "openai/gpt-4o-2024-08-06", Some("openai/gpt-4o")),
        (None, "openai/gpt-oss-120b", Some("groq/openai/gpt-oss-120b")),
        (None, "groq/openai/gpt-oss-120b", Some("groq/openai/gpt-oss-120b")),
        (Some("groq"), "groq/openai/gpt-oss-120b", Some("groq/openai/gpt-oss-120b")),
        (Some("openrouter"), "anthropic/claude-sonnet-4.6", Some("openrouter/anthropic/claude-sonnet-4.6")),
        // Not the price of another provider, another model, or of a name that only looks dated.
        (Some("mistral"), "gpt-4o", None),
        (Some("mistral"), "openai/gpt-4o", None),
        (None, "gpt-4o-turbo", None),
        (None, "gpt-4o-0613", None),
        (None, "gpt-4o-latest-x", None),
        (None, "-latest", None),
        (None, "", None),
        (None, "日本-2024-08-06", None),
    ] {
        assert_eq!(found(provider, model).as_deref(), expected, "{provider:?} {model}");
    }
}

#[test]
fn without_a_provider_a_model_is_found_only_if_its_facts_are_clear() {
    let same = "[[models]]\nprovider='a'\nname='m'\ninput=1\noutput=2\nbatch_input=1\nbatch_output=1\n\
                [[models]]\nprovider='b'\nname='m'\ninput=1\noutput=2\n";
    assert_eq!(toml(same).get(None, "m").unwrap().provider.as_deref(), Some("a"));
    let differing = same.replace("input=1\noutput=2\nbatch", "input=1\noutput=3\nbatch");
    assert_eq!(toml(&differing).get(None, "m"), None);
    let with_general = format!("{differing}[[models]]\nname='m'\ninput=9\noutput=9\n");
    let catalog = toml(&with_general);
    let output_price = |provider| catalog.get(provider, "m").unwrap().price.as_ref().unwrap().output;
    assert_eq!([Some("a"), Some("b"), Some("c"), None].map(output_price), [usd("3"), usd("2"), usd("9"), usd("9")]);
}

#[test]
fn every_fact_that_differs_makes_a_name_unclear() {
    let entry = |provider: &str, fact: &str| format!("[[models]]\nprovider='{provider}'\nname='m'\n{fact}\n");
    for fact in ["mode='chat'", "input=1\noutput=1", "context_window=5", "max_output=5", "capabilities={tools=true}"] {
        assert!(toml(&(entry("a", fact) + &entry("b", fact))).get(None, "m").is_some(), "{fact}");
        assert_eq!(toml(&(entry("a", fact) + &entry("b", ""))).get(None, "m"), None, "{fact}");
    }
    assert!(toml(&(entry("a", "tags=['x']") + &entry("b", ""))).get(None, "m").is_some());
}

#[test]
fn a_listed_dated_name_is_found_before_the_undated_one() {
    let catalog = toml("[[models]]\nname='m'\ninput=1\noutput=1\n[[models]]\nname='m-2024-05-13'\ninput=5\noutput=5\n");
    let input_price = |name: &str| catalog.get(None, name).unwrap().price.as_ref().unwrap().input;
    assert_eq!(input_price("m-2024-05-13"), usd("5"));
    assert_eq!(input_price("m-2024-11-20"), usd("1"));
}

#[test]
fn aliases_resolve_with_and_without_provider_and_date() {
    let catalog = toml("[[models]]\nprovider='local'\nname='llama-3-8b'\naliases=['llama', 'small']\n");
    for (provider, name) in
        [(None, "llama"), (Some("local"), "small"), (None, "local/llama"), (Some("local"), "llama-latest")]
    {
        assert_eq!(catalog.get(provider, name).unwrap().name, "llama-3-8b", "{name}");
    }
    assert_eq!(catalog.get(Some("other"), "llama"), None);
}

#[test]
fn later_facts_override_only_what_they_state() {
    let mut catalog = Catalog::builtin().clone();
    let before = catalog.get(Some("openai"), "gpt-4o").unwrap().clone();
    catalog.merge(toml(
        "[[models]]\nprovider='openai'\nname='gpt-4o'\ncontext_window=64000\ntags=['eu']\ncapabilities={vision=true}",
    ));
    let after = catalog.get(Some("openai"), "gpt-4o").unwrap();
    assert_eq!((after.context_window, after.max_output), (Some(64_000), before.max_output));
    assert_eq!(after.price, before.price);
    assert!(after.has_tag("eu") && !before.has_tag("eu"));
    assert_eq!(after.supports(Capability::Vision), Some(true));

    catalog.merge(toml(
        "[[models]]\nprovider='openai'\nname='gpt-4o'\ninput=1\noutput=2\ncapabilities={vision=false, tools=true}",
    ));
    let price = catalog.get(Some("openai"), "gpt-4o").unwrap().price.as_ref().unwrap();
    assert_eq!((price.input, price.cache_read, price.batch), (usd("1"), None, None), "a price is one fact");
    let after = catalog.get(Some("openai"), "gpt-4o").unwrap();
    assert_eq!([Capability::Vision, Capability::Tools].map(|c| after.supports(c)), [Some(false), Some(true)]);
    assert_eq!(catalog.models().len(), 69);
}

#[test]
fn a_later_alias_moves_and_a_name_is_stronger_than_an_alias() {
    let mut catalog = toml("[[models]]\nname='a'\naliases=['fast']\n[[models]]\nname='b'\n");
    catalog.merge(toml("[[models]]\nname='b'\naliases=['fast', 'a']\n[[models]]\nname='c'\naliases=['new']\n"));
    assert_eq!(catalog.get(None, "fast").unwrap().name, "b");
    assert_eq!(catalog.get(None, "a").unwrap().name, "a");
    assert_eq!(catalog.get(None, "new").unwrap().name, "c");
}

#[test]
fn a_model_without_a_price_has_none_and_a_free_one_has_zero() {
    let catalog = toml("[[models]]\nname='unpriced'\nmax_output=10\n[[models]]\nname='free'\ninput=0\noutput=0.0\n");
    assert_eq!(catalog.get(None, "unpriced").unwrap().price, None);
    let free = catalog.get(None, "free").unwrap().price.as_ref().unwrap();
    assert_eq!(free.cost(&Usage::reported(1_000, 1_000)).total(), NanoUsd::ZERO);
}

#[test]
fn json_means_the_same_as_toml() {
    let json = r#"{"models": [{"provider": "p", "name": "m", "mode": "chat", "input": 0.0028, "output": 2,
        "long_context": [{"above": 10, "input": 1, "output": 4}, {"above": 20, "input": 2, "output": 8}],
        "capabilities": {"json_schema": true}}]}"#;
    let written_as_toml = "[[models]]\nprovider='p'\nname='m'\nmode='chat'\ninput=0.0028\noutput=2\n\
        capabilities={json_schema=true}\n[[models.long_context]]\nabove=10\ninput=1\noutput=4\n\
        [[models.long_context]]\nabove=20\ninput=2\noutput=8\n";
    let from_json = Catalog::from_json(json).unwrap();
    assert_eq!(from_json.get(None, "m"), toml(written_as_toml).get(None, "m"));
    assert_eq!(from_json.get(None, "m").unwrap().price.as_ref().unwrap().rates(21).output, usd("8"));
}

#[test]
fn a_part_of_a_larger_configuration_is_checked_alike() {
    let free = ModelConfig { name: "m".into(), input: Some(0.0), output: Some(0.0), ..ModelConfig::default() };
    let catalog = Catalog::try_from(vec![free.clone()]).unwrap();
    assert!(catalog.get(None, "m").unwrap().price.is_some());
    let error = Catalog::try_from(vec![free.clone(), free]).unwrap_err();
    assert_eq!(error.to_string(), "model `m`: `name`: `m` is stated twice");
}

#[test]
fn bad_entries_are_refused_with_line_model_and_key() {
    for (entry, sentence) in [
        ("input=-1\noutput=2", "`input`: `-1` is negative"),
        ("input=1", "`input` is stated but `output` is not"),
        ("output=1", "`output` is stated but `input` is not"),
        ("cache_read=1", "`cache_read` is stated but `input` is not"),
        ("cache_write=1", "`cache_write` is stated but `input` is not"),
        ("cache_write_1h=1", "`cache_write_1h` is stated but `input` is not"),
        ("input=1\noutput=1\nbatch_input=1", "`batch_input` is stated but `batch_output` is not"),
        ("batch_input=1\nbatch_output=1", "`batch_input` is stated but `input` is not"),
        ("input=nan\noutput=1", "`input`: `NaN` is not a decimal number"),
        ("input=1\noutput=inf", "`output`: `inf` is not a decimal number"),
        ("input=1\noutput=1e-9", "`output`: `0.000000001` is finer than 6 decimal places"),
        (
            "input=2000000\noutput=1",
            "`input`: `2000000` is more than a dollar a token; the unit is USD per million tokens",
        ),
        ("context_window=0", "`context_window` is zero; leave it out if it is not known"),
        ("max_output=0", "`max_output` is zero; leave it out if it is not known"),
        ("aliases=['']", "`aliases` is blank or has control characters in it"),
        ("tags=[\"a\\nb\"]", "`tags` is blank or has control characters in it"),
        ("aliases=['m']", "`aliases`: `m` is stated twice, first on line 2"),
        ("long_context={above=5, input=1, output=1}", "`long_context` is stated but `input` is not"),
        ("input=1\noutput=1\nlong_context={above=0, input=1, output=1}", "`long_context`: `above` is zero"),
        ("input=1\noutput=1\nlong_context={above=5, input=-1, output=1}", "`long_context`: `input`: `-1` is negative"),
        (
            "input=1\noutput=1\nlong_context=[{above=5, input=1, output=1}, {above=5, input=2, output=2}]",
            "`long_context`: `above` is 5 twice",
        ),
    ] {
        let text = format!("# a comment\n[[models]]\nprovider='p'\nname='m'\n{entry}\n");
        assert_eq!(refusal(&text), format!("line 2: model `p/m`: {sentence}"));
    }
}

#[test]
fn unknown_keys_and_wrong_types_are_refused_by_name() {
    let with = |entry: &str| refusal(&format!("\n\n[[models]]\nname='m'\n{entry}\n"));
    assert!(with("inptu=1").starts_with("line 3: model `m`: unknown field `inptu`, expected one of"));
    assert_eq!(with("input='1'"), "line 3: model `m`: invalid type: string \"1\", expected f64 in `input`");
    assert!(with("long_context={abov=1}").contains("unknown field `abov`"));
    assert!(with("long_context=5").contains("expected a table with `above`, `input` and `output`"));
    assert!(with("capabilities={telepathy=true}").contains("unknown variant `telepathy`"));
    assert!(with("mode='image'").contains("unknown variant `image`"));
    assert!(with("context_window=-5").contains("in `context_window`"));
    assert_eq!(
        refusal("[[models]]\ninput=1\noutput=1\n"),
        "line 1: model ``: `name` is blank or has control characters in it"
    );
    assert!(refusal("[[model]]\nname='m'\n").starts_with("line 1: unknown field `model`"));
    assert!(refusal("[[models]]\nname=\n").starts_with("line 2: "));
    let json = Catalog::from_json("{\"models\": [\n{\"name\": \"m\", \"inptu\": 1}]}").unwrap_err();
    assert!(json.to_string().starts_with("model `m`: unknown field `inptu`"), "{json}");
    let cut = Catalog::from_json("{\"models\": [\n").unwrap_err().to_string();
    assert!(cut.contains("at line 2"), "{cut}");
}

#[test]
fn a_model_stated_twice_is_refused() {
    let twice = "[[models]]\nprovider='p'\nname='m'\n\n[[models]]\nprovider='p'\nname='m'\n";
    assert_eq!(refusal(twice), "line 5: model `p/m`: `name`: `m` is stated twice, first on line 1");
    let error = Catalog::from_toml(twice).unwrap_err();
    assert_eq!(error.line(), Some(5));
    let at_two_providers = twice.replacen("'p'", "'q'", 1);
    assert_eq!(toml(&at_two_providers).models().len(), 2);
}

#[test]
fn catalogs_can_be_shared_between_threads_and_are_shown_in_a_line() {
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    shared(Catalog::builtin());
    assert_eq!(format!("{:?}", Catalog::builtin()), "Catalog { models: 69, .. }");
}

#[test]
fn what_is_kept_of_a_catalog_stays_as_it_was() {
    let mut catalog = Catalog::from_toml("[[models]]\nname = 'm'\ncontext_window = 1\n").unwrap();
    let kept = catalog.get_shared(None, "m").unwrap().clone();
    catalog.merge(Catalog::from_toml("[[models]]\nname = 'm'\ncontext_window = 2\n").unwrap());
    assert_eq!((kept.context_window, catalog.get(None, "m").unwrap().context_window), (Some(1), Some(2)));
}
