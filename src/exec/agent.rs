//! SSH agents of the person who builds, forwarded to steps.
//!
//! ```text
//! step -- socket in the sandbox --> this process: may it ask that? --> agent of the person who builds
//! ```
//!
//! The socket that a step sees is ours, with the owner and mode that the step asked for. A step may list keys and have
//! something signed (draft-miller-ssh-agent, sections 4.4 and 4.5); whatever would change the agent, such as adding,
//! removing or locking keys, is answered with a failure, as other builders do.
//!
//! Keys given as files are loaded into an `ssh-agent` of the build's own. It runs as long as a pipe from this process is
//! open, so that it ends with the build, however that ends.

use super::ExecError;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::{
        fd::AsRawFd as _,
        unix::fs::{FileTypeExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    task::JoinHandle,
};

/// Where an agent is, or what it is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentSource {
    /// The socket of an agent that runs.
    Socket(PathBuf),
    /// Files with private keys.
    Keys(Vec<PathBuf>),
}

/// All agents of a build, by id.
#[derive(Debug, Default)]
pub struct Agents {
    sources: BTreeMap<String, AgentSource>,
    started: Mutex<BTreeMap<String, OwnAgent>>,
}

/// A socket that a step can be given, as long as this lives.
#[derive(Debug)]
pub(super) struct Forwarded {
    /// Where it is.
    pub(super) path: PathBuf,
    accepting: JoinHandle<()>,
}

/// An `ssh-agent` with keys of files.
#[derive(Debug)]
struct OwnAgent {
    socket: PathBuf,
    process: Child,
    _folder: tempfile::TempDir,
}

impl AgentSource {
    /// What the files of `--ssh id=PATH,PATH` are: one socket, or keys.
    pub fn of_files(paths: Vec<PathBuf>) -> io::Result<Self> {
        for path in &paths {
            let is_socket = fs::metadata(path)?.file_type().is_socket();
            match (is_socket, paths.as_slice()) {
                (true, [only]) => return Ok(Self::Socket(only.clone())),
                (true, _) => return Err(io::Error::other("a socket cannot be combined with other files")),
                (false, _) => {}
            }
        }
        Ok(Self::Keys(paths))
    }
}

impl Agents {
    /// Agents that are asked, or started, when a step needs them.
    pub fn new(sources: BTreeMap<String, AgentSource>) -> Self {
        Self { sources, started: Mutex::default() }
    }

    /// The socket of an agent; `None` if nobody gave one of this id.
    pub(super) fn socket(&self, id: &str) -> Result<Option<PathBuf>, ExecError> {
        let keys = match self.sources.get(id) {
            None => return Ok(None),
            Some(AgentSource::Socket(path)) => return Ok(Some(path.clone())),
            Some(AgentSource::Keys(keys)) => keys,
        };
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = started.get(id) {
            return Ok(Some(agent.socket.clone()));
        }
        let agent = OwnAgent::start(keys).map_err(|error| ExecError::Agent { id: id.to_owned(), error })?;
        let socket = agent.socket.clone();
        started.insert(id.to_owned(), agent);
        Ok(Some(socket))
    }
}

impl OwnAgent {
    fn start(keys: &[PathBuf]) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("flashbuild-agent-").tempdir()?;
        let socket = folder.path().join("socket");
        // The agent lives as long as the command that it is given, and `cat` as long as our end of its input.
        let process = Command::new("ssh-agent")
            .arg("-a")
            .arg(&socket)
            .arg("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| io::Error::other(format!("cannot start ssh-agent, which holds keys of files: {error}")))?;
        let agent = Self { socket, process, _folder: folder };
        let mut patience = 100;
        while !agent.socket.exists() && patience > 0 {
            std::thread::sleep(Duration::from_millis(20));
            patience -= 1;
        }
        for key in keys {
            let added = Command::new("ssh-add")
                .arg("-q")
                .arg(key)
                .env("SSH_AUTH_SOCK", &agent.socket)
                // Nobody is there to be asked for a passphrase.
                .env("SSH_ASKPASS_REQUIRE", "force")
                .env("SSH_ASKPASS", "/bin/false")
                .stdin(Stdio::null())
                .output()
                .map_err(|error| io::Error::other(format!("cannot start ssh-add: {error}")))?;
            if !added.status.success() {
                let reason = String::from_utf8_lossy(&added.stderr).trim().to_owned();
                let hint = "a key with a passphrase has to be in an agent already";
                return Err(io::Error::other(format!("cannot load {}: {reason} ({hint})", key.display())));
            }
        }
        Ok(agent)
    }
}

impl Drop for OwnAgent {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It ends by itself; not to wait for it would leave a zombie.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Forwarded {
    /// Makes a socket in the folder `folder` that leads to the agent at `agent`.
    pub(super) fn new(folder: &Path, agent: PathBuf, mode: u32, owner: Option<(u32, u32)>) -> io::Result<Self> {
        let path = folder.join("agent");
        // A socket's path must be short, and a store's need not be.
        let opened = File::open(folder)?;
        let short = PathBuf::from(format!("/proc/self/fd/{}/agent", opened.as_raw_fd()));
        let listener = UnixListener::bind(&short)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::chown(&path, Some(uid), Some(gid))?;
        }
        let accepting = tokio::spawn(async move {
            while let Ok((step, _)) = listener.accept().await {
                let agent = agent.clone();
                // A conversation that breaks off is for the step to notice.
                tokio::spawn(async move { forward(step, &agent).await.ok() });
            }
        });
        Ok(Self { path, accepting })
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// `SSH_AGENTC_REQUEST_IDENTITIES` and `SSH_AGENTC_SIGN_REQUEST`.
const PERMITTED: [u8; 2] = [11, 13];

/// `SSH_AGENT_FAILURE`, as a whole message.
const FAILURE: [u8; 5] = [0, 0, 0, 1, 5];

/// The limit that OpenSSH has, in bytes.
const MESSAGE_MAX: u32 = 256 * 1024;

/// Passes questions and answers on, one after the other, until one side ends.
async fn forward(mut step: UnixStream, agent: &Path) -> io::Result<()> {
    let mut agent = UnixStream::connect(agent).await?;
    loop {
        let question = read_message(&mut step).await?;
        if question.get(4).is_some_and(|kind| PERMITTED.contains(kind)) {
            agent.write_all(&question).await?;
            step.write_all(&read_message(&mut agent).await?).await?;
        } else {
            step.write_all(&FAILURE).await?;
        }
    }
}

/// A message, with the length at its head.
async fn read_message(from: &mut UnixStream) -> io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    if length > MESSAGE_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = length.to_be_bytes().to_vec();
    message.resize(4 + length as usize, 0);
    from.read_exact(&mut message[4..]).await?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_questions_that_change_nothing_reach_the_agent() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("real");
        let real = UnixListener::bind(&socket).unwrap();
        let agent = tokio::spawn(async move {
            let (mut asked, _) = real.accept().await.unwrap();
            let mut kinds = Vec::new();
            while let Ok(message) = read_message(&mut asked).await {
                kinds.push(message[4]);
                asked.write_all(&[0, 0, 0, 2, 12, 0]).await.unwrap();
            }
            kinds
        });
        let long = folder.path().join("x".repeat(200));
        fs::create_dir(&long).unwrap();
        let forwarded = Forwarded::new(&long, socket, 0o600, None).unwrap();
        assert_eq!(fs::metadata(&forwarded.path).unwrap().permissions().mode() & 0o777, 0o600);
        let opened = File::open(&long).unwrap();
        let mut step = UnixStream::connect(format!("/proc/self/fd/{}/agent", opened.as_raw_fd())).await.unwrap();
        for kind in [11, 17, 13, 18, 19, 22, 23, 25, 27] {
            step.write_all(&[0, 0, 0, 1, kind]).await.unwrap();
            let answer = read_message(&mut step).await.unwrap();
            assert_eq!(answer[4], if PERMITTED.contains(&kind) { 12 } else { 5 }, "{kind}");
        }
        drop(step);
        assert_eq!(agent.await.unwrap(), [11, 13]);
    }
}
