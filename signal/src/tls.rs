//! The certificate and the key, read once at the start.

use crate::config::TlsFiles;
use crate::error::Error;
use futures_rustls::TlsAcceptor;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// What turns a TCP connection into an encrypted one.
pub fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, Error> {
    let wrong =
        |path: &std::path::Path, what: String| Error::new(format!("{}: {what}", path.display()));
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(&files.cert, format!("no certificate in PEM: {error}")))?;
    if chain.is_empty() {
        return Err(wrong(&files.cert, "no certificate in PEM".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| wrong(&files.key, format!("no private key in PEM: {error}")))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| wrong(&files.cert, format!("not to be used with its key: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
