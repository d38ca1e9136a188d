//! A server whose answers break the contract: the error says so, and never that the request was wrong.

use std::convert::Infallible;

use athena_client::{Client, Delivery, ErrorKind};
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::Full;
use tonic::body::Body;

use crate::support::hash;

/// Answers every call with these bytes.
fn answering(answer: Bytes) -> Client {
    let service = tower::service_fn(move |_: http::Request<Body>| {
        let answer = Body::new(Full::new(answer.clone()));
        let response = http::Response::builder().header("content-type", "application/grpc");
        async move { Ok::<_, Infallible>(response.body(answer).expect("a response")) }
    });
    Client::builder()
        .service(service)
        .build()
        .expect("a client")
}

/// A message of gRPC: flags, length, bytes.
fn message(flags: u8, bytes: &[u8]) -> Bytes {
    let mut message = BytesMut::new();
    message.put_u8(flags);
    message.put_u32(u32::try_from(bytes.len()).expect("small"));
    message.put_slice(bytes);
    message.freeze()
}

#[tokio::test]
async fn an_answer_that_is_too_large_or_unreadable_is_the_services_fault() {
    let too_large = {
        // A length is enough: nobody waits for the rest.
        let mut head = BytesMut::new();
        head.put_u8(0);
        head.put_u32(17 << 20);
        head.freeze()
    };
    for (answer, what) in [
        (too_large, "too large"),
        (message(0, &[0xff; 9]), "no Protobuf"),
        (message(7, b""), "an unknown compression"),
    ] {
        let client = answering(answer);
        let unary = client.classify(hash(1)).await.unwrap_err();
        let session = client.session().open().unwrap();
        let streamed = session.classify(hash(1)).await.unwrap_err();
        for error in [&unary, &streamed] {
            assert_eq!(error.kind(), ErrorKind::Protocol, "{what}: {error:?}");
            assert!(!error.is_of_image() && !error.is_transient());
        }
        // The stream may be over before it has the image.
        assert_eq!(unary.delivery(), Delivery::Unknown, "{what}: {unary:?}");
        assert_eq!(unary.sends(), Some(1), "{what}: {unary:?}");
    }
}
