//! When things were used last, to the hour.
//!
//! Whoever gets something from the store renews its `last_used`, but only if that is more than [`GRANULARITY`] ago: a
//! build in which nothing changed writes nothing, unless it is the first of the hour. A collection makes up for it: it
//! takes a lease to have begun that much earlier than it did (see `lease`).
//!
//! Renewing is part of getting. If the row is gone by then, a collection has just removed the thing: it is a miss.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How much earlier than the truth `last_used` may be.
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

/// Whether a use now has to be written down.
pub(super) fn is_stale(last_used: Moment) -> bool {
    last_used < before(now(), GRANULARITY)
}

fn millis(duration: Duration) -> Moment {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
