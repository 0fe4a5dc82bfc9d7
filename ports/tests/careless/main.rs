//! Careless adapters: each has one bug of the kind that happens, and the suite finds it by the name of a law.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]

mod bus;
mod others;
