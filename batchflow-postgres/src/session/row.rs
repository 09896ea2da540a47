//! [`Session`]: one row of the table.

use std::fmt;

use batchflow_core::{IntoRow, Request, RowSlots, Schema, Timestamp, Value};

use super::Json;

/// The columns in the order of [`Row`].
pub(super) const COLUMNS: [&str; 13] = [
    "session_id",
    "agent_id",
    "team_id",
    "workflow_id",
    "user_id",
    "name",
    "metadata",
    "state",
    "agent_data",
    "runs",
    "summary",
    "created_at",
    "updated_at",
];

/// One session of an agent, a team or a workflow.
///
/// What is `None` is written as NULL, also over what the table has; but see the two times. Ids and
/// the name hold at most 255 characters in the table that
/// [`CREATE_TABLE`](super::CREATE_TABLE) makes.
///
/// `Debug` shows which fields are set, never what they hold.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Session {
    /// What identifies the session.
    pub session_id: String,
    /// The agent that had it.
    pub agent_id: Option<String>,
    /// The team that had it.
    pub team_id: Option<String>,
    /// The workflow that had it.
    pub workflow_id: Option<String>,
    /// The user it was had with.
    pub user_id: Option<String>,
    /// What it is called.
    pub name: Option<String>,
    /// Metadata of the program's own.
    pub metadata: Option<Json>,
    /// The state that its next run begins with.
    pub state: Option<Json>,
    /// What is to be known of the agent.
    pub agent_data: Option<Json>,
    /// Its runs so far.
    pub runs: Option<Json>,
    /// Its summary.
    pub summary: Option<Json>,
    /// When it began. Written only where the session is new to the table. `None` is now, by this
    /// machine's clock.
    pub created_at: Option<Timestamp>,
    /// When it last changed; see [`SessionWriter::upsert`](super::SessionWriter::upsert). `None`
    /// is now.
    pub updated_at: Option<Timestamp>,
}

impl Session {
    /// A session of which only the id is known.
    pub fn new(session_id: impl Into<String>) -> Self {
        Self {
            session_id: session_id.into(),
            agent_id: None,
            team_id: None,
            workflow_id: None,
            user_id: None,
            name: None,
            metadata: None,
            state: None,
            agent_data: None,
            runs: None,
            summary: None,
            created_at: None,
            updated_at: None,
        }
    }

    /// The row of a schema over [`COLUMNS`]. Where the schema touches `updated_at`, the server's
    /// clock stands for the session's.
    pub(super) fn into_request(self, schema: &Schema, now: Timestamp) -> Request {
        let row = schema.row(Row { session: self, now, touched: schema.touch().is_some() });
        // Both schemas are as wide as a row. Were they not, an empty row would be refused.
        row.unwrap_or_else(|_| Request::new(schema))
    }

    /// The session that became a row; what was now stays the time it was.
    pub(super) fn from_request(row: &Request) -> Self {
        let text = |at| match row.value(at) {
            Some(Value::Text(text)) => Some(String::from(&**text)),
            _ => None,
        };
        let json = |at| match row.value(at) {
            Some(Value::Json(text)) => Some(Json::from(&**text)),
            _ => None,
        };
        let time = |at| match row.value(at) {
            Some(Value::Timestamp(time)) => Some(*time),
            _ => None,
        };
        Self {
            session_id: text(0).unwrap_or_default(),
            agent_id: text(1),
            team_id: text(2),
            workflow_id: text(3),
            user_id: text(4),
            name: text(5),
            metadata: json(6),
            state: json(7),
            agent_data: json(8),
            runs: json(9),
            summary: json(10),
            created_at: time(11),
            updated_at: time(12),
        }
    }
}

/// A session on its way into a request.
struct Row {
    session: Session,
    now: Timestamp,
    touched: bool,
}

impl IntoRow for Row {
    fn append_to(self, row: &mut RowSlots) {
        let Self { session, now, touched } = self;
        row.push(session.session_id);
        row.push(session.agent_id);
        row.push(session.team_id);
        row.push(session.workflow_id);
        row.push(session.user_id);
        row.push(session.name);
        row.push(session.metadata.map(Value::from));
        row.push(session.state.map(Value::from));
        row.push(session.agent_data.map(Value::from));
        row.push(session.runs.map(Value::from));
        row.push(session.summary.map(Value::from));
        row.push(session.created_at.unwrap_or(now));
        if touched {
            row.skip();
        } else {
            row.push(session.updated_at.unwrap_or(now));
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = [
            (COLUMNS[1], self.agent_id.is_some()),
            (COLUMNS[2], self.team_id.is_some()),
            (COLUMNS[3], self.workflow_id.is_some()),
            (COLUMNS[4], self.user_id.is_some()),
            (COLUMNS[5], self.name.is_some()),
            (COLUMNS[6], self.metadata.is_some()),
            (COLUMNS[7], self.state.is_some()),
            (COLUMNS[8], self.agent_data.is_some()),
            (COLUMNS[9], self.runs.is_some()),
            (COLUMNS[10], self.summary.is_some()),
            (COLUMNS[11], self.created_at.is_some()),
            (COLUMNS[12], self.updated_at.is_some()),
        ];
        let set = set.into_iter().filter_map(|(name, is_set)| is_set.then_some(name));
        f.debug_struct("Session").field("set", &set.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}
