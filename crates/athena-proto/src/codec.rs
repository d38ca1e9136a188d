//! How messages are encoded: prost's way, into a buffer that is made as large as the message.
//!
//! A message of images has hundreds of kilobytes. A buffer that grows under it doubles again and again, is copied each time,
//! and may end up twice as large, while the message before is still on its way.

use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic_prost::ProstCodec;

/// [`ProstCodec`] that makes room before it encodes.
#[derive(Debug)]
pub(crate) struct SizedCodec<T, U>(ProstCodec<T, U>);

impl<T, U> Default for SizedCodec<T, U> {
    fn default() -> Self {
        Self(ProstCodec::new())
    }
}

impl<T, U> Codec for SizedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = SizedEncoder<<ProstCodec<T, U> as Codec>::Encoder>;
    type Decoder = <ProstCodec<T, U> as Codec>::Decoder;

    fn encoder(&mut self) -> Self::Encoder {
        SizedEncoder(self.0.encoder())
    }

    fn decoder(&mut self) -> Self::Decoder {
        self.0.decoder()
    }
}

#[derive(Debug)]
pub(crate) struct SizedEncoder<E>(E);

impl<E> Encoder for SizedEncoder<E>
where
    E: Encoder<Error = Status>,
    E::Item: Message,
{
    type Item = E::Item;
    type Error = Status;

    fn encode(&mut self, item: E::Item, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(item.encoded_len());
        self.0.encode(item, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use bytes::Bytes;
    use tonic::codec::EncodeBody;
    use tonic::codegen::{Body, tokio_stream};

    use super::*;
    use crate::{ClassificationInput, ClassifyRequest};

    #[test]
    fn a_buffer_is_as_large_as_its_message() {
        let input = ClassificationInput {
            data: Bytes::from(vec![7; 300_000]),
            ..Default::default()
        };
        let request = ClassifyRequest {
            inputs: vec![input; 4],
            ..Default::default()
        };
        let size = request.encoded_len();
        let encoder = SizedCodec::<ClassifyRequest, ()>::default().encoder();
        let requests = tokio_stream::once(Ok(request.clone()));
        let mut body = Box::pin(EncodeBody::new_client(encoder, requests, None, None));
        let polled = (body.as_mut()).poll_frame(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Some(Ok(frame))) = polled else {
            panic!("there is a message");
        };
        let data = frame.into_data().expect("not the trailers");
        drop(body);
        let sent = data.try_into_mut().expect("nobody else holds it");
        // Before each message are its length and whether it is compressed.
        assert_eq!(sent.len(), 5 + size);
        assert_eq!(ClassifyRequest::decode(&sent[5..]), Ok(request));
        assert!(sent.capacity() < size + 1024, "{}", sent.capacity());
    }
}
