//! `--ca-certificates`: a step trusts a private authority, and its layer never hears of it.

use crate::harness::{BUSYBOX, Invocation, Workspace, native_platform, peer};
use std::{
    fs,
    net::{TcpListener, TcpStream},
    process::{Child, Stdio},
    thread,
    time::Duration,
};

/// A TLS server on the loopback of this machine, with a certificate that nobody but its maker trusts.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(work: &Workspace) -> Option<Self> {
        let (key, certificate) = (work.path("home/key.pem"), work.path("home/ca.pem"));
        let made = peer("openssl")?
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .stderr(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = peer("openssl")?
            .args(["s_server", "-quiet", "-www", "-accept", &format!("127.0.0.1:{port}"), "-key"])
            .arg(&key)
            .arg("-cert")
            .arg(&certificate)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            thread::sleep(Duration::from_millis(20));
        }
        Some(Self { process, port })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

#[test]
fn a_step_trusts_what_its_layer_does_not_have() {
    let Some(work) = Workspace::with_busybox(&[native_platform()], "") else { return };
    let (Some(server), Some(())) = (Server::start(&work), work.bring("curl")) else { return };
    let url = format!("https://127.0.0.1:{}/", server.port);
    work.file("bundle", "# of the distribution\n");
    work.file(
        "Dockerfile",
        format!(
            "{BUSYBOX}FROM busybox\nCOPY root /\nCOPY bundle {BUNDLE}\nENV PATH=/bin:/usr/bin\n\
             RUN curl -sS -o /said {url}\n\
             RUN curl -sS --cacert {BUNDLE} -o /said-too {url}\n\
             RUN [ ! -e /dev/certificates/key ] && echo own >> {BUNDLE}\n\
             RUN rm {BUNDLE} && echo new > {BUNDLE}\n"
        ),
    );
    let untrusted = work.build(&["--network", "host"]).exits_with(1);
    assert!(untrusted.raw.contains("certificate"), "{}", untrusted.raw);
    let certificate = work.path("home/ca.pem").display().to_string();
    let out = format!("type=local,dest={}", work.path("out").display());
    let oci = format!("type=oci,dest={},tar=false", work.path("oci").display());
    work.build(&["--network", "host", "--ca-certificates", &certificate, "-o", &out, "-o", &oci]).succeeds();
    assert_eq!(work.read(&format!("out{BUNDLE}")), "new\n");
    let second_line = fs::read_to_string(&certificate).unwrap().lines().nth(1).unwrap().to_owned();
    let found = peer("grep")
        .unwrap()
        .args(["-rlF", &second_line])
        .arg(work.path("out"))
        .arg(work.path("store/layers"))
        .output();
    let found = String::from_utf8(found.unwrap().stdout).unwrap();
    // What the server said is a page about its connection; it holds no certificate of its own.
    assert_eq!(found, "", "the certificate is in a layer");
    // The certificates are in no key: without them, nothing runs again.
    let again = work.build(&["--network", "host"]).succeeds();
    assert!(again.vertices().all(|(_, outcome)| matches!(outcome, flashbuild::solver::event::Outcome::Cached(_))));
    work.build(&["--ca-certificates", "nowhere.pem"]).exits_with(2);
}

fn trusting_nobody(build: Invocation<'_>) -> Invocation<'_> {
    build.variable("SSL_CERT_FILE", "/dev/null").variable("SSL_CERT_DIR", "/nowhere")
}

#[test]
fn authorities_are_read_when_a_server_needs_them() {
    let work = Workspace::new("FROM scratch\nCOPY Dockerfile /\n");
    // A machine that trusts nobody can build what nobody has to be asked for.
    trusting_nobody(work.build(&[])).succeeds();
    let Some(server) = Server::start(&work) else { return };
    work.file("Dockerfile", format!("FROM scratch\nADD https://127.0.0.1:{}/ /page\n", server.port));
    let refused = trusting_nobody(work.build(&[])).fails();
    assert!(refused.raw.contains("certificate"), "{}", refused.raw);
}
