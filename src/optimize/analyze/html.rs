//! The analysis as one page that needs nothing beside itself: no server, no network, no other file.
//!
//! Names of files come from strangers. They are in the page as JSON in a block that is no script, with every character that
//! could end it written as an escape; the page's script makes text of them and never markup. The page's own policy allows
//! that one script, by its digest, and nothing else: what got in by a mistake would not run.

use super::Analysis;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

const FRAME: &str = include_str!("page/report.html");
const STYLE: &str = include_str!("page/report.css");
const SCRIPT: &str = include_str!("page/report.js");

/// The page.
pub fn page(analysis: &Analysis) -> serde_json::Result<String> {
    let data = serde_json::to_string(analysis)?;
    // The data goes in last: nothing in it is taken for a place to fill.
    Ok(FRAME
        .replace("%STYLE%", STYLE)
        .replace("%STYLE-DIGEST%", &digest(STYLE))
        .replace("%SCRIPT%", SCRIPT)
        .replace("%SCRIPT-DIGEST%", &digest(SCRIPT))
        .replacen("%DATA%", &inert(&data), 1))
}

/// As a content security policy names it.
fn digest(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

/// JSON that no reader of HTML takes for anything else. The characters occur in its texts only, where the escapes mean the
/// same.
fn inert(json: &str) -> String {
    let mut inert = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' => inert.push_str("\\u003c"),
            '>' => inert.push_str("\\u003e"),
            '&' => inert.push_str("\\u0026"),
            '\u{2028}' => inert.push_str("\\u2028"),
            '\u{2029}' => inert.push_str("\\u2029"),
            other => inert.push(other),
        }
    }
    inert
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimize::{analyze::tests::analysis, owner::testing::*};

    #[test]
    fn names_cannot_leave_the_block_of_data() {
        let names = ["</script><script>alert(1)</script>", "<!--<script>", "]]>&amp;\u{2028}\"'`", "%SCRIPT%%DATA%"];
        let files =
            names.iter().map(|name| file(&name.replace('/', "\u{2044}"), "x")).chain([file("a<b/</script>", "y")]);
        let page = page(&analysis(&[("RUN </script>", files.collect())])).unwrap();
        assert_eq!(page.matches("<script").count(), 2, "the data and the page's own");
        assert_eq!(page.matches("</script>").count(), 2);
        assert!(!page.contains("<!--<"));
        let start = page.find("type=\"application/json\">").unwrap() + "type=\"application/json\">".len();
        let data = &page[start..start + page[start..].find("</script>").unwrap()];
        let read: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(read["layers"][0]["command"], "RUN </script>");
        assert_eq!(read["bytes"], 5);
    }
}
