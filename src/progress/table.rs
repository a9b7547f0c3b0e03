//! Answers in columns.

use super::ink::width;
use super::printable;
use std::fmt;

/// Spaces between columns.
const GAP: usize = 3;

/// Rows of aligned columns under a heading, as wide as they need to be. Cells are made printable.
#[derive(Debug, Clone)]
pub struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// A table with these headings.
    pub fn new<const COLUMNS: usize>(headings: [&str; COLUMNS]) -> Self {
        Self { rows: vec![headings.map(printable).to_vec()], right: vec![false; COLUMNS] }
    }

    /// Aligns this column, counted from 0, to the right, as numbers want it.
    #[must_use]
    pub fn right(mut self, column: usize) -> Self {
        self.right[column] = true;
        self
    }

    /// Adds a row. Cells that it lacks are empty; cells without a heading are not shown.
    pub fn row<Cell: fmt::Display>(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut row: Vec<String> = cells.into_iter().map(|cell| printable(&cell.to_string())).collect();
        row.resize(self.right.len(), String::new());
        self.rows.push(row);
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }
}

/// All lines, each ended; no line ends in spaces.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = |column: usize| self.rows.iter().map(move |row| width(&row[column])).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.right.len()).map(column).collect();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, room), right) in row.iter().zip(&widths).zip(&self.right) {
                let blank = " ".repeat(room - width(cell));
                let (before, after) = if *right { (blank.as_str(), "") } else { ("", blank.as_str()) };
                line.extend([before, cell, after, &" ".repeat(GAP)]);
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::ByteSize;

    #[test]
    fn columns_align_by_cells() {
        let mut table = Table::new(["NAME", "SIZE", "TAG"]).right(1);
        assert!(table.is_empty());
        table.row(["debian".to_owned(), ByteSize(1_234_567).to_string(), "12\u{1b}[31m".to_owned()]);
        table.row(["\u{6f22}\u{5b57}", "0B"]);
        assert_eq!(
            table.to_string(),
            "NAME      SIZE   TAG\n\
             debian   1.2MB   12\n\
             \u{6f22}\u{5b57}        0B\n"
        );
    }
}
