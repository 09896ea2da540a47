//! `BatchWriter`: bulk writes that the caller drives.
