//! Images looked into.

use crate::harness::{Workspace, peer};
use serde_json::Value;
use std::{
    fs,
    io::Read as _,
    process::{Command, Stdio},
};

/// A script that would run if a name got out of the page's data.
const HOSTILE: &str =
    "script><script>document.body.dataset.owned='yes'</script><img src=x onerror='document.body.dataset.owned=1'>";

/// An image with packages, waste, a secret, and a file with a name that is out for mischief.
fn image() -> Workspace {
    let work = Workspace::new("");
    work.file("site/flask-3.dist-info/METADATA", "Name: Flask\nVersion: 3.0\nLicense: BSD-3-Clause\n");
    work.file("site/flask-3.dist-info/RECORD", "flask/app.py,,\n");
    work.file("site/flask/app.py", "# flask\n".repeat(1000));
    work.file("lists/example_InRelease", "x".repeat(4000));
    work.file("app/main.py", "print('hello')\n");
    work.file("app/.env", "API_TOKEN=a-very-secret-value\n");
    work.file(&format!("app/</{}", HOSTILE.replace('/', "\u{2215}")), "mischief");
    work.file(
        "Dockerfile",
        "FROM scratch\nCOPY site /usr/lib/python3/dist-packages/\nCOPY lists /var/lib/apt/lists/\nCOPY app /app/\nCOPY app/main.py /app/main.py\n",
    );
    work.build(&["-t", "sample"]).succeeds();
    work
}

#[test]
fn packages_waste_and_secrets_are_told() {
    let work = image();
    let run = work.flashbuild("analyze", &["sample"]).succeeds();
    for expected in ["Flask", "caches and logs of package managers", "may be secret: /app/.env", "a changed line"] {
        assert!(run.stdout.contains(expected), "{expected}:\n{}", run.stdout);
    }
    assert!(!run.stdout.contains("a-very-secret-value"));
    let json = work.flashbuild("analyze", &["--format", "json", "sample"]).succeeds().stdout;
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["packages"][0]["name"], "Flask");
    assert_eq!(report["packages"][0]["bytes"], 8000 + 47 + 15);
    let caches = report["waste"].as_array().unwrap().iter().find(|waste| waste["kind"] == "caches").unwrap();
    assert_eq!((&caches["bytes"], &caches["trust"]), (&Value::from(4000), &Value::from("proven")));
    assert_eq!(report["by_path"]["bytes"], report["bytes"]);
}

#[test]
fn conditions_decide_the_exit_code() {
    let work = image();
    work.flashbuild("analyze", &["--fail-if", "wasted>1MB", "--fail-if", "layers>10", "sample"]).succeeds();
    let run =
        work.flashbuild("analyze", &["--fail-if", "wasted>1kB", "--fail-if", "secrets>0", "sample"]).exits_with(1);
    assert!(run.stderr.contains("sample:latest does not pass: wasted>1000, secrets>0"), "{}", run.stderr);
    work.flashbuild("analyze", &["--fail-if", "beauty<1", "sample"]).exits_with(2);
    let run = work.flashbuild("analyze", &["--fail-if", "efficiency<95", "sample"]).exits_with(2);
    assert!(run.stderr.contains("write 95% or 0.95"), "{}", run.stderr);
}

#[test]
fn the_page_works_in_a_browser_and_names_in_it_are_inert() {
    let work = image();
    let Some(mut command) = peer("chromium") else { return };
    let page = work.path("report.html");
    work.flashbuild("analyze", &["--html", page.to_str().unwrap(), "--format", "json", "sample"]).succeeds();
    let json = work.flashbuild("analyze", &["--format", "json", "sample"]).succeeds().stdout;
    let report: Value = serde_json::from_str(&json).unwrap();
    command.args([
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1200,900",
    ]);
    command.arg(format!("--user-data-dir={}", work.path("home/browser").display()));
    command.args(["--virtual-time-budget=5000", "--dump-dom"]).arg(format!("file://{}", page.display()));
    let output = command.env("HOME", work.path("home")).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let body = &shown[shown.find("<body").unwrap_or_else(|| panic!("no page: {output:?}"))..];
    let body = &body[..body.find('>').unwrap()];
    assert!(body.contains("data-ready=\"yes\""), "{body}");
    assert!(!body.contains("data-error") && !body.contains("data-owned"), "{body}");
    let bytes = report["bytes"].as_u64().unwrap();
    assert!(shown.contains(&format!("data-total=\"{bytes}\"")), "the tree map's blocks are not {bytes} bytes");
}

#[test]
fn a_signal_puts_the_terminal_back() {
    let work = image();
    let Some(mut script) = peer("script") else { return };
    let binary = env!("CARGO_BIN_EXE_flashbuild");
    let root = work.path("store").display().to_string();
    let command = format!(
        "stty cols 80 rows 24; stty -g; {binary} analyze --root {root} --interactive sample; echo code $?; stty -g"
    );
    let script = script.args(["-qec", &command, "/dev/null"]).env("HOME", work.path("home"));
    let mut process = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut output, mut seen) = (process.stdout.take().unwrap(), Vec::new());
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains("\u{1b}[?1049h") {
        let count = output.read(&mut buffer).unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..count]);
    }
    let viewer = fs::read_dir("/proc").unwrap().flatten().find(|entry| {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        command.starts_with(binary.as_bytes()) && String::from_utf8_lossy(&command).contains(&root)
    });
    let viewer = viewer.expect("it runs").file_name();
    assert!(Command::new("kill").arg("-TERM").arg(viewer).status().unwrap().success());
    output.read_to_end(&mut seen).unwrap();
    process.wait().unwrap();
    let seen = String::from_utf8_lossy(&seen);
    let lines: Vec<&str> = seen.lines().map(str::trim).collect();
    assert_eq!(lines.first(), lines.last(), "the settings of the terminal: {seen:?}");
    assert!(seen.contains("\u{1b}[?1049l") && seen.contains("code 130\r\n"), "{seen:?}");
}
