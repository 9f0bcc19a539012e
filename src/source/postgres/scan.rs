//! What is in a dump of which nobody has kept an index.

use std::io::{ErrorKind, Read};
use std::ops::ControlFlow;

use super::lexer::Lexer;
use super::outline::Outline;
use crate::base::failure::{Result, from_io};
use crate::catalog::index::Entry;
use crate::source::dump_writer::READ_BYTES;

/// Visits the tables and objects of a dump, as an index would name them, in order.
///
/// # Errors
/// The input's own failure and the visitor's.
pub fn scan_dump(dump: &mut dyn Read, visit: &mut dyn FnMut(Entry) -> Result<ControlFlow<()>>) -> Result<()> {
    let mut lexer = Lexer::default();
    let mut outline = Outline::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = match dump.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(from_io("read the dump", error)),
        };
        if count == 0 {
            lexer.finish(&mut outline);
            outline.finish(lexer.offset());
        } else {
            lexer.scan(&buffer[..count], &mut outline);
        }
        for mark in outline.take_marks() {
            if let Some(entry) = mark.entry
                && visit(entry)?.is_break()
            {
                return Ok(());
            }
        }
        if count == 0 {
            return Ok(());
        }
    }
}
