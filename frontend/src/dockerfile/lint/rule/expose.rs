//! Ports.

use super::Rule;
use crate::dockerfile::{
    instruction::Kind,
    lint::{Check, Moment, findings::Findings},
};

pub(super) static EXPOSE_PROTO_CASING: Rule = Rule {
    name: "ExposeProtoCasing",
    description: "Protocol in EXPOSE instruction should be lowercase",
    page: Some("expose-proto-casing"),
    experimental: false,
    check: Check::Step(protocol),
};

pub(super) static EXPOSE_INVALID_FORMAT: Rule = Rule {
    name: "ExposeInvalidFormat",
    description: "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error \
                  in a future release",
    page: Some("expose-invalid-format"),
    experimental: false,
    check: Check::Step(format),
};

fn protocol(moment: &Moment<'_>, findings: &mut Findings) {
    for port in ports(moment) {
        let container = port.rsplit(':').next().unwrap_or_default();
        if container.split_once('/').is_some_and(|(_, protocol)| protocol.contains(char::is_uppercase)) {
            let detail = format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase");
            findings.add(&EXPOSE_PROTO_CASING, moment.place(), detail);
        }
    }
}

fn format(moment: &Moment<'_>, findings: &mut Findings) {
    for port in ports(moment) {
        if port.rsplit_once(':').is_some_and(|(host, _)| !host.is_empty()) {
            let detail =
                format!("EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'");
            findings.add(&EXPOSE_INVALID_FORMAT, moment.place(), detail);
        }
    }
}

/// The ports of an `EXPOSE`, expanded, in the order in which it is carried out.
fn ports(moment: &Moment<'_>) -> Vec<String> {
    let Kind::Expose(words) = &moment.step().instruction.kind else { return Vec::new() };
    let mut words: Vec<_> = words.iter().collect();
    words.sort_by(|left, right| left.value.cmp(&right.value));
    words
        .into_iter()
        .flat_map(|word| moment.variables().expand_words(word, moment.escape).unwrap_or_default())
        .collect()
}
