//! SQLite: copies of one moment while others write, and the way back, against the `sqlite3` program of the system.

mod copies;
mod crashes;
mod faults;
mod hammer;
mod restores;
pub mod session;
