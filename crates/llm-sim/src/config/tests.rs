//! What is refused, and where it says the fault is.

use super::*;
use crate::FaultRule;

/// The place of the fault in a configuration whose second model is changed like this.
fn place(change: fn(&mut ModelConfig)) -> String {
    let mut model = ModelConfig::chat("m");
    change(&mut model);
    SimConfig::new([ModelConfig::chat("first"), model]).check().unwrap_err().path().to_owned()
}

#[test]
fn the_pool_is_valid_and_its_prices_are_known() {
    let pool = SimConfig::pool();
    pool.check().unwrap();
    let catalog = pool.catalog().unwrap();
    for name in ["llama-3-8b", "deepseek-coder", "claude-3-5-sonnet", "text-embedding-sim"] {
        assert!(catalog.get(None, name).unwrap().price.is_some(), "{name}");
    }
    let sonnet = catalog.get(None, "claude-3-5-sonnet").unwrap();
    assert_eq!(sonnet.capabilities.stated(Capability::Vision), Some(true));
    assert_eq!(sonnet.capabilities.stated(Capability::Audio), Some(false));
    assert_eq!((sonnet.mode, sonnet.context_window), (Some(llm_core::catalog::Mode::Chat), Some(200_000)));
}

#[test]
fn a_bad_value_of_a_model_is_refused_at_its_place() {
    for name in ["", "  ", "a\nb"] {
        let models = [ModelConfig::chat(name)];
        assert_eq!(SimConfig::new(models).check().unwrap_err().path(), "models[0].name", "{name:?}");
    }
    assert_eq!(place(|model| model.name = "first".into()), "models[1].name");
    for speed in [0.0, -1.0, f64::NAN, 1e-9] {
        let models = [ModelConfig { tokens_per_second: speed, ..ModelConfig::chat("m") }];
        assert_eq!(SimConfig::new(models).check().unwrap_err().path(), "models[0].tokens_per_second", "{speed}");
    }
    assert_eq!(place(|model| model.output_tokens = 0), "models[1].output_tokens");
    assert_eq!(place(|model| model.output_spread = 2.1), "models[1].output_spread");
    assert_eq!(place(|model| model.output_spread = f64::NAN), "models[1].output_spread");
    assert_eq!(place(|model| model.context_window = 0), "models[1].context_window");
    assert_eq!(place(|model| model.dimensions = Some(1)), "models[1].dimensions");
    assert_eq!(place(|model| model.dimensions = Some(65_537)), "models[1].dimensions");
    assert_eq!(place(|model| model.requests_per_minute = Some(0)), "models[1].requests_per_minute");
    assert_eq!(place(|model| model.tokens_per_minute = Some(0)), "models[1].tokens_per_minute");
}

#[test]
fn a_bad_share_is_refused_at_its_rule() {
    let rule = || FaultRule::new("hang".parse().unwrap());
    for share in [-0.1, 1.5, f64::NAN] {
        let model = ModelConfig::chat("m").fault(rule()).fault(rule().share(share));
        assert_eq!(SimConfig::new([model]).check().unwrap_err().path(), "models[0].faults[1].share", "{share}");
    }
}

#[test]
fn a_bad_price_is_refused_at_its_key() {
    let place = |input, output, dimensions| {
        let priced = ModelConfig { input, output, dimensions, ..ModelConfig::chat("m") };
        let config = SimConfig::new([ModelConfig::chat("first"), priced]);
        let (of_check, of_catalog) = (config.check().err(), config.catalog().err());
        assert_eq!(of_check, of_catalog);
        of_check.map(|error| error.path().to_owned())
    };
    let (input, output) = (Some("models[1].input".to_owned()), Some("models[1].output".to_owned()));
    for bad in [-1.0, f64::NAN, f64::INFINITY, 1e7, 1e-9] {
        assert_eq!(place(Some(bad), Some(1.0), None), input, "{bad}");
        assert_eq!(place(Some(1.0), Some(bad), None), output, "{bad}");
    }
    assert_eq!(place(Some(1.0), None, None), input, "the price of output is missing");
    assert_eq!(place(None, Some(1.0), None), output, "the price of input is missing");
    assert_eq!(place(Some(1.0), None, Some(8)), None, "an embedding model has no output");
}

#[test]
fn a_bad_value_of_the_provider_is_refused_at_its_place() {
    let place = |config: SimConfig| config.check().unwrap_err().path().to_owned();
    assert_eq!(place(SimConfig::new([])), "models");
    assert_eq!(place(SimConfig { log_capacity: 0, ..SimConfig::pool() }), "log_capacity");
    assert_eq!(place(SimConfig { log_bytes: 0, ..SimConfig::pool() }), "log_bytes");
    let keys = vec![SimKey::new("a", "sk-a"), SimKey::new("b", "")];
    assert_eq!(place(SimConfig { keys, ..SimConfig::pool() }), "keys[1].secret");
}

#[test]
fn a_catalog_of_models_that_were_never_checked_is_refused_too() {
    let twice = SimConfig::new([ModelConfig::chat("m"), ModelConfig::chat("m")]);
    assert_eq!(twice.catalog().unwrap_err().path(), "models");
}

#[test]
fn an_error_is_its_place_and_its_message() {
    let priced = ModelConfig { input: Some(-1.0), output: Some(1.0), ..ModelConfig::chat("m") };
    let error = SimConfig::new([priced]).check().unwrap_err();
    assert_eq!((error.path(), error.message()), ("models[0].input", "`-1` is negative"));
    assert_eq!(error.to_string(), "models[0].input: `-1` is negative");
}

#[test]
fn unknown_fields_are_refused() {
    let error = serde_json::from_str::<SimConfig>(r#"{"models":[{"name":"m","tokens":3}]}"#).unwrap_err();
    assert!(error.to_string().contains("tokens"), "{error}");
}

#[test]
fn what_is_written_is_read_back() {
    let text = serde_json::to_string(&SimConfig::pool()).unwrap();
    assert_eq!(serde_json::from_str::<SimConfig>(&text).unwrap(), SimConfig::pool());
}
