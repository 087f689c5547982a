//! Figures as plain text.

use std::fmt;

/// A heading, and rows under the names of their columns. The first column is text, the others are figures.
#[derive(Debug)]
pub struct Table {
    heading: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new<const N: usize>(heading: impl Into<String>, columns: [&str; N]) -> Self {
        Self { heading: heading.into(), rows: vec![columns.map(str::to_owned).to_vec()] }
    }

    /// Adds a row with a cell for each column.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.rows[0].len(), "a cell for each column");
        self.rows.push(cells);
    }

    /// Says something more in the last cell of the last row.
    pub fn add_to_last_cell(&mut self, more: &str) {
        if let Some(cell) = self.rows.last_mut().and_then(|row| row.last_mut()) {
            let separator = if cell.is_empty() || more.is_empty() { "" } else { "; " };
            *cell += &format!("{separator}{more}");
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.heading)?;
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.rows[0].len()).map(width).collect();
        for row in &self.rows {
            let mut line = format!("  {:<width$}", row[0], width = widths[0]);
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                line += &format!("  {cell:>width$}");
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new("Sizes", ["what", "µs", "target"]);
        table.row(vec!["small".into(), "1.5".into(), "at most 1.5 ×: met".into()]);
        table.row(vec!["larger".into(), "1234.5".into(), String::new()]);
        let expected = "Sizes\n  \
            what        µs               target\n  \
            small      1.5  at most 1.5 ×: met\n  \
            larger  1234.5\n";
        assert_eq!(table.to_string().replace(' ', ""), expected.replace(' ', ""));
        assert!(table.to_string().contains("\n  small      1.5  at most 1.5 ×: met\n"), "{table}");
    }
}
