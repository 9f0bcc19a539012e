//! Each verdict by itself.
