//! The services of `examples/demo`, which `make demo` builds: for three platforms, from packages alone.
//!
//! The packages come from wherever the user's own pip, npm and apt are told to look, once: they stay in the store that is
//! kept between runs of the tests.

use crate::harness::{DEBIAN_STORE, Run, Workspace, native_platform, skip};
use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Child,
    time::Duration,
};

const PLATFORMS: [&str; 3] = ["linux/amd64", "linux/arm64", "linux/s390x"];

/// The example as the context of a workspace.
fn example(name: &str) -> Workspace {
    let work = Workspace::new("");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo").join(name);
    for entry in std::fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        work.file(path.file_name().unwrap().to_str().unwrap(), std::fs::read(&path).unwrap());
    }
    work
}

/// Builds it for all platforms with the user's own configuration; nothing if packages are out of reach.
fn built(work: &Workspace, image: &str) -> Option<Run> {
    let platforms = PLATFORMS.join(",");
    let own: Vec<(String, String)> = std::env::vars().filter(|(name, _)| is_of_a_client(name)).collect();
    let mut build = work.build(&["--root", DEBIAN_STORE, "--platform", &platforms, "-t", image]);
    for (name, value) in &own {
        build = build.variable(name, value);
    }
    let run = build.run();
    if run.code == Some(3) {
        skip(&format!("packages are out of reach: {}", run.stderr));
        return None;
    }
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    Some(run)
}

/// Whether a variable configures pip, uv or npm.
fn is_of_a_client(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "home" || ["pip_", "uv_", "npm_config_"].iter().any(|beginning| name.starts_with(beginning))
}

/// A process that ends with the test.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the image answers to `/hello/world` on this machine. `port` names the variables that say where it listens.
fn answer(work: &Workspace, image: &str, port: &str) -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let told = format!("{port}={}", free.port());
    let mut service = Service(work.flashbuild("run", &["--root", DEBIAN_STORE, "--env", &told, image]).spawn());
    for _ in 0..600 {
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(service.0.try_wait().unwrap(), None, "{image} ended");
        let Ok(mut connection) = TcpStream::connect(free) else { continue };
        connection.write_all(b"GET /hello/world HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        connection.read_to_string(&mut text).unwrap();
        return text;
    }
    panic!("{image} does not listen at {free}");
}

/// Builds the service `name`: from nothing but packages, in layers that platforms have in common, without a process. Then
/// runs it.
fn check(name: &str, port: &str) {
    let work = example(name);
    let image = format!("demo-{name}");
    let Some(run) = built(&work, &image) else { return };
    let steps = run.metadata()["flashbuild.steps"].as_array().unwrap();
    let of_packages: Vec<_> = steps.iter().filter(|step| step["name"].as_str().unwrap().contains("DEPS")).collect();
    let platforms = |step: &serde_json::Value| step["platforms"].as_array().unwrap().len();
    assert!(of_packages.len() > 10, "{steps:?}");
    assert!(of_packages.iter().any(|step| platforms(step) == PLATFORMS.len()), "{of_packages:?}");
    assert!(steps.iter().all(|step| step.get("emulated").is_none()), "{steps:?}");
    assert!(!run.vertices().any(|(name, _)| name.contains("RUN") || name.contains("script")), "{steps:?}");

    if PLATFORMS.contains(&native_platform()) {
        let answer = answer(&work, &image, port);
        let machine = std::env::consts::ARCH;
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default().replace(' ', "");
        let expected = format!("{{\"hello\":\"world\",\"machine\":\"{machine}\",");
        assert!(answer.starts_with("HTTP/1.1 200 OK") && body.contains(&expected), "{answer}");
    }
}

#[test]
fn the_fastapi_service_is_built_for_three_platforms_and_answers() {
    check("api", "UVICORN_PORT");
}

#[test]
fn the_node_service_is_built_for_three_platforms_and_answers() {
    check("web", "PORT");
}
