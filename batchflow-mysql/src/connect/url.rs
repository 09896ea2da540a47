//! Reads a URL: `mysql://user:password@host:3306,other/database?ssl-mode=required`.

use std::time::Duration;

use batchflow_core::ConfigError;

use crate::config::{Address, MysqlConfig, RootCert, SslMode};

fn refuse(why: impl Into<String>) -> ConfigError {
    ConfigError::new("url", why)
}

/// Reads a URL. What is refused is never shown: it may be a piece of a password.
pub(crate) fn read(url: &str) -> Result<MysqlConfig, ConfigError> {
    let rest = ["mysql://", "mariadb://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let rest = rest.ok_or_else(|| refuse("it must begin with `mysql://` or `mariadb://`"))?;
    let (place, settings) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    let (who, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    if database.contains('@') || (settings.contains('@') && who.is_empty()) {
        return Err(refuse("its user and password must be percent-encoded"));
    }
    let mut config = MysqlConfig::new();
    if !who.is_empty() {
        let (user, password) = match who.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (who, None),
        };
        config.user = Some(decode(user)?).filter(|user| !user.is_empty());
        config.password = password.map(decode).transpose()?;
    }
    if !database.is_empty() {
        config.database = Some(decode(database)?);
    }
    for host in hosts.split(',').filter(|_| !hosts.is_empty()) {
        config.hosts.push(address(host)?);
    }
    for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
        let (key, value) =
            setting.split_once('=').ok_or_else(|| refuse("one of its settings has no value"))?;
        set(&mut config, &decode(key)?, decode(value)?)?;
    }
    Ok(config)
}

/// `host`, `host:port`, `[::1]:port`.
fn address(text: &str) -> Result<Address, ConfigError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or_else(|| refuse("a bracket is not closed"))?,
        None => match text.find(':') {
            Some(colon) => text.split_at(colon),
            None => (text, ""),
        },
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|&port| port > 0),
        None => port.is_empty().then_some(3306),
    };
    let port = port.ok_or_else(|| refuse("its port is none there is"))?;
    let host = decode(host)?;
    if host.is_empty() {
        return Err(refuse("one of its hosts has no name"));
    }
    Ok(Address::Tcp(host, port))
}

fn set(config: &mut MysqlConfig, key: &str, value: String) -> Result<(), ConfigError> {
    match &*key.to_ascii_lowercase().replace('_', "-") {
        "ssl-mode" | "sslmode" => {
            config.ssl_mode = match &*value.to_ascii_lowercase().replace('_', "-") {
                "disabled" | "disable" => SslMode::Disabled,
                "preferred" | "prefer" => SslMode::Preferred,
                "required" | "require" => SslMode::Required,
                "verify-ca" => SslMode::VerifyCa,
                "verify-identity" | "verify-full" => SslMode::VerifyIdentity,
                _ => return Err(refuse("its `ssl-mode` is none there is")),
            };
        }
        "ssl-ca" => {
            config.root_cert = Some(match &*value {
                "system" => RootCert::System,
                file => RootCert::File(file.into()),
            });
        }
        "socket" => config.hosts = vec![Address::Socket(value)],
        "connect-timeout" => {
            let seconds = value.parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
            let seconds =
                seconds.ok_or_else(|| refuse("its `connect-timeout` is no number of seconds"))?;
            config.connect_timeout = Duration::from_secs(seconds);
        }
        "pool-size" => {
            let size = value.parse().ok().filter(|&size| size > 0);
            config.pool_size =
                size.ok_or_else(|| refuse("its `pool-size` is no number of connections"))?;
        }
        // utf8mb4 is what is spoken in any case.
        "charset" if matches!(&*value, "utf8mb4" | "utf8") => {}
        known @ ("charset" | "ssl-cert" | "ssl-key" | "ssl-capath" | "ssl-cipher" | "ssl-crl"
        | "tls-version" | "compress" | "compression" | "timezone" | "collation") => {
            return Err(refuse(format!("its setting `{known}` is not supported")));
        }
        _ => return Err(refuse("it has a setting that nobody knows")),
    }
    Ok(())
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
    String::from_utf8(bytes).map_err(|_| refuse("one of its parts is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_who_connects_where_and_how() {
        let config = read(
            "mysql://ada:s%20%3F%26%40@db:6000/app%2F1?ssl-mode=VERIFY_IDENTITY&ssl-ca=%2Fca%20x.pem\
             &connect-timeout=3&pool_size=2",
        )
        .unwrap();
        assert_eq!(config.hosts, [Address::Tcp("db".to_owned(), 6000)]);
        assert_eq!(config.user.as_deref(), Some("ada"));
        assert_eq!(config.password.as_deref(), Some("s ?&@"));
        assert_eq!(config.database.as_deref(), Some("app/1"));
        assert_eq!(config.ssl_mode, SslMode::VerifyIdentity);
        assert_eq!(config.root_cert, Some(RootCert::File("/ca x.pem".into())));
        assert_eq!((config.connect_timeout, config.pool_size), (Duration::from_secs(3), 2));
    }

    #[test]
    fn what_is_left_out_is_the_usual() {
        let config = read("mariadb://").unwrap();
        assert!(config.hosts.is_empty());
        assert_eq!((config.user, config.password, config.database), (None, None, None));
        let config = read("mysql://a:1,b,[::1]:3/d").unwrap();
        let tcp = |host: &str, port| Address::Tcp(host.to_owned(), port);
        assert_eq!(config.hosts, [tcp("a", 1), tcp("b", 3306), tcp("::1", 3)]);
        let config = read("mysql://u@localhost/d?socket=%2Frun%2Fmysqld.sock").unwrap();
        assert_eq!(config.hosts, [Address::Socket("/run/mysqld.sock".to_owned())]);
        assert_eq!(config.user.as_deref(), Some("u"));
        assert_eq!(read("mysql://u:@h").unwrap().password.as_deref(), Some(""));
    }

    #[test]
    fn promise_10_what_cannot_be_read_is_not_shown() {
        let cases = [
            ("canary", "`mysql://`"),
            ("postgres://u:canary@h/d", "`mysql://`"),
            ("mysql://u:canary@h/d?ssl-mode=canary", "`ssl-mode`"),
            ("mysql://u:canary@h/d?ssl-key=canary", "`ssl-key`"),
            ("mysql://u:canary@h/d?charset=canary", "`charset`"),
            ("mysql://u:canary@h/d?canary=1", "nobody knows"),
            ("mysql://u:canary@h/d?canary", "no value"),
            ("mysql://u:canary@h/d?connect-timeout=canary", "`connect-timeout`"),
            ("mysql://u:canary@h/d?pool-size=0", "`pool-size`"),
            ("mysql://u:canary@h:canary/d", "port"),
            ("mysql://u:canary@h:0/d", "port"),
            ("mysql://u:canary@[h/d", "bracket"),
            ("mysql://u:canary@,h/d", "no name"),
            ("mysql://u:can/ary@h/d", "percent-encoded"),
            ("mysql://u:can?ary@h/d", "percent-encoded"),
            ("mysql://u:canary%FF@h/d", "UTF-8"),
        ];
        for (text, named) in cases {
            let error = read(text).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("canary"), "{shown}");
            assert!(shown.contains(named), "{text}: {shown}");
        }
        let config = read("mysql://canary:canary@canary/canary").unwrap();
        assert!(!format!("{config:?}").contains("canary"));
    }
}
