//! Encryption for the client that writes. The one that reads makes its own from the same file.

use crate::config::Tls;
use crate::error::OpenError;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// The provider is named, since a process that links two of them has no default.
pub(crate) fn client_config(tls: &Tls) -> Result<Arc<ClientConfig>, OpenError> {
    let roots = match &tls.ca_file {
        Some(path) => read(path).map_err(|source| OpenError::CaFile { path: path.clone(), source })?,
        None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder =
        builder.with_safe_default_protocol_versions().map_err(|error| OpenError::Tls { source: error.into() })?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

fn read(path: &Path) -> Result<RootCertStore, Box<dyn std::error::Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path)? {
        roots.add(certificate?)?;
    }
    if roots.is_empty() { Err("no certificate in it".into()) } else { Ok(roots) }
}
