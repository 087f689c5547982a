//! How long the first content takes.

use crate::{
    Failure,
    effort::{Effort, quantile},
    figure::{Figure, Unit},
    load::{Connection, Question},
    peer,
    program::{Program, Subject},
    report::Report,
    table::Table,
};

/// At most so many nanoseconds more than passing on takes.
const TARGET: f64 = 100_000.0;

/// Where streams are asked for: at the origin, and through each of these.
const THROUGH: [Subject; 3] = [Subject::PassThrough, Subject::Gateway, Subject::LayeredGateway];

pub(super) async fn measure(origin: &Program, effort: Effort, report: &mut Report) -> Result<Table, Failure> {
    let programs = THROUGH.map(|subject| subject.start(origin.address, &[]));
    let programs: Vec<Program> = programs.into_iter().collect::<Result<_, _>>()?;
    let question = Question::stream(peer::ALL_AT_ONCE);
    let mut connections = Vec::new();
    for program in [origin].into_iter().chain(&programs) {
        let mut connection = Connection::open(program.address).await?;
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
    let columns = ["of streams one by one", "median", "fastest tenth", "added, median", "added, fastest", "target"];
    let mut table = Table::new("Gateway: time to the first content, in µs", columns);
    // The fastest are those that a busy machine disturbed least.
    let times = connections.into_iter().map(|(_, times)| [0.5, 0.1].map(|share| quantile(times.clone(), share)));
    let times: Vec<[f64; 2]> = times.collect();
    let bare = times[1];
    for (place, name) in ["direct"].into_iter().chain(THROUGH.map(Subject::name)).enumerate() {
        let mut row = vec![name.to_owned()];
        row.extend(times[place].map(|nanoseconds| format!("{:.0}", nanoseconds / 1e3)));
        let added = [0, 1].map(|of| times[place][of] - bare[of]);
        if place < 2 {
            row.extend([(); 3].map(|()| String::new()));
        } else {
            row.extend(added.map(|nanoseconds| format!("{:.0}", nanoseconds / 1e3)));
            let path = ["gateway", "added to the first content", name];
            let figure = Figure::new(&path, Unit::Nanoseconds, added[0]).over(Subject::PassThrough.name());
            row.push(report.note(figure.at_most(TARGET)));
        }
        table.row(row);
    }
    Ok(table)
}
