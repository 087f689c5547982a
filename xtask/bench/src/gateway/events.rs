//! Whether each event is handed on by itself, in order, and before the next one is there.

use crate::{
    Failure,
    canned::EVENTS,
    figure::{Figure, Unit},
    load::Connection,
    lockstep,
    program::{Program, Subject},
    report::Report,
    table::Table,
};

pub(super) async fn measure(origin: &Program, report: &mut Report) -> Result<Table, Failure> {
    let heading = format!("Gateway: {EVENTS} events, each sent by the origin when the one before it has arrived");
    let columns = ["through", "events in order", "pieces after the first content", "target"];
    let mut table = Table::new(heading, columns);
    for subject in [Subject::PassThrough, Subject::Gateway, Subject::LayeredGateway] {
        let program = subject.start(origin.address, &[])?;
        let mut connection = Connection::open(program.address).await?;
        let pieces = lockstep::ask(&mut connection, &mut Connection::open(origin.address).await?)
            .await
            .map_err(|error| format!("{}: {error}", subject.name()))?;
        // Whatever is joined or held is an error above.
        let held = Figure::new(&["gateway", "events joined or held", subject.name()], Unit::Events, 0.0).at_most(0.0);
        table.row(vec![subject.name().into(), EVENTS.to_string(), pieces.to_string(), report.note(held)]);
    }
    Ok(table)
}
