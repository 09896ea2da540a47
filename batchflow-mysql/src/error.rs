//! From what `mysql_async` reports to [`WriteError`].

use batchflow_core::{Batch, ErrorKind, Stage, WriteError};
use mysql_async::{DriverError, Error, IoError, ServerError};

use crate::codes;
use crate::culprit;
use crate::table::Table;

/// What a guarded upsert raises where it would change a row of another key.
const GUARD: u16 = 1242;

/// The user in whose name a view is read does not exist. MySQL says so of the catalog's own user
/// where a KILL has ended the wait for its grants, and tells nowhere why.
const NO_SUCH_DEFINER: u16 = 1449;

/// The error as the flow knows it. What the server said stays out of its shown parts.
///
/// Before COMMIT was sent nothing is applied; from then on, nobody knows, unless the server
/// [refuses it](crate::verdict::refuses_commit).
pub(crate) fn translate(
    error: &Error,
    stage: Stage,
    batch: Option<(&Batch, &Table)>,
) -> WriteError {
    let mut translated = match error {
        Error::Server(said) => of_server(said, stage, batch),
        other => {
            let (kind, why) = of_client(other);
            let translated = WriteError::new(kind).at(stage).with_server_message(chain(other));
            match why {
                Some(why) => translated.with_message(why),
                None => translated,
            }
        }
    };
    if let Some((batch, _)) = batch {
        translated = translated.with_table(batch.schema().table());
    }
    let sent = translated.kind() != ErrorKind::TooLarge;
    if stage == Stage::Commit && sent { translated.outcome_unknown() } else { translated }
}

fn of_server(said: &ServerError, stage: Stage, batch: Option<(&Batch, &Table)>) -> WriteError {
    let guarded = batch.is_some_and(|(_, table)| table.other_unique_keys);
    let error = if said.code == GUARD && guarded {
        WriteError::new(ErrorKind::DuplicateKey)
            .with_message("a row of another key has the value of another unique index")
    } else if said.code == NO_SUCH_DEFINER && stage == Stage::Describe {
        WriteError::new(ErrorKind::Timeout)
            .with_message("the look-up was ended, or the catalog's own user is missing")
    } else {
        let error = WriteError::new(codes::kind(said.code, &said.state));
        match codes::explain(said.code) {
            Some(why) => error.with_message(why),
            None => error,
        }
    };
    let mut error = error.at(stage).with_code(said.code).with_server_message(&*said.message);
    if let Some((batch, table)) = batch {
        if let Some(column) = culprit::column(said, table) {
            error = error.with_column(column);
        }
        error = error.with_blame(culprit::rows(said, batch, table));
    }
    match culprit::constraint(said) {
        Some(name) => error.with_constraint(name),
        None => error,
    }
}

/// The kind of an error that the client itself found, and what may be said of it.
fn of_client(error: &Error) -> (ErrorKind, Option<&'static str>) {
    match error {
        Error::Io(IoError::Io(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
            (ErrorKind::Connection, Some("the server's answer cannot be read"))
        }
        Error::Io(IoError::Io(_)) => (ErrorKind::Connection, None),
        #[cfg(feature = "tls")]
        Error::Io(IoError::Tls(_)) => {
            (ErrorKind::Connection, Some("encryption could not be agreed on"))
        }
        Error::Driver(error) => of_driver(error),
        Error::Url(_) => (ErrorKind::Unsupported, Some("the connection's URL cannot be used")),
        Error::Other(_) => (ErrorKind::Internal, None),
        #[allow(unreachable_patterns, reason = "what the client's features add")]
        _ => (ErrorKind::Connection, None),
    }
}

fn of_driver(error: &DriverError) -> (ErrorKind, Option<&'static str>) {
    match error {
        DriverError::ConnectionClosed => (ErrorKind::Connection, Some("the connection is closed")),
        DriverError::PoolDisconnected => (ErrorKind::Connection, Some("the pool is closed")),
        DriverError::PacketOutOfOrder
        | DriverError::UnexpectedPacket { .. }
        | DriverError::BadCompressedPacketHeader => {
            (ErrorKind::Connection, Some("the server's answer cannot be read"))
        }
        DriverError::PacketTooLarge => (
            ErrorKind::TooLarge,
            Some("it is more than the client's or the server's max_allowed_packet"),
        ),
        DriverError::StmtParamsNumberExceedsLimit { .. } => (ErrorKind::TooLarge, None),
        DriverError::UnknownAuthPlugin { .. }
        | DriverError::MysqlOldPasswordDisabled
        | DriverError::CleartextPluginDisabled
        | DriverError::InvalidParsecSalt => {
            (ErrorKind::Permission, Some("the client does not know this way to log in"))
        }
        DriverError::NoClientSslFlagFromServer => {
            (ErrorKind::Unsupported, Some("encryption is required, and the server has none"))
        }
        DriverError::CantParseServerVersion { .. }
        | DriverError::ReadOnlyTransNotSupported
        | DriverError::NamedPipesDisabled
        | DriverError::NoKeyFound => (ErrorKind::Unsupported, None),
        DriverError::LocalInfile(_) => {
            (ErrorKind::Unsupported, Some("LOAD DATA LOCAL INFILE is not allowed"))
        }
        _ => (ErrorKind::Internal, None),
    }
}

/// An error's text and its sources'. Some of the client's hold what was sent.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use batchflow_core::{Applied, ErrorClass};

    use super::*;

    fn said(code: u16, state: &str) -> Error {
        let message = "canary".to_owned();
        Error::Server(ServerError { code, message, state: state.to_owned() })
    }

    fn lost() -> Error {
        Error::Io(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into())
    }

    #[test]
    fn promise_10_what_the_server_said_is_not_shown() {
        for code in [1062, 1064, 1146, 1264, 1366, 1406, 1644, 3140, 9_999] {
            let error = translate(&said(code, "HY000"), Stage::Write, None);
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
            assert_eq!(error.server_message(), Some("canary"));
            assert_eq!(error.code(), Some(code.to_string().as_str()));
        }
        let broken = DriverError::FromValue { value: mysql_async::Value::Bytes(b"canary".into()) };
        let error = translate(&Error::Driver(broken), Stage::Write, None);
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }

    #[test]
    fn any_error_of_a_commit_leaves_it_in_doubt() {
        let applied = |error: &Error, stage| translate(error, stage, None).applied();
        for code in [1213, 1290, 1053, 1180, 1317, 1927, 1969, 3024, 2013, 1105] {
            assert_eq!(applied(&said(code, "HY000"), Stage::Commit), Applied::Unknown, "{code}");
            assert_eq!(applied(&said(code, "HY000"), Stage::Write), Applied::Nothing, "{code}");
        }
        assert_eq!(applied(&lost(), Stage::Commit), Applied::Unknown);
        assert_eq!(applied(&lost(), Stage::Write), Applied::Nothing);
    }

    #[test]
    fn a_look_up_is_not_refused_for_the_catalog_s_own_user() {
        let class = |stage| translate(&said(1449, "HY000"), stage, None).kind().class();
        assert_eq!(class(Stage::Describe), ErrorClass::Transient);
        assert_eq!(class(Stage::Write), ErrorClass::Systemic);
    }

    #[test]
    fn what_the_client_finds_has_its_kind() {
        for (error, class) in [
            (lost(), ErrorClass::Transient),
            (DriverError::ConnectionClosed.into(), ErrorClass::Transient),
            (DriverError::PoolDisconnected.into(), ErrorClass::Transient),
            (DriverError::PacketOutOfOrder.into(), ErrorClass::Transient),
            (DriverError::PacketTooLarge.into(), ErrorClass::TooLarge),
            (DriverError::UnknownAuthPlugin { name: "x".into() }.into(), ErrorClass::Systemic),
            (DriverError::NoClientSslFlagFromServer.into(), ErrorClass::Systemic),
            (mysql_async::UrlError::Invalid.into(), ErrorClass::Systemic),
            (DriverError::MixedParams.into(), ErrorClass::Row),
        ] {
            let found = translate(&error, Stage::Write, None);
            assert_eq!(found.kind().class(), class, "{error:?}");
        }
    }
}
