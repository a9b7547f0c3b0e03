//! What is heard of the paths that programs ask for.

use super::{Image, foreign, fs, runtime, symlink};
use crate::sandbox::{Connection, Program, Request, SandboxError, Status, run_connected};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use tokio::sync::{mpsc::unbounded_channel, oneshot};

/// The paths that a shell script asks for.
fn asked(image: &mut Image, script: &str) -> BTreeSet<String> {
    image.spec.observed = true;
    image.spec.args = ["sh", "-c", script].map(str::to_owned).to_vec();
    let (sender, mut paths) = unbounded_channel();
    let connection = Connection { paths: Some(sender), ..Connection::default() };
    let exit = runtime().block_on(run_connected(&image.spec, connection, |_, _| (), std::future::pending())).unwrap();
    assert_eq!(exit.status, Status::Code(0), "{script}");
    let mut heard = BTreeSet::new();
    while let Ok(path) = paths.try_recv() {
        heard.insert(String::from_utf8(path).unwrap());
    }
    heard
}

#[test]
fn every_way_to_ask_for_a_path_is_heard() {
    let Some(mut image) = Image::busybox() else { return };
    let layer = image.layer();
    fs::create_dir_all(layer.join("data/deep")).unwrap();
    for name in ["opened", "asked", "linked", "deep/relative", "deep/of-child"] {
        fs::write(layer.join("data").join(name), "text").unwrap();
    }
    fs::write(layer.join("data/script"), "#!/bin/sh\ncat /data/deep/of-child\n").unwrap();
    fs::set_permissions(layer.join("data/script"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("linked", layer.join("data/link")).unwrap();
    let heard = asked(
        &mut image,
        "cat /data/opened; [ -e /data/asked ]; readlink /data/link; cd /data/deep && cat relative; \
         (sh -c '/data/script & wait'); [ -e /data/absent ] || chmod 700 ../asked",
    );
    for path in [
        "/data/opened",
        "/data/asked",
        "/data/link",
        "/data/deep",
        "/data/deep/relative",
        "/data/script",
        "/data/deep/of-child",
        "/data/absent",
        "/data/deep/../asked",
        "/bin/sh",
    ] {
        assert!(heard.contains(path), "{path}: {heard:?}");
    }
    assert!(!heard.contains("/data/linked"), "links are not followed");
}

#[test]
fn what_runs_beside_is_heard_before_its_end() {
    let Some(mut image) = Image::busybox() else { return };
    image.spec.observed = true;
    image.spec.args = ["sleep", "60"].map(str::to_owned).to_vec();
    let (sender, mut paths) = unbounded_channel();
    let (requests, receiver) = unbounded_channel();
    let (ended, end) = oneshot::channel();
    let args = ["sh", "-c", "cat /etc/hosts; ls /bin/wc"].map(str::to_owned).to_vec();
    let program = Program { args, env: image.spec.env.clone(), cwd: "/".into() };
    requests.send(Request::RunBeside(program, ended)).unwrap();
    let connection = Connection { paths: Some(sender), requests: Some(receiver), ..Connection::default() };
    let mut heard = Vec::new();
    let cancel = async {
        assert_eq!(end.await.unwrap(), Status::Code(0));
        while let Ok(path) = paths.try_recv() {
            heard.push(path);
        }
    };
    let outcome = runtime().block_on(run_connected(&image.spec, connection, |_, _| (), cancel));
    assert!(matches!(outcome, Err(SandboxError::Cancelled)), "{outcome:?}");
    assert!(
        heard.iter().any(|path| path.ends_with(b"/etc/hosts")) && heard.iter().any(|path| path.ends_with(b"/bin/wc"))
    );
}

#[test]
fn foreign_programs_are_heard_through_their_emulator() {
    let Some(mut image) = foreign::image("arm64") else { return };
    fs::write(image.layer().join("data"), "text").unwrap();
    let heard = asked(&mut image, "cat /data; cd /bin && ls cat");
    for path in ["/data", "/bin/sh", "/bin/cat"] {
        assert!(heard.contains(path), "{path}: {heard:?}");
    }
}
