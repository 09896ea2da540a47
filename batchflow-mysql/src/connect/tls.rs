//! How a connection is encrypted: by rustls behind the feature `tls`, else not at all.

use batchflow_core::ConfigError;
use mysql_async::{DriverError, Error, SslOpts};

use crate::config::{MysqlConfig, SslMode};

/// What connections are encrypted with; nothing where they are plain.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) opts: Option<SslOpts>,
    pub(crate) mode: SslMode,
}

#[cfg(not(feature = "tls"))]
impl Tls {
    pub(crate) fn new(config: &MysqlConfig) -> Result<Self, ConfigError> {
        match config.ssl_mode {
            SslMode::Disabled | SslMode::Preferred => {
                Ok(Self { opts: None, mode: SslMode::Disabled })
            }
            _ => Err(ConfigError::new(
                "ssl_mode",
                "encryption needs the feature `tls` of batchflow-mysql",
            )),
        }
    }
}

#[cfg(feature = "tls")]
impl Tls {
    pub(crate) fn new(config: &MysqlConfig) -> Result<Self, ConfigError> {
        let mode = config.ssl_mode;
        if mode == SslMode::Disabled {
            return Ok(Self { opts: None, mode });
        }
        Ok(Self { opts: Some(certificates::opts(mode, config.root_cert.as_ref())?), mode })
    }
}

/// Why no encrypted connection came about, in words of our own that name the setting at fault;
/// `None` where the error is another.
pub(crate) fn explain(error: &Error) -> Option<&'static str> {
    if let Error::Driver(DriverError::NoClientSslFlagFromServer) = error {
        return Some("the server does not encrypt connections, as `ssl_mode` demands");
    }
    #[cfg(feature = "tls")]
    return certificates::explain(error);
    #[cfg(not(feature = "tls"))]
    None
}

/// A name that the server's certificate is for, where the host's own is none and only that is
/// wrong.
///
/// The client knows no way to leave the name unchecked and all else checked: so a second handshake
/// expects a name that the first has shown.
pub(crate) fn presented_name(error: &Error) -> Option<String> {
    #[cfg(feature = "tls")]
    return certificates::presented_name(error);
    #[cfg(not(feature = "tls"))]
    {
        let _ = error;
        None
    }
}

#[cfg(all(test, not(feature = "tls")))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn encryption_that_was_not_built_in_is_refused_by_its_features_name() {
        for mode in ["required", "verify-ca", "verify-identity"] {
            let url = format!("mysql://u:canary@canary/d?ssl-mode={mode}");
            let error = crate::MysqlDriver::connect(&url).await.unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("ssl_mode") && shown.contains("feature `tls`"), "{shown}");
            assert!(!shown.contains("canary"), "promise 10: {shown}");
        }
        for mode in ["disabled", "preferred"] {
            let config = MysqlConfig::from_url(&format!("mysql://h/d?ssl-mode={mode}"));
            assert!(Tls::new(&config.unwrap()).unwrap().opts.is_none(), "{mode}");
        }
    }
}

#[cfg(feature = "tls")]
mod certificates {
    use std::path::Path;

    use batchflow_core::ConfigError;
    use mysql_async::{Error, IoError, SslOpts, TlsError};
    use rustls::crypto::{CryptoProvider, ring};
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use rustls::{CertificateError, RootCertStore};

    use crate::config::{RootCert, SslMode};

    pub(super) fn opts(mode: SslMode, root: Option<&RootCert>) -> Result<SslOpts, ConfigError> {
        // The client takes the provider of the whole process, and panics where there is none and
        // more than one is built in.
        if CryptoProvider::get_default().is_none() {
            // Another thread may have been first, which is as good.
            let _ = ring::default_provider().install_default();
        }
        // As MySQL's own client does: a root certificate makes `required` check who signed.
        let signed = matches!(mode, SslMode::VerifyCa | SslMode::VerifyIdentity)
            || (mode == SslMode::Required && root.is_some());
        let opts = SslOpts::default().with_disable_built_in_roots(true);
        // The client wants a root in any case, and asks it nothing where all are accepted.
        let roots = roots(root.unwrap_or(&RootCert::System));
        let roots = if signed { roots? } else { roots.unwrap_or_default() };
        if roots.is_empty() {
            return Ok(opts
                .with_disable_built_in_roots(false)
                .with_danger_accept_invalid_certs(true));
        }
        let roots = roots.into_iter().map(|root| root.as_ref().to_vec().into()).collect();
        Ok(opts.with_root_certs(roots).with_danger_accept_invalid_certs(!signed))
    }

    fn roots(root: &RootCert) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
        let usable = |certificate: &CertificateDer<'static>| {
            RootCertStore::empty().add(certificate.clone()).is_ok()
        };
        let mut found = match root {
            RootCert::System => rustls_native_certs::load_native_certs().certs,
            RootCert::File(path) => read(path)?,
        };
        if *root == RootCert::System {
            found.retain(usable);
        } else if !found.iter().all(usable) {
            return Err(ConfigError::new("ssl_root_cert", "a certificate in the file is damaged"));
        }
        if found.is_empty() {
            return Err(ConfigError::new("ssl_root_cert", "no certificate was found"));
        }
        Ok(found)
    }

    fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
        let refuse = || ConfigError::new("ssl_root_cert", "the file cannot be read");
        let found = CertificateDer::pem_file_iter(path).map_err(|_| refuse())?;
        found.collect::<Result<_, _>>().map_err(|_| refuse())
    }

    fn rustls(error: &Error) -> Option<&rustls::Error> {
        match error {
            Error::Io(IoError::Tls(TlsError::Tls(error))) => Some(error),
            Error::Io(IoError::Io(error)) => error.get_ref()?.downcast_ref(),
            _ => None,
        }
    }

    /// What was wrong with the handshake, if that is what it was.
    pub(super) fn explain(error: &Error) -> Option<&'static str> {
        if let Error::Io(IoError::Tls(TlsError::InvalidDnsName(_))) = error {
            return Some("the host is no name that a certificate could be for");
        }
        let rustls::Error::InvalidCertificate(why) = rustls(error)? else {
            return Some("encryption could not be agreed upon, as `ssl_mode` demands");
        };
        Some(match why {
            CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
                "the server's certificate names no host as an alternative name of its subject, \
                 without which it cannot be checked as `ssl_mode` demands"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the server's certificate is for another host, which `verify-identity` of \
                 `ssl_mode` refuses"
            }
            CertificateError::UnknownIssuer => {
                "the server's certificate is signed by nobody whom `ssl_root_cert` trusts"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the server's certificate has expired, and `ssl_mode` demands that it be checked"
            }
            _ => "the server's certificate is not valid, and `ssl_mode` demands that it be checked",
        })
    }

    pub(super) fn presented_name(error: &Error) -> Option<String> {
        let rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            presented,
            ..
        }) = rustls(error)?
        else {
            return None;
        };
        presented.iter().find_map(|name| one_of(name))
    }

    /// A name that `DnsName("*.example.com")` or `IpAddress(10.0.0.1)` stands for.
    fn one_of(presented: &str) -> Option<String> {
        let (_, rest) = presented.split_once('(')?;
        let name = rest.strip_suffix(')')?.trim_matches('"');
        Some(name.replacen('*', "any", 1)).filter(|name| !name.is_empty())
    }

    #[cfg(test)]
    mod tests {
        use super::one_of;

        #[test]
        fn a_presented_name_is_one_that_can_be_expected() {
            let cases = [
                ("DnsName(\"db.example.com\")", Some("db.example.com")),
                ("DnsName(\"*.example.com\")", Some("any.example.com")),
                ("IpAddress(10.0.0.1)", Some("10.0.0.1")),
                ("DnsName(\"\")", None),
                ("nothing", None),
            ];
            for (presented, expected) in cases {
                assert_eq!(one_of(presented).as_deref(), expected, "{presented}");
            }
        }
    }
}
