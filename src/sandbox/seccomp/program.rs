//! Rules as a program of the classic packet filter (`seccomp(2)`, `linux/filter.h`).

use super::abi::Abi;
use super::rule::{self, NAMESPACE_FLAGS, PERSONALITIES, REFUSED, REFUSED_FAMILIES, Rule, UNKNOWN};
use nix::libc::{self, sock_filter};

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// The longest jump of a condition.
const FAR: usize = u8::MAX as usize;

/// The program of the profile for some interfaces; a call by any other is unknown.
pub(super) fn assemble(abis: &[Abi]) -> Vec<sock_filter> {
    assemble_of(abis, rule::rules, UNKNOWN)
}

/// The program of any rules, and what becomes of calls by other interfaces.
pub(super) fn assemble_of(abis: &[Abi], rules: impl Fn(Abi) -> Vec<(u32, Rule)>, other: Rule) -> Vec<sock_filter> {
    let mut program = vec![load(ARCHITECTURE)];
    for &abi in abis {
        let mut calls = vec![load(NUMBER)];
        calls.extend(search(abi, &rules(abi)));
        program.push(when(libc::BPF_JEQ, abi.audit, 1, 0));
        program.push(jump(calls.len()));
        program.extend(calls);
    }
    program.push(give(other));
    program
}

/// Finds the rule of the loaded number by halves.
fn search(abi: Abi, rules: &[(u32, Rule)]) -> Vec<sock_filter> {
    if let [(_, rule)] = rules {
        return decide(abi, *rule);
    }
    let (below, above) = rules.split_at(rules.len() / 2);
    let (middle, _) = above[0];
    let (below, above) = (search(abi, below), search(abi, above));
    let mut program = if below.len() <= FAR {
        vec![when(libc::BPF_JGE, middle, below.len(), 0)]
    } else {
        vec![when(libc::BPF_JGE, middle, 0, 1), jump(below.len())]
    };
    program.extend(below);
    program.extend(above);
    program
}

/// Says what becomes of a call. Only the lower half of an argument counts, because the kernel reads no more of these.
fn decide(abi: Abi, rule: Rule) -> Vec<sock_filter> {
    match rule {
        Rule::Allow | Rule::Fail(_) | Rule::Tell => vec![give(rule)],
        Rule::Clone => {
            let flags = load_argument(abi.clone_flags_argument());
            vec![flags, when(libc::BPF_JSET, NAMESPACE_FLAGS, 1, 0), give(Rule::Allow), give(REFUSED)]
        }
        Rule::Socket => one_of(&REFUSED_FAMILIES, REFUSED, Rule::Allow),
        Rule::Personality => one_of(&PERSONALITIES, Rule::Allow, REFUSED),
    }
}

/// Whether the first argument is one of some values.
fn one_of(values: &[u32], then: Rule, otherwise: Rule) -> Vec<sock_filter> {
    let mut program = vec![load_argument(0)];
    for (index, value) in values.iter().enumerate() {
        program.push(when(libc::BPF_JEQ, *value, values.len() - index, 0));
    }
    program.extend([give(otherwise), give(then)]);
    program
}

fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

fn load_argument(index: u32) -> sock_filter {
    let lower_half = if cfg!(target_endian = "big") { 4 } else { 0 };
    load(ARGUMENTS + index * 8 + lower_half)
}

/// Goes on after `then` instructions if the condition holds, else after `otherwise`.
fn when(condition: u32, value: u32, then: usize, otherwise: usize) -> sock_filter {
    let near = |distance| u8::try_from(distance).expect("longer jumps are made by jump()");
    instruction(libc::BPF_JMP | condition | libc::BPF_K, near(then), near(otherwise), value)
}

fn jump(over: usize) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JA, 0, 0, u32::try_from(over).expect("programs are short"))
}

fn give(rule: Rule) -> sock_filter {
    let action = match rule {
        Rule::Allow => libc::SECCOMP_RET_ALLOW,
        Rule::Fail(error) => libc::SECCOMP_RET_ERRNO | error,
        Rule::Tell => libc::SECCOMP_RET_USER_NOTIF,
        Rule::Clone | Rule::Socket | Rule::Personality => unreachable!("decided by conditions"),
    };
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, action)
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code: u16::try_from(code).expect("codes have 16 bits"), jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::super::abi::{AARCH64, ARM, HOST, I386, LOONGARCH64, PPC64LE, RISCV64, S390X, X86_64};
    use super::super::calls;
    use super::*;

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    const NO_SUCH_CALL: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

    /// What the kernel would make of a call; the arguments are the lower halves of the first two.
    fn outcome(program: &[sock_filter], audit: u32, number: u32, arguments: [u32; 2]) -> u32 {
        let lower_half = if cfg!(target_endian = "big") { 4 } else { 0 };
        let (mut at, mut loaded) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let code = u32::from(code);
            let condition = if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS {
                loaded = match k {
                    NUMBER => number,
                    ARCHITECTURE => audit,
                    other => arguments[((other - lower_half - ARGUMENTS) / 8) as usize],
                };
                continue;
            } else if code == libc::BPF_RET {
                return k;
            } else if code == libc::BPF_JMP | libc::BPF_JA {
                at += k as usize;
                continue;
            } else if code == libc::BPF_JMP | libc::BPF_JGE {
                loaded >= k
            } else if code == libc::BPF_JMP | libc::BPF_JEQ {
                loaded == k
            } else {
                assert_eq!(code, libc::BPF_JMP | libc::BPF_JSET);
                loaded & k != 0
            };
            at += usize::from(if condition { jt } else { jf });
        }
    }

    #[test]
    fn every_number_comes_out_as_the_table_says() {
        for abi in [X86_64, I386, AARCH64, ARM, RISCV64, LOONGARCH64, S390X, PPC64LE] {
            let program = assemble(&[abi]);
            let allowed: std::collections::HashMap<u32, &str> =
                calls::allowed(abi.numbers).map(|(name, number)| (number, name)).collect();
            let newest = *allowed.keys().max().unwrap();
            for number in 0..1024 {
                let expected = match allowed.get(&number) {
                    Some(&"clone3") => NO_SUCH_CALL,
                    Some(_) => ALLOW,
                    None if number < newest => REFUSE,
                    None => NO_SUCH_CALL,
                };
                assert_eq!(outcome(&program, abi.audit, number, [0, 0]), expected, "{abi:?} {number}");
            }
            // The largest number is also where the bits of x32 and of negative numbers are.
            assert_eq!(outcome(&program, abi.audit, 0x4000_0000, [0, 0]), NO_SUCH_CALL);
            assert_eq!(outcome(&program, abi.audit, u32::MAX, [0, 0]), NO_SUCH_CALL);
            assert_eq!(outcome(&program, !abi.audit, 0, [0, 0]), NO_SUCH_CALL);
        }
    }

    #[test]
    fn private_calls_of_arm_are_allowed_and_their_neighbours_unknown() {
        let program = assemble(&[AARCH64, ARM]);
        for (number, expected) in [(0xf_0001, ALLOW), (0xf_0002, ALLOW), (0xf_0004, NO_SUCH_CALL), (0xf_0005, ALLOW)] {
            assert_eq!(outcome(&program, ARM.audit, number, [0, 0]), expected, "{number:x}");
        }
    }

    #[test]
    fn arguments_decide() {
        let number = |abi: Abi, name| calls::allowed(abi.numbers).find(|(known, _)| *known == name).unwrap().1;
        let namespaces = [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWNET].map(libc::c_int::cast_unsigned);
        for abi in [X86_64, I386, AARCH64, ARM, S390X, PPC64LE] {
            let program = assemble(&[abi]);
            let outcome = |name, arguments| outcome(&program, abi.audit, number(abi, name), arguments);
            for flag in namespaces {
                let thread = 0x003d_0f00;
                let flags = |flags| if abi == S390X { [0, flags] } else { [flags, 0] };
                assert_eq!(outcome("clone", flags(thread)), ALLOW);
                assert_eq!(outcome("clone", flags(flag)), REFUSE, "{abi:?}");
                assert_eq!(outcome("clone", flags(thread | flag)), REFUSE, "{abi:?}");
            }
            for (family, expected) in [(1, ALLOW), (2, ALLOW), (38, REFUSE), (39, ALLOW), (40, REFUSE), (41, ALLOW)] {
                assert_eq!(outcome("socket", [family, 0]), expected, "{abi:?} {family}");
            }
            for (value, expected) in [(0, ALLOW), (8, ALLOW), (u32::MAX, ALLOW), (0x0040_0000, REFUSE), (9, REFUSE)] {
                assert_eq!(outcome("personality", [value, 0]), expected, "{abi:?} {value}");
            }
        }
    }

    /// The C library has the numbers of this machine: some of every region of the table.
    #[test]
    fn numbers_are_those_of_this_machine() {
        let numbers: std::collections::HashMap<&str, u32> = calls::allowed(HOST[0].numbers).collect();
        for (name, number) in [
            ("read", libc::SYS_read),
            ("execve", libc::SYS_execve),
            ("exit_group", libc::SYS_exit_group),
            ("setgroups", libc::SYS_setgroups),
            ("capset", libc::SYS_capset),
            ("chroot", libc::SYS_chroot),
            ("socket", libc::SYS_socket),
            ("clone", libc::SYS_clone),
            ("getrandom", libc::SYS_getrandom),
            ("statx", libc::SYS_statx),
            ("rseq", libc::SYS_rseq),
            ("openat2", libc::SYS_openat2),
            ("futex_waitv", libc::SYS_futex_waitv),
        ] {
            assert_eq!(numbers.get(name).copied(), u32::try_from(number).ok(), "{name}");
        }
        for refused in ["mount", "unshare", "setns", "keyctl", "bpf", "kexec_load", "io_uring_setup", "pivot_root"] {
            assert!(!numbers.contains_key(refused), "{refused}");
        }
    }

    #[test]
    fn the_program_of_this_machine_is_one_that_the_kernel_takes() {
        let program = assemble(HOST);
        assert!(program.len() < libc::BPF_MAXINSNS as usize, "{}", program.len());
        let deepest = (usize::BITS - rule::rules(HOST[0]).len().leading_zeros()) as usize;
        assert!(deepest <= 9, "{deepest}");
    }
}
