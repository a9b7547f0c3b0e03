//! Screens after keys: one file a case in `testdata/browse/`, keys in the first line, the screen below.
//!
//! `UPDATE_EXPECT=1` rewrites what the cases expect.

use super::{
    screen,
    state::{Next, State},
};
use crate::{
    image::{ContentDigest, DiffId},
    layer::{Content, Entry, EntryKind, Form, Item, Layers, OverlayXattrs},
    optimize::analyze::{Analysis, Files, Subject},
    store::Store,
};
use flashbuild_frontend::config::{History, ImageConfig};
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
};
use std::{fs, path::Path};

fn file(path: &str, content: impl AsRef<[u8]>) -> Item {
    let content = content.as_ref().to_vec();
    let kind = EntryKind::File { size: content.len() as u64, digest: ContentDigest::of(&content) };
    Item::file(Entry::new(path, kind), Content::Bytes(content))
}

fn gone(path: &str) -> Item {
    Item::new(Entry::new(path, EntryKind::Whiteout))
}

/// An image of three layers, with a package, waste, and a name that is out for mischief.
fn state() -> State {
    let folder = tempfile::tempdir().unwrap();
    let layers = Layers::new(Store::open(&folder.path().join("store")).unwrap(), OverlayXattrs::of_this_process());
    let status = "Package: bash\nStatus: install ok installed\nVersion: 5\n";
    let made = [
        (
            "ADD base",
            vec![
                file("bin/sh", "x".repeat(900)),
                file("etc/motd", "hello"),
                file("var/lib/dpkg/status", status),
                file("var/lib/dpkg/info/bash.list", "/bin/sh\n/usr/share/man/man1/bash.1\n"),
                file("usr/share/man/man1/bash.1", "m".repeat(300)),
            ],
        ),
        (
            "RUN apt-get   update",
            vec![file("var/lib/apt/lists/Packages", "p".repeat(5000)), file("tmp/old", "o".repeat(70))],
        ),
        (
            "COPY app /app",
            vec![
                file("app/main.py", "print()"),
                file("etc/motd", "welcome"),
                gone("tmp/old"),
                file("app/\u{1b}[2Jname\n", "mischief"),
            ],
        ),
    ];
    let mut config = ImageConfig::default();
    let mut diff_ids: Vec<DiffId> = Vec::new();
    for (command, items) in made {
        diff_ids.push(layers.from_files(items, None, Form::Folder).unwrap().diff_id);
        let created_by = Some(command.to_owned());
        config.history.push(History { created: None, created_by, author: None, comment: None, empty_layer: false });
    }
    let view = layers.view(&diff_ids).unwrap();
    let subject = Subject {
        name: "sample",
        config: &config,
        diff_ids: &diff_ids,
        compressed: &[1, 2, 3],
        view: &view,
        layers: &layers,
        base: 1,
    };
    State::new(&Analysis::of(subject).unwrap(), Files::of(&subject).unwrap())
}

fn key(name: &str) -> KeyEvent {
    let code = match name {
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "enter" => KeyCode::Enter,
        "tab" => KeyCode::Tab,
        "esc" => KeyCode::Esc,
        "end" => KeyCode::End,
        "backspace" => KeyCode::Backspace,
        letter => KeyCode::Char(letter.chars().next().unwrap()),
    };
    KeyEvent::new(code, KeyModifiers::NONE)
}

fn shown(keys: &str) -> String {
    let mut state = state();
    for name in keys.split_whitespace() {
        assert_eq!(state.press(key(name)), Next::Show, "{name}");
    }
    let mut terminal = Terminal::new(TestBackend::new(110, 14)).unwrap();
    terminal.draw(|frame| screen::draw(frame, &mut state)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let line = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..buffer.area.height).map(line).collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn screens_are_as_the_cases_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/browse");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let case = fs::read_to_string(&path).unwrap();
        let (keys, expected) = case.split_once('\n').unwrap();
        let actual = shown(keys);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, format!("{keys}\n{actual}")).unwrap();
        } else {
            assert_eq!(actual, expected, "{}", path.display());
        }
        count += 1;
    }
    assert!(count > 4);
}

#[test]
fn keys_end_it() {
    assert_eq!(state().press(key("q")), Next::End);
    assert_eq!(state().press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Next::End);
    let mut typing = state();
    typing.press(key("p"));
    assert_eq!(typing.press(key("q")), Next::Show, "a letter of a name");
    assert_eq!(typing.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Next::End);
}

/// No sequence of keys takes it where there is nothing.
#[test]
fn any_keys_are_survived() {
    let names =
        ["up", "down", "left", "right", "enter", "tab", "esc", "end", "backspace", "c", "w", "p", "x", "j", "k"];
    let mut state = state();
    let mut terminal = Terminal::new(TestBackend::new(40, 5)).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..2000 {
        state.press(key(names[random.usize(..names.len())]));
        terminal.draw(|frame| screen::draw(frame, &mut state)).unwrap();
    }
    for size in [(0, 0), (1, 1), (3, 2), (300, 3)] {
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        terminal.draw(|frame| screen::draw(frame, &mut state)).unwrap();
    }
}
