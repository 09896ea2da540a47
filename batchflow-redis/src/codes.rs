//! What Redis's errors mean, as data.

use batchflow_core::ErrorKind;

/// One kind of error reply.
#[derive(Debug)]
pub(crate) struct Entry {
    /// What the reply begins with.
    begins: &'static str,
    pub(crate) kind: ErrorKind,
    /// What the driver itself says about it.
    pub(crate) why: &'static str,
}

const fn refusal(begins: &'static str, kind: ErrorKind, why: &'static str) -> Entry {
    Entry { begins, kind, why }
}

/// A command, or a whole script, that is answered so has surely done nothing.
///
/// Longer beginnings stand before shorter ones of the same code.
#[rustfmt::skip]
const ENTRIES: &[Entry] = &[
    // The server takes nothing just now.
    refusal("LOADING", ErrorKind::Connection, "the server is loading its data"),
    refusal("BUSY ", ErrorKind::LockTimeout, "a script holds the server"),
    refusal("BUSYKEY", ErrorKind::DuplicateKey, "the key is there already"),
    refusal("BUSYGROUP", ErrorKind::DuplicateKey, "the group is there already"),
    refusal("READONLY", ErrorKind::ReadOnly, "the server takes no writes: it is a replica"),
    refusal("MASTERDOWN", ErrorKind::ReadOnly, "the server is a replica that has lost its primary"),
    refusal("ERR Can not execute the command on a stale replica", ErrorKind::ReadOnly,
        "the server is a replica that has lost its primary"),
    refusal("NOREPLICAS", ErrorKind::ReadOnly, "too few replicas follow the server"),
    refusal("MISCONF", ErrorKind::Io, "the server cannot save its data, and takes no writes"),
    refusal("OOM", ErrorKind::Resource, "the server has no memory left"),
    refusal("ERR max number of clients reached", ErrorKind::Resource,
        "the server takes no more connections"),
    // A cluster.
    refusal("CLUSTERDOWN", ErrorKind::Connection, "the cluster is down"),
    refusal("TRYAGAIN", ErrorKind::Serialization, "the key's slot is being moved"),
    refusal("MOVED", ErrorKind::Serialization, "the key's slot is another node's"),
    refusal("ASK ", ErrorKind::Serialization, "the key's slot is being moved"),
    refusal("ERR Script attempted to access a non local key", ErrorKind::Serialization,
        "the key's slot is another node's"),
    refusal("ERR Unable to execute command", ErrorKind::Serialization,
        "the key's slot is being moved"),
    refusal("ERR Script attempted to access keys that do not hash to the same slot",
        ErrorKind::Serialization, "the keys' slots are several"),
    refusal("ERR Script attempted to execute a command while the cluster is down",
        ErrorKind::Connection, "the cluster is down"),
    refusal("ERR Script attempted to execute a write command while the cluster is down",
        ErrorKind::ReadOnly, "the cluster is down"),
    refusal("ERR Script attempted to access a slot not served", ErrorKind::Connection,
        "no node serves the key's slot"),
    refusal("CROSSSLOT", ErrorKind::Unsupported, "the command's keys are of several slots"),
    // Who may.
    refusal("NOAUTH", ErrorKind::Permission, "the server asks for a password"),
    refusal("WRONGPASS", ErrorKind::Permission, "the server does not take this user or password"),
    refusal("NOPERM", ErrorKind::Permission, "this user may not do this"),
    refusal("ERR The user executing the script can't", ErrorKind::Permission,
        "this user may not do this"),
    refusal("ERR ACL failure in script", ErrorKind::Permission, "this user may not do this"),
    refusal("DENIED", ErrorKind::Permission, "the server is in protected mode"),
    refusal("ERR AUTH", ErrorKind::Permission, "the server asks for no password"),
    refusal("ERR DB index is out of range", ErrorKind::Schema, "there is no such database"),
    refusal("ERR SELECT is not allowed in cluster mode", ErrorKind::Schema,
        "a cluster has one database"),
    refusal("ERR invalid DB index", ErrorKind::Schema, "there is no such database"),
    refusal("ERR This instance has cluster support disabled", ErrorKind::Schema,
        "the server is no cluster's node"),
    // Scripts and transactions.
    refusal("NOSCRIPT", ErrorKind::Serialization, "the server has forgotten the script"),
    refusal("EXECABORT", ErrorKind::Other, "the server refused the transaction"),
    refusal("UNKILLABLE", ErrorKind::LockTimeout, "a script holds the server"),
    // The row's own.
    refusal("DUPLICATE", ErrorKind::DuplicateKey, "the key is there already"),
    refusal("MISPLACED", ErrorKind::Data,
        "on a cluster, a command's key has to be its second word, or where the driver knows it"),
    refusal("DATA", ErrorKind::Data, "what is there cannot be merged with the row's value"),
    refusal("WRONGTYPE", ErrorKind::Data, "the key holds another type of value"),
    refusal("ERR hash value is not an integer", ErrorKind::Data, "the field holds no integer"),
    refusal("ERR hash value is not a float", ErrorKind::Data, "the field holds no number"),
    refusal("ERR value is not an integer", ErrorKind::Data, "it is no integer that Redis can add"),
    refusal("ERR value is not a valid float", ErrorKind::Data, "it is no number"),
    refusal("ERR increment or decrement would overflow", ErrorKind::Data, "the sum is too large"),
    refusal("ERR increment would produce NaN", ErrorKind::Data, "the sum is no number"),
    refusal("ERR resulting score is not a number", ErrorKind::Data, "the sum is no number"),
    refusal("ERR string exceeds maximum", ErrorKind::TooLarge, "the value is too long"),
    refusal("ERR invalid expire time", ErrorKind::Data, "the time to live is out of range"),
    refusal("ERR The ID specified in XADD", ErrorKind::Data,
        "the stream's last entry has a greater number"),
    refusal("ERR wrong number of arguments", ErrorKind::Data, "the command has too few or too many words"),
    refusal("ERR unknown command", ErrorKind::Data, "the server has no such command"),
    refusal("ERR Unknown Redis command", ErrorKind::Data, "the server has no such command"),
    refusal("ERR Wrong number of args", ErrorKind::Data, "the command has too few or too many words"),
    refusal("ERR unknown subcommand", ErrorKind::Data, "the server has no such command"),
    refusal("ERR syntax error", ErrorKind::Data, "the command's words are in no order that the server knows"),
    refusal("ERR This Redis command is not allowed from script", ErrorKind::Data,
        "the command may not be written in batches"),
    refusal("ERR Protocol error", ErrorKind::TooLarge, "the command is too long for the server"),
];

/// What is known of an error reply.
pub(crate) fn find(text: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| text.starts_with(entry.begins))
}

/// The reply's code: its first word, if that is one.
pub(crate) fn code(text: &str) -> Option<&str> {
    let first = text.split(' ').next().unwrap_or_default();
    let is_code = first.len() > 1 && first.bytes().all(|byte| byte.is_ascii_uppercase());
    is_code.then_some(first)
}

#[cfg(test)]
#[path = "../../xtask/shared/documented.rs"]
mod documented;

#[cfg(test)]
mod tests {
    use batchflow_core::ErrorClass;

    use super::*;

    /// `docs/errors.md` shows what the replies of each kind begin with.
    #[test]
    fn the_documented_codes_are_these() {
        documented::assert_documented("Redis\n", |kind| {
            let own = ENTRIES.iter().filter(|entry| entry.kind == kind);
            own.map(|entry| entry.begins.trim_end().to_owned()).collect()
        });
    }

    #[test]
    fn every_reply_has_its_kind() {
        use ErrorKind as K;
        let cases = [
            (K::Connection, "LOADING Redis is loading the dataset in memory"),
            (K::LockTimeout, "BUSY Redis is busy running a script. You can only call SCRIPT KILL"),
            (K::DuplicateKey, "BUSYKEY Target key name already exists."),
            (K::ReadOnly, "READONLY You can't write against a read only replica."),
            (K::ReadOnly, "MASTERDOWN Link with MASTER is down"),
            (K::ReadOnly, "NOREPLICAS Not enough good replicas to write."),
            (K::Io, "MISCONF Redis is configured to save RDB snapshots, but it's unable to"),
            (K::Resource, "OOM command not allowed when used memory > 'maxmemory'."),
            (K::Resource, "ERR max number of clients reached"),
            (K::Connection, "CLUSTERDOWN The cluster is down"),
            (K::Connection, "CLUSTERDOWN Hash slot not served"),
            (K::Serialization, "TRYAGAIN Multiple keys request during rehashing of slot"),
            (K::Serialization, "MOVED 3999 127.0.0.1:6381"),
            (K::Serialization, "ASK 3999 127.0.0.1:6381"),
            (K::Serialization, "ERR Script attempted to access a non local key in a cluster node"),
            (K::Connection, "ERR Script attempted to execute a command while the cluster is down"),
            (
                K::Serialization,
                "ERR Unable to execute command 'x' in script because undeclared keys",
            ),
            (K::Connection, "ERR Script attempted to access a slot not served"),
            (K::ReadOnly, "ERR Can not execute the command on a stale replica"),
            (K::Unsupported, "CROSSSLOT Keys in request don't hash to the same slot"),
            (K::Permission, "NOAUTH Authentication required."),
            (K::Permission, "WRONGPASS invalid username-password pair or user is disabled."),
            (K::Permission, "NOPERM User app has no permissions to run the 'set' command"),
            (K::Permission, "NOPERM ACL failure in script: User app has no permissions to run"),
            (K::Permission, "ERR The user executing the script can't run this command"),
            (K::Permission, "ERR ACL failure in script: User app has no permissions to run the"),
            (K::Permission, "DENIED Redis is running in protected mode"),
            (K::Schema, "ERR DB index is out of range"),
            (K::Serialization, "NOSCRIPT No matching script. Please use EVAL."),
            (K::DuplicateKey, "DUPLICATE"),
            (K::Data, "WRONGTYPE Operation against a key holding the wrong kind of value"),
            (K::Data, "ERR hash value is not an integer"),
            (K::Data, "ERR increment or decrement would overflow"),
            (K::Data, "ERR value is not an integer or out of range"),
            (K::Data, "ERR unknown command 'GETT', with args beginning with: 'a'"),
            (K::Data, "ERR wrong number of arguments for 'set' command"),
            (K::TooLarge, "ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
        ];
        for (kind, text) in cases {
            let entry = find(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(entry.kind, kind, "{text}");
        }
        for text in ["ERR something new", "", "NEWCODE said", "Connection refused"] {
            assert!(find(text).is_none(), "{text}");
        }
        assert_eq!(find("OOM").map(|entry| entry.kind.class()), Some(ErrorClass::Transient));
        assert_eq!(find("WRONGTYPE").map(|entry| entry.kind.class()), Some(ErrorClass::Row));
    }

    #[test]
    fn no_entry_hides_behind_a_shorter_one() {
        for (at, entry) in ENTRIES.iter().enumerate() {
            let found = ENTRIES.iter().position(|other| entry.begins.starts_with(other.begins));
            assert_eq!(found, Some(at), "{}", entry.begins);
        }
    }

    #[test]
    fn a_code_is_the_first_word_in_capitals() {
        for (text, expected) in [
            ("WRONGTYPE Operation", Some("WRONGTYPE")),
            ("ERR x", Some("ERR")),
            ("DUPLICATE", Some("DUPLICATE")),
            ("Connection refused", None),
            ("", None),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
    }
}
