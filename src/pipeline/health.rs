//! An image's health check, run beside its command.

use super::container::TrialEnd;
use crate::sandbox::{Program, Request, Status};
use flashbuild_frontend::config::ContainerConfig;
use std::time::Duration;
use tokio::{
    sync::{mpsc::UnboundedSender, oneshot},
    time::{Instant, sleep, timeout_at},
};

/// The shell of a check that is a line for one, unless the image names another.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// How long one check may take, unless the image says; what Docker takes.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Between two checks. The image's own interval is for services that run for days.
const PAUSE: Duration = Duration::from_millis(200);

/// The check that an image brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HealthCheck {
    args: Vec<String>,
    timeout: Duration,
}

impl HealthCheck {
    /// `None` if the image has none, or says that there is none.
    pub(super) fn of(config: &ContainerConfig) -> Option<Self> {
        let check = config.healthcheck.as_ref()?;
        let (kind, words) = check.test.split_first()?;
        let args = match kind.as_str() {
            "CMD" => words.to_vec(),
            "CMD-SHELL" if config.shell.is_empty() => [&SHELL.map(str::to_owned), words].concat(),
            "CMD-SHELL" => [&config.shell, words].concat(),
            _ => return None,
        };
        let timeout = u64::try_from(check.timeout).ok().filter(|nanos| *nanos > 0).map(Duration::from_nanos);
        (!args.is_empty()).then(|| Self { args, timeout: timeout.unwrap_or(TIMEOUT) })
    }

    /// A line for a shell, which is to succeed.
    pub(super) fn of_line(line: &str) -> Self {
        Self { args: [SHELL[0], SHELL[1], line].map(str::to_owned).to_vec(), timeout: TIMEOUT }
    }

    /// Asks again and again until the check succeeds or the time is over. Never ready if the sandbox ends before.
    pub(super) async fn wait(
        &self,
        env: &[String],
        cwd: &std::path::Path,
        sandbox: &UnboundedSender<Request>,
        limit: Duration,
    ) -> TrialEnd {
        let end = Instant::now() + limit;
        let mut last = None;
        loop {
            let (sender, ended) = oneshot::channel();
            let program = Program { args: self.args.clone(), env: env.to_vec(), cwd: cwd.to_owned() };
            // Whether anybody hears it is seen by the answer.
            let _ = sandbox.send(Request::RunBeside(program, sender));
            match timeout_at(end.min(Instant::now() + self.timeout), ended).await {
                Ok(Ok(Status::Code(0))) => return TrialEnd::Healthy,
                Ok(Ok(status)) => last = Some(status.code()),
                Ok(Err(_)) => std::future::pending().await,
                Err(_) => last = None,
            }
            if Instant::now() + PAUSE >= end {
                return TrialEnd::Unhealthy(last);
            }
            sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::HealthCheck;
    use flashbuild_frontend::config::{ContainerConfig, Healthcheck};
    use std::time::Duration;

    #[test]
    fn a_check_is_a_command_or_a_line_for_a_shell() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (test, shell, expected) in [
            ("CMD /check -q", "", Some("/check -q")),
            ("CMD-SHELL exit", "", Some("/bin/sh -c exit")),
            ("CMD-SHELL exit", "/bin/bash -ec", Some("/bin/bash -ec exit")),
            ("NONE", "", None),
            ("CMD", "", None),
            ("", "", None),
        ] {
            let healthcheck = Healthcheck { test: words(test), timeout: 1_500_000_000, ..Healthcheck::default() };
            let config =
                ContainerConfig { healthcheck: Some(healthcheck), shell: words(shell), ..ContainerConfig::default() };
            let check = HealthCheck::of(&config);
            assert_eq!(check.as_ref().map(|check| check.args.clone()), expected.map(words), "{test}");
            assert!(check.is_none_or(|check| check.timeout == Duration::from_millis(1500)));
        }
        assert_eq!(HealthCheck::of(&ContainerConfig::default()), None);
    }
}
