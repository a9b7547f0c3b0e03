//! What is shown of an image, and what keys do to it.

use crate::optimize::analyze::{Analysis, FileFilter, FileNode, Files, LayerFacts, WasteFilter};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::collections::BTreeSet;

/// Where keys go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Focus {
    Layers,
    Files,
    /// The name of a package is typed.
    Package,
}

/// What to do after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Show,
    End,
}

/// A line of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// How deep it is.
    pub(super) depth: usize,
    /// Names from the root.
    pub(super) path: Vec<Vec<u8>>,
    /// What is there; its children are not.
    pub(super) node: FileNode,
}

/// All that is shown.
pub(super) struct State {
    pub(super) title: String,
    pub(super) layers: Vec<LayerFacts>,
    pub(super) focus: Focus,
    pub(super) layer: usize,
    pub(super) filter: FileFilter,
    /// The row that is chosen.
    pub(super) row: usize,
    /// The first row that is seen; whoever draws knows how many fit.
    pub(super) first: usize,
    pub(super) rows: Vec<Row>,
    files: Files,
    tree: FileNode,
    open: BTreeSet<Vec<Vec<u8>>>,
}

/// Rows that a page has.
const PAGE: usize = 20;

impl State {
    pub(super) fn new(analysis: &Analysis, files: Files) -> Self {
        let layer = files.layers().saturating_sub(1);
        let tree = files.tree(layer);
        let mut state = Self {
            title: format!("{} ({})", analysis.name, analysis.platform),
            layers: analysis.layers.clone(),
            focus: Focus::Layers,
            layer,
            filter: FileFilter::default(),
            row: 0,
            first: 0,
            rows: Vec::new(),
            files,
            tree,
            open: BTreeSet::new(),
        };
        state.list();
        state
    }

    /// Does what a key says.
    #[expect(clippy::wildcard_enum_match_arm, reason = "keys that terminals have come and go; most mean nothing")]
    pub(super) fn press(&mut self, key: KeyEvent) -> Next {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Next::End;
        }
        if self.focus == Focus::Package {
            self.type_package(key.code);
            return Next::Show;
        }
        match key.code {
            KeyCode::Char('q') => return Next::End,
            KeyCode::Tab | KeyCode::BackTab => {
                self.focus = if self.focus == Focus::Layers { Focus::Files } else { Focus::Layers };
            }
            KeyCode::Esc => self.filter_by(FileFilter::default()),
            KeyCode::Char('c') => self.filter_by(FileFilter { changes: !self.filter.changes, ..self.filter.clone() }),
            KeyCode::Char('w') => self.filter_by(FileFilter { waste: self.next_waste(), ..self.filter.clone() }),
            KeyCode::Char('p') => self.focus = Focus::Package,
            KeyCode::Up | KeyCode::Char('k') => self.go(-1),
            KeyCode::Down | KeyCode::Char('j') => self.go(1),
            KeyCode::PageUp => self.go(-PAGE.cast_signed()),
            KeyCode::PageDown => self.go(PAGE.cast_signed()),
            KeyCode::Home => self.go(isize::MIN / 2),
            KeyCode::End => self.go(isize::MAX / 2),
            KeyCode::Right | KeyCode::Enter | KeyCode::Char('l') => self.open_row(),
            KeyCode::Left | KeyCode::Char('h') => self.close_row(),
            _ => {}
        }
        Next::Show
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "keys that terminals have come and go; most mean nothing")]
    fn type_package(&mut self, key: KeyCode) {
        let mut package = self.filter.package.clone();
        match key {
            KeyCode::Enter => self.focus = Focus::Files,
            KeyCode::Esc => {
                self.focus = Focus::Files;
                package.clear();
            }
            KeyCode::Backspace => drop(package.pop()),
            KeyCode::Char(character) => package.push(character),
            _ => {}
        }
        self.filter_by(FileFilter { package, ..self.filter.clone() });
    }

    /// No filter, all waste, then each kind that the tree has.
    fn next_waste(&self) -> WasteFilter {
        let mut kinds = self.tree.kinds_of_waste().into_keys();
        let next = match self.filter.waste {
            WasteFilter::Everything => return WasteFilter::AnyWaste,
            WasteFilter::AnyWaste => kinds.next(),
            WasteFilter::Kind(kind) => kinds.find(|next| *next > kind),
        };
        next.map_or(WasteFilter::Everything, WasteFilter::Kind)
    }

    fn filter_by(&mut self, filter: FileFilter) {
        if filter != self.filter {
            self.filter = filter;
            self.row = 0;
            self.list();
        }
    }

    fn go(&mut self, by: isize) {
        let moved = |at: usize, count: usize| at.saturating_add_signed(by).min(count.saturating_sub(1));
        match self.focus {
            Focus::Files | Focus::Package => self.row = moved(self.row, self.rows.len()),
            Focus::Layers => {
                let layer = moved(self.layer, self.layers.len());
                if layer != self.layer {
                    self.layer = layer;
                    self.tree = self.files.tree(layer);
                    self.row = 0;
                    self.list();
                }
            }
        }
    }

    fn open_row(&mut self) {
        if self.focus == Focus::Layers {
            self.focus = Focus::Files;
        } else if let Some(row) = self.rows.get(self.row).filter(|row| row.node.is_folder) {
            self.open.insert(row.path.clone());
            self.list();
        }
    }

    /// Closes a folder, or goes to the one that a row is in.
    fn close_row(&mut self) {
        let Some(row) = self.rows.get(self.row).filter(|_| self.focus == Focus::Files) else { return };
        let path = row.path.clone();
        if self.open.remove(&path) {
            self.list();
        } else if let Some(above) = self.rows.iter().position(|row| row.path == path[..path.len() - 1]) {
            self.row = above;
        } else {
            self.focus = Focus::Layers;
        }
    }

    /// Is a folder open?
    pub(super) fn is_open(&self, row: &Row) -> bool {
        self.open.contains(&row.path)
    }

    fn list(&mut self) {
        self.rows.clear();
        if let Some(tree) = self.tree.filtered(&self.filter) {
            add(&mut self.rows, &self.open, &tree, &[]);
        }
        self.row = self.row.min(self.rows.len().saturating_sub(1));
    }
}

fn add(rows: &mut Vec<Row>, open: &BTreeSet<Vec<Vec<u8>>>, folder: &FileNode, above: &[Vec<u8>]) {
    for node in &folder.children {
        let path = [above, std::slice::from_ref(&node.name)].concat();
        let is_open = node.is_folder && open.contains(&path);
        let shown = FileNode { children: Vec::new(), ..node.clone() };
        rows.push(Row { depth: above.len(), path: path.clone(), node: shown });
        if is_open {
            add(rows, open, node, &path);
        }
    }
}
