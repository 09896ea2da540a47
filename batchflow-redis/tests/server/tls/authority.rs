//! [`Authority`]: signs certificates for the tests.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::CertificateDer;

use crate::support::fresh;

/// Who signs certificates, and a folder of what was signed.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    folder: PathBuf,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, fresh("authority"));
        let key = KeyPair::generate().unwrap();
        let folder = std::env::temp_dir().join(fresh("tls"));
        std::fs::create_dir(&folder).unwrap();
        let own = params.self_signed(&key).unwrap();
        std::fs::write(folder.join("ca.pem"), own.pem()).unwrap();
        let certificate = own.der().clone();
        Self { issuer: Issuer::new(params, key), certificate, folder }
    }

    /// Signs a certificate for a host; returns where it and its key are.
    pub(super) fn sign(&self, host: &str) -> [String; 2] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        let write = |what: &str, text: String| {
            let path = self.folder.join(fresh(what));
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        [write("certificate", signed.pem()), write("key", key.serialize_pem())]
    }

    /// The settings of a server that encrypts at a port, with a certificate for a host.
    pub(super) fn settings(&self, port: u16, host: &str) -> String {
        let [certificate, key] = self.sign(host);
        let ca = self.folder.join("ca.pem").display().to_string();
        format!(
            "tls-port={port} tls-auth-clients=no tls-cert-file={certificate} tls-key-file={key} \
             tls-ca-cert-file={ca}"
        )
    }

    /// A client's configuration that trusts this authority alone.
    pub(super) fn trusted(&self) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
