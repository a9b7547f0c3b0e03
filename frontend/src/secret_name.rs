//! Names that tell of a secret: what such a variable holds is warned about where everybody can read it, and never shown.

/// Parts of names, between underscores, that tell of a secret.
const SECRET: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];

/// Parts of names that tell of something about a secret that is none itself.
const HARMLESS: [&str; 3] = ["public", "file", "version"];

/// Whether a variable of this name probably holds a secret.
pub fn sounds_secret(name: &str) -> bool {
    let has = |words: &[&str]| name.split('_').any(|part| words.iter().any(|word| word.eq_ignore_ascii_case(part)));
    has(&SECRET) && !has(&HARMLESS)
}

#[cfg(test)]
mod tests {
    use super::sounds_secret;

    #[test]
    fn whole_words_tell() {
        for name in ["API_KEY", "apikey", "DATABASE_PASSWORD", "secret_MESSAGE", "AUTH", "_token_"] {
            assert!(sounds_secret(name), "{name}");
        }
        for name in ["KEYBOARD", "AUTHOR", "PUBLIC_KEY", "PASSWORD_FILE", "AUTH_MODULE_VERSION", "", "_"] {
            assert!(!sounds_secret(name), "{name}");
        }
    }
}
