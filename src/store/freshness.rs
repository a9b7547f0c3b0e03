//! When things were used last.
//!
//! Whoever gets something from the store renews its `last_used`: if that is more than [`GRANULARITY`] ago, and with a
//! lease, if it was before the lease was taken. So a build writes down once what it uses, and everything that it has its
//! hands on is fresher than its lease (see `lease`), however short ago others used the rest.
//!
//! Renewing is part of getting. If the row is gone by then, a collection has just removed the thing: it is a miss.

use super::Store;
use std::{
    sync::atomic::Ordering,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How much earlier than the truth `last_used` may be without a lease.
pub(super) const GRANULARITY: Duration = Duration::from_hours(1);

/// A moment, in milliseconds since 1970.
pub(super) type Moment = i64;

pub(super) fn now() -> Moment {
    moment(SystemTime::now())
}

pub(super) fn moment(time: SystemTime) -> Moment {
    time.duration_since(UNIX_EPOCH).map_or(0, millis)
}

pub(super) fn system_time(moment: Moment) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(moment.unsigned_abs())
}

/// `moment` less `duration`.
pub(super) fn before(moment: Moment, duration: Duration) -> Moment {
    moment.saturating_sub(millis(duration))
}

/// Whether a moment is so long ago that a new one is worth being written down.
pub(super) fn is_old(moment: Moment) -> bool {
    moment < before(now(), GRANULARITY)
}

impl Store {
    /// When something is used that is used now: not before the lease under which it is, whatever the clock says.
    pub(super) fn used_now(&self) -> Moment {
        now().max(self.shared.leased_since.load(Ordering::Acquire))
    }

    /// Whether a use now has to be written down.
    pub(super) fn is_stale(&self, last_used: Moment) -> bool {
        is_old(last_used) || last_used < self.shared.leased_since.load(Ordering::Acquire)
    }
}

fn millis(duration: Duration) -> Moment {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
