//! Shared by the tests of the engine.

pub(crate) mod conversation;
