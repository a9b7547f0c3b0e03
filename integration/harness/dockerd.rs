//! Docker's daemon, one of the test's own.

use super::{is_root, peer, skip};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running daemon without a network; stopped and gone with the value.
pub(crate) struct Dockerd {
    daemon: Child,
    dir: TempDir,
}

impl Dockerd {
    /// Starts one; nothing, with a word, where that is not possible.
    pub(crate) fn start() -> Option<Self> {
        let (mut dockerd, _) = (peer("dockerd")?, peer("docker")?);
        if !is_root() {
            skip("dockerd needs root");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("flashbuild-dockerd-").tempdir().expect("a temporary folder");
        for (option, name) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
            dockerd.arg(option).arg(dir.path().join(name));
        }
        dockerd.args(["--storage-driver", "vfs", "--bridge", "none", "--iptables=false", "--ip6tables=false"]);
        dockerd.arg("--host").arg(format!("unix://{}", dir.path().join("socket").display()));
        let daemon = dockerd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut daemon = Self { daemon: daemon.expect("dockerd starts"), dir };
        let began = Instant::now();
        while !daemon.client().arg("version").output().is_ok_and(|output| output.status.success()) {
            if daemon.daemon.try_wait().unwrap().is_some() || began.elapsed() > PATIENCE {
                skip("dockerd does not run on this machine");
                return None;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(daemon)
    }

    /// The address of its socket.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.dir.path().join("socket").display())
    }

    /// A command to it.
    pub(crate) fn client(&self) -> Command {
        let mut client = Command::new("docker");
        client.arg("--host").arg(self.host()).env("DOCKER_CONFIG", self.dir.path());
        client
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // Asked politely, it ends its containerd, too.
        let pid = rustix::process::Pid::from_child(&self.daemon);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.daemon.wait();
    }
}
