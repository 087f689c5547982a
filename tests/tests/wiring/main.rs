//! Every option of every layer does something, for whole answers and for streams.
//!
//! An entry names an option, a configuration in which it is set, what is asked then, and what a caller or an operator sees
//! of it. The scenario runs with that configuration and with the option taken out of it, and must show what the entry says
//! with it, and something else without. The options are those that the types of the configuration ask for, so that a new one
//! is missed here.

#![allow(clippy::unwrap_used)]

mod alone;
mod ask;
mod entry;
mod matrix;
mod place;
mod stage;

mod breaker;
mod budget;
mod cache;
mod classify;
mod fallback;
mod hedge;
mod limit;
mod prompt_cache;
mod retry;
mod router;
mod setters;
mod switches;
mod timeout;

#[test]
fn breaker_options_do_something() {
    matrix::check(breaker::entries());
}

#[test]
fn budget_options_do_something() {
    matrix::check(budget::entries());
}

#[test]
fn cache_options_do_something() {
    matrix::check(cache::entries());
}

#[test]
fn classify_options_do_something() {
    matrix::check(classify::entries());
}

#[test]
fn fallback_options_do_something() {
    matrix::check(fallback::entries());
}

#[test]
fn hedge_options_do_something() {
    matrix::check(hedge::entries());
}

#[test]
fn limit_options_do_something() {
    matrix::check(limit::entries());
}

#[test]
fn prompt_cache_options_do_something() {
    matrix::check(prompt_cache::entries());
}

#[test]
fn retry_options_do_something() {
    matrix::check(retry::entries());
}

#[test]
fn router_options_do_something() {
    matrix::check(router::entries());
}

#[test]
fn setters_that_no_configuration_reaches_do_something() {
    setters::check();
}

#[test]
fn switches_do_something() {
    matrix::check(switches::entries());
}

#[test]
fn timeout_options_do_something() {
    matrix::check(timeout::entries());
}

#[test]
fn no_option_is_forgotten() {
    let entries = all();
    matrix::cover(&entries);
    setters::cover();
    let table = matrix::table(&entries) + "\n" + &setters::table();
    println!("{table}");
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/../wiring.md"), table).unwrap();
}

/// The entries of all layers.
fn all() -> Vec<entry::Entry> {
    let layers = [
        breaker::entries(),
        budget::entries(),
        cache::entries(),
        classify::entries(),
        fallback::entries(),
        hedge::entries(),
        limit::entries(),
        prompt_cache::entries(),
        retry::entries(),
        router::entries(),
        switches::entries(),
        timeout::entries(),
    ];
    layers.into_iter().flatten().collect()
}
