//! How a connection is encrypted: by rustls behind the feature `tls`, else not at all.

use std::error::Error as _;
use std::fmt;

use batchflow_core::ConfigError;
use tokio_postgres::config::SslMode as ClientMode;

use crate::config::{PostgresConfig, SslMode};

/// What connections, and requests to cancel, are encrypted with.
#[derive(Clone)]
pub(crate) enum Tls {
    Plain,
    #[cfg(feature = "tls")]
    Rustls(tokio_postgres_rustls::MakeRustlsConnect),
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            #[cfg(feature = "tls")]
            Self::Rustls(_) => "Rustls",
        })
    }
}

/// What the client is told; who signed is the verifier's affair.
pub(crate) fn client_mode(mode: SslMode) -> ClientMode {
    match mode {
        SslMode::Disable => ClientMode::Disable,
        SslMode::Prefer => ClientMode::Prefer,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => ClientMode::Require,
    }
}

/// Why no encrypted connection came about, in words of our own that name the setting at fault;
/// `None` where the error is another.
pub(crate) fn explain(error: &tokio_postgres::Error) -> Option<&'static str> {
    if !error.to_string().starts_with("error performing TLS handshake") {
        return None;
    }
    let cause = error.source()?;
    if cause.to_string() == "server does not support TLS" {
        return Some("the server does not encrypt connections, as `sslmode` demands");
    }
    #[cfg(feature = "tls")]
    if let Some(why) = rustls_config::explain(cause) {
        return Some(why);
    }
    Some("encryption could not be agreed upon, as `sslmode` demands")
}

#[cfg(not(feature = "tls"))]
impl Tls {
    pub(crate) fn new(config: &PostgresConfig) -> Result<Self, ConfigError> {
        match config.ssl_mode {
            SslMode::Disable | SslMode::Prefer => Ok(Self::Plain),
            _ => Err(ConfigError::new(
                "ssl_mode",
                "encryption needs the feature `tls` of batchflow-postgres",
            )),
        }
    }
}

#[cfg(all(test, not(feature = "tls")))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn encryption_that_was_not_built_in_is_refused_by_its_features_name() {
        for mode in ["require", "verify-ca", "verify-full"] {
            let url = format!("postgres://u:canary@canary/d?sslmode={mode}");
            let error = crate::PostgresDriver::connect(&url).await.unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("ssl_mode") && shown.contains("feature `tls`"), "{shown}");
            assert!(!shown.contains("canary"), "promise 10: {shown}");
        }
        for mode in ["disable", "prefer"] {
            let config = PostgresConfig::from_url(&format!("postgres://h/d?sslmode={mode}"));
            assert!(matches!(Tls::new(&config.unwrap()), Ok(Tls::Plain)), "{mode}");
        }
    }
}

#[cfg(feature = "tls")]
impl Tls {
    pub(crate) fn new(config: &PostgresConfig) -> Result<Self, ConfigError> {
        if config.ssl_mode == SslMode::Disable {
            return Ok(Self::Plain);
        }
        let client = rustls_config::new(config.ssl_mode, config.root_cert.as_ref())?;
        Ok(Self::Rustls(tokio_postgres_rustls::MakeRustlsConnect::new(client)))
    }
}

#[cfg(feature = "tls")]
mod rustls_config {
    use std::path::Path;
    use std::sync::Arc;

    use batchflow_core::ConfigError;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::{CryptoProvider, ring};
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{
        CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
        SignatureScheme,
    };

    use crate::config::{RootCert, SslMode};

    pub(super) fn new(mode: SslMode, root: Option<&RootCert>) -> Result<ClientConfig, ConfigError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|_| ConfigError::new("ssl_mode", "no protocol version is supported"))?;
        // As libpq does: a root certificate makes `require` check who signed.
        let signed = matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull)
            || (mode == SslMode::Require && root.is_some());
        let checks = if signed {
            let roots = roots(root.unwrap_or(&RootCert::System))?;
            let verifier =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                    .build()
                    .map_err(|_| {
                        ConfigError::new("ssl_root_cert", "it holds no usable certificate")
                    })?;
            if mode == SslMode::VerifyFull {
                Checks::All(verifier)
            } else {
                Checks::Signature(verifier)
            }
        } else {
            Checks::None(provider)
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(checks));
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(config)
    }

    fn roots(root: &RootCert) -> Result<RootCertStore, ConfigError> {
        let mut store = RootCertStore::empty();
        match root {
            RootCert::System => {
                let found = rustls_native_certs::load_native_certs();
                store.add_parsable_certificates(found.certs);
            }
            RootCert::File(path) => {
                for certificate in read(path)? {
                    store.add(certificate).map_err(|_| {
                        ConfigError::new("ssl_root_cert", "a certificate in the file is damaged")
                    })?;
                }
            }
        }
        if store.is_empty() {
            return Err(ConfigError::new("ssl_root_cert", "no certificate was found"));
        }
        Ok(store)
    }

    fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
        let refuse = || ConfigError::new("ssl_root_cert", "the file cannot be read");
        let found = CertificateDer::pem_file_iter(path).map_err(|_| refuse())?;
        found.collect::<Result<_, _>>().map_err(|_| refuse())
    }

    /// What was wrong with the server's certificate, if that is what it was.
    pub(super) fn explain(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let error = match inner {
            Some(inner) => inner.downcast_ref::<Error>(),
            None => cause.downcast_ref::<Error>(),
        };
        let Error::InvalidCertificate(why) = error? else { return None };
        Some(match why {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the server's certificate is for another host, which `verify-full` of `sslmode` \
                 refuses"
            }
            CertificateError::UnknownIssuer => {
                "the server's certificate is signed by nobody whom `sslrootcert` trusts"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the server's certificate has expired, and `sslmode` demands that it be checked"
            }
            _ => "the server's certificate is not valid, and `sslmode` demands that it be checked",
        })
    }

    /// What the server's certificate has to prove.
    #[derive(Debug)]
    enum Checks {
        /// That the server holds the certificate's key.
        None(Arc<CryptoProvider>),
        /// And that a trusted authority signed it.
        Signature(Arc<WebPkiServerVerifier>),
        /// And that it is this host's.
        All(Arc<WebPkiServerVerifier>),
    }

    impl ServerCertVerifier for Checks {
        fn verify_server_cert(
            &self,
            end_entity: &CertificateDer<'_>,
            intermediates: &[CertificateDer<'_>],
            name: &ServerName<'_>,
            ocsp: &[u8],
            now: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            let verified = |verifier: &WebPkiServerVerifier| {
                verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now)
            };
            match self {
                Self::None(_) => Ok(ServerCertVerified::assertion()),
                Self::All(verifier) => verified(verifier),
                // The name is checked last: who gets there has the right signature.
                Self::Signature(verifier) => match verified(verifier) {
                    Err(Error::InvalidCertificate(
                        CertificateError::NotValidForName
                        | CertificateError::NotValidForNameContext { .. },
                    )) => Ok(ServerCertVerified::assertion()),
                    other => other,
                },
            }
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            match self {
                Self::None(provider) => rustls::crypto::verify_tls12_signature(
                    message,
                    certificate,
                    signature,
                    &provider.signature_verification_algorithms,
                ),
                Self::Signature(verifier) | Self::All(verifier) => {
                    verifier.verify_tls12_signature(message, certificate, signature)
                }
            }
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            match self {
                Self::None(provider) => rustls::crypto::verify_tls13_signature(
                    message,
                    certificate,
                    signature,
                    &provider.signature_verification_algorithms,
                ),
                Self::Signature(verifier) | Self::All(verifier) => {
                    verifier.verify_tls13_signature(message, certificate, signature)
                }
            }
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            match self {
                Self::None(provider) => {
                    provider.signature_verification_algorithms.supported_schemes()
                }
                Self::Signature(verifier) | Self::All(verifier) => {
                    verifier.supported_verify_schemes()
                }
            }
        }
    }
}
