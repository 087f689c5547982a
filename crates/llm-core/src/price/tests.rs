//! Tests of prices, with a second model of the arithmetic in `u128`.

use proptest::prelude::*;

use super::*;

fn usd(per_million: &str) -> PicoUsd {
    PicoUsd::per_million_tokens(per_million).unwrap()
}

fn sonnet() -> Price {
    Price {
        cache_read: Some(usd("0.3")),
        cache_write: Some(usd("3.75")),
        cache_write_1h: Some(usd("6")),
        tiers: vec![Tier {
            above: 200_000,
            input: usd("6"),
            output: usd("22.5"),
            cache_read: Some(usd("0.6")),
            cache_write: None,
            cache_write_1h: None,
        }],
        ..Price::new(usd("3"), usd("15"))
    }
}

#[test]
fn each_kind_of_token_is_charged_at_its_own_price() {
    let usage =
        Usage { cache_read: 500, cache_write: 300, cache_write_1h: 100, reasoning: 150, ..Usage::reported(1_000, 200) };
    let cost = sonnet().cost(&usage);
    let expected = Cost {
        input: NanoUsd(200 * 3_000),
        cache_read: NanoUsd(500 * 300),
        cache_write: NanoUsd(200 * 3_750 + 100 * 6_000),
        output: NanoUsd(200 * 15_000),
    };
    assert_eq!(cost, expected);
    assert_eq!(cost.total(), NanoUsd(600_000 + 150_000 + 1_350_000 + 3_000_000));
}

#[test]
fn a_long_request_is_charged_at_the_long_price_as_a_whole() {
    let at_the_threshold = sonnet().cost(&Usage::reported(200_000, 1_000));
    assert_eq!(at_the_threshold.total(), "0.615".parse().unwrap());
    let above = sonnet().cost(&Usage::reported(200_001, 1_000));
    assert_eq!(above.input, NanoUsd(200_001 * 6_000));
    assert_eq!(above.output, NanoUsd(1_000 * 22_500));
}

#[test]
fn cached_input_counts_towards_the_threshold() {
    let usage = Usage { cache_read: 200_000, ..Usage::reported(200_001, 0) };
    assert_eq!(sonnet().cost(&usage).cache_read, NanoUsd(200_000 * 600));
}

#[test]
fn the_highest_tier_reached_holds_in_whatever_order_tiers_stand() {
    let tier = |above, input: &str| Tier {
        above,
        input: usd(input),
        output: usd("9"),
        cache_read: None,
        cache_write: None,
        cache_write_1h: None,
    };
    let price = Price { tiers: vec![tier(256, "4"), tier(32, "2")], ..Price::new(usd("1"), usd("9")) };
    let input_price = |tokens| price.rates(tokens).input;
    assert_eq!([32, 33, 256, 257].map(input_price), [usd("1"), usd("2"), usd("2"), usd("4")]);
}

#[test]
fn a_tier_keeps_the_ratio_of_cache_prices_it_does_not_state() {
    let rates = sonnet().rates(200_001);
    assert_eq!(rates.cache_write, usd("7.5"));
    assert_eq!(rates.cache_write_1h, usd("12"));
}

#[test]
fn cache_prices_that_are_not_stated_fall_back() {
    let plain = Price::new(usd("1"), usd("2")).rates(10);
    assert_eq!([plain.cache_read, plain.cache_write, plain.cache_write_1h], [usd("1"); 3]);
    let short = Price { cache_write: Some(usd("1.25")), ..Price::new(usd("1"), usd("2")) }.rates(10);
    assert_eq!(short.cache_write_1h, usd("1.25"));
    let free_writes = Price { cache_write: Some(PicoUsd::ZERO), ..Price::new(usd("1"), usd("2")) }.rates(10);
    assert_eq!(free_writes.cache_write, PicoUsd::ZERO, "a stated zero is a price");
}

#[test]
fn more_cached_tokens_than_prompt_tokens_do_not_wrap() {
    let usage = Usage { cache_read: 161, ..Usage::reported(7, 0) };
    let cost = sonnet().cost(&usage);
    assert_eq!(cost.input, NanoUsd::ZERO);
    assert_eq!(cost.total(), NanoUsd(161 * 300));
    let more_long_lived_than_written = Usage { cache_write: 1, cache_write_1h: 5, ..Usage::reported(7, 0) };
    assert_eq!(sonnet().cost(&more_long_lived_than_written).cache_write, NanoUsd(5 * 6_000));
}

#[test]
fn a_batch_is_discounted_only_where_that_is_stated() {
    let batch = BatchPrice { input: usd("1.5"), output: usd("7.5") };
    let price = Price { batch: Some(batch), ..sonnet() };
    let usage = Usage { cache_read: 100, cache_write: 100, ..Usage::reported(1_000, 10) };
    let cost = price.batch_cost(&usage).unwrap();
    let expected = Cost {
        input: NanoUsd(800 * 1_500),
        cache_read: NanoUsd(100 * 1_500),
        cache_write: NanoUsd(100 * 3_750),
        output: NanoUsd(10 * 7_500),
    };
    assert_eq!(cost, expected);

    let long = Usage::reported(300_000, 10);
    assert_eq!(price.batch_cost(&long), Some(price.cost(&long)));
    assert_eq!(sonnet().batch_cost(&usage), None);
}

#[test]
fn absurd_usage_saturates() {
    let usage = Usage { cache_read: u64::MAX, ..Usage::reported(u64::MAX, u64::MAX) };
    let dear = Price::new(PicoUsd(u64::MAX), PicoUsd(u64::MAX));
    assert_eq!(dear.cost(&usage).total(), NanoUsd::MAX);
}

proptest! {
    #[test]
    fn the_total_is_the_sum_of_lines_each_rounded_up(
        prices in prop::array::uniform5(0_u64..100_000_000),
        fresh in 0_u64..2_000_000,
        read in 0_u64..2_000_000,
        short in 0_u64..2_000_000,
        long in 0_u64..2_000_000,
        output in 0_u64..2_000_000,
    ) {
        let [input_price, output_price, read_price, write_price, long_price] = prices;
        let price = Price {
            cache_read: Some(PicoUsd(read_price)),
            cache_write: Some(PicoUsd(write_price)),
            cache_write_1h: Some(PicoUsd(long_price)),
            ..Price::new(PicoUsd(input_price), PicoUsd(output_price))
        };
        let usage = Usage {
            cache_read: read,
            cache_write: short + long,
            cache_write_1h: long,
            ..Usage::reported(fresh + read + short + long, output)
        };
        let exact = [
            vec![(fresh, input_price)],
            vec![(read, read_price)],
            vec![(short, write_price), (long, long_price)],
            vec![(output, output_price)],
        ];
        let picos = |line: &Vec<(u64, u64)>| -> u128 { line.iter().map(|&(n, p)| u128::from(n) * u128::from(p)).sum() };
        let lines: u128 = exact.iter().map(|line| picos(line).div_ceil(1_000)).sum();
        let unrounded: u128 = exact.iter().map(picos).sum();

        let total = u128::from(price.cost(&usage).total().0);
        prop_assert_eq!(total, lines);
        prop_assert!(total * 1_000 >= unrounded && total * 1_000 < unrounded + 4 * 1_000);
    }

    #[test]
    fn any_usage_at_all_has_a_cost(counts in any::<[u64; 6]>(), price in any::<u64>()) {
        let [input, cache_read, cache_write, cache_write_1h, output, reasoning] = counts;
        let usage = Usage { cache_read, cache_write, cache_write_1h, reasoning, ..Usage::reported(input, output) };
        let cost = Price::new(PicoUsd(price), PicoUsd(price)).cost(&usage);
        prop_assert!(cost.total() >= cost.output && cost.total() >= cost.input);
    }
}
