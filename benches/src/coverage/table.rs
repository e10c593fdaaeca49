//! Tables that read well on a terminal and are Markdown.

use crate::summary::Measured;

/// A table with aligned columns, the first to the left.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self {
            rows: vec![head.iter().map(|&cell| cell.to_owned()).collect()],
        }
    }

    pub(crate) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    pub(crate) fn markdown(&self) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0).max(3)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                text += &if column == 0 {
                    format!("| {cell:<width$} ")
                } else {
                    format!("| {cell:>width$} ")
                };
            }
            text += "|\n";
            if number == 0 {
                for (column, &width) in widths.iter().enumerate() {
                    let line = "-".repeat(width + 1);
                    text += &if column == 0 {
                        format!("|{line}-")
                    } else {
                        format!("|{line}:")
                    };
                }
                text += "|\n";
            }
        }
        text
    }
}

/// A share as per cent, with its error.
pub(crate) fn percent(share: Measured) -> String {
    format!("{:.1} ±{:.1}", 100.0 * share.value, 100.0 * share.error)
}

/// A rare share as per cent.
pub(crate) fn rare(share: Measured) -> String {
    format!("{:.2} ±{:.2}", 100.0 * share.value, 100.0 * share.error)
}

/// A number with one decimal, and its error.
pub(crate) fn number(mean: Measured) -> String {
    format!("{:.1} ±{:.1}", mean.value, mean.error)
}
