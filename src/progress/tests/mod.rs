//! Whole builds: events in, exact text out. A case is a file in `testdata/progress/`; `case` tells how one reads.
//!
//! `UPDATE_EXPECT=1` rewrites what the cases expect.

mod case;
mod terminal;

use super::{FailedStep, Mode, Screen, Show, Summary, show};
use crate::solver::event::{Event, EventKind, Events, Hit};
use case::{Case, What};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use terminal::Terminal;

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/progress");
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut case = Case::parse(&text).unwrap_or_else(|line| panic!("{}: {line}", path.display()));
        case.expected = case.expected.iter().map(|(mode, _)| (*mode, run(&case, *mode))).collect();
        let found = case.to_string();
        if update {
            std::fs::write(&path, found).unwrap();
        } else {
            assert!(found == text, "{}: found\n{found}", path.display());
        }
    }
}

#[test]
fn a_ci_service_folds_blocks_and_obeys_no_step() {
    let case = "0.000 vertex 1 k1 RUN 100% a,b\n0.100 out 1 ::error file=x::y\\n\n0.150 vertex 2 k2 ::warning::RUN\n\
                0.200 ran 1\n0.300 ran 2\n";
    let sink = Sink::default();
    let text = run_on(&Case::parse(case).unwrap(), Mode::Plain, &sink, Screen::grouped(sink.clone()));
    let commands: Vec<&str> = text.lines().filter(|line| line.trim_start().starts_with("::")).collect();
    let expected = ["::group::#1 RUN 100%25 a,b", "::endgroup::", "::group::#2 ::warning::RUN", "::endgroup::"];
    assert_eq!(commands, expected, "{text}");
    assert!(text.contains("#1 0.100 ::error file=x::y\n"), "{text}");
}

/// Shows the case in a mode.
fn run(case: &Case, mode: Mode) -> String {
    let sink = Sink::default();
    let screen = match mode {
        Mode::Tty => {
            let terminal = sink.clone();
            Screen::terminal(sink.clone(), move || terminal.0.lock().unwrap().size())
        }
        Mode::Auto | Mode::Plain | Mode::RawJson | Mode::Quiet => Screen::file(sink.clone()),
    };
    run_on(case, mode, &sink, screen)
}

/// Shows the case on a clock of its own, as [`show`] does on the real one.
fn run_on(case: &Case, mode: Mode, sink: &Sink, screen: Screen) -> String {
    let mut seen = String::new();
    let mut show = Show::new(mode, screen, None);
    let began = Instant::now();
    let mut tick = Duration::ZERO;
    for (at, what) in &case.happenings {
        while tick < *at {
            show.refresh(began + tick);
            tick += super::REFRESH;
        }
        match what {
            What::Event(kind) => {
                show.event(&Event { at: began + *at, kind: kind.clone() });
                if matches!(kind, EventKind::Finished { .. }) {
                    show.refresh(began + *at);
                }
            }
            What::Resize(size) => sink.0.lock().unwrap().resize(*size),
            What::Look if mode == Mode::Tty => {
                show.refresh(began + *at);
                let view = sink.0.lock().unwrap().view();
                seen.extend(["~~~ at ", &at.as_secs_f64().to_string(), "\n", &view]);
            }
            What::Look => {}
        }
    }
    show.close(began + case.happenings.last().map_or(Duration::ZERO, |(at, _)| *at));
    let mut terminal = sink.0.lock().unwrap();
    if mode == Mode::Tty {
        assert!(!terminal.cursor_hidden(), "the cursor stayed hidden");
        seen + "~~~ at the end\n" + &terminal.view()
    } else {
        terminal.raw()
    }
}

/// A writer that others can look at.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Terminal>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_build_is_shown_until_its_last_event() {
    let sink = Sink::default();
    let (events, receiver) = Events::channel();
    let shown = tokio::spawn(show(Mode::Auto, receiver, Screen::file(sink.clone())));
    events.vertex("[1/2] FROM base", "a".to_owned(), Vec::new()).cached(Hit::Definition);
    let step = events.vertex("[2/2] RUN false", "b".to_owned(), Vec::new());
    step.output(b"no\nluck");
    step.transfer("layer", 2_000_000, None);
    step.failed("exit code 1");
    drop(events.step("exporting"));
    drop(events);
    let Summary { elapsed, failed, .. } = shown.await.unwrap();
    let FailedStep { name, error, last_lines } = failed.unwrap();
    assert_eq!((name.as_str(), error), ("[2/2] RUN false", vec!["exit code 1".to_owned()]));
    assert_eq!(last_lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["no", "luck"]);
    assert!(elapsed < Duration::from_mins(1));
    let text = sink.0.lock().unwrap().raw();
    assert!(text.contains("#1 CACHED\n") && text.contains("#2 ERROR: exit code 1\n"), "{text}");
    assert!(text.ends_with(": 0 steps ran, 1 cached, 2.0MB transferred\n"), "{text}");
}

#[tokio::test]
async fn a_build_goes_on_when_nobody_watches_any_more() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let (events, receiver) = Events::channel();
    for number in 0..100 {
        events.vertex(format!("step {number}"), number.to_string(), Vec::new()).ran();
    }
    drop(events);
    assert_eq!(show(Mode::Plain, receiver, Screen::file(writer)).await.ran, 100);
}

#[test]
fn the_cursor_comes_back_when_a_view_is_dropped() {
    let sink = Sink::default();
    let terminal = sink.clone();
    let mut view =
        Show::new(Mode::Tty, Screen::terminal(sink.clone(), move || terminal.0.lock().unwrap().size()), None);
    let (events, mut receiver) = Events::channel();
    let _step = events.step("reading");
    view.event(&receiver.try_recv().unwrap());
    view.refresh(Instant::now());
    assert!(sink.0.lock().unwrap().cursor_hidden());
    drop(view);
    assert!(!sink.0.lock().unwrap().cursor_hidden());
}
