//! Names of servers to addresses, by the system's own resolver.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{net::ToSocketAddrs as _, sync::Arc, thread};
use tokio::sync::oneshot;

/// Asks in a thread that nobody has to wait for.
///
/// A question that a name server does not answer keeps its thread for seconds. Mostly nobody is interested any more, because
/// another connection became free; but who ends a runtime waits for all threads of its own.
#[derive(Debug, Default)]
pub struct SystemResolver;

impl SystemResolver {
    /// For the builder of a client.
    pub fn shared() -> Arc<Self> {
        Arc::default()
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let (sender, answer) = oneshot::channel();
            let ask = move || {
                // The port is the client's business.
                let found = (name.as_str(), 0).to_socket_addrs();
                // Who has stopped waiting need not hear.
                let _ = sender.send(found);
            };
            thread::Builder::new().name("resolver".to_owned()).spawn(ask)?;
            let addresses: Addrs = Box::new(answer.await??);
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_of_this_machine_and_addresses_are_known() {
        for name in ["localhost", "127.0.0.1"] {
            let found = SystemResolver.resolve(name.parse().unwrap()).await.unwrap();
            assert!(found.into_iter().any(|address| address.ip().is_loopback()), "{name}");
        }
        assert!(SystemResolver.resolve("no-such-name.invalid".parse().unwrap()).await.is_err());
    }
}
