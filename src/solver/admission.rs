//! How many processes run at once, and whose turn it is: the most urgent of those that wait.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::oneshot;

/// A number of places, given to the most urgent first and among equals to the first that came.
#[derive(Debug)]
pub(super) struct Admission {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    free: usize,
    arrived: u64,
    waiting: BTreeMap<(Reverse<u64>, u64), oneshot::Sender<Place>>,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: Option<Arc<Admission>>,
}

impl Admission {
    /// So many places; at least one.
    pub(super) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { free: places.max(1), ..State::default() }) })
    }

    /// Waits for a place. Whoever stops waiting gives up its turn and nothing else.
    pub(super) async fn enter(self: &Arc<Self>, urgency: u64) -> Place {
        let turn = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.free > 0 {
                state.free -= 1;
                return Place { of: Some(Arc::clone(self)) };
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
        while let Some((_, next)) = state.waiting.pop_first() {
            match next.send(Place { of: Some(Arc::clone(&admission)) }) {
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
