//! The conformance kit: what every driver must show.
