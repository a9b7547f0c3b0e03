//! What the configuration says about the store's bounds, as a policy for it.

use super::Failed;
use crate::{
    config::{self, Config, Space},
    store::{GcPolicy, GcRule},
};

/// The policy that builds keep a store within that is on a file system of `disk` bytes; none if they are not to.
pub(super) fn policy(config: &Config, disk: u64) -> Result<Option<GcPolicy>, Failed> {
    let gc = &config.gc;
    if !gc.enabled.value {
        return Ok(None);
    }
    let bytes = |space: Option<Space>| space.map(|space| space.of(disk));
    if gc.policy.value.is_empty() {
        let [reserved, max_used, min_free] =
            [&gc.reserved_space, &gc.max_used_space, &gc.min_free_space].map(|setting| bytes(setting.value));
        return Ok(Some(GcPolicy::usual(disk, reserved, max_used, min_free)));
    }
    let rule = |rule: &config::GcRule| -> Result<GcRule, String> {
        Ok(GcRule {
            kinds: rule.kinds.iter().map(|kind| kind.parse()).collect::<Result<_, _>>()?,
            unused_for: rule.keep_duration,
            reserved: bytes(rule.reserved_space.or(gc.reserved_space.value)),
            max_used: bytes(rule.max_used_space.or(gc.max_used_space.value)),
            min_free: bytes(rule.min_free_space.or(gc.min_free_space.value)),
            all: rule.all,
        })
    };
    let rules = gc.policy.value.iter().map(rule).collect::<Result<_, _>>();
    let rules = rules.map_err(|error| Failed::usage(format!("{}: gc.policy: {error}", gc.policy.origin)))?;
    Ok(Some(GcPolicy { rules }))
}
