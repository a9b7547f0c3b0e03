//! The state as characters. Names come from strangers: whatever a terminal would act upon is spelled out.

use super::state::{Focus, Row, State};
use crate::{
    optimize::analyze::{FileFilter, LayerFacts, Mark, WasteFilter},
    progress::{ByteSize, printable},
};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Paragraph},
};

const KEYS: &str =
    "tab: other side  ↑↓ pgup pgdn: move  →: open  ←: close  c: changes  p: package  w: waste  esc: all  q: end";

pub(super) fn draw(frame: &mut Frame<'_>, state: &mut State) {
    let [main, keys] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(frame.area());
    let [left, right] = Layout::horizontal([Constraint::Percentage(40), Constraint::Fill(1)]).areas(main);
    draw_layers(frame, state, left);
    draw_files(frame, state, right);
    let help = if state.focus == Focus::Package {
        format!("package: {}▏  enter: keep  esc: all", printable(&state.filter.package))
    } else {
        KEYS.to_owned()
    };
    frame.render_widget(Paragraph::new(help).style(Style::new().add_modifier(Modifier::DIM)), keys);
}

fn frame_of(title: String, has_focus: bool) -> Block<'static> {
    let style = if has_focus { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
    Block::bordered().title(title).title_style(style).border_style(style)
}

fn chosen(is_chosen: bool, has_focus: bool) -> Style {
    match (is_chosen, has_focus) {
        (true, true) => Style::new().add_modifier(Modifier::REVERSED),
        (true, false) => Style::new().add_modifier(Modifier::UNDERLINED),
        (false, _) => Style::new(),
    }
}

fn draw_layers(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let has_focus = state.focus == Focus::Layers;
    let block = frame_of(printable(&state.title), has_focus);
    let inner = block.inner(area);
    let height = usize::from(inner.height);
    let first = (state.layer + 1).saturating_sub(height.max(1));
    let lines: Vec<Line<'_>> = (state.layers.iter().enumerate().skip(first).take(height))
        .map(|(index, layer)| Line::from(layer_text(index, layer)).style(chosen(index == state.layer, has_focus)))
        .collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn layer_text(index: usize, layer: &LayerFacts) -> String {
    let command = layer.command.split_whitespace().collect::<Vec<_>>().join(" ");
    let base = if layer.base { "(base) " } else { "" };
    let size = ByteSize(layer.bytes).to_string();
    format!("{:>3} {size:>8} {base}{}", index + 1, printable(&command))
}

fn draw_files(frame: &mut Frame<'_>, state: &mut State, area: Rect) {
    let has_focus = state.focus != Focus::Layers;
    let block = frame_of(title(state), has_focus);
    let height = usize::from(block.inner(area).height).max(1);
    // The chosen row stays in sight.
    state.first = state.first.min(state.row).max((state.row + 1).saturating_sub(height));
    let rows = state.rows.iter().enumerate().skip(state.first).take(height);
    let mut lines: Vec<Line<'_>> =
        rows.map(|(index, row)| line(state, row).style(chosen(index == state.row, has_focus))).collect();
    if lines.is_empty() {
        lines.push(Line::from("nothing like that in this layer's tree"));
    }
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn title(state: &State) -> String {
    let FileFilter { changes, package, waste } = &state.filter;
    let changes = if *changes { ", changes" } else { "" };
    let package = if package.is_empty() { String::new() } else { format!(", package {}", printable(package)) };
    let waste = match waste {
        WasteFilter::Everything => String::new(),
        WasteFilter::AnyWaste => ", waste".to_owned(),
        WasteFilter::Kind(kind) => format!(", waste: {kind}"),
    };
    format!("files as of layer {}{changes}{package}{waste}", state.layer + 1)
}

fn line(state: &State, row: &Row) -> Line<'static> {
    let (mark, color) = match row.node.mark {
        Mark::Same => (' ', Color::Reset),
        Mark::Added => ('+', Color::Green),
        Mark::Changed => ('~', Color::Yellow),
        Mark::Removed => ('-', Color::Red),
    };
    let fold = match (row.node.is_folder, state.is_open(row)) {
        (true, true) => "▾ ",
        (true, false) => "▸ ",
        (false, _) => "  ",
    };
    let name = printable(&String::from_utf8_lossy(&row.node.name));
    let slash = if row.node.is_folder { "/" } else { "" };
    let size = ByteSize(row.node.bytes).to_string();
    let of = |word: &str, of: Option<&str>| of.map(|of| format!("  {word}{}", printable(of))).unwrap_or_default();
    Line::from(vec![
        Span::styled(format!("{mark} {size:>8} {}{fold}{name}{slash}", "  ".repeat(row.depth)), Style::new().fg(color)),
        Span::styled(of("", row.node.package.as_deref()), Style::new().fg(Color::Cyan)),
        Span::styled(of("waste: ", row.node.waste), Style::new().fg(Color::Magenta)),
    ])
}
