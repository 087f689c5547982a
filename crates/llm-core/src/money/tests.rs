//! Tests of integer money, against exact arithmetic in `u128`.

use proptest::prelude::*;

use super::*;

fn price(usd: &str) -> PicoUsd {
    PicoUsd::per_million_tokens(usd).unwrap()
}

#[test]
fn prices_below_a_nano_dollar_a_token_are_exact() {
    assert_eq!(price("0.0028"), PicoUsd(2_800));
    assert_eq!(price("0.003625"), PicoUsd(3_625));
    assert_eq!(price("0.0028").cost(1), NanoUsd(3), "2.8 nano-dollars round up");
    assert_eq!(price("0.0028").cost(10), NanoUsd(28));
    assert_eq!(price("0.000001").cost(1_000_000), NanoUsd(1_000));
    assert_eq!(price("0.000001").cost(1), NanoUsd(1), "a token is never free unless its price is");
    assert_eq!(PicoUsd::ZERO.cost(u64::MAX), NanoUsd::ZERO);
}

#[test]
fn floats_of_price_lists_give_the_same_price_as_their_text() {
    for usd in ["0", "0.0028", "0.003625", "0.1", "0.3", "1.25", "2.5", "12.5", "22.5", "270", "999999.999999"] {
        let float: f64 = usd.parse().unwrap();
        assert_eq!(PicoUsd::per_million_tokens_f64(float), PicoUsd::per_million_tokens(usd), "{usd}");
    }
}

#[test]
fn floats_that_are_no_price_are_refused() {
    for (usd, clause) in [
        (-1.0, "`-1` is negative"),
        (f64::NAN, "`NaN` is not a decimal number"),
        (f64::INFINITY, "`inf` is not a decimal number"),
        (1_000_001.0, "`1000001` is more than a dollar a token; the unit is USD per million tokens"),
        (1e-9, "`0.000000001` is finer than 6 decimal places"),
    ] {
        assert_eq!(PicoUsd::per_million_tokens_f64(usd).unwrap_err().to_string(), clause);
    }
}

#[test]
fn texts_that_are_no_amount_are_refused() {
    for (text, clause) in [
        ("", "`` is not a decimal number"),
        ("$", "`$` is not a decimal number"),
        ("1.", "`1.` is not a decimal number"),
        (".5", "`.5` is not a decimal number"),
        ("1e3", "`1e3` is not a decimal number"),
        ("+1", "`+1` is not a decimal number"),
        ("1.2.3", "`1.2.3` is not a decimal number"),
        ("1,5", "`1,5` is not a decimal number"),
        ("-0.5", "`-0.5` is negative"),
        ("0.0000000001", "`0.0000000001` is finer than 9 decimal places"),
        ("18446744073.709551616", "`18446744073.709551616` is too large"),
    ] {
        assert_eq!(text.parse::<NanoUsd>().unwrap_err().to_string(), clause);
    }
    assert!(PicoUsd::per_million_tokens("1000000.000001").unwrap_err().to_string().contains("dollar a token"));
}

#[test]
fn trailing_zeros_are_not_precision() {
    assert_eq!("1.5000000000000".parse(), Ok(NanoUsd(1_500_000_000)));
}

#[test]
fn amounts_display_as_exact_dollars() {
    for (nanos, text) in [
        (0, "$0.00"),
        (12_345, "$0.000012345"),
        (1_500_000_000, "$1.50"),
        (u64::MAX, "$18446744073.709551615"),
        (100_000_000_000, "$100.00"),
    ] {
        assert_eq!(NanoUsd(nanos).to_string(), text);
    }
    assert_eq!(price("0.003625").to_string(), "$0.003625 per million tokens");
    assert_eq!(price("15").to_string(), "$15.00 per million tokens");
}

#[test]
fn amounts_serialize_as_integers() {
    assert_eq!(serde_json::to_string(&NanoUsd(12_345)).unwrap(), "12345");
    assert_eq!(serde_json::from_str::<NanoUsd>("12345").unwrap(), NanoUsd(12_345));
    assert!(serde_json::from_str::<NanoUsd>("1.5").is_err());
}

#[test]
fn arithmetic_saturates() {
    assert_eq!(NanoUsd(1).saturating_sub(NanoUsd(2)), NanoUsd::ZERO);
    assert_eq!([NanoUsd::MAX, NanoUsd(1)].into_iter().sum::<NanoUsd>(), NanoUsd::MAX);
    assert_eq!(PicoUsd(u64::MAX).cost(u64::MAX), NanoUsd::MAX);
}

proptest! {
    #[test]
    fn amounts_read_back_what_they_display(nanos in any::<u64>()) {
        prop_assert_eq!(NanoUsd(nanos).to_string().parse(), Ok(NanoUsd(nanos)));
    }

    #[test]
    fn prices_read_back_what_they_display(picos in 0..=PicoUsd::MAX_BELIEVED.0) {
        let text = PicoUsd(picos).to_string();
        let usd = text.strip_prefix('$').and_then(|text| text.strip_suffix(" per million tokens")).unwrap();
        prop_assert_eq!(PicoUsd::per_million_tokens(usd), Ok(PicoUsd(picos)));
        prop_assert_eq!(PicoUsd::per_million_tokens_f64(usd.parse().unwrap()), Ok(PicoUsd(picos)));
    }

    #[test]
    fn a_cost_is_the_least_amount_that_covers_it(picos in 0..=PicoUsd::MAX_BELIEVED.0, tokens in 0_u64..10_000_000) {
        let exact = u128::from(picos) * u128::from(tokens);
        let cost = PicoUsd(picos).cost(tokens).0;
        prop_assert!(u128::from(cost) * 1_000 >= exact);
        prop_assert!(cost == 0 || u128::from(cost - 1) * 1_000 < exact);
    }

    #[test]
    fn parsing_never_panics(text in "[-+$0-9.,e]{0,24}|.{0,8}") {
        let _ = (text.parse::<NanoUsd>(), PicoUsd::per_million_tokens(&text));
    }
}
