//! `--smoke` and its kin: how a rewritten image is proven to work.

use crate::pipeline::Smoke;
use clap::Args;
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct SmokeArgs {
    /// Line for a shell of the image, started before and after it is rewritten in place of its own command (repeatable)
    #[arg(long, value_name = "COMMAND")]
    smoke: Vec<String>,
    /// Seconds that a started image may take to end or to be healthy
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..), value_name = "SECONDS")]
    smoke_time: u64,
    /// Do not start the image to prove that it still works
    #[arg(long, conflicts_with_all = ["smoke", "smoke_time"])]
    no_smoke: bool,
}

impl SmokeArgs {
    /// How long a started image may take.
    pub(super) fn limit(&self) -> Duration {
        Duration::from_secs(self.smoke_time)
    }

    /// What was asked for; `None` to start nothing.
    pub(super) fn smoke(&self) -> Option<Smoke> {
        (!self.no_smoke).then(|| Smoke { commands: self.smoke.clone(), limit: self.limit() })
    }

    /// Whether something was said that means nothing where no image is rewritten.
    pub(super) fn are_given(&self) -> bool {
        self.no_smoke || !self.smoke.is_empty()
    }
}
