//! How long the first content takes.

use crate::{
    Failure,
    effort::{Effort, quantile},
    load::{Connection, Question},
    peer,
    program::{Program, Subject},
    table::{Table, verdict},
};

/// At most so many microseconds more than passing on takes.
const TARGET: f64 = 100.0;

pub(super) async fn measure(origin: &Program, effort: Effort) -> Result<Table, Failure> {
    let bare = Subject::PassThrough.start(origin.address, &[])?;
    let gateway = Subject::Gateway.start(origin.address, &[])?;
    let question = Question::stream(peer::ALL_AT_ONCE);
    let mut connections = Vec::new();
    for address in [origin.address, bare.address, gateway.address] {
        let mut connection = Connection::open(address).await?;
        for _ in 0..effort.pick(2, 50) {
            connection.ask(&question).await?;
        }
        connections.push((connection, Vec::new()));
    }
    for _ in 0..effort.pick(5, 1_000) {
        for (connection, nanoseconds) in &mut connections {
            nanoseconds.push(connection.first_content(&question).await?);
        }
    }
    let columns = ["of streams one by one", "direct", "pass-through", "gateway", "added", "target"];
    let mut table = Table::new("Gateway: time to the first content, in µs", columns);
    // The fastest are those that a busy machine disturbed least.
    for (name, share) in [("median", 0.5), ("fastest tenth", 0.1)] {
        let microseconds = |way: usize| quantile(connections[way].1.clone(), share) / 1e3;
        let [direct, bare, gateway] = [0, 1, 2].map(microseconds);
        table.row(vec![
            name.into(),
            format!("{direct:.0}"),
            format!("{bare:.0}"),
            format!("{gateway:.0}"),
            format!("{:.0}", gateway - bare),
            verdict(gateway - bare, TARGET, " µs"),
        ]);
    }
    Ok(table)
}
