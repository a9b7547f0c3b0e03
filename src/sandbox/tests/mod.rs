//! Sandboxes of this very test program: it is its own helper, and busybox is its image.
//!
//! Tests that need what a machine lacks say so and pass: root or a user namespace, `busybox`, a foreign `busybox`.

mod control_group;
mod foreign;
mod hardening;
mod hostile;
mod lifetime;
mod mount;
mod network;
mod observer;
mod oci_runtime;
mod old_kernel;
mod ordinary_user;
mod process;
mod tree;

use super::{
    Connection, Emulator, Exit, Hardening, Input, Isolation, Limits, Network, SandboxError, Security, ShownFile, Spec,
    Stream, User,
};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Makes every run of this test program a helper if it was started as one: before `main`, and thus before the test
/// harness reads the arguments, there is one thread, exactly as at the start of the real program.
#[expect(unsafe_code, reason = "functions that run before main are found by the name of their section")]
#[used]
// SAFETY: the section holds pointers to functions that are called once, with the arguments of `main`, which Rust's own
// runtime has kept by then.
#[unsafe(link_section = ".init_array.50000")]
static BEFORE_MAIN: extern "C" fn() = {
    extern "C" fn before_main() {
        super::run_helper_if_asked();
        ordinary_user::run_builder_if_asked();
    }
    before_main
};

/// Programs that tests use, all of them busybox.
const APPLETS: [&str; 24] = [
    "sh", "true", "false", "echo", "cat", "ls", "id", "hostname", "pwd", "uname", "ip", "sleep", "readlink", "env",
    "wc", "chmod", "chown", "mknod", "touch", "mkdir", "stat", "ps", "kill", "grep",
];

/// A tree to run in, with a place for what comes of it.
struct Image {
    folder: tempfile::TempDir,
    spec: Spec,
}

/// What came of a run.
struct Outcome {
    result: Result<Exit, SandboxError>,
    stdout: String,
    stderr: String,
}

impl Image {
    /// Busybox of this machine's architecture.
    fn busybox() -> Option<Self> {
        Self::of(Path::new("/bin/busybox"))
    }

    /// Busybox of some architecture, or `None` with a message where the test cannot be run.
    fn of(busybox: &Path) -> Option<Self> {
        if !super::capabilities::is_administrator() {
            return skip("it takes root");
        }
        if !busybox.is_file() {
            return skip(&format!("there is no {}", busybox.display()));
        }
        let folder = tempfile::tempdir().unwrap();
        for name in ["layer", "upper", "work"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let bin = folder.path().join("layer/bin");
        fs::create_dir(&bin).unwrap();
        fs::copy(busybox, bin.join("busybox")).unwrap();
        for applet in APPLETS {
            symlink("busybox", bin.join(applet)).unwrap();
        }
        for directory in ["layer", "layer/bin", "upper"] {
            fs::set_permissions(folder.path().join(directory), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let spec = Spec {
            lowers: vec![folder.path().join("layer")],
            upper: folder.path().join("upper"),
            work: folder.path().join("work"),
            args: Vec::new(),
            env: vec!["PATH=/bin".to_owned()],
            cwd: PathBuf::from("/"),
            user: User::default(),
            input: Input::default(),
            hostname: "sandbox".to_owned(),
            hosts: Vec::new(),
            network: Network::Host,
            files: Vec::new(),
            mounts: Vec::new(),
            appended: Vec::new(),
            emulator: None,
            hardening: Hardening::default(),
            isolation: Isolation::default(),
            limits: Limits::default(),
            observed: false,
            runtime: None,
        };
        Some(Self { folder, spec })
    }

    fn layer(&self) -> PathBuf {
        self.folder.path().join("layer")
    }

    fn upper(&self) -> PathBuf {
        self.spec.upper.clone()
    }

    /// Runs a shell script.
    fn sh(&mut self, script: &str) -> Outcome {
        self.run(&["sh", "-c", script])
    }

    /// Runs a program, on what an earlier one may have left.
    fn run(&mut self, args: &[&str]) -> Outcome {
        // That this can be done proves that nothing has the folder mounted any more.
        let _ = fs::remove_dir_all(self.spec.work.join("work"));
        self.spec.args = args.iter().map(ToString::to_string).collect();
        runtime().block_on(run_collecting(&self.spec, std::future::pending()))
    }
}

impl Outcome {
    /// The standard output of a run that ended well.
    #[track_caller]
    fn text(self) -> String {
        match self.result {
            Ok(exit) => assert!(exit.status.success(), "{:?}: {}", exit.status, self.stderr),
            Err(error) => panic!("{error}"),
        }
        self.stdout
    }

    #[track_caller]
    fn exit(self) -> Exit {
        self.result.unwrap()
    }

    #[track_caller]
    fn error(self) -> SandboxError {
        self.result.unwrap_err()
    }
}

async fn run_collecting(spec: &Spec, cancel: impl Future<Output = ()>) -> Outcome {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let output = |stream, bytes: &[u8]| match stream {
        Stream::Stdout => stdout.extend_from_slice(bytes),
        Stream::Stderr => stderr.extend_from_slice(bytes),
    };
    let result = super::run_connected(spec, Connection::default(), output, cancel).await;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Outcome { result, stdout: text(stdout), stderr: text(stderr) }
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap())
}

#[expect(clippy::print_stderr, reason = "a test that was not run is to be seen")]
fn skip<T>(why: &str) -> Option<T> {
    eprintln!("skipped: {why}");
    None
}
