//! Ports of `EXPOSE`: `80`, `53/udp`, `8000-8010/tcp`.
//!
//! A host's part in front (`127.0.0.1:8080:80`) means nothing in an image. It is accepted, as by other builders, and dropped.

use crate::diagnostic::{Code, Diagnostic, Span};
use std::ops::RangeInclusive;

/// All ports that `text` means, each as `number/protocol`.
pub(super) fn ports(text: &str, span: Span) -> Result<Vec<String>, Diagnostic> {
    let container = text.rsplit(':').next().unwrap_or(text);
    let (numbers, protocol) = container.split_once('/').unwrap_or((container, ""));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" => "tcp".to_owned(),
        known @ ("tcp" | "udp" | "sctp") => known.to_owned(),
        _ => {
            return Err(Diagnostic::error(Code::InvalidPort, format!("`{protocol}` is no protocol of ports"), span)
                .with_hint("the protocols are tcp, udp and sctp"));
        }
    };
    let range = range(numbers).ok_or_else(|| {
        Diagnostic::error(Code::InvalidPort, format!("`{text}` is no port"), span)
            .with_hint("write a number from 0 to 65535, or a range such as 8000-8010")
    })?;
    Ok(range.map(|number| format!("{number}/{protocol}")).collect())
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_spelled_out() {
        let read = |text| ports(text, Span::default()).map_err(|error| error.message);
        assert_eq!(read("80").unwrap(), ["80/tcp"]);
        assert_eq!(read("53/UDP").unwrap(), ["53/udp"]);
        assert_eq!(read("1-3").unwrap(), ["1/tcp", "2/tcp", "3/tcp"]);
        assert_eq!(read("127.0.0.1:8080:80").unwrap(), ["80/tcp"]);
        assert_eq!(read("0-65535").unwrap().len(), 65_536);
        for stranger in ["", "x", "65536", "3-1", "1-", "-1"] {
            assert_eq!(read(stranger).unwrap_err(), format!("`{stranger}` is no port"));
        }
        assert_eq!(read("80/http").unwrap_err(), "`http` is no protocol of ports");
    }
}
