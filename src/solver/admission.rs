//! How many processes run at once, and whose turn it is: the most urgent of those that wait.
//!
//! Beyond the usual number, places are lent while the machine has something left: steps that wait for a network or a clock
//! keep no processor busy. What is lent is not passed on.

use super::pressure::Pressure;
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How often the machine is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// How many places are lent at a look.
const AT_ONCE: usize = 2;

/// A number of places, given to the most urgent first and among equals to the first that came.
#[derive(Debug)]
pub(super) struct Admission {
    places: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    free: usize,
    lent: usize,
    arrived: u64,
    waiting: BTreeMap<(Reverse<u64>, u64), oneshot::Sender<Place>>,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: Option<Arc<Admission>>,
    is_lent: bool,
}

impl Admission {
    /// So many places; at least one.
    pub(super) fn new(places: usize) -> Arc<Self> {
        let places = places.max(1);
        Arc::new(Self { places, state: Mutex::new(State { free: places, ..State::default() }) })
    }

    /// Lends places while the machine has something left, until all in all `most` processes run. Never ends.
    pub(super) async fn lend(self: Arc<Self>, most: usize) {
        let mut pressure = Pressure::of_this_machine();
        loop {
            tokio::time::sleep(LOOK).await;
            if self.waiting() > 0 && pressure.is_low(Instant::now()) {
                self.lend_some(most);
            }
        }
    }

    fn waiting(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).waiting.len()
    }

    fn lend_some(self: &Arc<Self>, most: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..AT_ONCE {
            if self.places + state.lent >= most {
                return;
            }
            let Some((_, next)) = state.waiting.pop_first() else { return };
            match next.send(Place { of: Some(Arc::clone(self)), is_lent: true }) {
                Ok(()) => state.lent += 1,
                // Nobody waits any more. The place must not come back here while the state is locked.
                Err(mut refused) => refused.of = None,
            }
        }
    }

    /// Waits for a place. Whoever stops waiting gives up its turn and nothing else.
    pub(super) async fn enter(self: &Arc<Self>, urgency: u64) -> Place {
        let turn = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.free > 0 {
                state.free -= 1;
                return Place { of: Some(Arc::clone(self)), is_lent: false };
            }
            let (sender, turn) = oneshot::channel();
            state.arrived += 1;
            let arrived = state.arrived;
            state.waiting.insert((Reverse(urgency), arrived), sender);
            turn
        };
        turn.await.expect("a turn is not forgotten while its Admission lives")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(admission) = self.of.take() else { return };
        let mut state = admission.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_lent {
            state.lent -= 1;
            return;
        }
        while let Some((_, next)) = state.waiting.pop_first() {
            match next.send(Place { of: Some(Arc::clone(&admission)), is_lent: false }) {
                Ok(()) => return,
                // Nobody waits any more. The place must not come back here while the state is locked.
                Err(mut refused) => refused.of = None,
            }
        }
        state.free += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn the_most_urgent_goes_first() {
        let admission = Admission::new(1);
        let busy = admission.enter(0).await;
        let (said, mut heard) = mpsc::unbounded_channel();
        for urgency in [1, 3, 2, 3] {
            let (admission, said) = (Arc::clone(&admission), said.clone());
            tokio::spawn(async move {
                let _place = admission.enter(urgency).await;
                said.send(urgency).unwrap();
            });
            tokio::task::yield_now().await;
        }
        drop((busy, said));
        let mut order = Vec::new();
        while let Some(urgency) = heard.recv().await {
            order.push(urgency);
        }
        assert_eq!(order, [3, 3, 2, 1]);
    }

    #[tokio::test]
    async fn what_is_lent_is_not_passed_on() {
        let admission = Admission::new(1);
        let busy = admission.enter(0).await;
        let waiting = |count: usize| {
            let enter = || {
                let admission = Arc::clone(&admission);
                tokio::spawn(async move { admission.enter(1).await })
            };
            std::iter::repeat_with(enter).take(count).collect::<Vec<_>>()
        };
        let waiters = waiting(3);
        tokio::task::yield_now().await;
        admission.lend_some(2);
        assert_eq!(admission.waiting(), 2, "two places in all");
        let lent = futures_util::future::select_all(waiters);
        let (first, _, others) = lent.await;
        drop(first.unwrap());
        tokio::task::yield_now().await;
        assert_eq!(admission.waiting(), 2);
        drop(busy);
        let (second, _, others) = futures_util::future::select_all(others).await;
        drop(second.unwrap());
        for other in others {
            drop(other.await.unwrap());
        }
        let state = admission.state.lock().unwrap();
        assert_eq!((state.free, state.lent), (1, 0));
    }

    #[tokio::test]
    async fn who_stops_waiting_takes_no_place_along() {
        let admission = Admission::new(1);
        let busy = admission.enter(0).await;
        let (left, late) = (Arc::clone(&admission), Arc::clone(&admission));
        let impatient = tokio::spawn(async move { left.enter(9).await });
        tokio::task::yield_now().await;
        impatient.abort();
        assert!(impatient.await.is_err());
        drop(busy);
        let _place = late.enter(1).await;
    }
}
