//! Whether each event is handed on by itself, in order, and before the next one is there.

use crate::{
    Failure,
    canned::EVENTS,
    load::Connection,
    lockstep,
    program::{Program, Subject},
    table::Table,
};

pub(super) async fn measure(origin: &Program) -> Result<Table, Failure> {
    let heading = format!("Gateway: {EVENTS} events, each sent by the origin when the one before it has arrived");
    let columns = ["through", "events in order", "pieces after the first content", "target"];
    let mut table = Table::new(heading, columns);
    for subject in [Subject::PassThrough, Subject::Gateway] {
        let program = subject.start(origin.address, &[])?;
        let mut connection = Connection::open(program.address).await?;
        let pieces = lockstep::ask(&mut connection, &mut Connection::open(origin.address).await?)
            .await
            .map_err(|error| format!("{}: {error}", subject.name()))?;
        table.row(vec![
            subject.name().into(),
            EVENTS.to_string(),
            pieces.to_string(),
            "none joined, none held: met".into(),
        ]);
    }
    Ok(table)
}
