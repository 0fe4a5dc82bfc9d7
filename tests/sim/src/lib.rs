//! What scenarios share: a network with faults between a process and the ports.

pub mod net;
