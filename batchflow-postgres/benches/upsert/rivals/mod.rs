//! What a skilled user would write instead, each as good as we could make it.

pub(crate) mod psql;
pub(crate) mod push_values;
pub(crate) mod server_alone;
pub(crate) mod sessions;
pub(crate) mod stage;
pub(crate) mod unnest;

use crate::common::shares;
