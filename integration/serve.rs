//! The local store as a registry: other people's tools push to it and pull from it.

use crate::harness::{Dockerd, EPOCH, Served, Workspace, peer};
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

const DOCKERFILE: &str = "FROM scratch\nCOPY file /file\nLABEL who=me\n";

fn workspace() -> Workspace {
    let work = Workspace::new(DOCKERFILE);
    work.file("file", "content\n");
    work
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A raw request; the answer's status and its body.
fn request(served: &Served, text: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", served.port())).unwrap();
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let length = body.len();
    let head = head.replace('\n', "\r\n");
    write!(stream, "{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_owned(), body.to_owned())
}

#[test]
fn what_was_built_is_pulled_by_its_name() {
    let work = workspace();
    let built = work.build(&["-t", "app:1"]).epoch(EPOCH).succeeds();
    let served = Served::start(&work, "store", &[]);
    let Some(mut skopeo) = peer("skopeo") else { return };
    let image = format!("docker://{}", served.name("app:1"));
    let copied = work.path("copied");
    succeeds(
        skopeo
            .args(["copy", "--preserve-digests", "--src-tls-verify=false", &image])
            .arg(format!("dir:{}", copied.display())),
    );
    let manifest = fs::read(copied.join("manifest.json")).unwrap();
    assert_eq!(flashbuild::image::Digest::of(&manifest).to_string(), built.digest());

    let tags = succeeds(Command::new("skopeo").args(["list-tags", "--tls-verify=false", image.trim_end_matches(":1")]));
    assert_eq!(serde_json::from_str::<Value>(&tags).unwrap()["Tags"], serde_json::json!(["1"]));
    // Nobody writes to what is only served.
    let copy = Command::new("skopeo")
        .args(["copy", "--dest-tls-verify=false"])
        .arg(format!("dir:{}", copied.display()))
        .arg(format!("docker://{}", served.name("app:2")))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&copy.stderr).contains("read only"), "{copy:?}");
}

#[test]
fn builds_push_to_it_and_build_on_it() {
    let work = workspace();
    let served = Served::start(&work, "served", &["--read-write"]);
    let base = served.name("base:1");
    let pushed = work.build(&["-t", &base, "--platform", "linux/amd64,linux/arm64", "--push"]).succeeds();
    let again = work.build(&["-t", &base, "--platform", "linux/amd64,linux/arm64", "--push"]).succeeds();
    assert_eq!(pushed.digest(), again.digest());

    let child = Workspace::new("ARG BASE\nFROM $BASE\nCOPY more /more\n");
    child.file("more", "more\n");
    let arguments = ["--build-arg", &format!("BASE={base}"), "-o", "type=local,dest=../out"];
    child.build(&arguments).succeeds();
    assert_eq!((child.read("out/file"), child.read("out/more")), ("content\n".into(), "more\n".into()));
}

#[test]
fn skopeo_and_buildah_push_and_pull() {
    let work = workspace();
    work.build(&["-o", "type=oci,dest=../app.tar"]).succeeds();
    let served = Served::start(&work, "served", &["--read-write"]);
    let (Some(mut skopeo), Some(mut buildah)) = (peer("skopeo"), peer("buildah")) else { return };
    let archive = format!("oci-archive:{}", work.path("app.tar").display());
    let image = format!("docker://{}", served.name("team/app:1"));
    succeeds(skopeo.args(["copy", "--dest-tls-verify=false", &archive, &image]));
    let config = succeeds(Command::new("skopeo").args(["inspect", "--config", "--tls-verify=false", &image]));
    assert_eq!(serde_json::from_str::<Value>(&config).unwrap()["config"]["Labels"]["who"], "me");

    let storage = ["--storage-driver", "vfs", "--root"];
    let root = work.path("buildah");
    succeeds(buildah.args(storage).arg(&root).args(["pull", "--tls-verify=false", &image]));
    let second = format!("docker://{}", served.name("second:1"));
    let name = served.name("team/app:1");
    let mut push = Command::new("buildah");
    succeeds(push.args(storage).arg(&root).args(["push", "--tls-verify=false", "--format", "v2s2", &name, &second]));
    let raw = succeeds(Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &second]));
    assert!(raw.contains("application/vnd.docker.distribution.manifest.v2+json"), "{raw}");
}

#[test]
fn dockerd_pushes_and_pulls() {
    let work = workspace();
    work.build(&["-t", "app:1"]).succeeds();
    let Some(docker) = Dockerd::start() else { return };
    let served = Served::start(&work, "store", &["--read-write"]);
    let (app, copy) = (served.name("app:1"), served.name("copy:1"));
    succeeds(docker.client().args(["pull", &app]));
    succeeds(docker.client().args(["tag", &app, &copy]));
    succeeds(docker.client().args(["push", &copy]));
    let label = succeeds(docker.client().args(["inspect", "--format", "{{.Config.Labels.who}}", &copy]));
    assert_eq!(label.trim(), "me");
    let (status, _, tags) = request(&served, "GET /v2/copy/tags/list HTTP/1.1");
    assert_eq!((status, tags.as_str()), (200, r#"{"name":"copy","tags":["1"]}"#));
}

#[test]
fn who_has_no_password_gets_nothing() {
    let work = workspace();
    work.build(&["-t", "app:1"]).succeeds();
    let file = work.path("home/passwords");
    fs::write(&file, "me:secret\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let served = Served::start(&work, "store", &["--password-file", file.to_str().unwrap()]);
    for (credentials, expected) in
        [("", 401), ("Authorization: Basic eDp4\n", 401), ("Authorization: Basic bWU6c2VjcmV0\n", 200)]
    {
        let text = format!("GET /v2/app/manifests/1 HTTP/1.1\n{credentials}X: y");
        assert_eq!(request(&served, &text).0, expected, "{credentials:?}");
    }
    let (_, head, body) = request(&served, "GET /v2/ HTTP/1.1");
    assert!(head.contains("www-authenticate: Basic realm=\"flashbuild\""), "{head}");
    assert!(body.contains("UNAUTHORIZED"), "{body}");
}

#[test]
fn uploads_go_on_where_they_were_and_hold_only_what_they_say() {
    let work = workspace();
    let served = Served::start(&work, "served", &["--read-write"]);
    let digest = flashbuild::image::Digest::of(b"0123456789");
    let open = || {
        let (status, head, _) = request(&served, "POST /v2/app/blobs/uploads/ HTTP/1.1");
        assert_eq!(status, 202);
        head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().to_owned()
    };
    let upload = open();
    let patch = |range: &str, bytes: &str| {
        request(&served, &format!("PATCH {upload} HTTP/1.1\nContent-Range: {range}\n\n{bytes}"))
    };
    assert_eq!(patch("0-3", "0123").0, 202);
    let (status, head, _) = patch("7-9", "789");
    assert_eq!(status, 416);
    assert!(head.contains("range: 0-3"), "{head}");
    let (status, head, _) = request(&served, &format!("GET {upload} HTTP/1.1"));
    assert!(status == 204 && head.contains("range: 0-3"), "{head}");
    assert_eq!(patch("4-9", "456789").0, 202);
    assert_eq!(request(&served, &format!("PUT {upload}?digest={digest} HTTP/1.1")).0, 201);
    assert_eq!(request(&served, &format!("PUT {upload}?digest={digest} HTTP/1.1")).0, 404);
    let (status, head, body) = request(&served, &format!("GET /v2/any/blobs/{digest} HTTP/1.1\nRange: bytes=8-"));
    assert_eq!((status, body.as_str()), (206, "89"));
    assert!(head.contains("content-range: bytes 8-9/10"), "{head}");
    // Several parts, as clients ask that read single files out of layers.
    let (status, head, body) = request(&served, &format!("GET /v2/any/blobs/{digest} HTTP/1.1\nRange: bytes=7-8,1-1"));
    let boundary = head.lines().find_map(|line| line.strip_prefix("content-type: multipart/byteranges; boundary="));
    let boundary = boundary.unwrap_or_else(|| panic!("{head}"));
    let part = |range, bytes| {
        let kind = "Content-Type: application/octet-stream";
        format!("\r\n--{boundary}\r\n{kind}\r\nContent-Range: bytes {range}/10\r\n\r\n{bytes}")
    };
    assert_eq!((status, body), (206, part("7-8", "78") + &part("1-1", "1") + &format!("\r\n--{boundary}--\r\n")));

    // What is not what it says is not kept, and neither is a document without its parts.
    let wrong = flashbuild::image::Digest::of(b"other");
    let (status, _, body) = request(&served, &format!("PUT {}?digest={wrong} HTTP/1.1\n\n0123456789", open()));
    assert!(status == 400 && body.contains("DIGEST_INVALID"), "{body}");
    assert_eq!(request(&served, &format!("HEAD /v2/app/blobs/{wrong} HTTP/1.1")).0, 404);
    let part = |digest| format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":10}}"#);
    let manifest = |layer| format!(r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#, part(digest), part(layer));
    let put = |text: &str| {
        request(
            &served,
            &format!(
                "PUT /v2/app/manifests/1 HTTP/1.1\nContent-Type: application/vnd.oci.image.manifest.v1+json\n\n{text}"
            ),
        )
    };
    let (status, _, body) = put(&manifest(wrong));
    assert!(status == 400 && body.contains("MANIFEST_BLOB_UNKNOWN"), "{body}");
    assert_eq!(put("{}").0, 400);
    assert_eq!(put(&manifest(digest)).0, 201);

    // Whoever speaks of an image is found with it.
    let subject = flashbuild::image::Digest::of(manifest(digest).as_bytes());
    let speaker = format!(
        r#"{{"schemaVersion":2,"artifactType":"x/y","config":{},"layers":[],"subject":{}}}"#,
        part(digest),
        part(subject)
    );
    let (_, head, _) = put(&speaker);
    assert!(head.contains(&format!("oci-subject: {subject}")), "{head}");
    for (query, expected) in [("", 1), ("?artifactType=x%2Fy", 1), ("?artifactType=z", 0)] {
        let (_, _, body) = request(&served, &format!("GET /v2/app/referrers/{subject}{query} HTTP/1.1"));
        let index: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(index["manifests"].as_array().unwrap().len(), expected, "{query}: {body}");
    }
    assert_eq!(request(&served, "DELETE /v2/app/manifests/1 HTTP/1.1").0, 202);
    assert_eq!(request(&served, "GET /v2/app/manifests/1 HTTP/1.1").0, 404);
}

#[test]
fn who_logs_in_may_push() {
    let work = workspace();
    let file = work.path("home/passwords");
    fs::write(&file, "me:secret\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let served = Served::start(&work, "served", &["--read-write", "--password-file", file.to_str().unwrap()]);
    let (host, image) = (format!("localhost:{}", served.port()), served.name("app:1"));
    let login = |password: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flashbuild"));
        command.args(["login", "--username", "me", "--password-stdin", &host]).env("HOME", work.path("home"));
        command.env_remove("DOCKER_CONFIG").env_remove("REGISTRY_AUTH_FILE");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let stranger = work.build(&["-t", &image, "--push"]).exits_with(3);
    assert!(stranger.stderr.contains(&format!("`flashbuild login {host}`")), "{}", stranger.stderr);
    let (code, why) = login("wrong\n");
    assert!(code == Some(1) && why.contains("does not take this user name and password"), "{why}");
    assert_eq!(login("secret\n"), (Some(0), String::new()));
    work.build(&["-t", &image, "--push"]).succeeds();
    work.flashbuild("logout", &[&host]).succeeds();
    work.build(&["-t", &image, "--push"]).exits_with(3);
}
