//! The description of the interface is that of the code.

use athena_outcome::Record;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::compat::{Message, Scan};
use crate::health::Ready;
use crate::problem::{Body, Kind};
use crate::reply::{Pending, Several};
use crate::router::{Digests, OPENAPI, ROUTES};

/// Writes the schemas into the file instead when `ATHENA_WRITE_SCHEMA` is set.
#[test]
fn the_schemas_are_those_of_the_types() {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    generator.subschema_for::<Several>();
    generator.subschema_for::<Pending>();
    generator.subschema_for::<Body<'_>>();
    generator.subschema_for::<Digests>();
    generator.subschema_for::<Ready>();
    generator.subschema_for::<Message>();
    generator.subschema_for::<Scan>();
    generator.subschema_for::<Record>();
    let schemas = Value::Object(generator.take_definitions(true));
    let mut document: Value = serde_json::from_str(OPENAPI).expect("JSON");
    if std::env::var_os("ATHENA_WRITE_SCHEMA").is_some() {
        document["components"]["schemas"] = schemas;
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let text = serde_json::to_string_pretty(&document).expect("serialise") + "\n";
        std::fs::write(path, text).expect("write");
        return;
    }
    assert!(
        document["components"]["schemas"] == schemas,
        "openapi.json is stale: run this test with ATHENA_WRITE_SCHEMA=1"
    );
}

/// Every `$ref` of the document leads somewhere.
#[test]
fn every_reference_is_to_a_schema() {
    fn check(value: &Value, document: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(target) = members.get("$ref").and_then(Value::as_str) {
                    let pointer = target.trim_start_matches('#');
                    assert!(document.pointer(pointer).is_some(), "{target}");
                }
                members.values().for_each(|member| check(member, document));
            }
            Value::Array(items) => items.iter().for_each(|item| check(item, document)),
            _ => {}
        }
    }
    let document: Value = serde_json::from_str(OPENAPI).expect("JSON");
    check(&document, &document);
}

#[test]
fn every_route_is_described_and_every_description_is_a_route() {
    let document: Value = serde_json::from_str(OPENAPI).expect("JSON");
    let mut described: Vec<(String, String)> = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            described.push((path.clone(), method.clone()));
        }
    }
    let mut routes: Vec<(String, String)> = ROUTES
        .iter()
        .map(|(path, method)| ((*path).to_owned(), (*method).to_owned()))
        .collect();
    described.sort();
    routes.sort();
    assert_eq!(described, routes);
}

#[test]
fn every_kind_of_problem_has_its_heading() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/serve.md");
    let text = std::fs::read_to_string(path).expect("docs/serve.md");
    for kind in Kind::ALL {
        let heading = format!("#### {}\n", kind.as_str());
        assert!(text.contains(&heading), "docs/serve.md lacks {heading}");
    }
}
