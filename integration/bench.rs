//! The benchmark works: with small inputs and without peers, and for no figure's sake.

use crate::harness::peer;
use std::{path::Path, process::Command};

#[test]
fn a_workload_is_measured() {
    if peer("docker-registry").is_none() || peer("python3").is_none() {
        return;
    }
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/bench/run");
    let small = ["--quick", "--runs", "1", "--workload", "W3", "--without", "buildah", "--without", "buildkit"];
    let output = Command::new(run).arg(env!("CARGO_BIN_EXE_flashbuild")).args(small).output().unwrap();
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for phase in ["cold", "nothing changed", "one change"] {
        assert!(table.contains(phase), "no row for {phase} in\n{table}");
    }
}
