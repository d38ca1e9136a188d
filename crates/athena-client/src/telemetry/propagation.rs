//! Trace context in HTTP headers and gRPC metadata, as W3C writes it
//! (<https://www.w3.org/TR/trace-context/>). Nothing else goes along: what an application keeps in its
//! baggage is not for a service to see.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The length of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// The most of `tracestate` that is read: what every participant must be able to pass on.
const MOST_STATE: usize = 512;

/// Writes the trace context of the current span to the headers of a request; of no span, nothing.
pub fn inject(context: &Context, headers: &mut HeaderMap) {
    let span = context.span();
    let span = span.span_context();
    if !span.is_valid() {
        return;
    }
    let parent = format!(
        "00-{}-{}-{:02x}",
        span.trace_id(),
        span.span_id(),
        span.trace_flags().to_u8()
    );
    let Ok(parent) = HeaderValue::try_from(parent) else {
        return;
    };
    headers.insert(TRACEPARENT, parent);
    match HeaderValue::try_from(span.trace_state().header()) {
        Ok(state) if !state.is_empty() => drop(headers.insert(TRACESTATE, state)),
        _ => drop(headers.remove(TRACESTATE)),
    }
}

/// Reads the trace context of whoever made a request: the parent for spans of what is done for it. Without
/// any, or with one that breaks the rules, a trace begins here.
pub fn extract(headers: &HeaderMap) -> Context {
    match remote(headers) {
        Some(span) => Context::new().with_remote_span_context(span),
        None => Context::new(),
    }
}

fn remote(headers: &HeaderMap) -> Option<SpanContext> {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let parent = parents.next()?.to_str().ok()?;
    if parents.next().is_some() {
        return None;
    }
    let (version, rest) = parent.split_at_checked(2)?;
    let later = version != "00";
    let version = hex(version, 2)?;
    // A later version may have more to say, after another dash.
    let ends = match parent.as_bytes().get(LENGTH) {
        None => parent.len() == LENGTH,
        Some(byte) => later && *byte == b'-',
    };
    if version == 0xff || !ends {
        return None;
    }
    let mut fields = rest.strip_prefix('-')?.split('-');
    let trace = TraceId::from(hex(fields.next()?, 32)?);
    let span = SpanId::from(u64::try_from(hex(fields.next()?, 16)?).ok()?);
    let flags = u8::try_from(hex(fields.next()?, 2)?).ok()?;
    // The flags of later versions are not ours to hand on.
    let flags = TraceFlags::new(flags) & TraceFlags::SAMPLED;
    let span = SpanContext::new(trace, span, flags, true, state(headers));
    span.is_valid().then_some(span)
}

/// So many lower-case digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let lower = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != digits || !text.as_bytes().iter().all(lower) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

fn state(headers: &HeaderMap) -> TraceState {
    let parts = headers.get_all(TRACESTATE).iter();
    let parts: Vec<_> = parts.filter_map(|value| value.to_str().ok()).collect();
    let state = parts.join(",");
    if state.len() > MOST_STATE {
        return TraceState::default();
    }
    state.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn passed_on(parents: &[&str], state: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for parent in parents {
            headers.append(TRACEPARENT, parent.parse().unwrap());
        }
        headers.append(TRACESTATE, state.parse().unwrap());
        let mut out = HeaderMap::new();
        inject(&extract(&headers), &mut out);
        out
    }

    #[test]
    fn what_comes_in_goes_out() {
        let out = passed_on(&[PARENT], "vendor=1,other=2");
        assert_eq!(out[TRACEPARENT], PARENT);
        assert_eq!(out[TRACESTATE], "vendor=1,other=2");
        // Of a later version the part that is known.
        let later = format!("cc-{}-what-comes", &PARENT[3..]);
        assert_eq!(passed_on(&[&later], "")[TRACEPARENT], PARENT);
    }

    #[test]
    fn what_breaks_the_rules_is_no_parent() {
        for parents in [
            &[][..],
            &[PARENT, PARENT],
            &[""],
            &["00"],
            &["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"],
            &["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"],
            &["cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x"],
            &["ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
            &["00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01"],
            &["00-00000000000000000000000000000000-b7ad6b7169203331-01"],
            &["00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"],
            &["00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-001"],
            &["00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
        ] {
            assert!(passed_on(parents, "").is_empty(), "{parents:?}");
        }
    }

    #[test]
    fn a_state_that_is_none_costs_the_state_alone() {
        for state in ["no pair".to_owned(), format!("a={}", "b".repeat(600))] {
            let out = passed_on(&[PARENT], &state);
            assert_eq!(out[TRACEPARENT], PARENT);
            assert!(!out.contains_key(TRACESTATE), "{state}");
        }
    }
}
