//! Dump programs that fail at a hundred places of their output, in every way that is known to have cost somebody a backup:
//! never is such a run listed, and nothing of it is left.
//!
//! The programs are stand-ins that replay what the real ones wrote; what they are asked about, real servers answer. The
//! source is asked once and dumps again and again, so that thousands of runs of the whole commit protocol take seconds.
//! Each test says how many runs it made. With `BACKUP_CLI_TEST_FAULTS=all` the workers of a parallel dump and standard
//! input fail in every way at every place too, instead of in one of the ways at each.

mod databases;
mod programs;
mod servers;
mod stage;
