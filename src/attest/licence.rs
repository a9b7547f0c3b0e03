//! Licences as packages state them: some are expressions of SPDX, most are not.

use spdx::{Expression, ParseMode};

/// What a package states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Licence<'a> {
    /// An expression of SPDX, all of whose licences are in its list.
    Expression(&'a str),
    /// Anything else, such as the short names of Debian.
    Text(&'a str),
}

/// Old names are names.
const MODE: ParseMode = ParseMode { allow_deprecated: true, ..ParseMode::STRICT };

impl<'a> Licence<'a> {
    /// Tells the two apart. A reference to a licence that some other document has is a text here.
    pub(super) fn read(stated: &'a str) -> Self {
        let stated = stated.trim();
        let is_expression = !stated.contains("Ref-") && Expression::parse_mode(stated, MODE).is_ok();
        if is_expression { Self::Expression(stated) } else { Self::Text(stated) }
    }

    /// The expression, ready to be joined with others.
    pub(super) fn term(expression: &str) -> String {
        let is_one = !expression.contains(' ');
        if is_one { expression.to_owned() } else { format!("({expression})") }
    }
}

#[cfg(test)]
mod tests {
    use super::Licence;

    #[test]
    fn only_what_spdx_knows_is_an_expression() {
        for text in ["MIT", "Apache-2.0 OR MIT", "GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0"] {
            assert_eq!(Licence::read(text), Licence::Expression(text));
        }
        for text in ["GPL-3+", "BSD License", "LicenseRef-x", "mit", "MIT/X11", ""] {
            assert_eq!(Licence::read(text), Licence::Text(text));
        }
        assert_eq!(Licence::term("A OR B"), "(A OR B)");
    }
}
