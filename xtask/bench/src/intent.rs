//! Telling what a request is about.

use std::hint::black_box;

use llm_classify::{Classifier, IntentModel};
use llm_core::LlmRequest;

use crate::{
    Failure,
    effort::Effort,
    operation::{self, Operation},
    report::Report,
    table::Table,
};

/// Prompts by what they are called: short, of 1 KB, in another script, of code, long, and after other turns.
const PROSE: &str = "\
I run a small bookshop with two employees and I am thinking about opening on Sundays as well. The neighbouring shops are \
closed then, but there is a market on the square every second week that brings hundreds of visitors past our windows. My \
rent stays as it is; wages would go up by roughly a sixth, and I would have to find somebody who likes working weekends. \
Last year we tried it in December, and sales on those four Sundays were higher than on any Wednesday, though perhaps \
customers merely came a day later than usual. My accountant says that fixed costs matter less than I believe, while my \
sister, who keeps a bakery, warns that one never gets the free day back once people have become used to it. We could \
also begin with mornings only, or with readings and music instead of ordinary trade, which would need a licence from \
the town hall. How would you go about deciding this, which figures should I collect first, and for how long ought an \
experiment to last before it says anything at all?";
const CODE: &str = "\
Why does this never return?\n\n```rust\nuse std::sync::{Arc, Mutex, mpsc};\n\npub struct Pool {\n    workers: Vec<Worker>,\n    \
sender: Option<mpsc::Sender<Job>>,\n}\n\nimpl Pool {\n    pub fn new(size: usize) -> Pool {\n        assert!(size > 0);\n        \
let (sender, receiver) = mpsc::channel();\n        let receiver = Arc::new(Mutex::new(receiver));\n        let mut workers = \
Vec::with_capacity(size);\n        for id in 0..size {\n            workers.push(Worker::new(id, Arc::clone(&receiver)));\n        \
}\n        Pool { workers, sender: Some(sender) }\n    }\n}\n\nimpl Drop for Pool {\n    fn drop(&mut self) {\n        for worker in \
&mut self.workers {\n            println!(\"Shutting down worker {}\", worker.id);\n            if let Some(thread) = \
worker.thread.take() {\n                thread.join().unwrap();\n            }\n        }\n    }\n}\n```\n";
const RUSSIAN: &str = "\
Мы с женой собираемся в следующем году на неделю в Исландию и не можем решить, брать ли машину напрокат или ездить на \
автобусах. В июне там почти не темнеет, а в сентябре можно увидеть сияние, зато холоднее и часто идут дожди. Подскажите, \
как лучше спланировать маршрут, сколько примерно стоит жильё и что обязательно стоит посмотреть кроме водопадов и гейзеров?";

/// The most that a prompt of 1 KB is to take.
const NANOSECONDS: f64 = 10_000.0;

/// Prints what telling an intent costs.
pub fn run(effort: Effort, report: &mut Report) -> Result<(), Failure> {
    let allocated = operation::count(&["intent"])?;
    let columns = ["prompt", "bytes", "µs", "target", "allocations"];
    let mut table = Table::new("Intent: what a request is about", columns);
    for (mut operation, allocated) in operations().into_iter().zip(allocated) {
        let rounds = operation.nanoseconds(effort)?;
        let [time, allocations] = operation::figures("intent", &operation.name, rounds, allocated.times);
        report.note(allocations);
        table.row(vec![
            operation.name.clone(),
            operation.bytes.to_string(),
            format!("{:.1}", rounds.median / 1e3),
            report.note(time.at_most(NANOSECONDS)),
            allocated.times.to_string(),
        ]);
    }
    report.print(table);
    Ok(())
}

/// Everything that is measured here.
pub fn operations() -> Vec<Operation> {
    let model = IntentModel::builtin();
    let long = PROSE.repeat(1_000);
    let prompts = [
        ("a question", &PROSE[..300]),
        ("a longer question", PROSE),
        ("code", CODE),
        ("a question in Russian", RUSSIAN),
        ("a thousand times as much", &long),
    ];
    let operations = prompts.into_iter().map(|(name, prompt)| {
        let (model, request) = (model.clone(), LlmRequest::chat("any").user(prompt).build());
        Operation::new(name, prompt.len(), move || {
            black_box(model.classify(black_box(&request)));
        })
    });
    operations.collect()
}
