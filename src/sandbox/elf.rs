//! How the kernel tells for which machine a program is: the first 20 bytes of an ELF file.
//!
//! System V ABI, chapter 4, and the processor supplements for `e_machine`. Of `e_ident` the magic number, class, byte
//! order and version decide; operating system, its ABI's version and padding do not, because one machine runs programs
//! that differ in them (a static program with indirect functions says `ELFOSABI_GNU`).

/// The facts about an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    arch: &'static str,
    /// The name that qemu has for it.
    pub(super) qemu: &'static str,
    class: Class,
    order: Order,
    machine: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Bits32 = 1,
    Bits64 = 2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little = 1,
    Big = 2,
}

/// `ET_EXEC`; `ET_DYN`, which position-independent programs are, is the same but for the lowest bit.
const EXECUTABLE: u16 = 2;

/// Bytes up to and including `e_machine`.
const LENGTH: usize = 20;

const fn header(arch: &'static str, qemu: &'static str, class: Class, order: Order, machine: u16) -> Header {
    Header { arch, qemu, class, order, machine }
}

#[rustfmt::skip]
const HEADERS: [Header; 11] = [
    header("386",      "i386",        Class::Bits32, Order::Little,   3),
    header("amd64",    "x86_64",      Class::Bits64, Order::Little,  62),
    header("arm",      "arm",         Class::Bits32, Order::Little,  40),
    header("arm64",    "aarch64",     Class::Bits64, Order::Little, 183),
    header("loong64",  "loongarch64", Class::Bits64, Order::Little, 258),
    header("mips64",   "mips64",      Class::Bits64, Order::Big,      8),
    header("mips64le", "mips64el",    Class::Bits64, Order::Little,   8),
    header("mipsle",   "mipsel",      Class::Bits32, Order::Little,   8),
    header("ppc64le",  "ppc64le",     Class::Bits64, Order::Little,  21),
    header("riscv64",  "riscv64",     Class::Bits64, Order::Little, 243),
    header("s390x",    "s390x",       Class::Bits64, Order::Big,     22),
];

impl Header {
    /// Of an architecture, as OCI names it.
    pub(super) fn of_arch(arch: &str) -> Option<Self> {
        HEADERS.iter().find(|header| header.arch == arch).copied()
    }

    /// The first bytes of a program.
    pub(super) fn magic(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..4].copy_from_slice(b"\x7fELF");
        bytes[4] = self.class as u8;
        bytes[5] = self.order as u8;
        bytes[6] = 1;
        bytes[16..18].copy_from_slice(&self.half(EXECUTABLE));
        bytes[18..].copy_from_slice(&self.half(self.machine));
        bytes
    }

    /// The bits of [`Header::magic`] that decide.
    pub(super) fn mask(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..7].fill(0xff);
        bytes[16..18].copy_from_slice(&self.half(!1));
        bytes[18..].fill(0xff);
        bytes
    }

    /// The line that registers an emulator (`Documentation/admin-guide/binfmt-misc.rst`).
    pub(super) fn registration(self, name: &str, program: &str) -> String {
        format!(":{name}:M:0:{}:{}:{program}:POCF", escape(&self.magic()), escape(&self.mask()))
    }

    /// A half word in the byte order of the architecture.
    fn half(self, value: u16) -> [u8; 2] {
        match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        }
    }
}

fn escape(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("\\x{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::Header;

    #[test]
    fn lines_are_those_that_qemu_registers_but_for_what_does_not_decide() {
        for (arch, expected) in [
            (
                "arm64",
                r":arm64:M:0:\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\xfe\xff\xff\xff:/q:POCF",
            ),
            (
                "s390x",
                r":s390x:M:0:\x7f\x45\x4c\x46\x02\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x16:\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xfe\xff\xff:/q:POCF",
            ),
        ] {
            assert_eq!(Header::of_arch(arch).unwrap().registration(arch, "/q"), expected);
        }
    }

    #[test]
    fn the_program_of_this_test_matches_its_own_architecture_only() {
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let fits = |arch| {
            let header = Header::of_arch(arch).unwrap();
            let masked = program.iter().zip(header.mask()).map(|(byte, mask)| byte & mask);
            masked.eq(header.magic().iter().zip(header.mask()).map(|(byte, mask)| byte & mask))
        };
        let host = flashbuild_frontend::platform::Platform::host().arch;
        for arch in ["386", "amd64", "arm64", "s390x", "ppc64le", "riscv64"] {
            assert_eq!(fits(arch), arch == host, "{arch}");
        }
    }
}
