//! Permission bits as `chmod` reads them (POSIX `chmod`, "Extended description").

use super::ExecError;
use flashbuild_frontend::graph::Mode;

/// The bits that `mode` makes of `bits`. `X` gives execution to folders and to what somebody may execute already.
pub(super) fn apply(mode: &Mode, bits: u32, is_dir: bool) -> Result<u32, ExecError> {
    match mode {
        Mode::Octal(exact) => Ok(exact & 0o7777),
        Mode::Symbolic(text) => text
            .split(',')
            .try_fold(bits, |bits, clause| change(clause, bits, is_dir))
            .ok_or_else(|| ExecError::Mode(text.clone())),
    }
}

fn change(clause: &str, bits: u32, is_dir: bool) -> Option<u32> {
    let first = clause.find(['+', '-', '='])?;
    let (who, mut rest) = clause.split_at(first);
    let mut classes = 0;
    for class in who.chars() {
        classes |= match class {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            'a' => 0o7777,
            _ => return None,
        };
    }
    if who.is_empty() {
        classes = 0o7777;
    }
    let mut bits = bits;
    while let Some(operator) = rest.chars().next() {
        let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |end| end + 1);
        let mut wanted = 0;
        for permission in rest[1..end].chars() {
            wanted |= match permission {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                'X' if is_dir || bits & 0o111 != 0 => 0o111,
                'X' => 0,
                's' => 0o6000,
                't' => 0o1000,
                'u' => bits >> 6 & 7 | (bits >> 6 & 7) << 3 | (bits >> 6 & 7) << 6,
                'g' => bits >> 3 & 7 | (bits >> 3 & 7) << 3 | (bits >> 3 & 7) << 6,
                'o' => bits & 7 | (bits & 7) << 3 | (bits & 7) << 6,
                _ => return None,
            };
        }
        wanted &= classes | if who.is_empty() || who.contains('a') { 0 } else { 0o1000 & wanted };
        bits = match operator {
            '+' => bits | wanted,
            '-' => bits & !wanted,
            '=' => bits & !classes | wanted,
            _ => return None,
        };
        rest = &rest[end..];
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbolic_modes_are_read_as_chmod_does() {
        for (text, bits, is_dir, expected) in [
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, true, 0o755),
            ("a+x", 0o644, false, 0o755),
            ("go-rwx", 0o777, false, 0o700),
            ("u+s", 0o755, false, 0o4755),
            ("+t", 0o777, true, 0o1777),
            ("g=u", 0o640, false, 0o660),
        ] {
            assert_eq!(apply(&Mode::Symbolic(text.to_owned()), bits, is_dir).unwrap(), expected, "{text}");
        }
        assert!(apply(&Mode::Symbolic("u~x".to_owned()), 0, false).is_err());
    }
}
