//! Jobs done by several threads, results taken in the order of the jobs.
//!
//! What makes parallel compression and reading ahead give the same bytes whatever the number of threads. How many
//! jobs are under way is up to the caller, who takes a result before adding a job too many; that bounds the memory.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender, SyncSender},
    },
    thread,
};

/// A group of threads that do one kind of job.
pub(super) struct Ordered<Job, Done> {
    jobs: Sender<(Job, SyncSender<Done>)>,
    under_way: VecDeque<Receiver<Done>>,
    threads: usize,
}

impl<Job: Send + 'static, Done: Send + 'static> Ordered<Job, Done> {
    /// Starts `threads` threads; each makes a worker for itself.
    pub(super) fn new<Worker: FnMut(Job) -> Done>(
        threads: usize,
        make_worker: impl Fn() -> Worker + Send + Sync + 'static,
    ) -> Self {
        let (jobs, queue) = mpsc::channel::<(Job, SyncSender<Done>)>();
        let shared = Arc::new((Mutex::new(queue), make_worker));
        for _ in 0..threads.max(1) {
            let shared = Arc::clone(&shared);
            // They end when the other end of the queue is dropped.
            thread::spawn(move || {
                let (queue, make_worker) = &*shared;
                let mut worker = make_worker();
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((job, result)) = next else { break };
                    // Nobody may be waiting any more.
                    drop(result.send(worker(job)));
                }
            });
        }
        Self { jobs, under_way: VecDeque::new(), threads: threads.max(1) }
    }

    /// Adds a job.
    ///
    /// # Panics
    /// If all threads have panicked.
    pub(super) fn submit(&mut self, job: Job) {
        let (result, receiver) = mpsc::sync_channel(1);
        self.jobs.send((job, result)).expect("the threads live as long as the queue");
        self.under_way.push_back(receiver);
    }

    /// The result of the oldest job whose result was not taken; waits for it. `None` if there is no job.
    ///
    /// # Panics
    /// If the job panicked.
    pub(super) fn next(&mut self) -> Option<Done> {
        Some(self.under_way.pop_front()?.recv().expect("a worker thread panicked"))
    }

    /// Whether there are jobs enough to keep every thread busy while the caller does something else.
    pub(super) fn is_full(&self) -> bool {
        self.under_way.len() > 2 * self.threads
    }
}

/// How many threads do work that needs the processor.
pub(super) fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        for threads in [1, 2, 7] {
            let mut ordered = Ordered::new(threads, || {
                |job: u64| {
                    thread::sleep(Duration::from_micros(job * 7 % 13 * 50));
                    job * 2
                }
            });
            let mut results = Vec::new();
            for job in 0..100 {
                if ordered.is_full() {
                    results.extend(ordered.next());
                }
                ordered.submit(job);
            }
            results.extend(std::iter::from_fn(|| ordered.next()));
            assert_eq!(results, (0..100).map(|job| job * 2).collect::<Vec<_>>());
        }
    }
}
