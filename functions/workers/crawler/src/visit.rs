//! Asking the web for something, as a polite stranger: each address is checked before it is asked
//! for, `robots.txt` is honoured, and no host is asked more often than it likes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::execution::Failure;
use http::{HeaderMap, StatusCode, header};
use kernel::{OrgId, Timestamp};
use outbound::{Client, Limits, Method, OutboundError, Request, Response};
use store::hosts::Turn;
use store::{Store, Tenant};
use url::Url;

use crate::Settings;
use crate::robots::{self, Robots};
use crate::trouble::Trouble;

/// How long one answer may take, with its turns and redirects.
pub(crate) const MOST_TIME: Duration = Duration::from_secs(75);
/// How many redirects of one address are followed.
const MOST_REDIRECTS: usize = 5;
/// How long what a `robots.txt` said is good for; the standard allows a day.
const ROBOTS_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// How long a site whose `robots.txt` cannot be had is not asked for it again.
const UNREACHABLE_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// How many sites' `robots.txt` are remembered.
const ROBOTS_KEPT: usize = 32;
/// How long a host is left alone that asks for it and does not say how long.
const LEFT_ALONE: Duration = Duration::from_secs(30);
const MOST_LEFT_ALONE: Duration = Duration::from_secs(5 * 60);
/// The most characters of a header that is kept.
const MOST_HEADER_CHARS: usize = 500;

/// What the web is asked with, for all attempts of a process.
pub(crate) struct Web {
    pub(crate) outbound: Client,
    pub(crate) settings: Settings,
    known: Mutex<Vec<KnownRobots>>,
}

struct KnownRobots {
    org: OrgId,
    origin: String,
    until: Timestamp,
    said: Result<Arc<Robots>, Failure>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Ask<'a> {
    pub(crate) url: &'a str,
    pub(crate) accept: &'static str,
    /// What to compare with what is there: nothing is sent if it is the same.
    pub(crate) etag: Option<&'a str>,
    pub(crate) last_modified: Option<&'a str>,
    pub(crate) most_bytes: usize,
    /// How long to wait for a turn at the host.
    pub(crate) patience: Duration,
}

/// What came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's text, if it is short and plain.
    pub(crate) fn header(&self, name: header::HeaderName) -> Option<String> {
        let text = self.headers.get(name)?.to_str().ok()?.trim();
        (!text.is_empty() && text.len() <= MOST_HEADER_CHARS).then(|| text.to_owned())
    }
}

/// Why nothing came.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// It may not be asked for.
    Refused(Failure),
    /// It did not work this time.
    Failed(Failure),
    Trouble(Trouble),
}

impl From<store::Error> for Unanswered {
    fn from(error: store::Error) -> Self {
        Self::Trouble(error.into())
    }
}

/// Where the body of an answer ends.
#[derive(Clone, Copy)]
enum Bound {
    /// There, or it is too large.
    Refuse(usize),
    /// There: the rest is not looked at.
    Cut(usize),
}

impl Web {
    pub(crate) fn new(outbound: Client, settings: Settings) -> Self {
        Self {
            outbound,
            settings,
            known: Mutex::default(),
        }
    }

    fn known(
        &self,
        org: OrgId,
        origin: &str,
        now: Timestamp,
    ) -> Option<Result<Arc<Robots>, Failure>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known
            .iter()
            .find(|known| known.org == org && known.origin == origin && known.until > now);
        found.map(|known| known.said.clone())
    }

    fn learn(&self, robots: KnownRobots) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|old| old.org != robots.org || old.origin != robots.origin);
        if known.len() >= ROBOTS_KEPT {
            known.remove(0);
        }
        known.push(robots);
    }
}

/// The web, as one org asks it.
pub(crate) struct Visitor<'a> {
    pub(crate) web: &'a Web,
    pub(crate) store: &'a Store,
    pub(crate) tenant: Tenant,
}

impl Visitor<'_> {
    /// Asks for something. Redirects are followed within the site, each checked as the first address
    /// was; any other status is an answer.
    pub(crate) async fn get(&self, ask: &Ask<'_>) -> Result<Answer, Unanswered> {
        let answer = tokio::time::timeout(MOST_TIME, self.follow(ask)).await;
        answer.unwrap_or_else(|_| {
            let message = "The site took too long, with all that it leads to.";
            Err(Unanswered::Failed(Failure::new("timed_out", message)))
        })
    }

    async fn follow(&self, ask: &Ask<'_>) -> Result<Answer, Unanswered> {
        let mut url = self.checked(ask.url)?;
        let site = site(&url).to_owned();
        for _ in 0..=MOST_REDIRECTS {
            let robots = self.robots(&url, ask.patience).await?;
            if !robots.allow(&path(&url)) {
                return Err(Unanswered::Refused(Failure::new(
                    "robots_disallowed",
                    "The site's robots.txt does not allow it.",
                )));
            }
            let gap = robots.delay.unwrap_or_default().max(self.web.settings.pace);
            self.wait_for_turn(&url, gap, ask.patience).await?;
            let request = self.request(&url, ask)?;
            let answer = self.exchange(&url, request, Bound::Refuse(ask.most_bytes));
            let answer = answer.await?;
            let Some(next) = redirect(&answer, &url)? else {
                return Ok(answer);
            };
            url = self.checked(&next)?;
            if self::site(&url) != site {
                return Err(Unanswered::Refused(Failure::new(
                    "redirected_elsewhere",
                    "It leads to another site. Make a source of that address, if you want it.",
                )));
            }
        }
        Err(too_many_redirects())
    }

    /// What a site says to crawlers, asked for if it is not known.
    async fn robots(&self, url: &Url, patience: Duration) -> Result<Arc<Robots>, Unanswered> {
        let (org, origin) = (self.tenant.org(), url.origin().ascii_serialization());
        let known = match self.web.known(org, &origin, self.store.now()) {
            Some(known) => known,
            None => {
                let said = self.ask_robots(&origin, patience).await?;
                let lifetime = match said {
                    Ok(_) => ROBOTS_LIFETIME,
                    Err(_) => UNREACHABLE_LIFETIME,
                };
                self.web.learn(KnownRobots {
                    org,
                    origin,
                    until: self.store.now().plus(lifetime),
                    said: said.clone(),
                });
                said
            }
        };
        known.map_err(Unanswered::Failed)
    }

    /// A `robots.txt` that is not there allows everything; one that cannot be had, nothing.
    async fn ask_robots(
        &self,
        origin: &str,
        patience: Duration,
    ) -> Result<Result<Arc<Robots>, Failure>, Unanswered> {
        match self.fetch_robots(origin, patience).await {
            Ok(answer) if answer.status.is_success() => {
                Ok(Ok(Arc::new(Robots::read(&answer.body))))
            }
            // To be asked to slow down is not to be told that there is none.
            Ok(answer)
                if answer.status.is_server_error()
                    || answer.status == StatusCode::TOO_MANY_REQUESTS =>
            {
                Ok(Err(robots_unreachable(&format!(
                    "it answers {}",
                    answer.status.as_u16()
                ))))
            }
            Ok(_) => Ok(Ok(Arc::new(Robots::default()))),
            // More redirects than are followed: as if there were none.
            Err(Unanswered::Failed(failure)) if failure.code == TOO_MANY_REDIRECTS => {
                Ok(Ok(Arc::new(Robots::default())))
            }
            Err(Unanswered::Refused(failure) | Unanswered::Failed(failure)) => {
                Ok(Err(robots_unreachable(&failure.message)))
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Redirects of a `robots.txt` are followed wherever they may lead.
    async fn fetch_robots(&self, origin: &str, patience: Duration) -> Result<Answer, Unanswered> {
        let mut url = self.checked(&format!("{origin}/robots.txt"))?;
        for _ in 0..=MOST_REDIRECTS {
            self.wait_for_turn(&url, self.web.settings.pace, patience)
                .await?;
            let request = get(&url).header("Accept", "text/plain, */*;q=0.1");
            let request = request.map_err(|error| refused(&error))?;
            let answer = self.exchange(&url, request, Bound::Cut(robots::MOST_BYTES));
            let answer = answer.await?;
            match redirect(&answer, &url)? {
                Some(next) => url = self.checked(&next)?,
                None => return Ok(answer),
            }
        }
        Err(too_many_redirects())
    }

    /// An address that may be asked for, in normal form.
    fn checked(&self, url: &str) -> Result<Url, Unanswered> {
        let target = self.web.outbound.policy().check_url(url);
        let target = target.map_err(|error| refused(&error))?;
        Url::parse(target.as_str()).map_err(|_| {
            let reason = "The address cannot be read.";
            Unanswered::Refused(Failure::new("invalid_url", reason))
        })
    }

    fn request(&self, url: &Url, ask: &Ask<'_>) -> Result<Request, Unanswered> {
        let mut request = get(url).header("Accept", ask.accept);
        for (name, value) in [
            ("If-None-Match", ask.etag),
            ("If-Modified-Since", ask.last_modified),
        ] {
            if let Some(value) = value {
                request = request.and_then(|request| request.header(name, value));
            }
        }
        request.map_err(|error| refused(&error))
    }

    async fn exchange(
        &self,
        url: &Url,
        request: Request,
        bound: Bound,
    ) -> Result<Answer, Unanswered> {
        // What is announced may be larger than what is read of it.
        let limits = Limits {
            response_bytes: match bound {
                Bound::Refuse(most) => most,
                Bound::Cut(_) => usize::MAX,
            },
            ..self.web.settings.limits.clone()
        };
        let client = self.web.outbound.with_limits(limits);
        let response = client.send(request).await.map_err(|error| failed(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        self.heed(url, status, &headers).await?;
        let body = if status.is_success() {
            body(response, bound).await?
        } else {
            // What an error page says is of no use to anybody.
            Vec::new()
        };
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    /// Leaves a host alone that asks for it.
    async fn heed(
        &self,
        url: &Url,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<(), Unanswered> {
        if status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::SERVICE_UNAVAILABLE {
            return Ok(());
        }
        let asked = headers.get(header::RETRY_AFTER);
        let asked = asked.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let pause = asked.map_or(LEFT_ALONE, Duration::from_secs);
        let pause = pause.clamp(self.web.settings.pace, MOST_LEFT_ALONE);
        let until = self.store.now().plus(pause);
        let hosts = self.store.hosts(self.tenant);
        hosts.leave_alone(&host(url), until).await?;
        Ok(())
    }

    /// Waits for the org's turn at a host.
    async fn wait_for_turn(
        &self,
        url: &Url,
        gap: Duration,
        patience: Duration,
    ) -> Result<(), Unanswered> {
        let hosts = self.store.hosts(self.tenant);
        match hosts.take_turn(&host(url), gap, patience).await? {
            Turn::At(at) => {
                tokio::time::sleep(at.since(self.store.now())).await;
                Ok(())
            }
            Turn::NotBefore(until) => Err(Unanswered::Trouble(Trouble::Later(until))),
        }
    }
}

fn get(url: &Url) -> Request {
    Request::new(Method::GET, url.as_str())
}

async fn body(mut response: Response, bound: Bound) -> Result<Vec<u8>, Unanswered> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| failed(&error))? {
        match bound {
            Bound::Cut(most) if body.len() + piece.len() >= most => {
                body.extend_from_slice(&piece[..most - body.len()]);
                break;
            }
            _ => body.extend_from_slice(&piece),
        }
    }
    Ok(body)
}

/// Where an answer sends the asker, if it does.
fn redirect(answer: &Answer, from: &Url) -> Result<Option<String>, Unanswered> {
    let leads_on = matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    if !leads_on {
        return Ok(None);
    }
    let location = answer.headers.get(header::LOCATION);
    let location = location.and_then(|value| value.to_str().ok());
    let nowhere = || {
        let message = "It leads on without saying where to.";
        Unanswered::Failed(Failure::new("invalid_redirect", message))
    };
    let next = from
        .join(location.ok_or_else(nowhere)?)
        .map_err(|_| nowhere())?;
    Ok(Some(next.into()))
}

/// The host and port that a turn is taken at.
fn host(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

/// What an address belongs to: its host, whose name with and without `www.` is one.
pub(crate) fn site(url: &Url) -> &str {
    let host = url.host_str().unwrap_or_default();
    host.strip_prefix("www.").unwrap_or(host)
}

fn path(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

const TOO_MANY_REDIRECTS: &str = "too_many_redirects";

fn too_many_redirects() -> Unanswered {
    Unanswered::Failed(Failure::new(
        TOO_MANY_REDIRECTS,
        format!("It leads on more than {MOST_REDIRECTS} times."),
    ))
}

fn robots_unreachable(why: &str) -> Failure {
    let why = why.trim_end_matches('.');
    Failure::new(
        "robots_unreachable",
        format!("The site's robots.txt cannot be had, so nothing may be read: {why}."),
    )
}

/// A refusal before anything was sent.
fn refused(error: &OutboundError) -> Unanswered {
    Unanswered::Refused(told(error))
}

fn failed(error: &OutboundError) -> Unanswered {
    match error {
        OutboundError::ResolvedAddressNotAllowed { .. }
        | OutboundError::AddressNotAllowed { .. }
        | OutboundError::HostNotAllowed { .. }
        | OutboundError::PortNotAllowed { .. } => Unanswered::Refused(told(error)),
        _ => Unanswered::Failed(told(error)),
    }
}

/// Messages of the client are made for the tenant who named the address.
fn told(error: &OutboundError) -> Failure {
    let message = error.to_string();
    let mut letters = message.chars();
    let message: String = letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default();
    Failure::new(error.code(), format!("{message}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    fn leading(status: u16, location: Option<&str>) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(location) = location {
            headers.insert(header::LOCATION, location.parse().expect("a header"));
        }
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            headers,
            body: Vec::new(),
        }
    }

    #[test]
    fn redirects_are_read_as_browsers_do() {
        let from = url("https://example.com/a/b?c");
        let to = |status, location| redirect(&leading(status, location), &from).ok().flatten();
        for (location, leads) in [
            ("/x", "https://example.com/x"),
            ("x", "https://example.com/a/x"),
            ("//other.com/y", "https://other.com/y"),
            ("http://169.254.169.254/", "http://169.254.169.254/"),
        ] {
            assert_eq!(to(302, Some(location)).as_deref(), Some(leads));
        }
        assert_eq!(to(200, Some("/x")), None);
        assert_eq!(to(304, Some("/x")), None);
        assert!(redirect(&leading(301, None), &from).is_err());
    }

    #[test]
    fn a_site_is_its_host_with_or_without_www() {
        assert_eq!(site(&url("https://www.example.com/")), "example.com");
        assert_eq!(site(&url("http://example.com:8080/")), "example.com");
        assert_ne!(site(&url("https://docs.example.com/")), "example.com");
    }

    #[test]
    fn a_turn_is_taken_at_a_port_of_a_host() {
        assert_eq!(host(&url("https://Example.com/")), "example.com:443");
        assert_eq!(host(&url("http://example.com/")), "example.com:80");
        assert_eq!(host(&url("http://127.0.0.1:8080/")), "127.0.0.1:8080");
    }
}
