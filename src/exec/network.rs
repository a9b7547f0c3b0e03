//! Which network a step gets.

use crate::sandbox::{Lease, Network, OutboundNetworks};
use flashbuild_frontend::graph;
use std::sync::OnceLock;

/// The networks that the steps of a build are lent.
#[derive(Debug)]
pub struct StepNetworks {
    outbound: Option<OutboundNetworks>,
    /// Set once there is no way but the host's network.
    told: OnceLock<()>,
}

impl StepNetworks {
    /// Those that the programs of this machine can give.
    pub fn find() -> Self {
        Self { outbound: OutboundNetworks::find(), told: OnceLock::new() }
    }

    /// What a step that asks for `network` gets; the lease is to be kept until the step has ended.
    ///
    /// Where a namespace with a way out cannot be had, it is the host's network, and the person who builds is told once.
    pub fn lend(&self, network: graph::Network, tell: impl FnOnce(String)) -> (Network, Option<Lease>) {
        match network {
            graph::Network::Host => (Network::Host, None),
            graph::Network::None => (Network::None, None),
            graph::Network::Default => {
                if self.told.get().is_some() {
                    return (Network::Host, None);
                }
                let why = match &self.outbound {
                    None => format!("install {} to give them their own", OutboundNetworks::PACKAGES),
                    Some(outbound) => match outbound.lease() {
                        Ok(lease) => return (lease.network(), Some(lease)),
                        Err(error) => error.to_string(),
                    },
                };
                self.told.get_or_init(|| tell(format!("steps use the network of this machine: {why}")));
                (Network::Host, None)
            }
        }
    }
}
