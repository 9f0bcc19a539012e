//! Who may do what with the bucket: the permissions that each command takes, and the policies that grant them.
//!
//! [`needs`] is the one table from which the help, the manual and the policies are made, so that they cannot differ.
//! Everything here but [`service`] is pure.

pub mod diff;
pub mod needs;
pub mod policy;
pub mod service;
pub mod terraform;
pub mod trust;

pub use needs::{COMMANDS, CommandNeeds, Grant, Need, On, Role, When, is_policy_name, needs_of, policy_name};
pub use policy::{Partition, Place, PolicyOptions, policy};
pub use trust::{Trust, TrustOptions};
