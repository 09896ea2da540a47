//! Under fire: servers are killed, stalled and failed over while rows are written.

mod own_servers;
