//! Medians over the rounds, ratios against the floor, and the table.

use std::fmt::Write;

use crate::catalog::{SCENARIOS, SERVERS, Scenario, Server};
use crate::workload::Measurement;

/// The generator was the bottleneck if it was busy for at least this part of the interval, and the
/// server for less than [`SLACK`].
const SATURATED: f64 = 0.95;
const SLACK: f64 = 0.90;

/// The rounds of one scenario with one server.
#[derive(Debug)]
pub struct Cell {
    /// [`Scenario::name`].
    pub scenario: &'static str,
    /// [`Server::name`].
    pub server: &'static str,
    /// One for each round that did not fail.
    pub rounds: Vec<Measurement>,
    /// Whether a round failed: then the cell has no result.
    pub failed: bool,
}

impl Cell {
    fn value(&self) -> Option<f64> {
        let values = self.rounds.iter().map(|round| round.value());
        (!self.failed).then(|| median(values)).flatten()
    }

    /// The parts of the interval that server and generator used of their cores.
    fn busy(&self) -> Option<(f64, f64)> {
        let part = |of: fn(f64, f64) -> f64| {
            median(self.rounds.iter().filter_map(|round| match *round {
                Measurement::Rate { wall, server_cpu, generator_cpu, .. } => {
                    Some(of(server_cpu, generator_cpu) / wall)
                }
                Measurement::Memory { .. } => None,
            }))
        };
        Some((part(|server, _| server)?, part(|_, generator| generator)?))
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

/// How `cell` compares with what `server` reached in `scenario`: the median of the rounds' ratios,
/// because what is measured in the same round has met the same disturbances.
fn ratio(cells: &[Cell], cell: &Cell, scenario: &str, server: &str) -> Option<f64> {
    let other = cells.iter().find(|other| other.scenario == scenario && other.server == server)?;
    if cell.failed || other.failed {
        return None;
    }
    let pairs = cell.rounds.iter().zip(&other.rounds);
    median(pairs.map(|(round, other)| round.value() / other.value()))
}

/// The table in Markdown, with a line for each comparison of a Socket.IO server with its own echo.
pub fn table(cells: &[Cell]) -> String {
    let mut table = String::from(
        "| scenario | server | per CPU-second, or bytes | of the floor | least to most | \
         server busy | generator busy |\n|---|---|--:|--:|--:|--:|--:|\n",
    );
    let mut remarks = String::new();
    let mut saturated = false;
    for (scenario, server, cell) in in_order(cells) {
        let Some(value) = cell.value() else {
            let _ = writeln!(
                table,
                "| {} | {} | failed | – | – | – | – |",
                scenario.title, server.name
            );
            continue;
        };
        let of_floor =
            scenario.floor.and_then(|(scenario, floor)| ratio(cells, cell, scenario, floor));
        let of_floor = of_floor.map_or("–".into(), |ratio| format!("{ratio:.2}"));
        let values = || cell.rounds.iter().map(|round| round.value());
        let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
        let mut busy = "– | –".into();
        let mut mark = "";
        if let Some((server, generator)) = cell.busy() {
            busy = format!("{:.0} % | {:.0} %", 100.0 * server, 100.0 * generator);
            if generator >= SATURATED && server < SLACK {
                (mark, saturated) = ("†", true);
            }
        }
        let _ = writeln!(
            table,
            "| {} | {} | {}{mark} | {of_floor} | {} to {} | {busy} |",
            scenario.title,
            server.name,
            short(value),
            short(least),
            short(most),
        );
        if let Some(own) = server.own_echo
            && let Some((echo, _)) = scenario.floor
            && let Some(ratio) = ratio(cells, cell, echo, own)
        {
            let _ = writeln!(
                remarks,
                "- {}, {}: {ratio:.2} of {own}'s echo.",
                scenario.title, server.name,
            );
        }
    }
    if saturated {
        remarks.push_str("- † The generator was saturated and the server was not: not a result.\n");
    }
    if !remarks.is_empty() {
        table.push('\n');
        table.push_str(&remarks);
    }
    table
}

fn in_order(cells: &[Cell]) -> impl Iterator<Item = (&'static Scenario, &'static Server, &Cell)> {
    SCENARIOS.iter().flat_map(move |scenario| {
        SERVERS.iter().filter_map(move |server| {
            let cell = cells
                .iter()
                .find(|cell| cell.scenario == scenario.name && cell.server == server.name)?;
            Some((scenario, server, cell))
        })
    })
}

fn short(value: f64) -> String {
    if value >= 1e6 {
        format!("{:.2}M", value / 1e6)
    } else if value >= 1e4 {
        format!("{:.0}k", value / 1e3)
    } else {
        format!("{value:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(server: &'static str, values: [u64; 3]) -> Cell {
        let rounds = values.map(|messages| Measurement::Rate {
            messages,
            wall: 1.0,
            server_cpu: 1.0,
            generator_cpu: 0.5,
        });
        Cell { scenario: "echo-1", server, rounds: rounds.into(), failed: false }
    }

    #[test]
    fn a_ratio_compares_round_with_round() {
        // A slow second round slows both: the ratio of the medians would say 0.5.
        let cells = [cell("floor-tokio", [100, 10, 200]), cell("fastwebsockets", [90, 9, 50])];
        assert_eq!(ratio(&cells, &cells[1], "echo-1", "floor-tokio"), Some(0.9));
        assert!(table(&cells).contains("| fastwebsockets | 50 | 0.90 | 9 to 90 | 100 % | 50 % |"));
    }

    #[test]
    fn a_failed_round_leaves_no_result() {
        let mut cells = [cell("floor-tokio", [1, 2, 3]), cell("fastwebsockets", [1, 2, 3])];
        cells[0].failed = true;
        assert_eq!(ratio(&cells, &cells[1], "echo-1", "floor-tokio"), None);
        assert!(table(&cells).contains("| floor-tokio | failed |"));
    }
}
