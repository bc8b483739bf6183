//! A certificate from a CA by ACME (RFC 8555), obtained, kept, and renewed in time.
//!
//! ```text
//! acme      when: due, again after a failure       state   what outlives a restart
//! order     one order, request by request          jws     the account's signature
//! https     one request                            x509    the bytes of certificates
//! ```

pub mod failure;
pub mod https;
pub mod jws;
pub mod order;
pub mod state;
pub mod x509;

pub use failure::Failure;

use crate::clock::{self, Clock};
use crate::config::Domain;
use crate::error::Error;
use crate::response::http_date;
use crate::say;
use crate::tls::{self, Keys};
use https::{Client, Url};
use jws::AccountKey;
use order::Issued;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use smol::Timer;
use state::State;
use std::cell::Cell;
use std::mem::discriminant;
use std::time::Duration;

/// A whole order, with all its waiting.
const ORDER_WITHIN: Duration = Duration::from_mins(5);

/// How often the wall clock is looked at: it may jump.
const LOOK: Duration = Duration::from_hours(1);

/// Least time between two certificates, whatever the clock says.
const REST_MIN: Duration = Duration::from_secs(5);

/// One domain's certificate.
#[derive(Debug)]
pub struct Acme {
    domain: String,
    directory: Url,
    client: Client,
    account: AccountKey,
    state: State,
    clock: Clock,
    /// From when until when the certificate in use is valid, in seconds since 1970.
    valid: Cell<Option<(u64, u64)>>,
}

impl Acme {
    /// Opens the state; a certificate in it is put to use.
    pub fn new(wanted: &Domain, clock: Clock, keys: &Keys) -> Result<Self, Error> {
        let directory = Url::parse(&wanted.directory).ok_or_else(|| {
            Error::new(format!(
                "--acme-directory {:?}: expected https://HOST/...",
                wanted.directory
            ))
        })?;
        let state = State::open(&wanted.state_dir, &wanted.name, &wanted.directory)?;
        let acme = Self {
            domain: wanted.name.clone(),
            directory,
            client: Client::new(wanted.ca.as_deref())?,
            account: state.account()?,
            state,
            clock,
            valid: Cell::new(None),
        };
        if let Some(kept) = acme.state.certificate() {
            match acme.install(&kept, keys) {
                Some(until) => say!("certificate of {}: kept, valid until {until}", acme.domain),
                None => say!("certificate of {}: what was kept is broken", acme.domain),
            }
        }
        Ok(acme)
    }

    /// Whose certificate it is.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Obtains and renews, for ever; what changes is said in one line.
    pub async fn keep(&self, keys: &Keys) {
        let (mut times, mut last): (u32, Option<Failure>) = (0, None);
        loop {
            self.until_due().await;
            let pause = match self.obtain(keys).await {
                Ok(rest) => {
                    last = None;
                    rest
                }
                Err(failure) => {
                    let is_kind = |last: &Failure| discriminant(last) == discriminant(&failure);
                    times = if last.as_ref().is_some_and(is_kind) { times + 1 } else { 1 };
                    if last.as_ref() != Some(&failure) {
                        let state =
                            if self.valid.get().is_some() { "not renewed" } else { "none yet" };
                        say!("certificate of {}: {state}, trying again: {failure}", self.domain);
                    }
                    let pause = failure.pause(times);
                    last = Some(failure);
                    // Servers that failed together do not come back together.
                    pause + pause / 4 * u32::from(clock::entropy::<1>()[0]) / 255
                }
            };
            Timer::after(pause).await;
        }
    }

    /// One order; how long nothing is to be done after it.
    async fn obtain(&self, keys: &Keys) -> Result<Duration, Failure> {
        let order = order::order(&self.client, &self.directory, &self.account, &self.domain, keys);
        let issued = smol::future::or(order, async {
            Timer::after(ORDER_WITHIN).await;
            Err(Failure::Late)
        })
        .await;
        keys.forget_challenge();
        let Issued { chain, key } = issued?;
        let pem = state::pem("PRIVATE KEY", &key) + &chain;
        let until = self.install(pem.as_bytes(), keys);
        let until = until.ok_or(Failure::Strange("a certificate that does not fit"))?;
        say!("certificate of {}: obtained, valid until {until}", self.domain);
        if let Err(error) = self.state.keep(&pem) {
            say!("--state-dir: the certificate cannot be kept: {error}");
        }
        let (from, to) = self.valid.get().unwrap_or_default();
        Ok(Duration::from_secs(to.saturating_sub(from) / 6).max(REST_MIN))
    }

    /// Puts a key with its certificates to use: until when they are valid.
    fn install(&self, pem: &[u8], keys: &Keys) -> Option<String> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
        let certified = tls::certified(chain, PrivateKeyDer::from_pem_slice(pem).ok()?).ok()?;
        let certificate = certified.end_entity_cert().ok()?;
        let valid = x509::validity(certificate)?;
        if !tls::names(certificate, &self.domain) {
            return None;
        }
        keys.set(certified);
        self.valid.set(Some(valid));
        Some(http_date(valid.1))
    }

    async fn until_due(&self) {
        while let Some(wait) =
            self.valid.get().and_then(|valid| rest(valid, self.clock.unix_seconds()))
        {
            Timer::after(wait.min(LOOK)).await;
        }
    }
}

/// How long until a certificate is to be renewed: when two thirds of its time are over.
fn rest((from, to): (u64, u64), now: u64) -> Option<Duration> {
    let due = from.saturating_add(to.saturating_sub(from) / 3 * 2);
    due.checked_sub(now).filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_time() {
        let wait = |now| rest((1000, 1090), now).map(|wait| wait.as_secs());
        assert_eq!([0, 1000, 1059].map(wait), [Some(1060), Some(60), Some(1)]);
        assert_eq!([1060, 2000, u64::MAX].map(wait), [None; 3]);
        assert_eq!(rest((u64::MAX, 0), 5), Some(Duration::from_secs(u64::MAX - 5)));
    }
}
