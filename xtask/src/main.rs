//! Automation for the workspace: `cargo xtask <command>`, one file per command, standard library only.

mod apt;
mod bench;
mod chaos;
mod ci;
mod clients;
mod conformance;
mod coverage;
mod deny;
mod doc;
mod features;
mod fuzz;
mod libtest;
mod lint;
mod manifest;
mod mutants;
mod package;
mod process;
mod simulate;
mod source;
mod step;
mod test;
mod test_programs;
mod tidy;
mod train_intent;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <command>

  ci                          everything below, then `test` last
  lint                        formatting, clippy and tidy
  doc                         rustdoc with warnings denied
  features                    each crate built alone, default and with each feature
  package                     each crate packed as it would be published, and built from that alone
  deny                        licences, bans, sources; advisories where they can be reached
  conformance [--layer PATH]  the laws of every layer crate, or of the package in PATH, as a matrix; then the laws and
    [--seed N] [--cases N]    the endings in every order of five layers, and cases at random; or the one CASE that a
    [--only CASE]             failure has named
  chaos [--seed N] [--cases N]
                              random stacks in random worlds, held to what must never happen
  clients                     real SDK clients against the gateway
  test                        all tests and doc tests, one total at the end

Not part of ci:
  bench [PART]... [--quick] [--store]
                              figures beside their targets and the stored run, with a report in target/bench: wire,
                              frames, intent, layers, ledger, pick, cache, gateway, instructions (all by default)
  simulate NAME               layers compared in a simulation, as a table: trip-rules, load-score, budgets
  train-intent --data PATH [--check]
                              trains the built-in model of intents on prompts, and prints how good it is; with
                              --check it writes nothing, and says whether the weights are those that are there
  mutants [NAME]...           things broken on purpose (all by default, or those whose names begin so), and which
                              test notices
  coverage                    the lines of the core and the layers that no test of theirs runs
  fuzz [TARGET] [--seconds N] the fuzz targets (all by default, 60 seconds each) on the nightly toolchain
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (name, outcome) = match arguments.as_slice() {
        ["ci"] => return ci::run(),
        ["test"] => return test::run(),
        ["lint"] => ("lint", step::timed("lint", lint::run)),
        ["doc"] => ("doc", step::timed("doc", doc::run)),
        ["features"] => ("features", step::timed("features", features::run)),
        ["package"] => ("package", step::timed("package", package::run)),
        ["deny"] => ("deny", step::timed("deny", deny::run)),
        ["clients"] => ("clients", step::timed("clients", clients::run)),
        ["conformance", options @ ..] => ("conformance", conformance::run(options)),
        ["chaos"] => ("chaos", step::timed("chaos", chaos::run)),
        ["chaos", options @ ..] => ("chaos", chaos::run_with(options)),
        ["bench", options @ ..] => ("bench", bench::run(options)),
        ["simulate", name] => ("simulate", simulate::run(name)),
        ["train-intent", options @ ..] => ("train-intent", train_intent::run(options)),
        ["mutants", names @ ..] => ("mutants", mutants::run(names)),
        ["coverage"] => ("coverage", coverage::run()),
        ["fuzz", options @ ..] => ("fuzz", fuzz::run(options)),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(done) => {
            for sentence in done.not_checked {
                eprintln!("note: {sentence}");
            }
            ExitCode::SUCCESS
        }
        Err(sentence) => {
            eprintln!("error: {name}: {sentence}");
            ExitCode::FAILURE
        }
    }
}
