//! Repositories of the test's own, served by `git daemon` on a free port.

use super::peer;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(10);
/// When everything was committed.
const WHEN: &str = "1600000000 +0000";

/// A running server, empty at first; stopped and gone with the value.
pub(crate) struct GitServer {
    daemon: Child,
    port: u16,
    dir: TempDir,
}

impl GitServer {
    /// Starts one; nothing if git is not installed.
    pub(crate) fn start() -> Option<Self> {
        // The daemon itself: `git daemon` would run it as a child, which outlives it.
        let programs = peer("git")?.arg("--exec-path").output().expect("git starts").stdout;
        let mut command = Command::new(format!("{}/git-daemon", String::from_utf8(programs).unwrap().trim()));
        let dir = tempfile::Builder::new().prefix("flashbuild-git-").tempdir().expect("a temporary folder");
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr()).unwrap().port();
        command.args(["--reuseaddr", "--export-all", "--listen=127.0.0.1"]).arg(format!("--port={port}"));
        command
            .arg(format!("--base-path={}", dir.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut server = Self { daemon: command.spawn().expect("git daemon starts"), port, dir };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert_eq!(server.daemon.try_wait().unwrap(), None, "git daemon stopped");
            assert!(began.elapsed() < PATIENCE, "git daemon does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(server)
    }

    /// The address of a repository.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("git://127.0.0.1:{}/{name}", self.port)
    }

    /// Commits `files` to the branch `main` of a repository, which begins with that; returns the commit.
    pub(crate) fn commit(&self, name: &str, files: &[(&str, &str)]) -> String {
        let folder = self.dir.path().join(name);
        if !folder.exists() {
            fs::create_dir(&folder).unwrap();
            self.git(name, &["init", "--quiet", "--initial-branch=main"]);
        }
        for (file, content) in files {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        self.git(name, &["add", "--all"]);
        self.git(name, &["commit", "--quiet", "--allow-empty", "--message=change"]);
        self.git(name, &["rev-parse", "HEAD"])
    }

    /// Runs `git` in a repository.
    pub(crate) fn git(&self, name: &str, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.current_dir(self.folder(name)).args(["-c", "protocol.allow=always"]).args(arguments);
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "somebody").env(format!("GIT_{who}_EMAIL"), "somebody@example.org");
            command.env(format!("GIT_{who}_DATE"), WHEN);
        }
        let output = command.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Where a repository lies.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
