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

/// How many rows of a long table are drawn at a time.
const ROWS_AT_ONCE: usize = 2000;

/// Draws a table of any length in pieces, in memory for some thousand rows: `cells` is asked for each row twice, first for
/// the widths of the columns.
///
/// # Errors
/// Those of `emit`, which takes the pieces.
pub fn render_long<T, E>(
    columns: &[Column],
    rows: &[T],
    cells: impl Fn(&T) -> Vec<String>,
    mut emit: impl FnMut(&str) -> Result<(), E>,
) -> Result<(), E> {
    let mut widths: Vec<usize> = columns.iter().map(|column| column.heading.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(cells(row)) {
            *width = (*width).max(escape_line(&cell).chars().count());
        }
    }
    let mut is_first = true;
    for piece in rows.chunks(ROWS_AT_ONCE) {
        // A row of blanks as wide as the widest cells makes every piece as wide as the whole.
        let blanks: Vec<String> = widths.iter().map(|width| " ".repeat(*width)).collect();
        let drawn = render(columns, std::iter::once(blanks).chain(piece.iter().map(&cells)));
        let mut lines = drawn.split_inclusive('\n');
        let heading = lines.next().unwrap_or_default();
        if std::mem::take(&mut is_first) {
            emit(heading)?;
        }
        // The row of blanks.
        let _ = lines.next();
        emit(&lines.collect::<String>())?;
    }
    Ok(())
}

/// How many columns a line has on the terminal; `None` if standard output goes elsewhere.
#[must_use]
pub fn terminal_columns() -> Option<usize> {
    let stdout = std::io::stdout();
    let size = std::io::IsTerminal::is_terminal(&stdout).then(|| rustix::termios::tcgetwinsize(&stdout).ok())??;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_table_is_drawn_in_pieces_that_line_up() {
        let columns = [Column::left("NAME"), Column::right("SIZE")];
        let rows: Vec<u64> = (0..5000).map(|row| row * row).collect();
        let cells = |row: &u64| vec![format!("n{row}"), row.to_string()];
        let mut drawn = String::new();
        let done: Result<(), ()> = render_long(&columns, &rows, cells, |piece| {
            drawn.push_str(piece);
            Ok(())
        });
        assert_eq!(done, Ok(()));
        assert_eq!(drawn, render(&columns, rows.iter().map(cells)));
    }

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
