//! Any number of builds share one store.

use crate::harness::{BUSYBOX, EPOCH, Workspace, native_platform};
use flashbuild::solver::event::Outcome;
use std::thread;

const BUILDS: usize = 4;

const DOCKERFILE: &str = "
FROM busybox
COPY file /file
RUN sleep 0.5 && echo once > /once
RUN cat /file /once > /both
";

#[test]
fn builds_at_once_agree_and_share_the_work() {
    let Some(work) = Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}{DOCKERFILE}")) else { return };
    work.file("file", "content\n");
    let runs = thread::scope(|scope| {
        let build = || work.build(&["-t", "app"]).epoch(EPOCH).succeeds();
        let builds: Vec<_> = (0..BUILDS).map(|_| scope.spawn(build)).collect();
        builds.into_iter().map(|build| build.join().unwrap()).collect::<Vec<_>>()
    });
    for run in &runs {
        assert_eq!(run.digest(), runs[0].digest());
    }
    for step in ["RUN sleep", "RUN cat"] {
        let ran = runs.iter().flat_map(|run| run.outcomes(step)).filter(|outcome| **outcome == Outcome::Ran);
        assert_eq!(ran.count(), 1, "{step} ran once for all");
    }
}
