//! The benchmark works: with small inputs and without peers, and for no figure's sake.

use crate::harness::peer;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

/// The benchmark with small inputs, of `binary`; its files go into `folder`. Nothing if it cannot run here.
fn bench(binary: &str, folder: &Path, workloads: &[&str]) -> Option<Command> {
    peer("docker-registry")?;
    peer("python3")?;
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/bench/run");
    let mut command = Command::new(run);
    command.arg(binary).args(["--quick", "--alone"]).env("TMPDIR", folder).env("PYTHONDONTWRITEBYTECODE", "1");
    command.args(workloads.iter().flat_map(|name| ["--workload", name]));
    Some(command)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn workloads_are_measured() {
    let (folder, report) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(mut bench) = bench(env!("CARGO_BIN_EXE_flashbuild"), folder.path(), &["W3", "W10", "W12"]) else { return };
    let output = bench.arg("--report").arg(report.path()).output().unwrap();
    let table = said(&output);
    assert!(output.status.success(), "{table}");
    let told: serde_json::Value =
        serde_json::from_slice(&fs::read(report.path().join("report.json")).unwrap()).unwrap();
    for (row, ours) in [("W3", "cold"), ("W3", "nothing changed"), ("W3", "one change"), ("W10", "push")] {
        let of_row = |told: &&serde_json::Value| {
            let workload = told["workload"].as_str().unwrap();
            workload.starts_with(row) && workload.contains(ours) && told["tool"] == "flashbuild"
        };
        let found = told["rows"].as_array().unwrap().iter().find(of_row);
        let found = found.unwrap_or_else(|| panic!("no row for {row}, {ours} in\n{table}"));
        assert!(found["median_seconds"].as_f64().unwrap() > 0.0, "{found}");
        // What changed was sent, and what did not was not.
        assert_eq!(found["sent_bytes"].as_f64().unwrap() > 10_000.0, ours != "nothing changed", "{found}");
    }
    let page = fs::read_to_string(report.path().join("report.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("W10"), "{page}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "files are left");
}

#[test]
fn a_build_that_fails_fails_the_benchmark() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut bench) = bench("/bin/false", folder.path(), &["W3"]) else { return };
    let output = bench.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("/bin/false build"), "{}", said(&output));
}

#[test]
fn whoever_ends_the_benchmark_finds_nothing_left() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut bench) = bench(env!("CARGO_BIN_EXE_flashbuild"), folder.path(), &["W3"]) else { return };
    let mut running = bench.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(running.stderr.take().unwrap()).lines();
    // By then registries run, and files are being written.
    let line = lines.map(Result::unwrap).find(|line| line.contains("W3")).expect("a line for the workload");
    kill_process(Pid::from_child(&running), Signal::TERM).unwrap_or_else(|error| panic!("{line}: {error}"));
    assert_eq!(running.wait().unwrap().code(), Some(1));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "files are left");
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok());
    let folder = folder.path().to_str().unwrap();
    let left: Vec<String> = processes.map(|line| String::from_utf8_lossy(&line).into_owned()).collect();
    assert!(!left.iter().any(|line| line.contains(folder)), "{left:?}");
}
