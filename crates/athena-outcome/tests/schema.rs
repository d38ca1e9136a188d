//! `docs/outcome.schema.json` is the schema of the type.

use athena_outcome::Record;

const PATH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/outcome.schema.json"
);

/// Writes the file instead when `ATHENA_WRITE_SCHEMA` is set.
#[test]
fn the_documented_schema_is_that_of_the_type() {
    let mut schema = schemars::schema_for!(Record);
    // A later minor version adds fields; a reader that validates must not refuse them.
    schema.insert("additionalProperties".to_owned(), true.into());
    let text = serde_json::to_string_pretty(&schema).expect("serialise") + "\n";
    if std::env::var_os("ATHENA_WRITE_SCHEMA").is_some() {
        std::fs::write(PATH, &text).expect("write");
    }
    let documented = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(
        documented == text,
        "docs/outcome.schema.json is stale: run this test with ATHENA_WRITE_SCHEMA=1"
    );
}
