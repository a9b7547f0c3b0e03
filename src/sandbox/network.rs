//! The loopback interface of a network namespace.

use super::failure::{Doing, Failure};
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType};
use std::os::fd::AsRawFd;

/// Turns `lo` on, which is off in a new namespace.
pub(super) fn loopback_up() -> Result<(), Failure> {
    let doing = || "turn the loopback interface on".to_owned();
    let socket =
        nix::sys::socket::socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).doing(doing)?;
    let mut name = [0; libc::IFNAMSIZ];
    for (to, from) in name.iter_mut().zip(*b"lo") {
        *to = from.cast_signed() as libc::c_char;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the flags of netdevice(7) that existed first fit 16 bits")]
    let flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    let request = libc::ifreq { ifr_name: name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: flags } };
    // SAFETY: SIOCSIFFLAGS reads a `struct ifreq`, which lives across the call.
    #[expect(unsafe_code, reason = "a system call without a safe wrapper")]
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()).doing(doing) }
}
