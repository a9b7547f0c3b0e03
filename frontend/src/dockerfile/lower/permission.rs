//! Owners and modes: `--chown`, `--chmod`, and the user that `WORKDIR` makes its folder for.

use crate::{
    diagnostic::{Code, Diagnostic, Span},
    graph::{Id, Mode, Owner},
};

/// Numbers that user and group ids can be; the highest 32-bit number means "leave as it is" to the kernel.
const HIGHEST_ID: u32 = u32::MAX - 1;
const HIGHEST_MODE: u32 = 0o7777;

/// Reads `user[:group]`, each a name or a number. Names are looked up in input 0.
pub(super) fn owner(text: &str, span: Span) -> Result<Owner, Diagnostic> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    Ok(Owner { user: id(user, span)?, group: group.map(|group| id(group, span)).transpose()?, names_in: 0 })
}

/// Whether names have to be looked up to know the numbers.
pub(super) fn has_names(owner: &Owner) -> bool {
    [Some(&owner.user), owner.group.as_ref()].into_iter().flatten().any(|id| matches!(id, Id::Name(_)))
}

fn id(text: &str, span: Span) -> Result<Id, Diagnostic> {
    let fits = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, ':' | '/' | ',');
    if text == "root" {
        // Known even in a tree that has no `/etc/passwd`.
        return Ok(Id::Number(0));
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse() {
            Ok(number) if number <= HIGHEST_ID => Ok(Id::Number(number)),
            Ok(_) | Err(_) => Err(Diagnostic::error(Code::InvalidOwner, format!("the id {text} is too high"), span)
                .with_hint(format!("ids go up to {HIGHEST_ID}"))),
        };
    }
    if text.is_empty() || text.starts_with('-') || !text.chars().all(fits) {
        return Err(Diagnostic::error(Code::InvalidOwner, format!("`{text}` is no user or group"), span)
            .with_hint("write USER or USER:GROUP, each a name or a number"));
    }
    Ok(Id::Name(text.to_owned()))
}

/// Reads an octal number, or changes as `chmod(1)` takes them.
pub(super) fn mode(text: &str, span: Span) -> Result<Mode, Diagnostic> {
    let mode = if text.starts_with(|first: char| first.is_ascii_digit()) {
        u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= HIGHEST_MODE).map(Mode::Octal)
    } else {
        text.split(',').all(is_change).then(|| Mode::Symbolic(text.to_owned()))
    };
    mode.ok_or_else(|| {
        Diagnostic::error(Code::InvalidMode, format!("`{text}` is no mode"), span)
            .with_hint("write an octal number up to 7777, or changes such as u=rwX,go=rX")
    })
}

/// `[ugoa]*` and then, at least once, one of `+-=` with what it is about: any of `rwxXst`, and `u`, `g`, `o` for copies.
fn is_change(change: &str) -> bool {
    let operations = change.trim_start_matches(['u', 'g', 'o', 'a']);
    let is_operator = |c: char| matches!(c, '+' | '-' | '=');
    operations.starts_with(is_operator)
        && operations
            .chars()
            .all(|c| is_operator(c) || matches!(c, 'r' | 'w' | 'x' | 'X' | 's' | 't' | 'u' | 'g' | 'o'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        let read = |text| mode(text, Span::default()).ok();
        assert_eq!(read("755"), Some(Mode::Octal(0o755)));
        assert_eq!(read("07777"), Some(Mode::Octal(0o7777)));
        for symbolic in ["u=rwX,go=rX", "+x", "a-w", "g=u", "u+s", "=", "ug+rw-x"] {
            assert_eq!(read(symbolic), Some(Mode::Symbolic(symbolic.to_owned())));
        }
        for stranger in ["", "888", "10000", "0x1", "755x", "rwx", "u", "u=q", "u=r,", ",", "z+x"] {
            assert_eq!(read(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn owners() {
        let read = |text| owner(text, Span::default()).ok().map(|owner| (owner.user, owner.group));
        assert_eq!(read("1000"), Some((Id::Number(1000), None)));
        assert_eq!(read("root:app"), Some((Id::Number(0), Some(Id::Name("app".to_owned())))));
        for stranger in ["", ":", "a:", ":b", "a:b:c", "a b", "4294967295", "-1", "a/b"] {
            assert_eq!(read(stranger), None, "{stranger}");
        }
    }
}
