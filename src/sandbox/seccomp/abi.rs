//! The interfaces by which a program can call the kernel of this machine.

/// A column of the table of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    X86_64,
    I386,
    /// `asm-generic/unistd.h`: arm64, riscv64, loong64.
    Generic,
    Arm,
    S390x,
    Ppc64,
}

/// One interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Abi {
    /// How the kernel names it to a filter (`AUDIT_ARCH_*` of `linux/audit.h`).
    pub(super) audit: u32,
    pub(super) numbers: Numbers,
    /// How OCI runtimes name it.
    pub(super) oci: &'static str,
}

pub(super) const X86_64: Abi = Abi { audit: 0xc000_003e, numbers: Numbers::X86_64, oci: "SCMP_ARCH_X86_64" };
pub(super) const I386: Abi = Abi { audit: 0x4000_0003, numbers: Numbers::I386, oci: "SCMP_ARCH_X86" };
pub(super) const AARCH64: Abi = Abi { audit: 0xc000_00b7, numbers: Numbers::Generic, oci: "SCMP_ARCH_AARCH64" };
pub(super) const ARM: Abi = Abi { audit: 0x4000_0028, numbers: Numbers::Arm, oci: "SCMP_ARCH_ARM" };
pub(super) const RISCV64: Abi = Abi { audit: 0xc000_00f3, numbers: Numbers::Generic, oci: "SCMP_ARCH_RISCV64" };
pub(super) const LOONGARCH64: Abi = Abi { audit: 0xc000_0102, numbers: Numbers::Generic, oci: "SCMP_ARCH_LOONGARCH64" };
pub(super) const S390X: Abi = Abi { audit: 0x8000_0016, numbers: Numbers::S390x, oci: "SCMP_ARCH_S390X" };
pub(super) const PPC64LE: Abi = Abi { audit: 0xc000_0015, numbers: Numbers::Ppc64, oci: "SCMP_ARCH_PPC64LE" };

/// Those of this machine, the usual one first.
pub(super) const HOST: &[Abi] = if cfg!(target_arch = "x86_64") {
    &[X86_64, I386]
} else if cfg!(target_arch = "aarch64") {
    &[AARCH64, ARM]
} else if cfg!(target_arch = "riscv64") {
    &[RISCV64]
} else if cfg!(target_arch = "loongarch64") {
    &[LOONGARCH64]
} else if cfg!(target_arch = "s390x") {
    &[S390X]
} else if cfg!(all(target_arch = "powerpc64", target_endian = "little")) {
    &[PPC64LE]
} else {
    panic!("steps cannot be held to a list of system calls on this architecture: add its interface here")
};

impl Abi {
    /// The argument of `clone` that holds the flags: s390x has it second (`CONFIG_CLONE_BACKWARDS2`).
    pub(super) fn clone_flags_argument(self) -> u32 {
        match self.numbers {
            Numbers::S390x => 1,
            Numbers::X86_64 | Numbers::I386 | Numbers::Generic | Numbers::Arm | Numbers::Ppc64 => 0,
        }
    }
}
