//! GPUs that an image is for, and which code each of them can select (CUDA C++ Programming Guide, "Binary compatibility" and
//! "PTX compatibility").

use std::str::FromStr;

/// GPUs, by compute capability: ten times the major version, and the minor one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gpu {
    /// `sm_90`: those of this one.
    Exactly(u32),
    /// `compute_90`: those of this one and of all later ones.
    From(u32),
}

/// Code of a program for some GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) kind: Kind,
    /// What it was compiled for.
    pub(super) capability: u32,
    /// Whether it runs there only (`sm_90a`, `compute_90a`).
    pub(super) is_specific: bool,
}

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text that the driver compiles where there is nothing better.
    Ptx,
    /// Machine code.
    Cubin,
}

/// A GPU that is called so since CUDA 13, and what it was called before.
const RENAMED: (u32, u32) = (110, 101);

impl Gpu {
    /// Whether one of these GPUs may select `code` of several, `all`, that do the same. Of what fits, the driver selects what
    /// fits best, which is not guessed here: whatever fits may be selected.
    pub(super) fn may_select(self, code: Code, all: &[Code]) -> bool {
        let (new, old) = RENAMED;
        match self {
            Self::Exactly(own) if own == new || own == old => {
                exactly_selects(new, code, all) || exactly_selects(old, code, all)
            }
            Self::Exactly(own) => exactly_selects(own, code, all),
            Self::From(first) => match code.kind {
                // Of any code that is not specific, some later GPU can make something.
                Kind::Ptx => !code.is_specific || code.capability >= first,
                Kind::Cubin if code.is_specific => code.capability >= first,
                Kind::Cubin => code.capability / 10 >= first / 10,
            },
        }
    }
}

fn exactly_selects(own: u32, code: Code, all: &[Code]) -> bool {
    if code.is_specific {
        return code.capability == own && (code.kind == Kind::Cubin || !has_cubin(own, all));
    }
    match code.kind {
        Kind::Cubin => code.capability / 10 == own / 10 && code.capability <= own,
        Kind::Ptx => code.capability <= own && !has_cubin(own, all),
    }
}

/// Whether there is machine code for exactly this GPU. What was compiled for one before it may not fit after all, as far as is
/// known here.
fn has_cubin(own: u32, all: &[Code]) -> bool {
    all.iter().any(|code| code.kind == Kind::Cubin && code.capability == own)
}

impl FromStr for Gpu {
    type Err = String;

    /// As `nvcc` spells it. GPUs have no variants: `sm_90a` is the same as `sm_90`.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |rest: &str| {
            let digits = rest.strip_suffix(['a', 'f']).unwrap_or(rest);
            let is_number = (2..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<u32>().ok().filter(|number| is_number && *number >= 10)
        };
        let found = match text.split_once('_') {
            Some(("sm", rest)) => number(rest).map(Self::Exactly),
            Some(("compute", rest)) => number(rest).map(Self::From),
            Some(_) | None => None,
        };
        found.ok_or_else(|| {
            "expected sm_ and a compute capability without its point, as in sm_90, or compute_90 for that and all later GPUs"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cubin 80`, `ptx 80`, `cubin 90a`.
    fn code(text: &str) -> Code {
        let (kind, capability) = text.split_once(' ').unwrap();
        let digits = capability.trim_end_matches('a');
        Code {
            kind: if kind == "ptx" { Kind::Ptx } else { Kind::Cubin },
            capability: digits.parse().unwrap(),
            is_specific: digits != capability,
        }
    }

    #[track_caller]
    fn check(all: &[&str], gpu: &str, selectable: &[&str]) {
        let codes: Vec<Code> = all.iter().map(|text| code(text)).collect();
        let gpu: Gpu = gpu.parse().unwrap();
        let found: Vec<&str> =
            all.iter().zip(&codes).filter(|(_, it)| gpu.may_select(**it, &codes)).map(|(text, _)| *text).collect();
        assert_eq!(found, selectable, "{gpu:?}");
    }

    #[test]
    fn machine_code_fits_later_minor_versions_and_text_what_has_none() {
        let all = ["cubin 75", "cubin 80", "cubin 86", "cubin 90", "cubin 90a", "cubin 120", "ptx 80", "ptx 120"];
        check(&all, "sm_75", &["cubin 75"]);
        check(&all, "sm_80", &["cubin 80"]);
        check(&all, "sm_86", &["cubin 80", "cubin 86"]);
        check(&all, "sm_89", &["cubin 80", "cubin 86", "ptx 80"]);
        check(&all, "sm_90", &["cubin 90", "cubin 90a"]);
        check(&all, "sm_90a", &["cubin 90", "cubin 90a"]);
        check(&all, "sm_100", &["ptx 80"]);
        check(&all, "sm_121", &["cubin 120", "ptx 80", "ptx 120"]);
        check(&all, "sm_61", &[]);
        check(&all, "compute_90", &["cubin 90", "cubin 90a", "cubin 120", "ptx 80", "ptx 120"]);
        check(&all, "compute_91", &["cubin 90", "cubin 120", "ptx 80", "ptx 120"]);
    }

    #[test]
    fn what_is_specific_fits_one() {
        let all = ["cubin 100a", "ptx 100a", "ptx 90a"];
        check(&all, "sm_100", &["cubin 100a"]);
        check(&all, "sm_103", &[]);
        check(&all, "sm_90", &["ptx 90a"]);
    }

    #[test]
    fn a_gpu_that_was_renamed_is_still_the_same() {
        for gpu in ["sm_101", "sm_110"] {
            check(&["cubin 100", "cubin 101", "cubin 110", "cubin 120"], gpu, &["cubin 100", "cubin 101", "cubin 110"]);
        }
    }

    #[test]
    fn names_are_those_of_the_compiler() {
        assert_eq!("sm_90a".parse(), Ok(Gpu::Exactly(90)));
        assert_eq!("compute_120".parse(), Ok(Gpu::From(120)));
        for wrong in
            ["", "90", "9.0", "sm_", "sm_9", "sm_9.0", "sm_90x", "sm_-90", "sm_+90", "sm_9000", "sm_03", "gfx_90"]
        {
            assert!(wrong.parse::<Gpu>().is_err(), "{wrong}");
        }
    }
}
