//! Who talks to the stores. Each has an access key of its own: the embedded services check no
//! signature, and the proxies read from it who is speaking.

use std::fmt;

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// A client of the stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Party {
    /// Asks for executions.
    Starter,
    /// Rings again and takes back.
    Sweeper,
    /// A worker process; no number is used twice.
    Worker(u32),
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starter => f.write_str("starter"),
            Self::Sweeper => f.write_str("sweeper"),
            Self::Worker(number) => write!(f, "worker-{number}"),
        }
    }
}

impl Party {
    /// Who signed a request.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (_, credential) = text.split_once("Credential=")?;
        Self::named(credential.split('/').next()?)
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "starter" => Some(Self::Starter),
            "sweeper" => Some(Self::Sweeper),
            _ => name.strip_prefix("worker-")?.parse().ok().map(Self::Worker),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_request_says_by_its_key_who_sent_it() {
        for party in [Party::Starter, Party::Sweeper, Party::Worker(12)] {
            let value = format!("AWS4-HMAC-SHA256 Credential={party}/20260101/r/s/aws4_request, x");
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(&value).unwrap());
            assert_eq!(Party::of(&headers), Some(party));
        }
        assert_eq!(Party::of(&HeaderMap::new()), None);
    }
}
