//! Which certificates are trusted to vouch for a server.

use std::path::Path;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use llm_core::ConfigError;

/// The field as it is called from the provider's configuration, where users meet it.
const FIELD: &str = "client.ca_file";

/// Mozilla's roots and those in `ca_file`. Of the file only its certificates are looked at; one that cannot be used
/// refuses the file, since leaving it out would be noticed no earlier than at the first call.
pub(super) fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let Some(path) = ca_file else { return Ok(roots) };
    let file = path.display();
    let pem = std::fs::read(path)
        .map_err(|error| ConfigError::new(FIELD, format!("no certificate can be read from {file}: {error}")))?;
    let of_mozilla = roots.len();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        // What the reader says of a broken section may quote it, and people mistake one file for another.
        let certificate =
            certificate.map_err(|_| ConfigError::new(FIELD, format!("{file} holds a section that is not PEM")))?;
        roots.add(certificate).map_err(|error| {
            ConfigError::new(FIELD, format!("{file} holds a certificate that cannot be used: {error}"))
        })?;
    }
    if roots.len() == of_mozilla {
        return Err(ConfigError::new(FIELD, format!("{file} holds no certificate in PEM form")));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rcgen::{CertificateParams, KeyPair};
    use tempfile::NamedTempFile;

    use super::*;

    fn certificate() -> (String, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (CertificateParams::default().self_signed(&key).unwrap().pem(), key)
    }

    fn with(content: &str) -> Result<usize, String> {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let name = file.path().display().to_string();
        roots(Some(file.path())).map(|roots| roots.len()).map_err(|error| error.to_string().replace(&name, "FILE"))
    }

    #[test]
    fn the_files_certificates_are_trusted_besides_mozillas() {
        let mozilla = roots(None).unwrap().len();
        assert!(mozilla > 50);
        let ((one, key), (two, _)) = (certificate(), certificate());
        assert_eq!(with(&one).unwrap(), mozilla + 1);
        let mixed = format!("Our own\n{one}{}{two}", key.serialize_pem());
        assert_eq!(with(&mixed).unwrap(), mozilla + 2, "comments and other sections do not count");
    }

    #[test]
    fn a_file_without_a_usable_certificate_is_refused_with_a_sentence() {
        let (one, key) = certificate();
        let none = "client.ca_file: FILE holds no certificate in PEM form";
        assert_eq!(with("").unwrap_err(), none);
        assert_eq!(with(&key.serialize_pem()).unwrap_err(), none);
        assert_eq!(
            with(&one[..one.len() / 2]).unwrap_err(),
            "client.ca_file: FILE holds a section that is not PEM",
            "cut off"
        );
        let sentence =
            with(&format!("{one}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")).unwrap_err();
        assert!(sentence.starts_with("client.ca_file: FILE holds a certificate that cannot be used: "), "{sentence}");
    }

    #[test]
    fn a_file_that_is_not_there_is_refused_with_a_sentence() {
        let sentence = roots(Some(Path::new("no/such/ca.pem"))).unwrap_err().to_string();
        assert!(sentence.starts_with("client.ca_file: no certificate can be read from no/such/ca.pem: "), "{sentence}");
    }
}
