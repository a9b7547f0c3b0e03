use super::*;
use crate::solver::{
    Reason, Why,
    event::{Events, Hit},
};

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

fn asked(name: &str) -> Asked {
    Asked { context: ".".to_owned(), names: vec![name.to_owned()], ..Asked::default() }
}

/// Records a build of two steps, one of which writes `output`.
fn record(store: &Store, name: &str, output: &[u8], bounds: Bounds) -> Recorder {
    let mut recorder = Recorder::begin(store, asked(name), bounds).unwrap();
    let (events, receiver) = Events::channel();
    let mut shown = recorder.listen(receiver);
    let step = events.vertex("[1/2] RUN make", "key".to_owned(), Vec::new());
    step.explained(Why::only(Reason::New));
    step.output(output);
    step.output(b"end\n");
    step.ran();
    events.vertex("[2/2] RUN test", "other".to_owned(), vec!["key".to_owned()]).cached(Hit::Content);
    drop(events);
    let mut count = 0;
    while shown.blocking_recv().is_some() {
        count += 1;
    }
    assert_eq!(count, 6 + usize::from(!output.is_empty()), "all events are handed on");
    recorder
}

fn log_of(store: &Store, build: &BuildRecord, number: usize) -> String {
    let mut text = String::new();
    if let Some(mut file) = log(store, build, &build.steps[number]).unwrap() {
        std::io::Read::read_to_string(&mut file, &mut text).unwrap();
    }
    text
}

#[test]
fn a_build_is_read_back() {
    let (_folder, store) = store();
    assert!(matches!(find(&store, None), Err(HistoryError::Empty)));
    let recorder = record(&store, "app", b"made\n", Bounds::default());
    let id = recorder.id().to_owned();
    assert_eq!(find(&store, None).unwrap().status, Status::Running);
    recorder.finish(Ended::Done { digest: "sha256:0".to_owned() });
    let build = find(&store, Some(&id)).unwrap();
    assert_eq!((build.status, build.digest.as_deref()), (Status::Done, Some("sha256:0")));
    assert_eq!(build.asked, asked("app"));
    let ends: Vec<_> = build.steps.iter().map(|step| step.end.clone().unwrap()).collect();
    assert_eq!(ends, [StepEnd::Ran, StepEnd::Cached { hit: "content".to_owned() }]);
    assert_eq!(build.steps[0].why, Some(Why::only(Reason::New)));
    assert_eq!((log_of(&store, &build, 0).as_str(), log_of(&store, &build, 1).as_str()), ("made\nend\n", ""));
    assert_eq!(build.steps[0].log, 9);
    assert_eq!(build.steps("RUN").unwrap().len(), 2);
    assert_eq!(build.steps("#2").unwrap()[0].name, "[2/2] RUN test");
    assert!(build.steps("nothing").is_err());
}

#[test]
fn a_killed_build_is_known_as_far_as_it_came() {
    let (_folder, store) = store();
    drop(record(&store, "app", b"made\n", Bounds::default()));
    let build = find(&store, None).unwrap();
    assert_eq!((build.status, build.steps.len()), (Status::Killed, 2));
    let events = folder(&store).join(&build.id).join("events.jsonl");
    let whole = std::fs::read(&events).unwrap();
    std::fs::write(&events, &whole[..whole.len() - 5]).unwrap();
    let cut = find(&store, None).unwrap();
    assert_eq!((cut.steps[0].end.clone(), cut.steps[1].end.clone()), (Some(StepEnd::Ran), None));
}

#[test]
fn the_past_is_bounded_in_number_and_bytes() {
    let (_folder, store) = store();
    for (bounds, expected) in [
        (Bounds { builds: 3, ..Bounds::default() }, 3),
        // Each takes more than a kilobyte; of those before the last, only one fits.
        (Bounds { builds: 100, bytes: 2_000 }, 2),
    ] {
        for number in 0..6 {
            let name = number.to_string();
            record(&store, &name, &[b'x'; 800], bounds).finish(Ended::Failed { error: "no".to_owned() });
        }
        let kept: Vec<_> = builds(&store).unwrap().into_iter().map(|build| build.asked.names[0].clone()).collect();
        assert_eq!(kept.len(), expected, "{kept:?}");
        assert_eq!(kept[0], "5");
    }
}

#[test]
fn a_log_larger_than_all_history_is_cut_and_says_so() {
    let (_folder, store) = store();
    let bounds = Bounds { builds: 2, bytes: 100 };
    record(&store, "app", &[b'x'; 200], bounds).finish(Ended::Done { digest: String::new() });
    let build = find(&store, None).unwrap();
    assert!(log_of(&store, &build, 0).contains("the rest is not kept"), "{}", log_of(&store, &build, 0));
}

#[test]
fn builds_are_forgotten_on_request_but_not_while_they_run() {
    let (_folder, store) = store();
    record(&store, "one", b"", Bounds::default()).finish(Ended::Done { digest: String::new() });
    let running = record(&store, "two", b"", Bounds::default());
    let [second, first] = <[BuildRecord; 2]>::try_from(builds(&store).unwrap()).unwrap();
    assert!(matches!(remove(&store, &second), Err(HistoryError::Running(_))));
    remove(&store, &first).unwrap();
    assert_eq!(remove_all(&store).unwrap(), 0);
    drop(running);
    assert_eq!(remove_all(&store).unwrap(), 1);
    assert!(builds(&store).unwrap().is_empty());
}
