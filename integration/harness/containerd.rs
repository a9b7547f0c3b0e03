//! containerd, one of the test's own.

use super::{is_root, peer, skip};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running containerd; stopped and gone with the value.
pub(crate) struct Containerd {
    daemon: Child,
    dir: TempDir,
}

impl Containerd {
    /// Starts one; nothing, with a word, where that is not possible.
    pub(crate) fn start() -> Option<Self> {
        let (mut containerd, _) = (peer("containerd")?, peer("ctr")?);
        if !is_root() {
            skip("containerd needs root");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("flashbuild-containerd-").tempdir().expect("a temporary folder");
        let config = dir.path().join("config.toml");
        let place = dir.path().display();
        let text = format!(
            "version = 2\nroot = \"{place}/root\"\nstate = \"{place}/state\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{place}/socket\"\n"
        );
        fs::write(&config, text).unwrap();
        containerd.arg("--config").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut containerd = Self { daemon: containerd.spawn().expect("containerd starts"), dir };
        let began = Instant::now();
        while !containerd.ctr("test").arg("version").output().is_ok_and(|output| output.status.success()) {
            if containerd.daemon.try_wait().unwrap().is_some() || began.elapsed() > PATIENCE {
                skip("containerd does not run on this machine");
                return None;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(containerd)
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    /// `ctr`, in a namespace.
    pub(crate) fn ctr(&self, namespace: &str) -> Command {
        let mut ctr = Command::new("ctr");
        ctr.arg("--address").arg(self.socket()).args(["--namespace", namespace]);
        ctr
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.daemon);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.daemon.wait();
    }
}
