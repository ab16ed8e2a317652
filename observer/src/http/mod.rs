//! HTTP: message boundaries.
