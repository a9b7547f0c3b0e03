//! A descriptor on its way from one process to another, over a socket (`unix(7)`, `SCM_RIGHTS`).

use nix::libc;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// A descriptor travels with a byte. What the byte is has no meaning.
const CARRIER: [u8; 1] = [0];

/// Sends one byte, and a descriptor with it if there is one.
pub(super) fn send(socket: &UnixStream, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let numbers: Vec<_> = descriptor.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = ControlMessage::ScmRights(&numbers);
    let control = if numbers.is_empty() { &[][..] } else { std::slice::from_ref(&rights) };
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&CARRIER)], control, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// Receives what [`send`] sent, and nothing that comes after it. `None` also if the other side is gone.
pub(super) fn receive(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0];
    let mut space = nix::cmsg_space!([libc::c_int; 1]);
    let mut parts = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let mut received = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            for number in numbers {
                // SAFETY: the kernel has just made this descriptor for this process, and nobody else knows it.
                #[expect(unsafe_code, reason = "a received descriptor comes as a number")]
                let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
                received = Some(descriptor);
            }
        }
    }
    Ok(received)
}

#[cfg(test)]
mod tests {
    use super::{receive, send};
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_descriptor_arrives_and_what_follows_it_stays() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (reader, mut writer) = std::io::pipe().unwrap();
        send(&ours, Some(reader.as_fd())).unwrap();
        (&ours).write_all(b"next").unwrap();
        drop(reader);
        let received = receive(&theirs).unwrap().expect("one was sent");
        writer.write_all(b"through").unwrap();
        drop((writer, ours));
        let mut text = String::new();
        std::fs::File::from(received).read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        text.clear();
        theirs.read_to_string(&mut text).unwrap();
        assert_eq!(text, "next");
    }

    #[test]
    fn none_arrives_if_none_was_sent() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        send(&ours, None).unwrap();
        assert!(receive(&theirs).unwrap().is_none());
        drop(ours);
        assert!(receive(&theirs).unwrap().is_none());
    }
}
