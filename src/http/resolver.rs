//! Names of servers to addresses, by the system's own resolver.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, ToSocketAddrs as _},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, time::timeout};

/// How long an answer is good for: as long as a build connects anew, and not so long that a server may have moved.
const MEMORY: Duration = Duration::from_secs(30);

/// After how long without an answer the same is asked again. Answers of name servers come by UDP and are lost where many ask at
/// once, and the system's resolver waits 5 seconds (resolv.conf(5), `timeout`) before it repeats a question.
const PATIENCE: [Duration; 2] = [Duration::from_millis(400), Duration::from_millis(1200)];

/// Asks one question about a name at a time, whoever wants to know, in a thread that nobody has to wait for.
///
/// A question that a name server does not answer keeps its thread for seconds. Mostly nobody is interested any more, because
/// another answer or connection came first; but who ends a runtime waits for all threads of its own.
#[derive(Debug, Default)]
pub struct SystemResolver;

/// What is known of a name; who asks holds it.
type Known = Arc<tokio::sync::Mutex<Option<(Instant, Vec<SocketAddr>)>>>;

static NAMES: Mutex<BTreeMap<String, Known>> = Mutex::new(BTreeMap::new());

impl SystemResolver {
    /// For the builder of a client.
    pub fn shared() -> Arc<Self> {
        Arc::default()
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let known = Arc::clone(
                NAMES.lock().unwrap_or_else(PoisonError::into_inner).entry(name.as_str().into()).or_default(),
            );
            let mut known = known.lock().await;
            let addresses = match &*known {
                Some((since, addresses)) if since.elapsed() < MEMORY => addresses.clone(),
                _ => {
                    // The port is the client's business.
                    let addresses = ask(move || Ok((name.as_str(), 0).to_socket_addrs()?.collect()), PATIENCE).await?;
                    known.insert((Instant::now(), addresses)).1.clone()
                }
            };
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// The first answer to a question, which is asked again after each `patience`.
async fn ask<T: Send + 'static>(
    question: impl Fn() -> io::Result<T> + Send + Sync + 'static,
    patience: impl IntoIterator<Item = Duration>,
) -> io::Result<T> {
    let question = Arc::new(question);
    let (sender, mut answers) = mpsc::unbounded_channel();
    let begin = || {
        let (question, sender) = (Arc::clone(&question), sender.clone());
        // Who has stopped waiting need not hear.
        let answer = move || drop(sender.send(question()));
        thread::Builder::new().name("resolver".to_owned()).spawn(answer)
    };
    for patience in patience {
        begin()?;
        if let Ok(Some(answer)) = timeout(patience, answers.recv()).await {
            return answer;
        }
    }
    begin()?;
    answers.recv().await.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn names_of_this_machine_and_addresses_are_known() {
        for name in ["localhost", "127.0.0.1"] {
            // The second time from memory.
            for _ in 0..2 {
                let found = SystemResolver.resolve(name.parse().unwrap()).await.unwrap();
                assert!(found.into_iter().any(|address| address.ip().is_loopback()), "{name}");
            }
        }
        assert!(SystemResolver.resolve("no-such-name.invalid".parse().unwrap()).await.is_err());
    }

    /// The first question is never answered.
    #[tokio::test]
    async fn a_question_whose_answer_is_lost_is_asked_again() {
        let asked = AtomicUsize::new(0);
        let question = move || match asked.fetch_add(1, Ordering::Relaxed) {
            0 => loop {
                thread::park();
            },
            nth => Ok(nth),
        };
        assert_eq!(ask(question, PATIENCE).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn an_error_is_an_answer() {
        let refused = || Err::<(), _>(io::ErrorKind::NotFound.into());
        assert_eq!(ask(refused, PATIENCE).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
