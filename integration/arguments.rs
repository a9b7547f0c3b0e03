//! What a build is told besides its files: proxies, users that only the image knows, and what a base wants done first.

use crate::harness::{BUSYBOX, Registry, Workspace, is_root, native_platform, skip, tree_report};
use flashbuild::solver::event::{Hit, Outcome};
use serde_json::Value;

/// The configuration of the only image called `app`.
fn config(work: &Workspace) -> Value {
    let shown: Value = serde_json::from_str(&work.flashbuild("inspect", &["app"]).succeeds().stdout).unwrap();
    shown["images"][0]["config"].clone()
}

#[test]
fn proxies_are_seen_by_processes_and_by_nothing_else() {
    let dockerfile = format!("{BUSYBOX}FROM busybox\nRUN echo \"$HTTPS_PROXY $https_proxy\" > /seen\n");
    let Some(work) = Workspace::with_busybox(&[native_platform()], &dockerfile) else { return };
    let build = |proxy: &str| {
        let output = format!("type=local,dest={}", work.path("out").display());
        let argument = format!("HTTPS_PROXY={proxy}");
        work.build(&["-t", "app", "--build-arg", &argument, "-o", &output]).succeeds()
    };
    let first = build("http://one.example");
    assert_eq!(work.read("out/seen"), "http://one.example http://one.example\n");
    let second = build("http://two.example");
    assert_eq!(second.outcomes("RUN"), [&Outcome::Cached(Hit::Definition)]);
    assert_eq!(second.digest(), first.digest());
    assert!(!config(&work).to_string().contains("one.example"));
}

#[test]
fn owners_may_be_known_to_the_image_alone() {
    if !is_root() {
        return skip("owners can be compared by root only");
    }
    let dockerfile = format!(
        "{BUSYBOX}FROM busybox\nRUN echo 'made:x:77:78::/home/made:/bin/sh' >> /etc/passwd && echo 'crew:x:99:' >> /etc/group\n\
         COPY --chown=made file /data/name\nCOPY --link --chown=made:crew file /data/link\nADD --chown=5:crew file /data/add\n\
         USER made\nWORKDIR /data/home\nRUN id -u > /data/home/uid && id -g >> /data/home/uid\nUSER 77:99\nWORKDIR /data/numbers\n"
    );
    let Some(work) = Workspace::with_busybox(&[native_platform()], &dockerfile) else { return };
    work.file("file", "");
    work.build(&["-o", &format!("type=local,dest={}", work.path("out").display())]).succeeds();
    let owners = tree_report(&work.path("out/data"));
    let owners: Vec<_> =
        owners.iter().map(|line| line.split(' ').skip(2).take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(owners, ["5:99 /add", "77:78 /home", "77:78 /home/uid", "77:99 /link", "77:78 /name", "77:99 /numbers"]);
    assert_eq!(work.read("out/data/home/uid"), "77\n78\n");
    let unknown = format!("{BUSYBOX}FROM busybox\nCOPY --chown=nobody-here file /\n");
    work.file("Dockerfile", unknown);
    let run = work.build(&[]).exits_with(1);
    assert!(run.stderr.contains("no user \"nobody-here\" in /etc/passwd of the image"), "{}", run.stderr);
}

#[test]
fn triggers_of_a_base_take_from_stages_and_images() {
    let Some(registry) = Registry::start() else { return };
    let (tools, base) = (registry.name("tools:1"), registry.name("base:1"));
    Workspace::new("FROM scratch\nCOPY <<EOF /tool\ntool\nEOF\n").build(&["-t", &tools, "--push"]).succeeds();
    let dockerfile = format!(
        "{BUSYBOX}FROM busybox\nONBUILD COPY --from=assets /a /a\nONBUILD COPY --from={tools} /tool /tool\n\
         ONBUILD RUN cat /a /tool > /both\n"
    );
    let Some(work) = Workspace::with_busybox(&[native_platform()], &dockerfile) else { return };
    work.build(&["-t", &base, "--push"]).succeeds();

    let app = Workspace::new(&format!(
        "FROM scratch AS assets\nCOPY <<EOF /a\nasset\nEOF\nFROM {base}\nRUN cp /both /result\n"
    ));
    app.build(&["-t", "app", "-o", &format!("type=local,dest={}", app.path("out").display())]).succeeds();
    assert_eq!(app.read("out/result"), "asset\ntool\n");
    assert_eq!(config(&app)["config"]["OnBuild"], Value::Null);

    // What a trigger lacks may be given from outside.
    let lacking = Workspace::new(&format!("FROM {base}\n"));
    lacking.file("../given/a", "given\n");
    let output = format!("type=local,dest={}", lacking.path("out").display());
    lacking.build(&["--build-context", "assets=../given", "-o", &output]).succeeds();
    assert_eq!(lacking.read("out/both"), "given\ntool\n");
}

#[test]
fn platforms_and_the_target_are_arguments() {
    let work = Workspace::new(
        "ARG TARGETARCH\nFROM scratch AS tools\nARG TARGETSTAGE TARGETPLATFORM BUILDPLATFORM TARGETOS\n\
         COPY <<EOF /said-$TARGETARCH\n$TARGETSTAGE $TARGETPLATFORM $TARGETOS $BUILDPLATFORM\nEOF\nFROM tools\n",
    );
    let output = format!("type=local,dest={}", work.path("out").display());
    work.build(&["--platform", "linux/arm64,linux/s390x", "--target", "tools", "-o", &output]).succeeds();
    let native = native_platform();
    assert_eq!(work.read("out/linux_arm64/said-"), format!("tools linux/arm64 linux {native}\n"));
    assert_eq!(work.read("out/linux_s390x/said-"), format!("tools linux/s390x linux {native}\n"));
}

#[test]
fn ports_may_be_ranges() {
    let work = Workspace::new("FROM scratch\nARG RANGE=7000-7002/udp\nEXPOSE 80 9000-9001 $RANGE\n");
    work.build(&["-t", "app"]).succeeds();
    let ports = config(&work)["config"]["ExposedPorts"].clone();
    let ports: Vec<_> = ports.as_object().unwrap().keys().cloned().collect();
    assert_eq!(ports, ["7000/udp", "7001/udp", "7002/udp", "80/tcp", "9000/tcp", "9001/tcp"]);
}

#[test]
fn some_arguments_are_addressed_to_the_builder() {
    let dockerfile =
        format!("{BUSYBOX}FROM busybox\nRUN hostname > /host && grep -c $(hostname) /etc/hosts >> /host\n");
    let Some(work) = Workspace::with_busybox(&[native_platform()], &dockerfile) else { return };
    let output = format!("type=local,dest={}", work.path("out").display());
    let folder = work.path("out").join(native_platform().replace('/', "_"));
    let build = |name: &str| {
        let hostname = format!("BUILDKIT_SANDBOX_HOSTNAME={name}");
        work.build(&["--build-arg", &hostname, "--build-arg", "BUILDKIT_MULTI_PLATFORM=1", "-o", &output]).succeeds()
    };
    build("one.example");
    assert_eq!(std::fs::read_to_string(folder.join("host")).unwrap(), "one.example\n1\n");
    assert_eq!(build("two.example").outcomes("RUN"), [&Outcome::Ran]);
    assert_eq!(build("one.example").outcomes("RUN"), [&Outcome::Cached(Hit::Definition)]);
    let several = ["--build-arg", "BUILDKIT_MULTI_PLATFORM=0", "--platform", "linux/amd64,linux/arm64"];
    work.build(&several).exits_with(2);
    work.build(&["--build-arg", "BUILDKIT_SANDBOX_HOSTNAME=a/b"]).exits_with(2);
}

#[test]
fn the_language_may_be_said_from_outside() {
    let work = Workspace::new("# syntax=example.org/other/language\nFROM scratch\n");
    work.build(&[]).exits_with(1);
    work.build(&["--build-arg", "BUILDKIT_SYNTAX=docker/dockerfile:1"]).succeeds();
    work.build(&["--build-arg", "BUILDKIT_SYNTAX=dockerfile.v0", "--check"]).exits_with(0);
    work.build(&["--build-arg", "BUILDKIT_SYNTAX=example.org/other/language"]).exits_with(2);
}
