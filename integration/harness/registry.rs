//! A registry of the test's own: Debian's `docker-registry` on a free port.

use super::peer;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(10);

/// A running registry, empty at first; stopped and gone with the value.
pub(crate) struct Registry {
    server: Child,
    port: u16,
    dir: TempDir,
}

impl Registry {
    /// Starts one; nothing if the program is not installed.
    pub(crate) fn start() -> Option<Self> {
        let mut command = peer("docker-registry")?;
        let dir = tempfile::Builder::new().prefix("flashbuild-registry-").tempdir().expect("a temporary folder");
        // Free a moment ago: taken by somebody else only if the system hands out the same port twice in a row.
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr()).unwrap().port();
        let config = dir.path().join("config.yml");
        fs::write(
            &config,
            format!(
                "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
                 http: {{addr: \"127.0.0.1:{port}\"}}\n",
                dir.path().join("storage").display()
            ),
        )
        .unwrap();
        let log = File::create(dir.path().join("access.log")).unwrap();
        let server = command.arg("serve").arg(config).stdin(Stdio::null()).stdout(log).stderr(Stdio::null()).spawn();
        let mut registry = Self { server: server.expect("docker-registry starts"), port, dir };
        let began = Instant::now();
        while registry.connect().is_err() {
            assert_eq!(registry.server.try_wait().unwrap(), None, "docker-registry stopped");
            assert!(began.elapsed() < PATIENCE, "docker-registry does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(registry)
    }

    /// The name of a repository or an image in it.
    pub(crate) fn name(&self, repository: &str) -> String {
        format!("localhost:{}/{repository}", self.port)
    }

    /// A manifest or an index, by tag or digest.
    pub(crate) fn manifest(&self, repository: &str, reference: &str) -> Value {
        let mut connection = self.connect().unwrap();
        write!(
            connection,
            "GET /v2/{repository}/manifests/{reference} HTTP/1.0\r\nHost: localhost\r\n\
             Accept: application/vnd.oci.image.index.v1+json\r\nAccept: application/vnd.oci.image.manifest.v1+json\r\n\r\n"
        )
        .unwrap();
        let mut reply = String::new();
        connection.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").expect("an HTTP reply");
        assert!(head.contains(" 200 "), "{repository}:{reference}: {head}");
        serde_json::from_str(body).unwrap()
    }

    /// How many requests there were of a method, to paths that contain `part`.
    pub(crate) fn requests(&self, method: &str, part: &str) -> usize {
        let log = fs::read_to_string(self.dir.path().join("access.log")).unwrap();
        let start = format!("\"{method} /v2/");
        log.lines().filter(|line| line.contains(&start) && line.contains(part)).count()
    }

    /// How many bytes of blobs were sent to whoever asked.
    pub(crate) fn blob_bytes(&self) -> u64 {
        let log = fs::read_to_string(self.dir.path().join("access.log")).unwrap();
        let sent = log.lines().filter(|line| line.contains("\"GET /v2/") && line.contains("/blobs/sha256:"));
        // `… "GET /v2/… HTTP/1.1" 200 1234 "" "flashbuild"`
        let bytes = |line: &str| line.split('"').nth(2)?.split_whitespace().nth(1)?.parse::<u64>().ok();
        sent.filter_map(bytes).sum()
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect(("127.0.0.1", self.port))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
