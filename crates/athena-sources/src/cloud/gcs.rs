//! Google Cloud Storage.

use std::sync::Arc;

use object_store::StaticCredentialProvider;
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder, GoogleConfigKey};

use super::{Bucket, Means, retry, unusable};
use crate::error::Error;

pub(super) fn open(bucket: &str, means: &Means) -> Result<Bucket, Error> {
    let environment = &means.environment;
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket)
        .with_retry(retry())
        .with_http_connector(means.connector("GOOGLE"));
    for (name, value) in environment.with_prefix("GOOGLE_") {
        if let Ok(key) = name.to_ascii_lowercase().parse::<GoogleConfigKey>()
            && !matches!(key, GoogleConfigKey::Client(_) | GoogleConfigKey::Bucket)
        {
            builder = builder.with_config(key, value);
        }
    }
    let mut anonymous = means.anonymous;
    // As Google's own libraries have it: an emulator knows no credentials.
    if let Some(emulator) = environment.get("STORAGE_EMULATOR_HOST") {
        let url = match emulator.contains("://") {
            true => emulator.to_owned(),
            false => format!("http://{emulator}"),
        };
        builder = builder.with_base_url(url.trim_end_matches('/'));
        // object_store asks for credentials to write, also where it is told that there are none.
        let none = GcpCredential {
            bearer: "emulator".to_owned(),
        };
        builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(none)));
        anonymous = true;
    }
    if anonymous {
        builder = builder.with_skip_signature(true);
    }
    builder
        .build()
        .map(Bucket::of)
        .map_err(|error| unusable(bucket, &error))
}
