//! `BatchFlow`: the queue, the pump and the verdicts.
