//! A web service that checks uploads: one session for its whole life, shared by all requests.
//!
//! `cargo run -p athena-client --example upload_service`, then
//! `curl --data-binary @photo.jpg http://localhost:8080/images/photo-1`.

use std::error::Error;

use athena_client::{Client, ErrorKind, Image, Session};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let session = Client::from_env()?.session().max_in_flight(512).open()?;

    let app = Router::new()
        .route("/images/{id}", post(check))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(20 << 20))
        .with_state(session.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, app)
        .with_graceful_shutdown(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;

    // Requests are done; let what they left behind finish.
    session.close().await?;
    Ok(())
}

/// Full sessions make uploads wait here; a client that goes away drops this future, which cancels
/// its image.
async fn check(
    State(session): State<Session>,
    Path(id): Path<String>,
    body: Bytes,
) -> (StatusCode, String) {
    let image = Image::from_bytes(body).correlation_id(id);
    let result = match session.submit(image).await {
        Ok(pending) => pending.await,
        Err(error) => Err(error),
    };
    match result {
        Ok(verdict) if verdict.known_match() => (StatusCode::FORBIDDEN, "known\n".into()),
        // No overall probability is not an all-clear.
        Ok(verdict) => match verdict.pcsam() {
            Some(p) if p < 0.8 => (StatusCode::OK, "accepted\n".into()),
            _ => (StatusCode::ACCEPTED, "held for review\n".into()),
        },
        Err(error) if error.hash_verdict().is_some_and(|v| v.known_match()) => {
            (StatusCode::FORBIDDEN, "known\n".into())
        }
        Err(error) => {
            let status = match error.kind() {
                ErrorKind::Undecodable => StatusCode::UNPROCESSABLE_ENTITY,
                ErrorKind::InvalidRequest => StatusCode::BAD_REQUEST,
                _ if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::BAD_GATEWAY,
            };
            (status, format!("not checked: {error}\n"))
        }
    }
}

/// The session's counters, as Prometheus reads them.
async fn metrics(State(session): State<Session>) -> String {
    let stats = session.stats();
    let mut text = format!(
        "athena_accepted_total {}\nathena_verdicts_total {}\nathena_pending {}\n\
         athena_resent_total {}\nathena_disconnects_total {}\n",
        stats.accepted, stats.verdicts, stats.pending, stats.resent, stats.disconnects,
    );
    for (kind, count) in stats.errors_by_kind() {
        text += &format!("athena_errors_total{{kind=\"{kind}\"}} {count}\n");
    }
    let mut up_to = 0;
    for (bound, count) in stats.service_time.buckets() {
        up_to += count;
        let bound = bound.map_or("+Inf".to_owned(), |bound| bound.as_secs_f64().to_string());
        text += &format!("athena_service_seconds_bucket{{le=\"{bound}\"}} {up_to}\n");
    }
    let sum = stats.service_time.sum().as_secs_f64();
    text + &format!("athena_service_seconds_sum {sum}\nathena_service_seconds_count {up_to}\n")
}
