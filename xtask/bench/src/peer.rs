//! The programs around the gateway: where calls end, and what it is compared with. Each is a process of its own, so
//! that the time of each can be told apart.

mod origin;
mod pass_through;

use std::{io::Read, thread};

use tokio::{net::TcpListener, runtime::Builder};

use crate::Failure;

pub use origin::{ALL_AT_ONCE, ANSWER, MORE, ON_REQUEST, PACED};

/// The name under which the program serves as origin.
pub const ORIGIN: &str = "origin";

/// The name under which the program serves as pass-through proxy.
pub const PASS_THROUGH: &str = "pass-through";

/// Serves canned answers until standard input is closed.
pub fn run_origin() -> Result<(), Failure> {
    end_with_input();
    Builder::new_current_thread().enable_all().build()?.block_on(async { origin::serve(listen().await?).await })
}

/// Passes everything on to `origin` (`127.0.0.1:PORT`) until standard input is closed.
pub fn run_pass_through(origin: &str) -> Result<(), Failure> {
    end_with_input();
    // The runtime that the gateway has.
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async { pass_through::serve(listen().await?, origin.parse()?).await })
}

async fn listen() -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}

/// Whoever started us holds the other end, also when it is killed.
fn end_with_input() {
    thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}
