//! Which paths the processes of a sandbox ask for.
//!
//! Each program that the helper starts installs a filter (`seccomp/path_calls.rs`) that its descendants inherit, and sends
//! the helper the descriptor by which the kernel tells of their calls. The helper reads the path from the memory of who
//! called, tells its caller, and lets the call go on: nothing is decided by a path, so that it does not matter that
//! another thread could change it meanwhile.
//!
//! Nothing escapes: threads and children have the same filter, static programs and those that an emulator runs make the same
//! calls, and what goes around them (`io_uring`, handles of files) is refused by the profile. What the kernel opens by
//! itself is not told of: the interpreter of a script or of a program. Who wants to know looks into the file.

use super::descriptor;
use super::failure::{Doing, Failure};
use super::seccomp::path_calls::{self, PathCall};
use nix::libc;
use rustix::event::PollFlags;
use rustix::fs::{Mode, OFlags};
use std::collections::HashSet;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;

/// Paths that are told of at most: a program that asks for ever new ones must not fill the memory.
pub(super) const MOST_PATHS: usize = 1 << 20;

/// Bytes of a path (`PATH_MAX`).
const LONGEST_PATH: usize = 4096;

/// The helper's end.
pub(super) struct Observer {
    /// What programs send listeners to.
    arrivals: UnixStream,
    /// The other end, which they have.
    door: UnixStream,
    listeners: Vec<OwnedFd>,
    seen: HashSet<Vec<u8>>,
}

/// Has the kernel tell of this process's calls from now on, and sends who observes what it takes to hear.
pub(super) fn be_observed(door: &UnixStream) -> Result<(), Failure> {
    let listener = path_calls::install_listener()?;
    descriptor::send(door, Some(listener.as_fd())).doing(|| "be observed".to_owned())
}

impl Observer {
    pub(super) fn new() -> Result<Self, Failure> {
        let (arrivals, door) = UnixStream::pair().doing(|| "make a socket".to_owned())?;
        Ok(Self { arrivals, door, listeners: Vec::new(), seen: HashSet::new() })
    }

    /// For a program that is about to be started.
    pub(super) fn door(&self) -> &UnixStream {
        &self.door
    }

    /// What to wait for; [`attend`](Self::attend) takes what happened in the same order.
    pub(super) fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [self.arrivals.as_fd()].into_iter().chain(self.listeners.iter().map(AsFd::as_fd))
    }

    /// Answers whoever waits. `processes` is the host's `/proc`; `tell` hears of each path once, before the call is made.
    pub(super) fn attend(
        &mut self,
        happened: &[PollFlags],
        processes: &OwnedFd,
        mut tell: impl FnMut(Vec<u8>) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let Some((arrived, happened)) = happened.split_first() else { return Ok(()) };
        let mut ended = vec![false; self.listeners.len()];
        for (index, flags) in happened.iter().enumerate() {
            if flags.contains(PollFlags::IN) {
                let Some(notice) = Notice::receive(&self.listeners[index]) else { continue };
                if let Some(path) = notice.path(processes)
                    && self.seen.len() < MOST_PATHS
                    && self.seen.insert(path.clone())
                {
                    tell(path)?;
                }
                notice.let_go(&self.listeners[index]);
            } else if !flags.is_empty() {
                // Nobody is left that it would tell of.
                ended[index] = true;
            }
        }
        let mut ended = ended.into_iter();
        self.listeners.retain(|_| !ended.next().unwrap_or_default());
        if arrived.contains(PollFlags::IN) {
            self.listeners.extend(descriptor::receive(&self.arrivals)?);
        }
        Ok(())
    }
}

/// `struct seccomp_notif`: a call that waits. Longer than today's kernels make it, because later ones may add to it.
struct Notice([u64; 32]);

impl Notice {
    /// `None` if who called is gone already.
    fn receive(listener: &OwnedFd) -> Option<Self> {
        let mut words = [0; 32];
        // SAFETY: the kernel writes a structure that is shorter than the words, which are zero as it wants them.
        #[expect(unsafe_code, reason = "a system call without a safe wrapper")]
        let received = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, words.as_mut_ptr()) };
        (received == 0).then_some(Self(words))
    }

    /// The halves of a word, in the order in which they lie in memory.
    fn halves(&self, word: usize) -> [u32; 2] {
        let bytes = self.0[word].to_ne_bytes();
        [0, 4].map(|at| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]))
    }

    /// The path that the call names, as seen from the root of the sandbox; links on it are not followed. `None` if there is
    /// none, or nobody is left to ask.
    fn path(&self, processes: &OwnedFd) -> Option<Vec<u8>> {
        let [process, _] = self.halves(1);
        let [number, audit] = self.halves(2);
        let PathCall { folder, path } = path_calls::of_number(audit, number)?;
        let argument = |position: usize| self.0[4 + position];
        let memory = open(processes, &format!("{process}/mem"))?;
        let mut bytes = vec![0; LONGEST_PATH];
        let length = memory.read_at(&mut bytes, argument(path)).ok()?;
        bytes.truncate(bytes[..length].iter().position(|&byte| byte == 0)?);
        let base = match (bytes.first()?, folder) {
            (b'/', _) => format!("{process}/root"),
            (_, Some(folder)) => match descriptor_of(argument(folder)) {
                libc::AT_FDCWD => format!("{process}/cwd"),
                folder => format!("{process}/fd/{folder}"),
            },
            (_, None) => format!("{process}/cwd"),
        };
        let base = rustix::fs::readlinkat(processes, base, Vec::new()).ok()?.into_bytes();
        // What is no file has a name such as `pipe:[1]`.
        let base = base.strip_suffix(b"/").unwrap_or(&base);
        let is_folder = base.is_empty() || base.starts_with(b"/");
        is_folder.then(|| if bytes.starts_with(b"/") { [base, &bytes].concat() } else { [base, b"/", &bytes].concat() })
    }

    /// Lets the call be made.
    fn let_go(&self, listener: &OwnedFd) {
        let continues = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).expect("a bit");
        let mut flags = [0; 8];
        flags[4..].copy_from_slice(&continues.to_ne_bytes());
        // `struct seccomp_notif_resp`: id, value, error and flags.
        let mut answer = [self.0[0], 0, u64::from_ne_bytes(flags)];
        // SAFETY: the words are that structure, and live across the call.
        #[expect(unsafe_code, reason = "a system call without a safe wrapper")]
        let _ = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, answer.as_mut_ptr()) };
        // A failure means that who called is gone.
    }
}

/// Arguments are words; the kernel takes the lower half of one that is a descriptor.
fn descriptor_of(argument: u64) -> i32 {
    let [a, b, c, d, ..] = argument.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

fn open(processes: &OwnedFd, path: &str) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(processes, path, flags, Mode::empty()).ok().map(File::from)
}
