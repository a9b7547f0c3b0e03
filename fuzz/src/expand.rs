//! Replacing variables.

use flashbuild_frontend::dockerfile::expand::Expander;

/// Any word becomes a text, words and names, or an error; and no text is longer than values allow.
pub fn endure(data: &[u8]) {
    let Ok(word) = std::str::from_utf8(data) else { return };
    let lookup = |name: &str| match name.len() % 3 {
        0 => None,
        1 => Some(String::new()),
        _ => Some(name.repeat(50)),
    };
    let expanders = [
        Expander::new('\\', &lookup),
        Expander::new('`', &lookup),
        Expander::heredoc(&lookup),
        Expander::display('\\', &lookup),
    ];
    for expander in expanders {
        if let Ok(text) = expander.expand(word) {
            assert!(text.len() <= word.len() + (2 << 20), "{} bytes from {}", text.len(), word.len());
            assert!(expander.expand_words(word).is_ok());
            assert!(expander.names(word).is_ok());
        }
    }
}
