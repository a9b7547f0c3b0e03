//! Helpers that are started before there is anything for them to do.
//!
//! To load and link this binary takes a helper longer than to make namespaces. A build of many steps has the helper of the
//! next step do that while this one runs.

use super::{
    run::{Helper, start_helper},
    spec::{Isolation, SandboxError},
};
use std::sync::{Arc, Mutex, PoisonError};

/// The helpers of a build's steps. At most one waits, and none once all steps had theirs.
#[derive(Debug)]
pub struct Helpers {
    isolation: Isolation,
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// When it is dropped, its socket is closed, and it ends.
    helper: Option<Helper>,
    /// Steps that may still come.
    steps: usize,
}

impl Helpers {
    /// For at most so many steps.
    pub fn new(isolation: Isolation, steps: usize) -> Arc<Self> {
        Arc::new(Self { isolation, waiting: Mutex::new(Waiting { helper: None, steps }) })
    }

    /// A helper for one step; another one is started meanwhile if there may be a step for it.
    ///
    /// To be called within a runtime.
    pub(super) fn take(self: &Arc<Self>) -> Result<Helper, SandboxError> {
        let (waiting, is_last) = {
            let mut waiting = self.lock();
            waiting.steps = waiting.steps.saturating_sub(1);
            (waiting.helper.take(), waiting.steps == 0)
        };
        let helper = waiting.map_or_else(|| self.start(), Ok)?;
        if !is_last {
            let helpers = Arc::clone(self);
            tokio::spawn(async move {
                // What is wrong is said to the step that needs it.
                if let Ok(helper) = helpers.start() {
                    helpers.lock().helper.get_or_insert(helper);
                }
            });
        }
        Ok(helper)
    }

    /// The process that waits.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> Option<u32> {
        self.lock().helper.as_ref().and_then(Helper::id)
    }

    fn start(&self) -> Result<Helper, SandboxError> {
        start_helper(self.isolation, true)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
