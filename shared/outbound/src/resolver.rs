//! Host names to addresses that may be connected to.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::is_public;
use crate::target::LOCALHOST;

/// Addresses of one answer that are tried; a longer answer is cut here.
const MAX_ADDRESSES: usize = 16;

/// Asks for the addresses of a host. A trait only so that tests can lie.
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of `host`, in the order to try them.
    ///
    /// # Errors
    /// When the name has no address or the resolver does not answer.
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        async move {
            // The dot keeps the resolver from trying the machine's search domains, in which a
            // tenant's name could become the name of an internal host.
            let name = if host.contains('.') {
                format!("{host}.")
            } else {
                host
            };
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|socket| socket.ip()).collect())
        }
        .boxed()
    }
}

/// Why the filter gave no address.
#[derive(Debug)]
pub(crate) enum Unresolvable {
    /// An address in the answer is not public. Which one stays out of the error.
    NotPublic,
    /// No answer.
    NotFound(Option<io::Error>),
}

impl fmt::Display for Unresolvable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPublic => "the name resolves to an address that is not public",
            Self::NotFound(_) => "the name does not resolve",
        })
    }
}

impl Error for Unresolvable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotFound(Some(cause)) => Some(cause),
            Self::NotFound(None) | Self::NotPublic => None,
        }
    }
}

/// The filter between the resolver and the connector. The connector asks once for each connection
/// and dials only what it is given, so the addresses checked are the addresses dialled.
pub(crate) struct FilteringResolver {
    pub(crate) lookup: Arc<dyn Lookup>,
    pub(crate) reaches_loopback: bool,
}

impl Resolve for FilteringResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let loopback_expected = self.reaches_loopback && host == LOCALHOST;
        let answer = self.lookup.lookup(host);
        async move {
            let addresses = answer
                .await
                .map_err(|cause| Unresolvable::NotFound(Some(cause)))?;
            let dialled = filter(addresses, loopback_expected)?;
            let sockets = dialled
                .into_iter()
                .map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(sockets) as Addrs)
        }
        .boxed()
    }
}

/// Keeps an answer only if every address in it may be called: one bad address among good ones is a
/// known way past filters that pick and choose.
fn filter(answer: Vec<IpAddr>, loopback_expected: bool) -> Result<Vec<IpAddr>, Unresolvable> {
    let may_call = |address: &IpAddr| {
        if loopback_expected {
            address.is_loopback()
        } else {
            is_public(*address)
        }
    };
    if answer.is_empty() {
        return Err(Unresolvable::NotFound(None));
    }
    if !answer.iter().all(may_call) {
        return Err(Unresolvable::NotPublic);
    }
    Ok(answer.into_iter().take(MAX_ADDRESSES).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts
            .iter()
            .map(|text| text.parse().expect("an IP address"))
            .collect()
    }

    #[test]
    fn one_bad_address_spoils_the_answer() {
        let good = addresses(&["8.8.8.8", "2606:4700::1111"]);
        assert_eq!(filter(good.clone(), false).expect("all public"), good);
        for bad in [
            "10.0.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "::1",
            "::ffff:8.8.8.8",
            "fd00:ec2::254",
        ] {
            for position in 0..=good.len() {
                let mut answer = good.clone();
                answer.insert(position, bad.parse().expect("an IP address"));
                assert!(
                    matches!(filter(answer, false), Err(Unresolvable::NotPublic)),
                    "{bad}"
                );
            }
        }
    }

    /// The bad address may hide behind more good ones than are ever dialled.
    #[test]
    fn the_whole_answer_is_checked_before_it_is_cut() {
        let mut answer = addresses(&["8.8.8.8"; MAX_ADDRESSES * 2]);
        assert_eq!(
            filter(answer.clone(), false).expect("all public").len(),
            MAX_ADDRESSES
        );
        answer.extend(addresses(&["10.0.0.1"]));
        assert!(matches!(
            filter(answer, false),
            Err(Unresolvable::NotPublic)
        ));
    }

    #[test]
    fn localhost_may_be_this_machine_and_nothing_else() {
        assert!(filter(addresses(&["127.0.0.1", "::1"]), true).is_ok());
        assert!(filter(addresses(&["10.0.0.1"]), true).is_err());
        assert!(filter(addresses(&["8.8.8.8"]), true).is_err());
        assert!(filter(addresses(&["127.0.0.1"]), false).is_err());
    }

    #[test]
    fn an_empty_answer_is_no_answer() {
        assert!(matches!(
            filter(Vec::new(), false),
            Err(Unresolvable::NotFound(None))
        ));
    }

    /// A public answer, then a private one: the first is passed on as it is, for one connection, and
    /// the second stops the next connection before it starts.
    #[tokio::test]
    async fn a_name_that_turns_private_is_refused_when_it_does() {
        struct Rebinding(AtomicUsize);
        impl Lookup for Rebinding {
            fn lookup(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
                let text = match self.0.fetch_add(1, Ordering::SeqCst) {
                    0 => "93.184.215.14",
                    _ => "169.254.169.254",
                };
                std::future::ready(Ok(addresses(&[text]))).boxed()
            }
        }
        let resolver = FilteringResolver {
            lookup: Arc::new(Rebinding(AtomicUsize::new(0))),
            reaches_loopback: true,
        };
        let name = || "rebind.attacker.com".parse::<Name>().expect("a name");
        let first = resolver.resolve(name()).await.expect("a public answer");
        let dialled: Vec<String> = first.map(|socket| socket.to_string()).collect();
        assert_eq!(dialled, ["93.184.215.14:0"]);
        let second = resolver.resolve(name()).await.map(drop);
        let refusal = second.expect_err("a private answer");
        assert!(matches!(
            refusal.downcast_ref::<Unresolvable>(),
            Some(Unresolvable::NotPublic)
        ));
    }
}
