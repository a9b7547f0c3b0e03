//! What a build may do to the machine beyond what every build may: only what was allowed on the command line.
//!
//! Looked for in the graph, so that it does not matter who asked: the file, a trigger (`ONBUILD`) of a base image, or
//! whatever else makes graphs one day.

use flashbuild_frontend::{
    diagnostic::{Code, Diagnostic},
    graph::{Graph, Network, Op, Security},
};
use std::{fmt, str::FromStr};

/// Something that has to be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entitlement {
    /// Steps in the network of the machine.
    HostNetwork,
    /// Steps that are hardly kept from the machine at all.
    Insecure,
    /// Steps that use a device; all devices if none is named.
    Device(Option<String>),
}

impl FromStr for Entitlement {
    type Err = String;

    /// Reads the names that `docker buildx build --allow` has.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=').unwrap_or((text, "")) {
            ("network.host", "") => Ok(Self::HostNetwork),
            ("security.insecure", "") => Ok(Self::Insecure),
            ("device", "") => Ok(Self::Device(None)),
            ("device", name) => Ok(Self::Device(Some(name.to_owned()))),
            _ => Err("expected network.host, security.insecure, device or device=NAME".to_owned()),
        }
    }
}

impl fmt::Display for Entitlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostNetwork => f.write_str("network.host"),
            Self::Insecure => f.write_str("security.insecure"),
            Self::Device(None) => f.write_str("device"),
            Self::Device(Some(name)) => write!(f, "device={name}"),
        }
    }
}

/// What the graph asks for and was not allowed, where it asks.
pub(super) fn check(graph: &Graph, allowed: &[Entitlement]) -> Result<(), Vec<Diagnostic>> {
    let mut errors = Vec::new();
    for id in graph.needed().into_keys() {
        let node = graph.node(id);
        let Op::Exec(exec) = &node.op else { continue };
        let mut asked = Vec::new();
        if exec.network == Network::Host {
            asked.push((Entitlement::HostNetwork, "the network of this machine"));
        }
        if exec.security == Security::Insecure {
            asked.push((Entitlement::Insecure, "to run without a sandbox around it"));
        }
        let all_devices = allowed.contains(&Entitlement::Device(None));
        for device in exec.devices.iter().filter(|_| !all_devices) {
            asked.push((Entitlement::Device(Some(device.name.clone())), "a device of this machine"));
        }
        for (entitlement, what) in asked.into_iter().filter(|(asked, _)| !allowed.contains(asked)) {
            let message = format!("the step asks for {what}");
            let error = Diagnostic::error(Code::NotAllowed, message, node.span.unwrap_or_default());
            errors.push(error.with_hint(format!("if you trust it with that, build with --allow {entitlement}")));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entitlements_are_read_and_shown() {
        for text in ["network.host", "security.insecure", "device", "device=/dev/kvm", "device=vendor.com/gpu=0"] {
            assert_eq!(text.parse::<Entitlement>().unwrap().to_string(), text);
        }
        for text in ["", "network", "network.host=1", "fs.read=/"] {
            assert!(text.parse::<Entitlement>().is_err(), "{text}");
        }
    }
}
