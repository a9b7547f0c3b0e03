//! Whether and how this host runs programs of an architecture.

use super::binfmt::Emulator;
use super::elf::Header;
use flashbuild_frontend::platform::Platform;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The package that has the emulators, on Debian and what derives from it.
const PACKAGE: &str = "qemu-user-static";

/// Where the host's own handlers are shown.
const HOST_HANDLERS: &str = "/proc/sys/fs/binfmt_misc";

/// Processors that qemu is better told of.
///
/// - `arm64`: pointer authentication is computed in the way of real machines otherwise, which takes most of the time of
///   programs that use it.
/// - `amd64`: the processor is that of the year 2003 otherwise, which the C libraries of newer distributions refuse.
const DEFAULT_CPUS: [(&str, &str); 2] = [("arm64", "max,pauth-impdef=on"), ("amd64", "max")];

/// How to run programs of an architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Emulation {
    /// The processor does.
    Native,
    /// The host has a handler registered which needs nothing of the root file system.
    HostHandler,
    /// This one does, if it is made a [`Spec`](super::Spec)'s emulator.
    Qemu(Emulator),
    /// Nobody does.
    Unavailable {
        /// The package to install.
        hint: &'static str,
    },
}

impl Emulation {
    /// Finds a way to run programs of an architecture, as OCI names it.
    ///
    /// `given` is an emulator that the user named. Else the host's handler is taken, then a static qemu of `PATH`.
    pub fn for_arch(arch: &str, given: Option<&Path>) -> Self {
        let host = Platform::host().arch;
        if arch == host || (host == "amd64" && arch == "386") {
            return Self::Native;
        }
        let emulator = |program: PathBuf| Self::Qemu(Emulator { arch: arch.to_owned(), program });
        if let Some(program) = given {
            return emulator(program.to_owned());
        }
        let Some(header) = Header::of_arch(arch) else { return Self::Unavailable { hint: PACKAGE } };
        if host_has_handler(Path::new(HOST_HANDLERS), header) {
            return Self::HostHandler;
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        find_qemu(&path, header).map_or(Self::Unavailable { hint: PACKAGE }, emulator)
    }

    /// What the emulator is told by the environment of a step, unless the step says otherwise: `NAME=value`.
    ///
    /// The user's own `QEMU_CPU` goes before our default.
    pub fn environment(&self, arch: &str) -> Option<String> {
        match self {
            Self::Native | Self::Unavailable { .. } => None,
            Self::HostHandler | Self::Qemu(_) => match std::env::var("QEMU_CPU") {
                Ok(cpu) => Some(format!("QEMU_CPU={cpu}")),
                Err(_) => DEFAULT_CPUS.iter().find(|(of, _)| *of == arch).map(|(_, cpu)| format!("QEMU_CPU={cpu}")),
            },
        }
    }
}

/// Whether a handler of the host takes programs with such a header, wherever they run: it must hold its interpreter
/// open (flag `F`), because the interpreter's path means nothing inside a tree.
fn host_has_handler(handlers: &Path, header: Header) -> bool {
    let is_on = |file: &Path| {
        std::fs::read_to_string(file).ok().filter(|text| text.lines().next().is_some_and(|line| line == "enabled"))
    };
    if is_on(&handlers.join("status")).is_none() {
        return false;
    }
    let Ok(entries) = std::fs::read_dir(handlers) else { return false };
    entries.flatten().any(|entry| is_on(&entry.path()).is_some_and(|text| handler_takes(&text, header)))
}

fn handler_takes(text: &str, header: Header) -> bool {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let Some(magic) = field("magic ").and_then(bytes_of_hex) else { return false };
    let mask = field("mask ").and_then(bytes_of_hex).unwrap_or_else(|| vec![0xff; magic.len()]);
    let offset: usize = field("offset ").and_then(|number| number.parse().ok()).unwrap_or(0);
    let program = header.magic();
    let Some(bytes) = program.get(offset..offset.saturating_add(magic.len())) else { return false };
    let takes = bytes.iter().zip(&magic).zip(&mask).all(|((byte, magic), mask)| (byte ^ magic) & mask == 0);
    takes && field("flags:").is_some_and(|flags| flags.contains('F'))
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn find_qemu(path: &OsStr, header: Header) -> Option<PathBuf> {
    let names = [format!("qemu-{}-static", header.qemu), format!("qemu-{}", header.qemu)];
    names
        .iter()
        .find_map(|name| std::env::split_paths(path).map(|folder| folder.join(name)).find(|file| is_static(file)))
}

/// Whether a file is a program that needs no loader, for the loader would be looked for in the tree of the step.
fn is_static(file: &Path) -> bool {
    has_interpreter(file).is_ok_and(|has| !has)
}

/// Whether an ELF file of 64 bits in the byte order of this machine has a segment `PT_INTERP`.
fn has_interpreter(file: &Path) -> std::io::Result<bool> {
    const PT_INTERP: u32 = 3;
    let mut file = File::open(file)?;
    let mut header = [0_u8; 64];
    file.read_exact(&mut header)?;
    if !header.starts_with(b"\x7fELF\x02") {
        return Err(std::io::Error::from(std::io::ErrorKind::InvalidData));
    }
    let half = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
    let segments_at = u64::from_ne_bytes(header[32..40].try_into().expect("eight bytes"));
    let (size, count) = (u64::from(half(54)), u64::from(half(56)));
    for index in 0..count {
        let mut kind = [0; 4];
        file.read_exact_at(&mut kind, segments_at.saturating_add(index * size))?;
        if u32::from_ne_bytes(kind) == PT_INTERP {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel shows an entry.
    fn entry(state: &str, flags: &str, machine: &str) -> String {
        let magic = format!("7f454c460201010000000000000000000200{machine}");
        let mask = "ffffffffffffff00fffffffffffffffffeffffff";
        format!("{state}\ninterpreter /usr/bin/qemu\nflags: {flags}\noffset 0\nmagic {magic}\nmask {mask}\n")
    }

    #[test]
    fn a_handler_counts_if_it_is_on_holds_its_interpreter_and_fits() {
        let arm64 = Header::of_arch("arm64").unwrap();
        for (status, state, flags, machine, expected) in [
            ("enabled", "enabled", "OCF", "b700", true),
            ("enabled", "enabled", "POCF", "b700", true),
            ("enabled", "enabled", "OC", "b700", false),
            ("enabled", "disabled", "OCF", "b700", false),
            ("disabled", "enabled", "OCF", "b700", false),
            ("enabled", "enabled", "OCF", "f300", false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("status"), format!("{status}\n")).unwrap();
            std::fs::write(folder.path().join("any-name"), entry(state, flags, machine)).unwrap();
            let found = host_has_handler(folder.path(), arm64);
            assert_eq!(found, expected, "{status} {state} {flags} {machine}");
        }
    }

    #[test]
    fn emulators_are_told_of_a_processor_where_their_own_choice_is_bad() {
        if std::env::var_os("QEMU_CPU").is_some() {
            return;
        }
        let cpu = |arch| Emulation::HostHandler.environment(arch);
        assert_eq!(cpu("arm64").as_deref(), Some("QEMU_CPU=max,pauth-impdef=on"));
        assert_eq!(cpu("amd64").as_deref(), Some("QEMU_CPU=max"));
        assert_eq!(cpu("s390x"), None);
        assert_eq!(Emulation::Native.environment("arm64"), None);
    }

    #[test]
    fn a_host_runs_its_own_programs_and_none_of_an_unknown_architecture() {
        assert_eq!(Emulation::for_arch(&Platform::host().arch, None), Emulation::Native);
        assert_eq!(Emulation::for_arch("pdp11", None), Emulation::Unavailable { hint: PACKAGE });
    }

    #[test]
    fn a_program_with_a_loader_is_no_emulator() {
        assert!(!is_static(&std::env::current_exe().unwrap()));
        assert!(!is_static(Path::new("/etc/passwd")));
    }
}
