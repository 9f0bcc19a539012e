//! How things look: errors, tables, progress and JSON lines. With `cli`, the only part that prints.

pub mod console;
pub mod escape;
pub mod failure;
pub mod listener;
pub mod log;
pub mod panic;
mod prompt;
pub mod table;
mod views;

pub use console::{Console, ConsoleSettings};
pub use listener::Listener;
