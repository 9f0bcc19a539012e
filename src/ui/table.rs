//! Tables for people.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::escape::escape_line;

/// A column: its heading, and whether its cells are numbers that stand to the right.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    heading: &'static str,
    right: bool,
}

impl Column {
    /// A column of texts.
    #[must_use]
    pub const fn left(heading: &'static str) -> Self {
        Self { heading, right: false }
    }

    /// A column of numbers.
    #[must_use]
    pub const fn right(heading: &'static str) -> Self {
        Self { heading, right: true }
    }
}

/// A table without frames, so that it can be cut and grepped; cells are escaped, and rows are never wrapped.
#[must_use]
pub fn render(columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| column.heading));
    for row in rows {
        table.add_row(row.iter().map(|cell| escape_line(cell).into_owned()));
    }
    for (index, column) in columns.iter().enumerate() {
        if let Some(drawn) = table.column_mut(index) {
            drawn.set_padding((0, 2));
            if column.right {
                drawn.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_cells_are_escaped() {
        let columns = [Column::left("NAME"), Column::right("SIZE"), Column::left("STATE")];
        let rows = [
            vec!["web".to_owned(), "1.00 GiB".to_owned(), "complete".to_owned()],
            vec!["a\u{1b}b".to_owned(), "7 B".to_owned(), String::new()],
        ];
        assert_eq!(
            render(&columns, rows),
            "NAME          SIZE  STATE\n\
             web       1.00 GiB  complete\n\
             a\\u{1b}b       7 B\n"
        );
    }
}
