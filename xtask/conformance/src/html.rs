//! The page: everything of the report, readable without scripts and without anything from elsewhere.

use std::fmt::{self, Write as _};

use llm_test::laws::ALL;

use crate::{
    crates::CrateCell,
    order::Order,
    report::{Asked, Count, Report},
};

const STYLE: &str = "
:root { color-scheme: light dark; --line: #d8d8d4; --soft: #6b6b66; --ok: #1a7f37; --bad: #fff; --bad-bg: #c9252d; --head: #f5f5f2;
  --paper: #fff; --ink: #1d1d1b }
@media (prefers-color-scheme: dark) { :root { --line: #3a3a38; --soft: #9c9c96; --ok: #57c46f; --head: #262624; --paper: #181817;
  --ink: #ececea } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 84rem; padding: 0 1rem; background: var(--paper);
  color: var(--ink) }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.5rem }
.wide { overflow: auto; max-height: 85vh; border: 1px solid var(--line) }
table { border-collapse: collapse; font-size: 13px }
th, td { padding: .2rem .5rem; border-bottom: 1px solid var(--line); text-align: center; white-space: nowrap }
tbody th { text-align: left; font-weight: normal; font-family: ui-monospace, monospace; position: sticky; left: 0; background: var(--paper) }
thead th { position: sticky; top: 0; background: var(--head); z-index: 1; vertical-align: bottom; font-weight: 600 }
thead th.up { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; border-bottom: 0 }
.ok { color: var(--ok) } .na { color: var(--soft) } .bad { color: var(--bad); background: var(--bad-bg); font-weight: 600 }
pre, code { font-family: ui-monospace, monospace; font-size: 13px } pre { overflow: auto; border: 1px solid var(--line); padding: .6rem }
li { margin: .15rem 0 }
";

/// The page of a report and what the crates' own tests have shown.
pub fn page(report: &Report, crates: &[CrateCell]) -> String {
    let mut page = String::new();
    write(&mut page, report, crates).expect("writing to a string does not fail");
    page
}

fn write(out: &mut String, report: &Report, crates: &[CrateCell]) -> fmt::Result {
    writeln!(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")?;
    writeln!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
    writeln!(out, "<title>Conformance</title><style>{STYLE}</style></head><body>\n<h1>Conformance</h1>")?;
    writeln!(out, "<p>{}</p>", escaped(&report.last_line()))?;
    failures(out, report)?;
    laws_by_crates(out, report, crates)?;
    reasons(out, report, crates)?;
    orders(out, report)?;
    writeln!(out, "</body></html>")
}

fn failures(out: &mut String, report: &Report) -> fmt::Result {
    if report.failures.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>Failures</h2><ul>")?;
    for (job, said) in &report.failures {
        let (job, said, line) = (escaped(&job.to_string()), escaped(said), escaped(&job.reproduction()));
        writeln!(out, "<li><b>{job}</b>: {said}<pre>{line}</pre></li>")?;
    }
    writeln!(out, "</ul>")
}

/// The names of the crates, each once, in their order.
fn names(crates: &[CrateCell]) -> Vec<&str> {
    let mut names: Vec<&str> = crates.iter().map(|cell| cell.name.as_str()).collect();
    names.dedup();
    names
}

fn laws_by_crates(out: &mut String, report: &Report, crates: &[CrateCell]) -> fmt::Result {
    let names = names(crates);
    writeln!(out, "<h2>Laws and crates</h2><p>Each crate's own subjects, and every order of five layers.</p>")?;
    write!(out, "<div class=\"wide\"><table><thead><tr><th>law</th>")?;
    for name in names.iter().chain([&"orders"]) {
        write!(out, "<th class=\"up\">{}</th>", escaped(name))?;
    }
    writeln!(out, "</tr></thead><tbody>")?;
    for law in &ALL {
        write!(out, "<tr><th>{}</th>", law.name())?;
        for name in &names {
            let cell = crates.iter().find(|cell| cell.name == **name && cell.law == law.name());
            let (shown, why) = cell.map_or(("-", String::new()), |cell| (cell.shown.as_str(), cell.reasons.join("; ")));
            cell_of(out, shown, &why)?;
        }
        cell_of(out, &report.shown(Asked::Law(law.name())), "")?;
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div>")
}

fn cell_of(out: &mut String, shown: &str, title: &str) -> fmt::Result {
    let class = match shown {
        "n/a" | "-" => "na",
        "FAILED" => "bad",
        _ if shown.split_once('/').is_some_and(|(good, all)| good != all) => "bad",
        _ => "ok",
    };
    let title = if title.is_empty() { String::new() } else { format!(" title=\"{}\"", escaped(title)) };
    write!(out, "<td class=\"{class}\"{title}>{}</td>", escaped(shown))
}

fn reasons(out: &mut String, report: &Report, crates: &[CrateCell]) -> fmt::Result {
    writeln!(out, "<h2>Laws that do not apply, and why</h2><ul>")?;
    for cell in crates {
        for why in &cell.reasons {
            writeln!(out, "<li>{}, <code>{}</code>: {}</li>", escaped(&cell.name), escaped(&cell.law), escaped(why))?;
        }
    }
    for ((law, look, reason), cases) in &report.reasons {
        let of = look.map(|look| format!(" of the {look}")).unwrap_or_default();
        writeln!(out, "<li>{cases} orders, <code>{law}</code>{of}: {}</li>", escaped(reason))?;
    }
    writeln!(out, "</ul>")
}

fn orders(out: &mut String, report: &Report) -> fmt::Result {
    let columns = Asked::all();
    let Count { kept, failed, .. } = report.random;
    writeln!(out, "<h2>Orders, laws and endings</h2>")?;
    writeln!(out, "<p>A cell says how many cases held. Besides, {kept} random cases held and {failed} failed.</p>")?;
    write!(out, "<div class=\"wide\"><table><thead><tr><th>order, outermost first</th>")?;
    for asked in &columns {
        write!(out, "<th class=\"up\">{}</th>", escaped(&asked.name()))?;
    }
    writeln!(out, "</tr></thead><tbody>")?;
    for order in Order::all() {
        write!(out, "<tr><th>{}</th>", escaped(&order.to_string()))?;
        for asked in &columns {
            match report.cells.get(&(order, *asked)) {
                None => cell_of(out, "-", "")?,
                Some(Count { kept: 0, failed: 0, .. }) => cell_of(out, "n/a", "")?,
                Some(Count { kept, failed: 0, .. }) => cell_of(out, &kept.to_string(), "")?,
                Some(Count { kept, failed, .. }) => cell_of(out, &format!("{kept}/{}", kept + failed), "")?,
            }
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
