//! One order at a CA, from its directory to the certificate (RFC 8555 s7), answered by
//! TLS-ALPN-01 (RFC 8737).

use super::Failure;
use super::https::{Answer, Client, Url};
use super::jws::{AccountKey, Signer, base64_url};
use super::x509;
use crate::secret::Secret;
use crate::tls::Keys;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use signal_proto::json;
use smol::Timer;
use std::borrow::Cow;
use std::cell::RefCell;
use std::time::Duration;

/// How often a request is sent again because its nonce was not taken (RFC 8555 s6.5).
const NONCES_MAX: usize = 10;

/// How long the CA is left to work between two looks at what it does, unless it says.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_MAX: Duration = Duration::from_secs(30);

/// Most looks.
const LOOKS_MAX: usize = 120;

/// A certificate chain as the CA sent it (PEM), and the key that it is for (PKCS #8).
#[derive(Debug)]
pub struct Issued {
    /// The certificate and those that vouch for it, PEM.
    pub chain: String,
    /// Its key.
    pub key: Secret,
}

/// Orders a certificate of `domain`; challenges are answered out of `keys`.
pub async fn order(
    client: &Client,
    directory: &Url,
    account: &AccountKey,
    domain: &str,
    keys: &Keys,
) -> Result<Issued, Failure> {
    let session = Session::open(client, directory, account).await?;
    let wanted = format!("{{\"identifiers\":[{{\"type\":\"dns\",\"value\":\"{domain}\"}}]}}");
    let made = session.post(&session.new_order, &wanted).await?;
    let url = location(&made)?;
    let order = object(&made)?;
    for authorization in member(order, "authorizations").map(json::elements).into_iter().flatten() {
        let url = json::string(authorization).and_then(|url| Url::parse(&url));
        session.authorize(&url.ok_or(NO_URL)?, domain, keys).await?;
    }
    let (key, pkcs8) = fresh_key()?;
    let request = x509::request(domain, &key).map_err(|_| NO_KEY)?;
    session.until(&url, |status| status != "pending").await?;
    let csr = format!("{{\"csr\":\"{}\"}}", base64_url(&request));
    session.post(&url_of(order, "finalize")?, &csr).await?;
    let done = session.until(&url, |status| status == "valid").await?;
    let chain = session.post(&url_of(object(&done)?, "certificate")?, "").await?;
    Ok(Issued { chain: chain.body, key: pkcs8.into() })
}

const NO_URL: Failure = Failure::Strange("no https URL where one is due");
const NO_KEY: Failure = Failure::Strange("no key can be made here");

/// A CA that knows our account.
struct Session<'a> {
    client: &'a Client,
    key: &'a AccountKey,
    /// The account's URL, which signs for it.
    account: String,
    new_nonce: Url,
    new_order: Url,
    /// The nonce that came with the last answer.
    nonce: RefCell<Option<String>>,
}

impl<'a> Session<'a> {
    /// Reads the directory and makes the account known; one that is known already is found.
    async fn open(
        client: &'a Client,
        directory: &Url,
        key: &'a AccountKey,
    ) -> Result<Self, Failure> {
        let answer = client.request("GET", directory, None).await?;
        let links = success(&answer).and_then(object)?;
        let mut session = Self {
            client,
            key,
            account: String::new(),
            new_nonce: url_of(links, "newNonce")?,
            new_order: url_of(links, "newOrder")?,
            nonce: RefCell::default(),
        };
        let new_account = url_of(links, "newAccount")?;
        let known = session.post(&new_account, "{\"termsOfServiceAgreed\":true}").await?;
        location(&known)?.as_str().clone_into(&mut session.account);
        Ok(session)
    }

    /// A signed request; with an empty payload it only reads (RFC 8555 s6.3).
    async fn post(&self, url: &Url, payload: &str) -> Result<Answer, Failure> {
        let mut result = Err(Failure::Strange("no nonce is ever right"));
        for _ in 0..NONCES_MAX {
            let kept = self.nonce.borrow_mut().take();
            let nonce = match kept {
                Some(nonce) => nonce,
                None => self.fetch_nonce().await?,
            };
            let signer =
                if self.account.is_empty() { Signer::Key } else { Signer::Account(&self.account) };
            let body = self.key.sign(signer, &nonce, url.as_str(), payload)?;
            let answer = self.client.request("POST", url, Some(&body)).await?;
            self.nonce.replace(answer.header("replay-nonce").map(str::to_owned));
            result = success(&answer).cloned();
            if !result.as_ref().is_err_and(|failure| failure.is("badNonce")) {
                break;
            }
        }
        result
    }

    async fn fetch_nonce(&self) -> Result<String, Failure> {
        let answer = self.client.request("HEAD", &self.new_nonce, None).await?;
        let nonce = success(&answer)?.header("replay-nonce").map(str::to_owned);
        nonce.ok_or(Failure::Strange("no nonce"))
    }

    /// Shows that `domain` is ours, unless the CA is convinced already.
    async fn authorize(&self, url: &Url, domain: &str, keys: &Keys) -> Result<(), Failure> {
        let answer = self.post(url, "").await?;
        let authorization = object(&answer)?;
        if text(authorization, "status") == "valid" {
            return Ok(());
        }
        let challenges = member(authorization, "challenges").map(json::elements);
        let ours = challenges.into_iter().flatten().find(|it| text(it, "type") == "tls-alpn-01");
        let ours = ours.ok_or(Failure::Strange("it offers no TLS-ALPN-01"))?;
        let digest = self.key.authorize(&text(ours, "token"));
        let (key, pkcs8) = fresh_key()?;
        let certificate = x509::challenge(domain, &digest, &key).map_err(|_| NO_KEY)?;
        let (certificate, key) =
            (CertificateDer::from(certificate), PrivatePkcs8KeyDer::from(pkcs8));
        keys.challenge(domain, certificate, key.into()).map_err(|_| NO_KEY)?;
        self.post(&url_of(ours, "url")?, "{}").await?;
        let done = self.until(url, |status| status == "valid").await.map(drop);
        keys.forget_challenge();
        done
    }

    /// Looks at an order or authorization until its status is wanted, or will never be.
    async fn until(&self, url: &Url, wanted: impl Fn(&str) -> bool) -> Result<Answer, Failure> {
        for _ in 0..LOOKS_MAX {
            let answer = self.post(url, "").await?;
            let found = object(&answer)?;
            let status = text(found, "status");
            if status == "invalid" {
                return Err(problem(found));
            }
            if wanted(&status) {
                return Ok(answer);
            }
            let wait = answer.header("retry-after").and_then(|text| text.parse().ok());
            Timer::after(wait.map_or(LOOK, Duration::from_secs).clamp(LOOK, LOOK_MAX)).await;
        }
        Err(Failure::Late)
    }
}

/// Why an order or one of an authorization's challenges failed.
fn problem(found: &str) -> Failure {
    let challenges = member(found, "challenges").map(json::elements).into_iter().flatten();
    let errors = challenges.filter_map(|challenge| member(challenge, "error"));
    let mut told = member(found, "error").into_iter().chain(errors);
    let unsaid = || Failure::Strange("it does not say why it refuses");
    told.find_map(Failure::of_problem).unwrap_or_else(unsaid)
}

fn fresh_key() -> Result<(EcdsaKeyPair, Vec<u8>), Failure> {
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let made = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new());
    let pkcs8 = made.map_err(|_| NO_KEY)?.as_ref().to_vec();
    let key = EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8).map_err(|_| NO_KEY)?;
    Ok((key, pkcs8))
}

fn success(answer: &Answer) -> Result<&Answer, Failure> {
    if (200..300).contains(&answer.status) { Ok(answer) } else { Err(Failure::of(answer)) }
}

/// The JSON that an answer is.
fn object(answer: &Answer) -> Result<&str, Failure> {
    let text = answer.body.as_str();
    json::check(text).map(|()| text).map_err(|_| Failure::Strange("an answer that is no JSON"))
}

fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    json::member(object, name)
}

/// The member's text; empty where there is none.
fn text<'a>(object: &'a str, name: &str) -> Cow<'a, str> {
    member(object, name).and_then(json::string).unwrap_or_default()
}

fn url_of(object: &str, name: &str) -> Result<Url, Failure> {
    Url::parse(&text(object, name)).ok_or(NO_URL)
}

fn location(answer: &Answer) -> Result<Url, Failure> {
    answer.header("location").and_then(Url::parse).ok_or(NO_URL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_found_where_it_is_told() {
        let error = "{\"type\":\"urn:ietf:params:acme:error:dns\",\"detail\":\"none\"}";
        let order = format!("{{\"status\":\"invalid\",\"error\":{error}}}");
        let authorization = format!(
            "{{\"status\":\"invalid\",\"challenges\":[{{\"type\":\"dns-01\"}},{{\"error\":{error}}}]}}"
        );
        assert!(problem(&order).is("dns") && problem(&authorization).is("dns"));
        assert!(matches!(problem("{}"), Failure::Strange(_)));
        assert_eq!(url_of("{\"a\":\"http://x/\"}", "a"), Err(NO_URL));
    }
}
