//! Reading configuration from the environment: everything that is missing or wrong is named in
//! one error.

use std::fmt;

/// Reads settings one by one and gathers what is wrong with them.
pub struct EnvReader<'a> {
    source: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

/// Every setting that is missing or unusable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the environment is not usable: {}",
            self.problems.join("; ")
        )
    }
}

impl std::error::Error for ConfigError {}

impl<'a> EnvReader<'a> {
    /// Reads from `source`, which answers a variable's name with its value.
    pub fn new(source: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            source,
            problems: Vec::new(),
        }
    }

    /// A setting that may be absent. An empty value counts as absent.
    pub fn optional(&mut self, name: &str) -> Option<String> {
        (self.source)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    /// A setting that must be present. Its absence is noted and an empty text returned.
    pub fn required(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.problems.push(format!("{name} is not set"));
            String::new()
        })
    }

    /// Notes that a setting has an unusable value. Never pass a secret's value in `reason`.
    pub fn reject(&mut self, name: &str, reason: impl fmt::Display) {
        self.problems.push(format!("{name}: {reason}"));
    }

    /// `value`, unless something was noted on the way.
    pub fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() {
            return Ok(value);
        }
        Err(ConfigError {
            problems: self.problems,
        })
    }
}

/// The process environment as a source for [`EnvReader`].
pub fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_missing_is_named_at_once() {
        let source = |name: &str| (name == "C").then(|| "value".to_owned());
        let mut env = EnvReader::new(&source);
        env.required("A");
        env.required("B");
        assert_eq!(env.required("C"), "value");
        let error = env.finish(()).unwrap_err().to_string();
        assert!(
            error.contains("A is not set") && error.contains("B is not set"),
            "{error}"
        );
    }
}
