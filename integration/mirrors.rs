//! Where images come from: mirrors, other locations, and nowhere.

use crate::harness::{EPOCH, FaultyRegistry, Registry, Served, Workspace, peer};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A registry that nobody can reach: what comes under its name came from somewhere else.
const FAR: &str = "registry.invalid";

fn base() -> Workspace {
    let work = Workspace::new("FROM scratch\nCOPY file /file\n");
    work.file("file", "content\n");
    work
}

fn child() -> Workspace {
    let work = Workspace::new(&format!("FROM {FAR}/team/base:1\nCOPY more /more\n"));
    work.file("more", "more\n");
    work
}

/// Writes a `registries.conf`; its path.
fn registries_conf(work: &Workspace, text: &str) -> String {
    let path = work.path("home/registries.conf");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn a_mirror_of_a_registries_conf_serves_what_its_registry_cannot() {
    let (work, Some(registry)) = (base(), Registry::start()) else { return };
    work.build(&["-t", &registry.name("mirrored/base:1"), "--push"]).succeeds();
    let child = child();
    let unreachable = child.build(&[]).exits_with(3);
    assert!(unreachable.stderr.contains(FAR), "{}", unreachable.stderr);

    // The first mirror has nothing, the second one all.
    let conf = format!(
        "[[registry]]\nlocation = \"{FAR}/team\"\n[[registry.mirror]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}\"\n",
        registry.name("nothing"),
        registry.name("mirrored"),
    );
    let conf = registries_conf(&child, &conf);
    let built = child.build(&["-o", "../out"]).variable("CONTAINERS_REGISTRIES_CONF", &conf).succeeds();
    assert_eq!((child.read("out/file"), child.read("out/more")), ("content\n".into(), "more\n".into()));
    assert!(registry.requests("GET", "/nothing/base/manifests/1") > 0);
    drop(built);

    // A push goes to the registry in the name, and not to a mirror of it.
    let name = format!("{FAR}/team/app:1");
    child.build(&["-t", &name, "--push"]).variable("CONTAINERS_REGISTRIES_CONF", &conf).exits_with(3);
    assert_eq!(registry.requests("POST", "/app/") + registry.requests("PUT", "/app/"), 0);

    let none =
        format!("[[registry]]\nlocation = \"{FAR}\"\n[[registry.mirror]]\nlocation = \"{}\"\n", registry.name("no"));
    let none = registries_conf(&child, &none);
    let run = child.build(&[]).store("other").variable("CONTAINERS_REGISTRIES_CONF", &none).exits_with(3);
    assert!(
        run.stderr.contains(FAR) && run.stderr.contains("its mirrors, asked before, have no answer either"),
        "{}",
        run.stderr
    );
}

#[test]
fn what_is_blocked_is_not_asked_for() {
    let child = child();
    let conf = registries_conf(&child, &format!("[[registry]]\nlocation = \"{FAR}\"\nblocked = true\n"));
    let run = child.build(&[]).variable("CONTAINERS_REGISTRIES_CONF", &conf).exits_with(3);
    assert!(run.stderr.contains(&format!("is blocked by {conf}")), "{}", run.stderr);
}

/// A certificate for localhost and its key, made by openssl.
fn certificate(work: &Workspace) -> Option<[PathBuf; 2]> {
    let [certificate, key] = ["home/localhost.crt", "home/localhost.key"].map(|name| work.path(name));
    let mut openssl = peer("openssl")?;
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
    assert!(openssl.output().unwrap().status.success());
    Some([certificate, key])
}

#[test]
fn a_mirror_of_a_hosts_toml_is_trusted_by_its_authority() {
    let work = base();
    let Some([certificate, key]) = certificate(&work) else { return };
    let tls = ["--tls-certificate", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    work.build(&["-t", "team/base:1"]).succeeds();
    let served = Served::start(&work, "store", &tls);
    let address = format!("https://localhost:{}", served.port());

    let child = child();
    let folder = child.path("home/certs.d").join(FAR);
    fs::create_dir_all(&folder).unwrap();
    let hosts = |authority: &str| {
        fs::write(
            folder.join("hosts.toml"),
            format!("[host.\"{address}\"]\ncapabilities = [\"pull\", \"resolve\"]\n{authority}\n"),
        )
        .unwrap();
    };
    let certs = child.path("home/certs.d").display().to_string();
    let build = |store| child.build(&["-o", "../out"]).store(store).variable("FLASHBUILD_CERTS_D", &certs).run();
    hosts("");
    let refused = build("one");
    assert!(refused.code == Some(3) && refused.stderr.contains("its certificate is not trusted"), "{refused:?}");
    hosts("skip_verify = true");
    let careless = build("two");
    assert_eq!(careless.code, Some(0), "{careless:?}");
    fs::copy(&certificate, folder.join("ca.pem")).unwrap();
    hosts("ca = \"ca.pem\"");
    let trusting = build("three");
    assert_eq!(trusting.code, Some(0), "{trusting:?}");
    assert_eq!(child.read("out/file"), "content\n");

    // Other people's tools, by the same certificate.
    let Some(mut skopeo) = peer("skopeo") else { return };
    let trusted = child.path("home/trusted");
    fs::create_dir(&trusted).unwrap();
    fs::copy(&certificate, trusted.join("ca.crt")).unwrap();
    let image = format!("docker://{}", served.name("team/base:1"));
    let inspect = skopeo.args(["inspect", "--cert-dir"]).arg(&trusted).arg(&image).output().unwrap();
    assert!(inspect.status.success(), "{inspect:?}");
    let stranger = Command::new("skopeo").args(["inspect", &image]).output().unwrap();
    assert!(!stranger.status.success());
}

#[test]
fn a_mirror_gets_its_own_credentials_and_no_others() {
    let [mirror, own] = [FaultyRegistry::start(1, 0.0), FaultyRegistry::start(2, 0.0)];
    let work = base();
    FaultyRegistry::log_in(&[&own], &work.path("home"));
    let name = format!("{}/base:1", own.host);
    work.build(&["-t", &name, "--push"]).epoch(EPOCH).succeeds();
    let conf =
        format!("[[registry]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}\"\n", own.host, mirror.host);
    let conf = registries_conf(&work, &conf);
    work.flashbuild("pull", &[&name]).store("other").variable("CONTAINERS_REGISTRIES_CONF", &conf).succeeds();
    // The mirror was asked, and let nobody in: there was nothing to show.
    assert!(mirror.seen().requests["GET"] > 0);
    assert_eq!(mirror.seen().lines, Vec::<String>::new());
}

#[test]
fn offline_nobody_is_asked_and_what_lacks_is_named() {
    let (work, Some(registry)) = (base(), Registry::start()) else { return };
    let name = registry.name("base:1");
    work.build(&["-t", &name, "--push"]).succeeds();
    let child = Workspace::new(&format!("FROM {name}\nCOPY more /more\n"));
    child.file("more", "more\n");
    let asked = || registry.requests("GET", "") + registry.requests("HEAD", "");
    let before = asked();
    let run = child.build(&["--offline"]).exits_with(3);
    assert!(
        run.stderr.contains(&format!("{name} is not in the local store: `flashbuild pull {name}`")),
        "{}",
        run.stderr
    );
    assert_eq!(asked(), before);

    child.flashbuild("pull", &[&name]).succeeds();
    let before = asked();
    child.build(&["--offline", "-o", "../out"]).succeeds();
    assert_eq!((asked(), child.read("out/file")), (before, "content\n".to_owned()));
    let push = child.build(&["--offline", "-t", &registry.name("app:1"), "--push"]).exits_with(3);
    assert!(push.stderr.contains("cannot be pushed"), "{}", push.stderr);

    child.file("Dockerfile", "FROM scratch\nADD https://files.invalid/archive /archive\n");
    let run = child.build(&["--offline"]).fails();
    assert!(
        run.stderr.contains("https://files.invalid/archive is not downloaded, because of --offline"),
        "{}",
        run.stderr
    );
    child.file("Dockerfile", "FROM scratch\nADD https://files.invalid/repository.git#v1 /code\n");
    let run = child.build(&["--offline"]).fails();
    assert!(run.stderr.contains("is not fetched, because of --offline"), "{}", run.stderr);
}
