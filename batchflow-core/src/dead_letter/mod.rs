//! Dead letters: where rejected and unknown rows go.
