//! The variables that users of the clouds have set: read once, so that a value has one meaning for a process.

use std::collections::BTreeMap;
use std::fmt;

/// Beginnings of the names that stores go by.
const PREFIXES: [&str; 7] = [
    "AWS_",
    "GOOGLE_",
    "CLOUDSDK_",
    "AZURE_",
    "AZURITE_",
    "IDENTITY_",
    "STORAGE_EMULATOR_HOST",
];

/// Variables by name. Their values are secrets: nothing prints them.
#[derive(Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of the process.
    pub(crate) fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::of(std::env::vars_os().filter_map(text))
    }

    /// Of these, those that stores go by. An empty value is none.
    pub(crate) fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let wanted = |(name, value): &(String, String)| {
            let known = PREFIXES.iter().any(|prefix| name.starts_with(prefix));
            !value.is_empty() && (known || matches!(&**name, "HOME" | "USERPROFILE"))
        };
        Self(variables.into_iter().filter(wanted).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether a variable says yes.
    pub(crate) fn says(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
    }

    /// Those with this beginning.
    pub(crate) fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let all = self.0.iter().map(|(name, value)| (&**name, &**value));
        all.filter(move |(name, _)| name.starts_with(prefix))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_shown_and_the_rest_is_not_kept() {
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let environment = Environment::of([
            set("AWS_SECRET_ACCESS_KEY", "hunter2"),
            set("AWS_REGION", ""),
            set("OAUTH_CLIENT_SECRET", "hunter3"),
        ]);
        let shown = format!("{environment:?}");
        assert!(shown.contains("AWS_SECRET_ACCESS_KEY") && !shown.contains("hunter"));
        assert_eq!(environment.get("AWS_REGION"), None);
        assert_eq!(environment.get("OAUTH_CLIENT_SECRET"), None);
    }
}
