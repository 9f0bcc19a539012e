//! Proof that the fixtures do what the tests believe of them.
