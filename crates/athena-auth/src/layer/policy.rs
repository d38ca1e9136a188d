//! Which requests may carry a token.

use std::fmt;
use std::sync::{Arc, OnceLock};

use http::header::AUTHORIZATION;
use http::{Request, Uri};

use super::origin::Origin;
use crate::{AuthError, AuthErrorKind};

/// As the layer's methods set it; each service that the layer makes has a [`Guard`] of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Policy {
    /// The places that the token is for, if any were named. A request that names no place goes to
    /// the first.
    origins: Option<Vec<Origin<'static>>>,
    pub(super) forward_other_origins: bool,
    pub(super) allow_plaintext: bool,
    pub(super) overwrite: bool,
}

impl Policy {
    pub(super) fn add_origin(&mut self, uri: &Uri) {
        let origins = self.origins.get_or_insert_default();
        origins.extend(Origin::of(uri, None).map(Origin::into_owned));
    }

    fn base(&self) -> Option<&Origin<'static>> {
        self.origins.as_ref()?.first()
    }
}

/// What becomes of a request.
#[derive(Debug, PartialEq)]
pub(super) enum Judgement {
    /// It gets a token.
    Token,
    /// It is passed on as it is.
    Untouched,
}

/// The policy of one service and its clones.
#[derive(Clone)]
pub(super) struct Guard {
    policy: Policy,
    /// Without origins in the policy: where the first request with a token went, `None` within
    /// if it did not say.
    first: Arc<OnceLock<Option<Origin<'static>>>>,
}

impl Guard {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            first: Arc::default(),
        }
    }

    pub(super) fn judge<B>(&self, request: &Request<B>) -> Result<Judgement, AuthError> {
        if request.headers().contains_key(AUTHORIZATION) && !self.policy.overwrite {
            return Ok(Judgement::Untouched);
        }
        let origin = Origin::of(request.uri(), self.policy.base());
        let own = self.is_own(origin.as_ref());
        if !own && self.policy.forward_other_origins {
            return Ok(Judgement::Untouched);
        }
        self.check_encryption(origin.as_ref())?;
        // Only a request that is about to get a token binds the service to its origin.
        if own && self.bind(origin.as_ref()) {
            return Ok(Judgement::Token);
        }
        if self.policy.forward_other_origins {
            return Ok(Judgement::Untouched);
        }
        Err(self.refusal(origin.as_ref()))
    }

    /// Whether the token is for this place, as far as is known.
    fn is_own(&self, origin: Option<&Origin<'_>>) -> bool {
        match &self.policy.origins {
            Some(origins) => origin.is_some_and(|origin| origins.contains(origin)),
            None => self
                .first
                .get()
                .is_none_or(|first| first.as_ref() == origin),
        }
    }

    /// Whether the service is bound to this origin now. Of two first requests one is the first.
    fn bind(&self, origin: Option<&Origin<'_>>) -> bool {
        let first = || {
            self.first
                .get_or_init(|| origin.cloned().map(Origin::into_owned))
        };
        self.policy.origins.is_some() || first().as_ref() == origin
    }

    fn check_encryption(&self, origin: Option<&Origin<'_>>) -> Result<(), AuthError> {
        if self.policy.allow_plaintext {
            return Ok(());
        }
        match origin {
            Some(origin) if origin.is_safe() => Ok(()),
            Some(_) => Err(AuthError::new(
                AuthErrorKind::Insecure,
                "refused to send a token over plain http: use https, or allow plaintext on the authorization layer",
            )),
            None => Err(AuthError::new(
                AuthErrorKind::Insecure,
                "refused to send a token to an unknown place: the request has no scheme, so tell the \
                 authorization layer its origin",
            )),
        }
    }

    fn refusal(&self, origin: Option<&Origin<'_>>) -> AuthError {
        let own = match (&self.policy.origins, self.first.get()) {
            (Some(origins), _) if origins.is_empty() => {
                "no origin, since none given is a whole URL,".into()
            }
            (Some(origins), _) => {
                let origins: Vec<_> = origins.iter().map(Origin::to_string).collect();
                origins.join(" and ")
            }
            (None, first) => Place(first.and_then(Option::as_ref)).to_string(),
        };
        AuthError::new(
            AuthErrorKind::ForeignOrigin,
            format!(
                "refused to send the token for {own} to {}: if it may go there, name that origin too on the \
                 authorization layer",
                Place(origin)
            ),
        )
    }
}

struct Place<'a>(Option<&'a Origin<'a>>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(origin) => origin.fmt(f),
            None => f.write_str("the place of requests without a scheme"),
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("policy", &self.policy)
            .field("first", &self.first.get())
            .finish()
    }
}
