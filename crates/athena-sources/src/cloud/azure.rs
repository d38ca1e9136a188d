//! Azure Blob Storage.

use std::sync::Arc;

use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::HttpClient;

use super::direct::{Direct, Signer};
use super::{Bucket, Means, retry, unusable};
use crate::error::{Error, SourceErrorKind};

/// Parts of a connection string, as the names of settings.
const PARTS: [(&str, AzureConfigKey); 4] = [
    ("AccountName", AzureConfigKey::AccountName),
    ("AccountKey", AzureConfigKey::AccessKey),
    ("SharedAccessSignature", AzureConfigKey::SasKey),
    ("BlobEndpoint", AzureConfigKey::Endpoint),
];

/// The account that Azurite is known by.
const EMULATOR: &str = "devstoreaccount1";

pub(super) fn open(container: &str, means: &Means) -> Result<Bucket, Error> {
    let environment = &means.environment;
    let mut builder = MicrosoftAzureBuilder::new()
        .with_container_name(container)
        .with_retry(retry())
        .with_http_connector(means.connector("AZURE"));
    if let Some(text) = environment.get("AZURE_STORAGE_CONNECTION_STRING") {
        for (key, value) in parts(text)? {
            builder = builder.with_config(key, value);
        }
    }
    for (name, value) in environment.with_prefix("AZURE_") {
        if let Ok(key) = name.to_ascii_lowercase().parse::<AzureConfigKey>()
            && !matches!(
                key,
                AzureConfigKey::Client(_) | AzureConfigKey::ContainerName
            )
        {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = environment.get("IDENTITY_ENDPOINT") {
        builder = builder.with_msi_endpoint(endpoint);
    }
    if means.anonymous {
        builder = builder.with_skip_signature(true);
    }
    let of = |key| builder.get_config_value(&key);
    let says = |key| of(key).as_deref() == Some("true");
    let emulated = says(AzureConfigKey::UseEmulator);
    let anonymous = says(AzureConfigKey::SkipSignature);
    let account = of(AzureConfigKey::AccountName);
    let account = account.unwrap_or_else(|| EMULATOR.to_owned());
    // As object_store has it.
    let address = match (of(AzureConfigKey::Endpoint), emulated) {
        (_, true) => {
            let endpoint = std::env::var("AZURITE_BLOB_STORAGE_URL");
            let endpoint = endpoint.unwrap_or_else(|_| "http://127.0.0.1:10000".to_owned());
            format!("{}/{account}", endpoint.trim_end_matches('/'))
        }
        (Some(endpoint), false) => endpoint.trim_end_matches('/').to_owned(),
        (None, false) => format!("https://{account}.blob.core.windows.net"),
    };
    let store = (builder.build()).map_err(|error| unusable(container, &error))?;
    let direct = Direct {
        client: HttpClient::new(means.connector("AZURE")),
        address: format!("{address}/{container}"),
        signer: Signer::Azure {
            account,
            credentials: (!anonymous).then(|| Arc::clone(store.credentials())),
        },
    };
    let mut bucket = Bucket::of(store);
    bucket.direct = Some(Arc::new(direct));
    Ok(bucket)
}

/// What a connection string says: `AccountName=…;AccountKey=…;…`, in any order.
fn parts(text: &str) -> Result<Vec<(AzureConfigKey, String)>, Error> {
    let mut settings = Vec::new();
    for part in text
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let Some((name, value)) = part.split_once('=') else {
            return Err(Error::new(
                SourceErrorKind::Unusable,
                "AZURE_STORAGE_CONNECTION_STRING is none: expected NAME=VALUE, separated by `;`",
            ));
        };
        if name.eq_ignore_ascii_case("UseDevelopmentStorage") && value.eq_ignore_ascii_case("true")
        {
            settings.push((AzureConfigKey::UseEmulator, "true".to_owned()));
        }
        let known = PARTS
            .iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known));
        settings.extend(known.map(|(_, key)| (*key, value.to_owned())));
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_strings_are_read() {
        let text = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5==;EndpointSuffix=core.windows.net";
        let expected = vec![
            (AzureConfigKey::AccountName, "a".to_owned()),
            (AzureConfigKey::AccessKey, "a2V5==".to_owned()),
        ];
        assert_eq!(parts(text).expect("sound"), expected);
        let error = parts("hunter2").expect_err("none").to_string();
        assert!(!error.contains("hunter2"));
    }
}
