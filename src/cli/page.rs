//! Answers of very many lines, written a page at a time.

use crate::base::failure::Result;
use crate::ui::Console;

/// How much is printed at a time: a million lines are few writes.
const PAGE_BYTES: usize = 64 * 1024;

/// Lines on their way to standard output.
pub struct Page<'a> {
    console: &'a Console,
    text: String,
}

impl<'a> Page<'a> {
    /// An empty page.
    #[must_use]
    pub fn new(console: &'a Console) -> Self {
        Self {
            console,
            text: String::new(),
        }
    }

    /// Adds a line.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn line(&mut self, line: &str) -> Result<()> {
        self.text.push_str(line);
        self.text.push('\n');
        if self.text.len() >= PAGE_BYTES {
            self.print()?;
        }
        Ok(())
    }

    /// Prints what has been added.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn print(&mut self) -> Result<()> {
        if !self.text.is_empty() {
            self.console.answer(&self.text)?;
            self.text.clear();
        }
        Ok(())
    }
}
