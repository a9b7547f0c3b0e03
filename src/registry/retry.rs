//! Trying again: when, how often, and after how long.
//!
//! Only failures that may pass are tried again: no connection, a broken one, 429 and 5xx
//! ([`RegistryError::is_temporary`]). A wrong digest is not one of them: it is never tried until it fits.
//!
//! The wait doubles from `first` up to `longest`, and a random part of up to half of it is taken off, so that many
//! builds that failed together do not come back together. A `Retry-After` (RFC 9110, 10.2.3: seconds or a date)
//! replaces the computed wait if it is longer, up to `patience`; a registry that wants us to wait for longer than that
//! is reported, not obeyed.

use super::RegistryError;
use jiff::Timestamp;
use std::time::Duration;

/// How often and how patiently to try.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// Wait before the second attempt.
    pub first: Duration,
    /// The longest wait that is our own idea.
    pub longest: Duration,
    /// The longest wait that a registry may ask for.
    pub patience: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            first: Duration::from_millis(250),
            longest: Duration::from_secs(10),
            patience: Duration::from_mins(2),
        }
    }
}

impl RetryPolicy {
    /// The wait after `failed` attempts, or `None` to give up. `jitter` is from 0 to 1.
    fn wait(&self, failed: u32, asked: Option<Duration>, jitter: f64) -> Option<Duration> {
        if failed >= self.attempts || asked.is_some_and(|asked| asked > self.patience) {
            return None;
        }
        let doubled = 2_u32.saturating_pow(failed.saturating_sub(1));
        let own = self.first.saturating_mul(doubled).min(self.longest);
        Some(own.mul_f64(1.0 - jitter / 2.0).max(asked.unwrap_or_default()))
    }
}

/// The attempts of one operation.
pub(super) struct Backoff<'a> {
    policy: &'a RetryPolicy,
    failed: u32,
    uploads: bool,
}

impl<'a> Backoff<'a> {
    pub(super) fn new(policy: &'a RetryPolicy) -> Self {
        Self { policy, failed: 0, uploads: false }
    }

    /// For an upload of a blob, which is many requests, and which some registries forget whenever one of them is cut off:
    /// four times as often, so that a network that drops a part of them does not end it.
    pub(super) fn of_upload(self) -> Self {
        Self { uploads: true, ..self }
    }

    /// Something was achieved since the last failure: a transfer that advances is not given up.
    pub(super) fn advanced(&mut self) {
        self.failed = 0;
    }

    /// Waits until `error` may have passed, or hands it back if it will not, or was met too often.
    pub(super) async fn pause(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        self.failed += 1;
        let failed = if self.uploads { self.failed.div_ceil(4) } else { self.failed };
        let wait =
            error.is_temporary().then(|| self.policy.wait(failed, error.retry_after(), fastrand::f64())).flatten();
        match wait {
            Some(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            None => Err(error),
        }
    }
}

/// Reads a `Retry-After`. A date that has passed means now.
pub(super) fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // An HTTP date (RFC 9110, 5.6.7) is a date of RFC 2822 that is always in GMT.
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{RetryPolicy, parse_retry_after};
    use std::time::Duration;

    #[test]
    fn waits_double_and_are_capped() {
        let policy = RetryPolicy {
            attempts: 5,
            first: Duration::from_secs(1),
            longest: Duration::from_secs(3),
            patience: Duration::from_mins(1),
        };
        let seconds = Duration::from_secs;
        for (failed, asked, jitter, expected) in [
            (1, None, 0.0, Some(seconds(1))),
            (2, None, 0.0, Some(seconds(2))),
            (3, None, 0.0, Some(seconds(3))),
            (3, None, 1.0, Some(Duration::from_millis(1500))),
            (1, Some(seconds(20)), 0.5, Some(seconds(20))),
            (1, Some(seconds(61)), 0.0, None),
            (5, None, 0.0, None),
        ] {
            assert_eq!(policy.wait(failed, asked, jitter), expected, "{failed} {asked:?} {jitter}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2015-10-21T07:28:00Z".parse().unwrap();
        for (text, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Wed, 21 Oct 2015 07:28:30 GMT", Some(30)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
        ] {
            assert_eq!(parse_retry_after(text, now), expected.map(Duration::from_secs), "{text}");
        }
    }
}
