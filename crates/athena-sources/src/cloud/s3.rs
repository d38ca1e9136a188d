//! Amazon S3, and what speaks its protocol.

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};

use object_store::client::HttpClient;

use super::direct::{Direct, Signer};
use super::profile::Profile;
use super::{Bucket, Means, retry, unusable};
use crate::error::Error;

/// Variables that are not the store's: the transport and the conditions of a request are ours.
fn is_ours(key: AmazonS3ConfigKey) -> bool {
    matches!(
        key,
        AmazonS3ConfigKey::Client(_)
            | AmazonS3ConfigKey::ConditionalPut
            | AmazonS3ConfigKey::Bucket
            | AmazonS3ConfigKey::CopyIfNotExists
    )
}

/// The variables win over the profile, as in Amazon's own tools: unless a profile is named, when its keys do.
pub(super) async fn open(bucket: &str, means: &Means) -> Result<Bucket, Error> {
    let environment = &means.environment;
    let profile = Profile::load(environment).await?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_retry(retry())
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_http_connector(means.connector("AWS"));
    let mut set = |name: &str, value: &str| {
        if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>()
            && !is_ours(key)
        {
            builder = std::mem::take(&mut builder).with_config(key, value);
        }
    };
    let has_keys = environment.get("AWS_ACCESS_KEY_ID").is_some();
    for (name, value) in profile.settings(has_keys) {
        set(name, value);
    }
    for (name, value) in environment.with_prefix("AWS_") {
        set(name, value);
    }
    if means.anonymous {
        builder = builder.with_skip_signature(true);
    }
    let of = |key| builder.get_config_value(&key);
    let region = of(AmazonS3ConfigKey::Region).unwrap_or_else(|| "us-east-1".to_owned());
    let endpoint = of(AmazonS3ConfigKey::S3Endpoint).or_else(|| of(AmazonS3ConfigKey::Endpoint));
    let says = |key| of(key).as_deref() == Some("true");
    let virtual_hosted = says(AmazonS3ConfigKey::VirtualHostedStyleRequest);
    let anonymous = says(AmazonS3ConfigKey::SkipSignature);
    let address = match (endpoint, virtual_hosted) {
        (Some(endpoint), true) => endpoint,
        (Some(endpoint), false) => format!("{}/{bucket}", endpoint.trim_end_matches('/')),
        (None, true) => format!("https://{bucket}.s3.{region}.amazonaws.com"),
        (None, false) => format!("https://s3.{region}.amazonaws.com/{bucket}"),
    };
    let store = builder.build().map_err(|error| unusable(bucket, &error))?;
    let direct = Direct {
        client: HttpClient::new(means.connector("AWS")),
        address,
        signer: Signer::Amazon {
            region,
            credentials: (!anonymous).then(|| Arc::clone(store.credentials())),
        },
    };
    let mut bucket = Bucket::of(store);
    bucket.direct = Some(Arc::new(direct));
    Ok(bucket)
}
