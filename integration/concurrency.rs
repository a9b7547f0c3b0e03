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

#[test]
fn different_builds_at_once_all_succeed() {
    let dockerfile = |number: usize| {
        format!(
            "{BUSYBOX}FROM busybox\nCOPY file /file\nRUN sleep 0.2 && echo shared > /shared\n\
             RUN cat /file /shared > /both && echo {number} > /own\nCOPY own-{number} /copied\n"
        )
    };
    let Some(work) = Workspace::with_busybox(&[native_platform()], "") else { return };
    work.file("file", "content\n");
    for number in 0..BUILDS {
        work.file(&format!("own-{number}"), format!("copied {number}\n"));
        work.file(&format!("{number}.Dockerfile"), dockerfile(number));
    }
    thread::scope(|scope| {
        for number in 0..BUILDS {
            let out = format!("type=local,dest={}", work.path(format!("out-{number}")).display());
            let work = &work;
            scope.spawn(move || work.build(&["-f", &format!("{number}.Dockerfile"), "-o", &out]).succeeds());
        }
    });
    for number in 0..BUILDS {
        assert_eq!(work.read(&format!("out-{number}/both")), "content\nshared\n");
        assert_eq!(work.read(&format!("out-{number}/own")), format!("{number}\n"));
        assert_eq!(work.read(&format!("out-{number}/copied")), format!("copied {number}\n"));
    }
}
