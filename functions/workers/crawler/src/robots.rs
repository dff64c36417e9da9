//! `robots.txt` as RFC 9309 has it: which paths of a site this crawler may ask for.
//!
//! Written here since the parsers that exist for it are not kept up, and differ from the standard in
//! what they match.

use std::time::Duration;

/// What the crawler calls itself in `robots.txt`; the user agent of its requests begins with it.
pub(crate) const PRODUCT: &str = "overglass";
/// How much of a `robots.txt` is read. What comes after is not looked at.
pub(crate) const MOST_BYTES: usize = 500 * 1024;
/// The longest delay between two requests that a site may ask for.
const MOST_DELAY: Duration = Duration::from_secs(30);

/// What a site says to this crawler.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Robots {
    rules: Vec<Rule>,
    /// The least time between two requests, as the site wishes, within bounds.
    pub(crate) delay: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    allows: bool,
    /// In normal form, with `*` and a final `$` as they were written.
    pattern: String,
}

/// What one line is about.
enum Line<'t> {
    Agent(&'t str),
    Rule { allows: bool, pattern: &'t str },
    Delay(&'t str),
}

impl Robots {
    /// Reads a `robots.txt`. Whatever is no line of one is passed over.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_BYTES)]);
        let (mut ours, mut anyones) = (Self::default(), Self::default());
        let mut is_named = false;
        // Which of the two the lines of the group are for.
        let (mut for_us, mut for_anyone) = (false, false);
        let mut in_names = false;
        for line in text.split(['\r', '\n']).filter_map(line) {
            if let Line::Agent(name) = line {
                if !in_names {
                    (for_us, for_anyone) = (false, false);
                }
                in_names = true;
                for_us |= is_product(name);
                for_anyone |= name == "*";
                is_named |= for_us;
                continue;
            }
            in_names = false;
            for (is_meant, group) in [(for_us, &mut ours), (for_anyone, &mut anyones)] {
                if is_meant {
                    group.take(&line);
                }
            }
        }
        if is_named { ours } else { anyones }
    }

    fn take(&mut self, line: &Line<'_>) {
        match line {
            Line::Rule { allows, pattern } if !pattern.is_empty() => self.rules.push(Rule {
                allows: *allows,
                pattern: normal(pattern, true),
            }),
            Line::Delay(seconds) => {
                let delay = seconds.parse::<f64>().ok();
                let delay = delay.and_then(|delay| Duration::try_from_secs_f64(delay).ok());
                self.delay = delay.map(|delay| delay.min(MOST_DELAY)).or(self.delay);
            }
            Line::Rule { .. } | Line::Agent(_) => {}
        }
    }

    /// Whether a path, with its query, may be asked for. The longest pattern that matches decides;
    /// of two that are as long, the one that allows.
    pub(crate) fn allow(&self, path: &str) -> bool {
        let path = normal(path, false);
        if path == "/robots.txt" {
            return true;
        }
        let matching = self.rules.iter().filter(|rule| rule.matches(&path));
        let decisive = matching.max_by_key(|rule| (rule.pattern.len(), rule.allows));
        decisive.is_none_or(|rule| rule.allows)
    }
}

fn line(line: &str) -> Option<Line<'_>> {
    let line = line.split('#').next().unwrap_or_default();
    let (key, value) = line.split_once(':')?;
    let value = value.trim();
    match key.trim().to_ascii_lowercase().as_str() {
        "user-agent" => Some(Line::Agent(value)),
        "allow" => Some(Line::Rule {
            allows: true,
            pattern: value,
        }),
        "disallow" => Some(Line::Rule {
            allows: false,
            pattern: value,
        }),
        "crawl-delay" => Some(Line::Delay(value)),
        // Such as `sitemap`: no part of any group.
        _ => None,
    }
}

/// Whether a line names this crawler: by the product token that it begins with, in any case.
fn is_product(name: &str) -> bool {
    let end = name.find(|c: char| !(c.is_ascii_alphabetic() || c == '-' || c == '_'));
    name[..end.unwrap_or(name.len())].eq_ignore_ascii_case(PRODUCT)
}

impl Rule {
    /// Whether the pattern is how the path begins, `*` standing for any characters and a final `$`
    /// for the end. Takes time in proportion to both, whatever they are.
    fn matches(&self, path: &str) -> bool {
        let (pattern, to_the_end) = match self.pattern.strip_suffix('$') {
            Some(pattern) => (pattern, true),
            None => (self.pattern.as_str(), false),
        };
        let mut parts = pattern.split('*');
        let Some(mut rest) = path.strip_prefix(parts.next().unwrap_or_default()) else {
            return false;
        };
        let parts: Vec<&str> = parts.collect();
        let Some((last, between)) = parts.split_last() else {
            return !to_the_end || rest.is_empty();
        };
        for part in between {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        if to_the_end {
            rest.ends_with(last)
        } else {
            rest.contains(last)
        }
    }
}

/// A path or a pattern as both are compared: escapes of what needs none are undone, and what needs
/// one has it. In a path the characters that mean something in patterns are escaped.
fn normal(text: &str, is_pattern: bool) -> String {
    let bytes = text.as_bytes();
    let mut normal = String::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let escaped = (byte == b'%')
            .then(|| bytes.get(at + 1..at + 3).and_then(hexadecimal))
            .flatten();
        match escaped {
            Some(plain) if plain.is_ascii_alphanumeric() || b"-._~".contains(&plain) => {
                normal.push(char::from(plain));
            }
            Some(plain) => escape(&mut normal, plain),
            None if !byte.is_ascii_graphic() => escape(&mut normal, byte),
            None if !is_pattern && (byte == b'*' || byte == b'$') => escape(&mut normal, byte),
            None => normal.push(char::from(byte)),
        }
        at += if escaped.is_some() { 3 } else { 1 };
    }
    normal
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok()?;
    // A sign would pass as a digit.
    digits
        .iter()
        .all(u8::is_ascii_hexdigit)
        .then(|| u8::from_str_radix(text, 16).ok())?
}

fn escape(text: &mut String, byte: u8) {
    text.push('%');
    text.push_str(&format!("{byte:02X}"));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allowed(robots: &str, path: &str) -> bool {
        Robots::read(robots.as_bytes()).allow(path)
    }

    fn with(pattern: &str, path: &str) -> bool {
        !allowed(&format!("User-agent: *\nDisallow: {pattern}\n"), path)
    }

    #[test]
    fn patterns_match_as_the_standard_says() {
        for (pattern, path, matches) in [
            ("/", "/", true),
            ("/fish", "/fish.html", true),
            ("/fish", "/Fish.asp", false),
            ("/fish", "/catfish", false),
            ("/fish*", "/fish/salmon", true),
            ("/fish/", "/fish", false),
            ("/*.php", "/folder/any.php.file.html", true),
            ("/*.php", "/", false),
            ("/*.php$", "/filename.php", true),
            ("/*.php$", "/filename.php?x", false),
            ("/*.php$", "/filename.php/", false),
            ("/fish*.php", "/fishheads/catfish.php?id=1", true),
            ("/fish*.php", "/Fish.PHP", false),
            ("/fish*$", "/shark/fish", false),
            ("/a$", "/a", true),
            ("/a$", "/ab", false),
            ("/a*b*c$", "/axbxbc", true),
            ("/a*b*c$", "/acb", false),
            ("*", "/anything", true),
            ("$", "/", false),
            ("/*?", "/search?q=1", true),
            ("/a**b", "/a1b", true),
            ("fish", "/fish", false),
        ] {
            assert_eq!(with(pattern, path), matches, "{pattern} {path}");
        }
    }

    #[test]
    fn escapes_are_compared_in_normal_form() {
        for (pattern, path, matches) in [
            ("/foo/bar?baz=quz", "/foo/bar?baz=quz", true),
            ("/foo/bar/ツ", "/foo/bar/%E3%83%84", true),
            ("/foo/bar/%e3%83%84", "/foo/bar/ツ", true),
            ("/foo/bar/%62%61%7A", "/foo/bar/baz", true),
            ("/foo/bar/baz", "/foo/bar/%62%61%7A", true),
            ("/a%2Fb", "/a/b", false),
            ("/file-with-a-%2A.html", "/file-with-a-*.html", true),
            ("/file-with-a-%2A.html", "/file-with-a-x.html", false),
            ("/price-%24", "/price-$", true),
            ("/%zz", "/%zz", true),
            ("/%+1", "/%+1", true),
        ] {
            assert_eq!(with(pattern, path), matches, "{pattern} {path}");
        }
    }

    #[test]
    fn the_longest_pattern_decides_and_allowing_wins_a_tie() {
        let robots = "User-agent: *\nAllow: /p\nDisallow: /\nDisallow: /page\nAllow: /page/open\n";
        assert!(allowed(robots, "/p"));
        assert!(!allowed(robots, "/page"));
        assert!(allowed(robots, "/page/open/1"));
        assert!(!allowed(robots, "/x"));
        assert!(allowed("User-agent: *\nDisallow: /a\nAllow: /a\n", "/a"));
        assert!(allowed("User-agent: *\nDisallow:\n", "/a"));
        assert!(allowed("User-agent: *\nDisallow: /\n", "/robots.txt"));
        assert!(allowed("", "/a"));
    }

    #[test]
    fn the_group_of_this_crawler_counts_wherever_it_stands_and_alone() {
        let robots = "User-agent: *\nDisallow: /\n\nUser-Agent: OVERGLASS/2.0\nUser-agent: other\n\
                      Disallow: /private\nSitemap: https://example.com/s.xml\nDisallow: /secret\n\n\
                      User-agent: third\nDisallow: /third\n\nuser-agent : overglass # again\n\
                      disallow : /more\n";
        for (path, may) in [
            ("/", true),
            ("/private", false),
            ("/secret", false),
            ("/third", true),
            ("/more", false),
        ] {
            assert_eq!(allowed(robots, path), may, "{path}");
        }
        let others =
            "User-agent: overglass-news\nDisallow: /\n\nUser-agent: overglassx\nDisallow: /";
        assert!(allowed(others, "/a"));
        let shared = "User-agent: *\nUser-agent: other\nDisallow: /private\n";
        assert!(!allowed(shared, "/private"));
        let empty = "User-agent: overglass\n\nUser-agent: *\nDisallow: /\n";
        assert!(!allowed(empty, "/a"), "names follow each other: one group");
    }

    #[test]
    fn any_end_of_line_and_a_byte_order_mark_are_taken() {
        for robots in [
            "\u{feff}User-agent: *\r\nDisallow: /a\r\n",
            "User-agent: *\rDisallow: /a\r",
            "User-agent: *\n\n# note\nnonsense\nDisallow: /a # why",
        ] {
            assert!(!allowed(robots, "/a"), "{robots:?}");
        }
    }

    #[test]
    fn a_delay_is_kept_within_bounds() {
        let delay = |text: &str| {
            let robots = format!("User-agent: *\nCrawl-delay: {text}\n");
            Robots::read(robots.as_bytes()).delay
        };
        assert_eq!(delay("2.5"), Some(Duration::from_millis(2_500)));
        assert_eq!(delay("86400"), Some(MOST_DELAY));
        for text in ["", "-1", "x", "NaN", "inf"] {
            assert_eq!(delay(text), None, "{text}");
        }
    }

    #[test]
    fn what_stands_behind_the_limit_is_not_looked_at() {
        let mut robots = String::from("User-agent: *\nDisallow: /first\n");
        robots.push_str(&"#".repeat(MOST_BYTES));
        robots.push_str("\nDisallow: /last\n");
        assert!(!allowed(&robots, "/first"));
        assert!(allowed(&robots, "/last"));
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let pattern = "/".to_owned() + &"*a".repeat(100_000);
        let path = "/".to_owned() + &"a".repeat(2_000);
        assert!(!with(&pattern, &path));
        let many = "Disallow: /*a*b*c*d*e*f$\n".repeat(15_000);
        assert!(allowed(&format!("User-agent: *\n{many}"), &path));
    }

    proptest! {
        #[test]
        fn no_text_panics_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..500), path in "/.{0,50}") {
            let _ = Robots::read(&bytes).allow(&path);
        }

        #[test]
        fn a_path_matches_itself(path in "/[!-\"%-)+-~]{0,40}") {
            prop_assert!(with(&path, &path));
        }
    }
}
