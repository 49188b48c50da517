//! Tests of a node's hardware: ordered, watched, and looked up later.

use super::path;
use crate::api::views::{NewTest, TestList, TestView};
use crate::cli::client::Client;
use crate::cli::output::{ago, moment, or_dash, print, print_json, table};
use crate::cli::{Failure, Format, Output};
use clap::{ArgGroup, Args};
use domain::Timestamp;
use domain::timeline::printable;
use reqwest::Method;
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Args)]
#[command(group(ArgGroup::new("parts").required(true).multiple(true).args(["memory", "cpu", "disks", "network", "all"])))]
pub struct Test {
    /// Name, id, serial number or MAC address
    node: String,
    /// Write and read patterns in free memory
    #[arg(long)]
    memory: bool,
    /// Compute known results on every processor
    #[arg(long)]
    cpu: bool,
    /// Read from every disk
    #[arg(long)]
    disks: bool,
    /// Fetch from the service over every port
    #[arg(long)]
    network: bool,
    /// All four
    #[arg(long, conflicts_with_all = ["memory", "cpu", "disks", "network"])]
    all: bool,
    /// The longest that each may take: 90s, 10m, 12h
    #[arg(long = "for", value_name = "TIME", default_value = "1m", value_parser = seconds)]
    length: u32,
    /// Wait for the end and show the results
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    format: Format,
}

/// Whole seconds of a length of time, up to a day.
fn seconds(text: &str) -> Result<u32, String> {
    let seconds = crate::moment::ago(text).and_then(|length| u32::try_from(length.as_secs()).ok());
    seconds.filter(|seconds| (1..=86_400).contains(seconds)).ok_or_else(|| "write a time from 1s to 24h, such as 90s or 10m".into())
}

pub async fn run(client: &Client, test: Test) -> Result<ExitCode, Failure> {
    let asked = |kind: bool| kind || test.all;
    let wanted = NewTest {
        memory: asked(test.memory),
        cpu: asked(test.cpu),
        disks: asked(test.disks),
        network: asked(test.network),
        seconds: test.length,
    };
    let path = format!("{}/tests", path(&test.node)?);
    let ordered: TestView = client.write(Method::POST, &path, json!(wanted)).await?;
    if !test.wait {
        match test.format.output {
            Output::Json => print_json(&ordered),
            Output::Table => {
                let node = printable(&test.node, 80);
                print(&format!("{node} is tested as soon as its agent asks; see how it goes with: overture nodes tests {node}\n"));
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let ended = watch(client, &test, &path, &ordered.id).await?;
    if test.format.output == Output::Json {
        print_json(&ended);
    }
    let failed = ended.finished.is_none() || ended.results.iter().any(|result| result.outcome == "failed");
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Tells each result as it comes, until the test ends or the node is told something else.
async fn watch(client: &Client, test: &Test, path: &str, id: &str) -> Result<TestView, Failure> {
    let mut told = 0;
    let mut began = false;
    loop {
        let list: TestList = client.get(&format!("{path}?limit=20")).await?;
        let Some(now) = list.items.into_iter().find(|other| other.id == id) else {
            return Err("the test is not kept any more".into());
        };
        if test.format.output == Output::Table {
            if !began && now.started.is_some() {
                print("the agent has begun\n");
                began = true;
            }
            now.results.iter().skip(told).for_each(|result| print(&line(result)));
            told = told.max(now.results.len());
        }
        if now.finished.is_some() {
            if test.format.output == Output::Table {
                print(&verdict(&now));
            }
            return Ok(now);
        }
        if now.state == "unfinished" {
            let node = printable(&test.node, 80);
            return Err(format!(
                "{node} restarted or was told something else meanwhile, so the test will not end: overture nodes tests {node}"
            )
            .into());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn line(result: &crate::api::views::TestResultView) -> String {
    let part = result.part.as_ref().map_or(String::new(), |part| format!(" {}", printable(part, 60)));
    format!("  {:<7}  {}{part}: {}\n", result.outcome, printable(&result.kind, 20), printable(&result.detail, 300))
}

fn verdict(test: &TestView) -> String {
    let of = |outcome: &str| test.results.iter().filter(|result| result.outcome == outcome).count();
    match (of("failed"), of("passed")) {
        (0, 0) => "nothing was tested\n".into(),
        (0, passed) => format!("passed: {}\n", crate::count(passed, "part")),
        (failed, _) => format!("FAILED: {}\n", crate::count(failed, "part")),
    }
}

pub async fn past(client: &Client, node: &str, format: Format) -> Result<(), Failure> {
    let list: TestList = client.get(&format!("{}/tests?limit=20", path(node)?)).await?;
    match format.output {
        Output::Json => print_json(&list),
        Output::Table if list.items.is_empty() => {
            let node = printable(node, 80);
            print(&format!("{node} was never tested: overture nodes test {node} --all\n"));
        }
        Output::Table => {
            let now = Timestamp::now();
            for test in &list.items {
                let state = match (&test.started, &test.finished, test.state.as_str()) {
                    (_, Some(at), _) => format!("ended {} ago", ago(at, now)),
                    (_, None, "unfinished") => "did not end: the machine restarted or was told something else".into(),
                    (Some(at), None, _) => format!("began {} ago", ago(at, now)),
                    (None, None, _) => "waits for the agent".into(),
                };
                print(&format!("{} of {}, {} s each: {state}\n", test.kinds.join(", "), moment(&test.ordered), test.seconds));
                let rows = test
                    .results
                    .iter()
                    .map(|result| vec![result.outcome.clone(), result.kind.clone(), or_dash(result.part.as_ref()), result.detail.clone()]);
                if !test.results.is_empty() {
                    print(&table(&["OUTCOME", "TEST", "PART", "SEEN"], rows));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_test_has_bounds() {
        assert_eq!([seconds("90s"), seconds("10m"), seconds("24h")], [Ok(90), Ok(600), Ok(86_400)]);
        for wrong in ["0s", "25h", "10", "", "-1m", "1y"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
