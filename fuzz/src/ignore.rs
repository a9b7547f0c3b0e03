//! `.dockerignore` and the patterns in it.

use flashbuild_frontend::{glob::Glob, ignore::IgnoreRules};

/// The last line is a path, those above it are the patterns. What a folder is pruned for, its files are left out for.
pub fn endure(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (patterns, path) = text.rsplit_once('\n').unwrap_or((text, "a/b"));
    let _ = Glob::for_copy(patterns).map(|glob| glob.matches(path));
    let Ok(patterns) = IgnoreRules::parse(patterns) else { return };
    let rules = IgnoreRules::new(&patterns).expect("what was read as patterns are patterns");
    let _ = rules.matches(path);
    if rules.prunes(path) {
        assert!(rules.matches(path), "{path:?} is pruned, but not left out, by {patterns:?}");
        let below = format!("{path}/below");
        assert!(rules.matches(&below), "{below:?} would be missed, by {patterns:?}");
    }
}
