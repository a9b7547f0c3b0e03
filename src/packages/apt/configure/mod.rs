//! `--configure`: packages that lie unpacked in the image become packages that dpkg has installed.
//!
//! 1. [`mod@database`] makes of the same files of packages what dpkg notes when it unpacks them itself: their control files,
//!    the lists of their files, paragraphs of the status, triggers. It also decides the [`order`].
//! 2. One step of the build ([`mod@step`]) is shown that folder and runs `configure.sh` in the image, for its platform: it
//!    hands dpkg the notes and has it run the scripts. What that changes is one layer; what is of the moment (logs, locks,
//!    caches with times in them, keys of the host) is taken out of it.
//!
//! What runs when packages were unpacked before any of their scripts ran:
//!
//! | script | runs |
//! |---|---|
//! | `preinst install` | yes, but its package's files are there already, as with debootstrap and mmdebstrap for a new system |
//! | `preinst upgrade` | yes, where the image has an older version that dpkg had installed |
//! | `config`, `postinst configure` | yes, by dpkg |
//! | triggers | yes, by dpkg, those for paths of the new packages too |
//! | `prerm`, `postrm` of an older version | no |
//!
//! A package that the image has in the same version, installed by dpkg, stays as it is.

mod database;
mod order;
mod step;

pub(in crate::packages) use database::{database, status};
pub(super) use step::step;
