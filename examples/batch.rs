//! A batch worker: many documents, a few at a time, with a progress bar, and a budget at which it stops.
//!
//! `cargo run -p examples --example batch`, and `-- --help` tells what may be set.
//!
//! What a call may cost is set aside before it is made, so the job never spends more than it may, however many calls are
//! under way. Of what is set aside most comes back: a refused document is tried again once the others are done.

use std::{
    cell::{Cell, RefCell},
    num::NonZeroUsize,
    sync::Arc,
};

use clap::Parser;
use futures_util::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use llm_budget::{AccountKey, BudgetLayer, Cap, CapRule, Per, Window};
use llm_core::{BoxLlmService, Caller, Error, ErrorKind, LlmRequest, NanoUsd, Target};
use llm_retry::RetryLayer;
use llm_sim::{FaultRule, ModelConfig, Sim, SimConfig};
use tower::{BoxError, ServiceBuilder, ServiceExt};

/// Summarises documents until all are done or the money is spent.
#[derive(Parser)]
struct Arguments {
    /// How many calls are under way at once
    #[arg(long, default_value = "4")]
    jobs: NonZeroUsize,
    /// What the job may spend, in dollars
    #[arg(long, default_value = "0.01")]
    budget: NanoUsd,
    /// How many documents there are
    #[arg(long, default_value = "60")]
    documents: u32,
}

/// Whose calls they are: one run of a workflow has an account of its own.
fn caller() -> Caller {
    Caller { workflow: Some("summaries".into()), job: Some("nightly".into()), ..Caller::tenant("acme") }
}

async fn summarise(model: BoxLlmService, document: u32) -> Result<String, Error> {
    let text = format!("Document {document}: the sky is blue, and why that is so has been known since 1871.");
    let mut request = LlmRequest::chat("tiny").system("Summarise.").user(text).max_output_tokens(200).build();
    request.context_mut().set_caller(caller());
    request.context_mut().set_target(Target::new("sim", "tiny"));
    Ok(model.oneshot(request).await?.body.collect().await?.first_text())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let arguments = Arguments::parse();
    // A model with a price, which is overloaded now and then.
    let tiny =
        ModelConfig { input: Some(3.0), output: Some(3.0), tokens_per_second: 600.0, ..ModelConfig::chat("tiny") };
    let tiny = tiny.fault(FaultRule::new("status 529".parse()?).share(0.05));
    let sim = Sim::try_from(SimConfig::new([tiny]))?;

    let rule = CapRule::new("per-job", Per::JOB, Cap::new(arguments.budget, Window::Lifetime));
    let budget = BudgetLayer::new([rule]).catalog(Arc::new(sim.catalog().clone()));
    let account = budget.handle();
    let model = ServiceBuilder::new().layer(RetryLayer::new()).layer(budget).service(sim);
    let model = BoxLlmService::new(model);

    let bar = ProgressBar::new(arguments.documents.into());
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} documents, {msg}, {eta} left")?);
    let Caller { tenant, workflow, job, .. } = caller();
    let key = AccountKey { tenant, workflow, job, ..AccountKey::new("per-job") };
    let spent = || account.account(&key).map_or(NanoUsd::ZERO, |account| account.balances[0].spent);

    let failed = Cell::new(0);
    let mut todo: Vec<u32> = (1..=arguments.documents).collect();
    loop {
        // After a refusal no further document is begun; those under way are finished, since they are paid for. A round that
        // gets nothing done is the last one.
        let (before, refused, left) = (todo.len(), Cell::new(false), RefCell::new(Vec::new()));
        let work = stream::iter(todo).for_each_concurrent(arguments.jobs.get(), async |document| {
            if refused.get() {
                return left.borrow_mut().push(document);
            }
            match summarise(model.clone(), document).await {
                Ok(_summary) => bar.inc(1),
                Err(error) if error.kind() == ErrorKind::BudgetExceeded || error.is_retryable() => {
                    refused.set(refused.get() || error.kind() == ErrorKind::BudgetExceeded);
                    left.borrow_mut().push(document);
                }
                Err(error) => {
                    failed.set(failed.get() + 1);
                    bar.println(format!("document {document}: {error}"));
                }
            }
            bar.set_message(format!("{} spent", spent()));
        });
        work.await;
        todo = left.into_inner();
        if todo.is_empty() || todo.len() == before {
            break;
        }
    }
    bar.finish_and_clear();

    let done = arguments.documents as usize - todo.len() - failed.get();
    println!("{done} of {} documents done, {} failed, {} left", arguments.documents, failed.get(), todo.len());
    println!("{} of {} spent by job nightly", spent(), arguments.budget);
    if !todo.is_empty() {
        todo.sort_unstable();
        let left: Vec<String> = todo.iter().map(u32::to_string).collect();
        println!("left to do when there is more money: {}", left.join(" "));
    }
    Ok(())
}
