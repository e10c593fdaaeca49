//! TLS to PostgreSQL by rustls, with the meanings that libpq gives to `sslmode`.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::Error;

/// How much of the server's certificate is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// `prefer` and `require`: encrypted, but anybody may be at the other end.
    Any,
    /// `verify-ca`: the certificate is signed by a known authority.
    Authority,
    /// `verify-full`: and it names the host.
    Host,
}

/// What the connection string says about TLS beyond what the driver understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    pub(crate) trust: Trust,
    pub(crate) root_certificate: Option<PathBuf>,
}

/// Takes `sslmode=verify-*` and `sslrootcert` out of a connection string, which the driver would
/// refuse, and leaves `sslmode=require` in their place.
pub(crate) fn split_settings(url: &str) -> (String, TlsSettings) {
    let mut settings = TlsSettings {
        trust: Trust::Any,
        root_certificate: None,
    };
    let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
    let (base, parameters, separator) = match url.split_once('?') {
        Some((base, query)) if is_url => (Some(base), query, '&'),
        _ if is_url => return (url.to_owned(), settings),
        _ => (None, url, ' '),
    };
    let mut kept = Vec::new();
    for parameter in parameters.split(separator) {
        match parameter.split_once('=') {
            Some(("sslmode", "verify-ca")) => {
                settings.trust = Trust::Authority;
                kept.push("sslmode=require");
            }
            Some(("sslmode", "verify-full")) => {
                settings.trust = Trust::Host;
                kept.push("sslmode=require");
            }
            Some(("sslrootcert", path)) => {
                settings.root_certificate = Some(PathBuf::from(path.replace("%2F", "/")));
            }
            _ => kept.push(parameter),
        }
    }
    let kept = kept.join(&separator.to_string());
    (
        base.map_or_else(|| kept.clone(), |base| format!("{base}?{kept}")),
        settings,
    )
}

/// Builds the connector.
pub(crate) fn connector(settings: &TlsSettings) -> Result<MakeRustlsConnect, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::tls)?;
    let config = match settings.trust {
        Trust::Host => builder
            .with_root_certificates(roots(settings)?)
            .with_no_client_auth(),
        trust => {
            let authority = match trust {
                Trust::Any => None,
                Trust::Authority | Trust::Host => Some(
                    WebPkiServerVerifier::builder_with_provider(
                        Arc::new(roots(settings)?),
                        Arc::clone(&provider),
                    )
                    .build()
                    .map_err(|error| Error::settings(error.to_string()))?,
                ),
            };
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(LaxVerifier {
                    provider,
                    authority,
                }))
                .with_no_client_auth()
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

fn roots(settings: &TlsSettings) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    match &settings.root_certificate {
        Some(path) => {
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| Error::certificates(std::io::Error::other(error)))?;
            for certificate in certificates {
                roots.add(certificate).map_err(Error::tls)?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(Error::settings(
            "no root certificate found; give sslrootcert",
        ));
    }
    Ok(roots)
}

/// Believes less than the host's name: the authority alone, or nothing.
#[derive(Debug)]
struct LaxVerifier {
    provider: Arc<CryptoProvider>,
    authority: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for LaxVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authority) = &self.authority else {
            return Ok(ServerCertVerified::assertion());
        };
        match authority.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        ) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::{TlsSettings, Trust, split_settings};

    #[track_caller]
    fn check(url: &str, clean: &str, trust: Trust, root: Option<&str>) {
        let settings = TlsSettings {
            trust,
            root_certificate: root.map(Into::into),
        };
        assert_eq!(split_settings(url), (clean.to_owned(), settings));
        clean
            .parse::<tokio_postgres::Config>()
            .expect("the driver takes what is left");
    }

    #[test]
    fn what_the_driver_does_not_know_is_taken_out() {
        check("postgres://u@h/d", "postgres://u@h/d", Trust::Any, None);
        check(
            "postgresql://u:p@h/d?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem&connect_timeout=3",
            "postgresql://u:p@h/d?sslmode=require&connect_timeout=3",
            Trust::Host,
            Some("/etc/ca.pem"),
        );
        check(
            "host=h user=u sslmode=verify-ca sslrootcert=/ca.pem",
            "host=h user=u sslmode=require",
            Trust::Authority,
            Some("/ca.pem"),
        );
    }
}
