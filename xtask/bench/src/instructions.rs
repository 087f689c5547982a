//! Instructions, counted by valgrind: the figure that hardly changes from run to run.
//!
//! Each program is run three times with different numbers of requests and streams; differences leave out what
//! starting and ending take. Only instructions of the program itself are counted, none of the system's.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    Failure,
    canned::EVENTS,
    effort::Effort,
    load::{Connection, Question},
    lockstep,
    program::{Program, Subject},
    table::{Table, verdict},
};

/// At most so many times what passing on takes: the target for processor time.
const TARGET: f64 = 1.5;

/// How often each question is asked in a run.
#[derive(Clone, Copy)]
struct Times {
    requests: usize,
    streams: usize,
}

/// Instructions of one subject.
struct Counted {
    request: f64,
    stream: f64,
}

/// Prints how many instructions a request and a stream take.
pub async fn run(effort: Effort) -> Result<(), Failure> {
    if !has_valgrind() {
        println!("Instructions: not measured, because there is no valgrind here: install it and run this again\n");
        return Ok(());
    }
    let folder = env::current_exe()?.with_file_name("bench");
    fs::create_dir_all(&folder)?;
    let origin = Program::origin()?;
    let bare = count(Subject::PassThrough, &origin, effort, &folder).await?;
    let gateway = count(Subject::Gateway, &origin, effort, &folder).await?;
    let mut table = Table::new(
        "Gateway: instructions under valgrind, in thousands",
        ["load", "pass-through", "gateway", "ratio", "target (that of processor time)"],
    );
    for (name, bare, gateway) in [
        ("request, 1 connection".to_owned(), bare.request, gateway.request),
        (format!("stream, {EVENTS} events, each on its own"), bare.stream, gateway.stream),
    ] {
        table.row(vec![
            name,
            format!("{:.1}", bare / 1e3),
            format!("{:.1}", gateway / 1e3),
            format!("{:.2} ×", gateway / bare),
            verdict(gateway / bare, TARGET, " ×"),
        ]);
    }
    println!("{table}");
    for many in [Many::Requests, Many::Streams] {
        println!("  where they go: callgrind_annotate {}", profile(&folder, Subject::Gateway, many).display());
    }
    println!();
    Ok(())
}

/// Whether instructions can be counted here.
pub fn has_valgrind() -> bool {
    Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

async fn count(subject: Subject, origin: &Program, effort: Effort, folder: &Path) -> Result<Counted, Failure> {
    let few = Times { requests: effort.pick(5, 100), streams: effort.pick(1, 5) };
    let more_requests = Times { requests: few.requests + effort.pick(10, 500), ..few };
    let more_streams = Times { streams: few.streams + effort.pick(2, 40), ..few };
    let run = async |times, many| instructions(subject, origin, times, &profile(folder, subject, many)).await;
    let base = run(few, Many::Requests).await?;
    let with_requests = run(more_requests, Many::Requests).await?;
    let with_streams = run(more_streams, Many::Streams).await?;
    Ok(Counted {
        request: (with_requests - base) / (more_requests.requests - few.requests) as f64,
        stream: (with_streams - base) / (more_streams.streams - few.streams) as f64,
    })
}

/// What most of a run is about.
#[derive(Clone, Copy)]
enum Many {
    Requests,
    Streams,
}

/// Where the profile of such a run is.
fn profile(folder: &Path, subject: Subject, many: Many) -> PathBuf {
    let many = match many {
        Many::Requests => "requests",
        Many::Streams => "streams",
    };
    folder.join(format!("callgrind.{}.{many}", subject.name()))
}

/// All instructions of one run.
async fn instructions(subject: Subject, origin: &Program, times: Times, out: &Path) -> Result<f64, Failure> {
    let option = format!("--callgrind-out-file={}", out.display());
    let program = subject.start(origin.address, &["valgrind", "--tool=callgrind", "--quiet", &option])?;
    let mut connection = Connection::open(program.address).await?;
    let whole = Question::whole();
    for _ in 0..times.requests {
        connection.ask(&whole).await?;
    }
    let mut asking = Connection::open(origin.address).await?;
    for _ in 0..times.streams {
        lockstep::ask(&mut connection, &mut asking).await?;
    }
    program.stop()?;
    total(out)
}

/// All instructions in the profile at `path`.
pub fn total(path: &Path) -> Result<f64, Failure> {
    total_of(&fs::read_to_string(path)?).ok_or_else(|| format!("{} has no total", path.display()).into())
}

/// The total of a profile: `totals: 1234`, or `summary: 1234` in older ones.
fn total_of(profile: &str) -> Option<f64> {
    let number =
        |line: &str| line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:"))?.trim().parse().ok();
    profile.lines().rev().find_map(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_a_profile_is_found() {
        assert_eq!(total_of("events: Ir\nsummary: 12\n\nfn=(1)\n16 400\n\ntotals: 1234\n"), Some(1234.0));
        assert_eq!(total_of("events: Ir\nsummary: 12\nfn=(1)\n"), Some(12.0));
        assert_eq!(total_of("events: Ir\n"), None);
    }
}
