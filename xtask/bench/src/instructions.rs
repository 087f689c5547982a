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
    figure::{Figure, Unit},
    load::{Connection, Question},
    lockstep,
    program::{Program, Subject},
    report::Report,
    table::Table,
};

/// At most so many times what passing on takes: the target for processor time.
const TARGET: f64 = 1.5;

const SUBJECTS: [Subject; 3] = [Subject::PassThrough, Subject::Gateway, Subject::LayeredGateway];

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
pub async fn run(effort: Effort, report: &mut Report) -> Result<(), Failure> {
    if !has_valgrind() {
        report.print("Instructions: not measured, because there is no valgrind here: install it and run this again\n");
        return Ok(());
    }
    let folder = env::current_exe()?.with_file_name("bench");
    fs::create_dir_all(&folder)?;
    let origin = Program::origin()?;
    let mut counted = Vec::new();
    for subject in SUBJECTS {
        counted.push(count(subject, &origin, effort, &folder).await?);
    }
    let heading = "Gateway: instructions under valgrind, in thousands";
    let mut table = Table::new(heading, ["load", "program", "thousands", "ratio", "target (that of processor time)"]);
    let loads = [
        ("request, 1 connection".to_owned(), counted.iter().map(|counted| counted.request).collect::<Vec<f64>>()),
        (format!("stream, {EVENTS} events, each on its own"), counted.iter().map(|counted| counted.stream).collect()),
    ];
    for (load, counted) in loads {
        let bare = counted[0];
        for (subject, own) in SUBJECTS.into_iter().zip(counted) {
            let path = ["instructions", &*load, subject.name()];
            report.note(Figure::new(&path, Unit::Instructions, own));
            let mut row = vec![load.clone(), subject.name().into(), format!("{:.1}", own / 1e3)];
            if subject == Subject::PassThrough {
                row.extend([(); 2].map(|()| String::new()));
            } else {
                row.push(Unit::Times.show(own / bare));
                let ratio = Figure::new(&path, Unit::Times, own / bare).over(Subject::PassThrough.name());
                row.push(report.note(ratio.at_most(TARGET)));
            }
            table.row(row);
        }
    }
    report.print(table);
    for (subject, many) in
        [Subject::Gateway, Subject::LayeredGateway].into_iter().flat_map(|s| Many::BOTH.map(|m| (s, m)))
    {
        println!("  where they go: callgrind_annotate '{}'", profile(&folder, subject, many).display());
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

impl Many {
    const BOTH: [Self; 2] = [Self::Requests, Self::Streams];
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
