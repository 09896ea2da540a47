//! Reads a URL or a list of settings, with what [`tokio_postgres::Config`] does not know.

use batchflow_core::ConfigError;
use tokio_postgres::config::{Config, LoadBalanceHosts, SslNegotiation};

use crate::config::{Address, LONGEST_CONNECT, PostgresConfig, RootCert, SslMode};

/// Settings of libpq's that this client has no use for. An unknown one may be a piece of a
/// password that was not quoted, so only these are named.
const UNSUPPORTED: [&str; 22] = [
    "service",
    "servicefile",
    "passfile",
    "require_auth",
    "client_encoding",
    "fallback_application_name",
    "sslcompression",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcertmode",
    "sslcrl",
    "sslcrldir",
    "sslsni",
    "requirepeer",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "gssencmode",
    "krbsrvname",
    "gsslib",
    "gssdelegation",
    "replication",
];

fn refuse(why: impl Into<String>) -> ConfigError {
    ConfigError::new("url", why)
}

/// What is read here and not by the client.
#[derive(Default)]
struct Own {
    ssl_mode: Option<SslMode>,
    root_cert: Option<RootCert>,
}

impl Own {
    /// Takes a setting that is ours. `Ok(None)`: it is; else the setting as the client reads it.
    fn take<'v>(&mut self, key: &str, value: &'v str) -> Result<Option<&'v str>, ConfigError> {
        match key {
            "sslmode" => {
                self.ssl_mode = Some(match value {
                    "disable" => SslMode::Disable,
                    // To try without first spares nothing but the encryption.
                    "allow" | "prefer" => SslMode::Prefer,
                    "require" => SslMode::Require,
                    "verify-ca" => SslMode::VerifyCa,
                    "verify-full" => SslMode::VerifyFull,
                    _ => return Err(refuse("its `sslmode` is none there is")),
                });
                Ok(None)
            }
            "sslrootcert" => {
                self.root_cert = Some(match value {
                    "system" => RootCert::System,
                    file => RootCert::File(file.into()),
                });
                Ok(None)
            }
            "target_session_attrs" if value == "primary" => Ok(Some("read-write")),
            _ if UNSUPPORTED.contains(&key) => {
                Err(refuse(format!("its setting `{key}` is not supported")))
            }
            _ => Ok(Some(value)),
        }
    }
}

/// How strictly is encrypted, where the settings do not contradict each other. As libpq has it, the
/// system's authorities vouch for hosts alone, and who greets a server encrypted takes nothing else.
fn ssl_mode(own: &Own, negotiation: SslNegotiation) -> Result<SslMode, ConfigError> {
    let mode = match (own.ssl_mode, &own.root_cert) {
        (None | Some(SslMode::VerifyFull), Some(RootCert::System)) => SslMode::VerifyFull,
        (Some(_), Some(RootCert::System)) => {
            return Err(refuse("its `sslrootcert=system` needs `sslmode=verify-full`"));
        }
        (mode, _) => mode.unwrap_or_default(),
    };
    let is_weak = matches!(mode, SslMode::Disable | SslMode::Prefer);
    if negotiation == SslNegotiation::Direct && is_weak {
        return Err(refuse(
            "its `sslnegotiation=direct` needs `sslmode=require` or a stricter one",
        ));
    }
    Ok(mode)
}

/// Reads a URL or a list of settings.
pub(crate) fn read(text: &str) -> Result<PostgresConfig, ConfigError> {
    let mut own = Own::default();
    let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
    let rest = if is_url { rest_of_url(text, &mut own)? } else { rest_of_list(text, &mut own)? };
    let parsed = rest.parse::<Config>().map_err(|error| refuse(what_is_wrong(&error)))?;
    let (client, hosts) = split(&parsed)?;
    let mut config = PostgresConfig {
        hosts,
        shuffle: parsed.get_load_balance_hosts() == LoadBalanceHosts::Random,
        ssl_mode: ssl_mode(&own, parsed.get_ssl_negotiation())?,
        root_cert: own.root_cert,
        ..PostgresConfig::default()
    };
    let name = config.client.get_application_name().unwrap_or_default().to_owned();
    config.client = client;
    if config.client.get_application_name().is_none() {
        config.client.application_name(name);
    }
    if let Some(each) = parsed.get_connect_timeout() {
        let hosts = u32::try_from(config.hosts.len()).unwrap_or(u32::MAX).max(1);
        config.connect_timeout = each.saturating_mul(hosts).min(LONGEST_CONNECT);
    }
    Ok(config)
}

/// The client's own words where they name a setting; others may quote the URL.
fn what_is_wrong(error: &tokio_postgres::Error) -> String {
    let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    match why.strip_prefix("invalid value for option ") {
        Some(option) => format!("its setting {option} cannot be used"),
        None if why.starts_with("unknown option") => "it has a setting that nobody knows".into(),
        None => "it cannot be read".into(),
    }
}

/// The URL without the settings that are ours.
fn rest_of_url(url: &str, own: &mut Own) -> Result<String, ConfigError> {
    // A question mark may stand in the password; the settings follow the host.
    let host = url.find('@').map_or(0, |at| at + 1);
    let Some(mark) = url[host..].find('?').map(|at| host + at) else {
        return Ok(url.to_owned());
    };
    let mut rest = url[..mark].to_owned();
    let mut separator = '?';
    for setting in url[mark + 1..].split('&').filter(|setting| !setting.is_empty()) {
        let (key, value) =
            setting.split_once('=').ok_or_else(|| refuse("one of its settings has no value"))?;
        let value = decode(value)?;
        let key = decode(key)?;
        let Some(left) = own.take(&key, &value)? else { continue };
        rest.push(separator);
        rest.push_str(&key);
        rest.push('=');
        encode(left, &mut rest);
        separator = '&';
    }
    Ok(rest)
}

/// The list without the settings that are ours.
fn rest_of_list(list: &str, own: &mut Own) -> Result<String, ConfigError> {
    let mut rest = String::new();
    let mut letters = list.chars().peekable();
    loop {
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        if letters.peek().is_none() {
            return Ok(rest);
        }
        let mut key = String::new();
        while let Some(letter) = letters.next_if(|&letter| letter != '=') {
            key.push(letter);
        }
        if letters.next().is_none() {
            return Err(refuse("one of its settings has no value"));
        }
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        let quoted = letters.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        let mut closed = !quoted;
        while let Some(letter) = letters.next() {
            match letter {
                '\'' if quoted => {
                    closed = true;
                    break;
                }
                '\\' => value.extend(letters.next()),
                letter if !quoted && letter.is_whitespace() => break,
                letter => value.push(letter),
            }
        }
        if !closed {
            return Err(refuse("a quote is not closed"));
        }
        let key = key.trim_end();
        if let Some(left) = own.take(key, &value)? {
            let left = left.replace('\\', "\\\\").replace('\'', "\\'");
            rest.push_str(key);
            rest.push_str("='");
            rest.push_str(&left);
            rest.push_str("' ");
        }
    }
}

fn decode(text: &str) -> Result<String, ConfigError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digits = rest.clone();
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match (byte, digit(digits.next()), digit(digits.next())) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = digits;
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| refuse("one of its settings is not UTF-8"))
}

fn encode(text: &str, out: &mut String) {
    use std::fmt::Write;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~,/:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// Parts the hosts from the rest, so that each can be given its own time.
fn split(parsed: &Config) -> Result<(Config, Vec<Address>), ConfigError> {
    let (hosts, addresses, ports) =
        (parsed.get_hosts(), parsed.get_hostaddrs(), parsed.get_ports());
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        return Err(refuse("it has not as many hosts as it has addresses"));
    }
    let count = hosts.len().max(addresses.len());
    if ports.len() > 1 && ports.len() != count {
        return Err(refuse("it has not as many ports as it has hosts"));
    }
    let address = |at: usize| Address {
        host: hosts.get(at).cloned(),
        hostaddr: addresses.get(at).copied(),
        port: ports.get(at).or(ports.first()).copied().unwrap_or(5432),
    };
    let mut found: Vec<Address> = (0..count).map(address).collect();
    if let ([], Some(&port)) = (&*found, ports.first()) {
        found = PostgresConfig::new().host("localhost", port).hosts;
    }
    Ok((without_hosts(parsed), found))
}

fn without_hosts(parsed: &Config) -> Config {
    let mut config = Config::new();
    if let Some(user) = parsed.get_user() {
        config.user(user);
    }
    if let Some(password) = parsed.get_password() {
        config.password(password);
    }
    if let Some(name) = parsed.get_dbname() {
        config.dbname(name);
    }
    if let Some(options) = parsed.get_options() {
        config.options(options);
    }
    if let Some(name) = parsed.get_application_name() {
        config.application_name(name);
    }
    if let Some(&timeout) = parsed.get_tcp_user_timeout() {
        config.tcp_user_timeout(timeout);
    }
    config.keepalives(parsed.get_keepalives());
    config.keepalives_idle(parsed.get_keepalives_idle());
    if let Some(interval) = parsed.get_keepalives_interval() {
        config.keepalives_interval(interval);
    }
    if let Some(retries) = parsed.get_keepalives_retries() {
        config.keepalives_retries(retries);
    }
    config.ssl_negotiation(parsed.get_ssl_negotiation());
    config.target_session_attrs(parsed.get_target_session_attrs());
    config.channel_binding(parsed.get_channel_binding());
    config.load_balance_hosts(parsed.get_load_balance_hosts());
    config
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::{Host, TargetSessionAttrs};

    use std::time::Duration;

    use super::*;

    fn hosts(config: &PostgresConfig) -> Vec<String> {
        let shown = |address: &Address| {
            let host = match &address.host {
                Some(Host::Tcp(name)) => name.clone(),
                #[cfg(unix)]
                Some(Host::Unix(path)) => path.display().to_string(),
                _ => String::new(),
            };
            format!("{host}:{}", address.port)
        };
        config.hosts.iter().map(shown).collect()
    }

    #[test]
    fn a_url_and_a_list_of_settings_say_the_same() {
        let cases = [
            "postgres://ada:s%20%3F%26'\\@db:6000/app?sslmode=verify-full&sslrootcert=%2Fca%20x.pem\
             &application_name=mine",
            "host=db port=6000 user=ada password='s ?&\\'\\\\' dbname = app sslmode=verify-full \
             sslrootcert='/ca x.pem' application_name=mine",
        ];
        for text in cases {
            let config = read(text).unwrap();
            assert_eq!(hosts(&config), ["db:6000"]);
            assert_eq!(config.client.get_user(), Some("ada"));
            assert_eq!(config.client.get_password(), Some(&b"s ?&'\\"[..]), "{text}");
            assert_eq!(config.client.get_dbname(), Some("app"));
            assert_eq!(config.client.get_application_name(), Some("mine"));
            assert_eq!(config.ssl_mode, SslMode::VerifyFull);
            assert_eq!(config.root_cert, Some(RootCert::File("/ca x.pem".into())));
        }
    }

    #[test]
    fn several_hosts_keep_their_ports_and_share_the_rest() {
        let config = read(
            "postgresql://u@a:1,b,[::1]:3/d?target_session_attrs=primary&connect_timeout=2\
             &sslmode=disable",
        )
        .unwrap();
        assert_eq!(hosts(&config), ["a:1", "b:5432", "::1:3"]);
        assert_eq!(config.client.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(config.connect_timeout, Duration::from_secs(6));
        assert_eq!(config.ssl_mode, SslMode::Disable);
        let config = read("postgres://%2Fvar%2Frun/d").unwrap();
        assert_eq!(hosts(&config), ["/var/run:5432"]);
        assert_eq!(config.client.get_application_name(), Some("batchflow"));
        assert_eq!(hosts(&read("port=7 user=u").unwrap()), ["localhost:7"]);
    }

    #[test]
    fn promise_10_what_cannot_be_read_is_not_shown() {
        let cases = [
            ("postgres://u:canary@h/d?sslmode=canary", "`sslmode`"),
            ("postgres://u:canary@h/d?passfile=canary", "`passfile`"),
            ("postgres://u:canary@h/d?canary=1", "nobody knows"),
            ("postgres://u:canary@h/d?canary", "no value"),
            ("postgres://u:canary@h/d?connect_timeout=canary", "`connect_timeout`"),
            ("postgres://u:canary@h:canary/d", "`port`"),
            ("host=h password=can canary=ary", "nobody knows"),
            ("host=h password='canary", "not closed"),
            ("canary", "no value"),
            ("host=a,b,c port=1,2", "as many ports"),
        ];
        for (text, named) in cases {
            let error = read(text).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("canary"), "{shown}");
            assert!(shown.contains(named), "{text}: {shown}");
        }
        let config = read("postgres://canary:canary@canary/canary?options=canary").unwrap();
        assert!(!format!("{config:?}").contains("canary"));
    }

    #[test]
    fn encryption_is_no_weaker_than_libpq_has_it() {
        let mode = |settings: &str| read(&format!("postgres://db/app?{settings}"));
        for (settings, expected) in [
            ("application_name=x", SslMode::Prefer),
            ("sslrootcert=system", SslMode::VerifyFull),
            ("sslrootcert=system&sslmode=verify-full", SslMode::VerifyFull),
            ("sslnegotiation=direct&sslmode=require", SslMode::Require),
            ("sslnegotiation=direct&sslrootcert=system", SslMode::VerifyFull),
        ] {
            assert_eq!(mode(settings).unwrap().ssl_mode, expected, "{settings}");
        }
        for settings in [
            "sslrootcert=system&sslmode=require",
            "sslmode=verify-ca&sslrootcert=system",
            "sslrootcert=system&sslmode=disable",
            "sslnegotiation=direct",
            "sslnegotiation=direct&sslmode=prefer",
        ] {
            let error = mode(settings).unwrap_err().to_string();
            assert!(error.contains("needs `sslmode="), "{settings}: {error}");
        }
    }
}
