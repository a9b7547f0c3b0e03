//! Jobs done by several threads, results taken in the order of the jobs.
//!
//! What makes parallel compression and reading ahead give the same bytes whatever the number of threads. How many
//! jobs are under way is up to the caller, who takes a result before adding a job too many; that bounds the memory.

use std::{
    collections::VecDeque,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender, SyncSender},
    },
    thread,
};

/// A group of threads that do one kind of job. One job needs none: it is done by who takes its result.
pub(super) struct Ordered<Job, Done> {
    make_worker: Arc<dyn Fn() -> Worker<Job, Done> + Send + Sync>,
    threads: usize,
    /// The only job, and who does it.
    first: Option<Job>,
    own: Option<Worker<Job, Done>>,
    /// Where the others go, once there is a second one.
    jobs: Option<Sender<(Job, SyncSender<Done>)>>,
    under_way: VecDeque<Receiver<Done>>,
}

type Worker<Job, Done> = Box<dyn FnMut(Job) -> Done>;

impl<Job: Send + 'static, Done: Send + 'static> Ordered<Job, Done> {
    /// At most `threads` threads; each makes a worker for itself.
    pub(super) fn new<W: FnMut(Job) -> Done + 'static>(
        threads: usize,
        make_worker: impl Fn() -> W + Send + Sync + 'static,
    ) -> Self {
        Self {
            make_worker: Arc::new(move || Box::new(make_worker())),
            threads: threads.max(1),
            first: None,
            own: None,
            jobs: None,
            under_way: VecDeque::new(),
        }
    }

    fn start(&self) -> Sender<(Job, SyncSender<Done>)> {
        let (jobs, queue) = mpsc::channel::<(Job, SyncSender<Done>)>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..self.threads {
            let (queue, make_worker) = (Arc::clone(&queue), Arc::clone(&self.make_worker));
            // They end when the other end of the queue is dropped.
            thread::spawn(move || {
                let mut worker = make_worker();
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((job, result)) = next else { break };
                    // Nobody may be waiting any more.
                    drop(result.send(worker(job)));
                }
            });
        }
        jobs
    }

    /// Adds a job.
    ///
    /// # Panics
    /// If all threads have panicked.
    pub(super) fn submit(&mut self, job: Job) {
        if self.jobs.is_none() {
            let Some(first) = self.first.take() else {
                self.first = Some(job);
                return;
            };
            self.jobs = Some(self.start());
            self.send(first);
        }
        self.send(job);
    }

    fn send(&mut self, job: Job) {
        let (result, receiver) = mpsc::sync_channel(1);
        let jobs = self.jobs.as_ref().expect("the threads are started for the second job");
        jobs.send((job, result)).expect("the threads live as long as the queue");
        self.under_way.push_back(receiver);
    }

    /// The result of the oldest job whose result was not taken; waits for it. `None` if there is no job.
    ///
    /// # Panics
    /// If the job panicked.
    pub(super) fn next(&mut self) -> Option<Done> {
        if let Some(job) = self.first.take() {
            let worker = self.own.get_or_insert_with(|| (self.make_worker)());
            return Some(worker(job));
        }
        Some(self.under_way.pop_front()?.recv().expect("a worker thread panicked"))
    }

    /// Whether there are jobs enough to keep every thread busy while the caller does something else.
    pub(super) fn is_full(&self) -> bool {
        self.under_way.len() > 2 * self.threads
    }
}

/// How many threads do work that needs the processor.
pub(super) fn processors() -> usize {
    // Asking takes a dozen system calls, to read the limits of control groups.
    static PROCESSORS: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from));
    *PROCESSORS
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
