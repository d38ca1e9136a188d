//! The wire contract, read from the exported descriptors: names, numbers and types are fixed by the
//! service and must never drift.

use prost::Message as _;
use prost_types::{
    FileDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

/// Message, field, number, type.
const FIELDS: &[(&str, &str, i32, &str)] = &[
    (
        "ListDeploymentsResponse",
        "deployments",
        1,
        "repeated .athena.Deployment",
    ),
    ("Deployment", "deployment_id", 1, "string"),
    ("Deployment", "backlog", 2, "int32"),
    ("ClassifyRequest", "deployment_id", 1, "string"),
    (
        "ClassifyRequest",
        "inputs",
        2,
        "repeated .athena.ClassificationInput",
    ),
    ("ClassificationInput", "affiliate", 1, "string"),
    ("ClassificationInput", "correlation_id", 2, "string"),
    (
        "ClassificationInput",
        "encoding",
        3,
        ".athena.RequestEncoding",
    ),
    ("ClassificationInput", "data", 4, "bytes"),
    ("ClassificationInput", "format", 5, ".athena.ImageFormat"),
    (
        "ClassificationInput",
        "hashes",
        6,
        "repeated .athena.ImageHash",
    ),
    (
        "ClassifyResponse",
        "global_error",
        1,
        ".athena.ClassificationError",
    ),
    (
        "ClassifyResponse",
        "outputs",
        2,
        "repeated .athena.ClassificationOutput",
    ),
    ("ClassificationOutput", "correlation_id", 1, "string"),
    (
        "ClassificationOutput",
        "classifications",
        2,
        "repeated .athena.Classification",
    ),
    (
        "ClassificationOutput",
        "error",
        3,
        ".athena.ClassificationError",
    ),
    ("Classification", "label", 1, "string"),
    ("Classification", "weight", 2, "float"),
    ("ClassificationError", "code", 1, ".athena.ErrorCode"),
    ("ClassificationError", "message", 2, "string"),
    ("ClassificationError", "details", 3, "string"),
    ("ImageHash", "value", 1, "string"),
    ("ImageHash", "type", 2, ".athena.HashType"),
];

const ENUMS: &[(&str, &[(&str, i32)])] = &[
    (
        "ErrorCode",
        &[
            ("ERROR_CODE_UNSPECIFIED", 0),
            ("ERROR_CODE_IMAGE_TOO_LARGE", 2),
            ("ERROR_CODE_MODEL_ERROR", 3),
            ("ERROR_CODE_AFFILIATE_NOT_PERMITTED", 4),
            ("ERROR_CODE_DEPLOYMENT_ID_INVALID", 5),
            ("ERROR_CODE_CORRELATION_ID_INVALID", 6),
        ],
    ),
    (
        "RequestEncoding",
        &[
            ("REQUEST_ENCODING_UNSPECIFIED", 0),
            ("REQUEST_ENCODING_UNCOMPRESSED", 1),
            ("REQUEST_ENCODING_BROTLI", 2),
        ],
    ),
    (
        "ImageFormat",
        &[
            ("IMAGE_FORMAT_UNSPECIFIED", 0),
            ("IMAGE_FORMAT_GIF", 1),
            ("IMAGE_FORMAT_JPEG", 2),
            ("IMAGE_FORMAT_BMP", 3),
            ("IMAGE_FORMAT_DIB", 4),
            ("IMAGE_FORMAT_PNG", 5),
            ("IMAGE_FORMAT_WEBP", 6),
            ("IMAGE_FORMAT_PBM", 7),
            ("IMAGE_FORMAT_PGM", 8),
            ("IMAGE_FORMAT_PPM", 9),
            ("IMAGE_FORMAT_PXM", 10),
            ("IMAGE_FORMAT_PNM", 11),
            ("IMAGE_FORMAT_PFM", 12),
            ("IMAGE_FORMAT_SR", 13),
            ("IMAGE_FORMAT_RAS", 14),
            ("IMAGE_FORMAT_TIFF", 15),
            ("IMAGE_FORMAT_HDR", 16),
            ("IMAGE_FORMAT_PIC", 17),
            ("IMAGE_FORMAT_RAW_UINT8_BGR", 19),
        ],
    ),
    (
        "HashType",
        &[
            ("HASH_TYPE_UNKNOWN", 0),
            ("HASH_TYPE_MD5", 1),
            ("HASH_TYPE_SHA1", 2),
        ],
    ),
];

/// Method, request, response, each with `stream` where it streams.
const METHODS: &[(&str, &str, &str)] = &[
    (
        "Classify",
        "stream .athena.ClassifyRequest",
        "stream .athena.ClassifyResponse",
    ),
    (
        "ListDeployments",
        ".google.protobuf.Empty",
        ".athena.ListDeploymentsResponse",
    ),
    (
        "ClassifySingle",
        ".athena.ClassificationInput",
        ".athena.ClassificationOutput",
    ),
];

fn athena_files() -> Vec<FileDescriptorProto> {
    let set = FileDescriptorSet::decode(athena_proto::FILE_DESCRIPTOR_SET)
        .expect("the exported descriptors decode");
    set.file
        .into_iter()
        .filter(|file| file.package() == "athena")
        .collect()
}

#[test]
fn messages_have_exactly_the_fields_of_the_contract() {
    let files = athena_files();
    let mut fields = Vec::new();
    for message in files.iter().flat_map(|file| &file.message_type) {
        for field in &message.field {
            let kind = match field.r#type() {
                Type::String => "string".to_owned(),
                Type::Bytes => "bytes".to_owned(),
                Type::Int32 => "int32".to_owned(),
                Type::Float => "float".to_owned(),
                Type::Message | Type::Enum => field.type_name().to_owned(),
                other => format!("{other:?}"),
            };
            let repeated = if field.label() == Label::Repeated {
                "repeated "
            } else {
                ""
            };
            fields.push((
                message.name(),
                field.name(),
                field.number(),
                repeated.to_owned() + &kind,
            ));
        }
    }
    fields.sort();
    let mut expected: Vec<_> = FIELDS
        .iter()
        .map(|f| (f.0, f.1, f.2, f.3.to_owned()))
        .collect();
    expected.sort();
    assert_eq!(fields, expected);
}

#[test]
fn enums_have_exactly_the_values_of_the_contract() {
    let files = athena_files();
    let enums: Vec<_> = files.iter().flat_map(|file| &file.enum_type).collect();
    assert_eq!(enums.len(), ENUMS.len());
    for (name, values) in ENUMS {
        let found = enums.iter().find(|e| e.name() == *name).unwrap();
        let found: Vec<_> = found.value.iter().map(|v| (v.name(), v.number())).collect();
        assert_eq!(found, *values, "{name}");
    }
}

#[test]
fn the_withdrawn_format_number_stays_reserved() {
    let files = athena_files();
    let format = files
        .iter()
        .flat_map(|file| &file.enum_type)
        .find(|e| e.name() == "ImageFormat");
    let reserved: Vec<_> = format
        .unwrap()
        .reserved_range
        .iter()
        .map(|r| (r.start(), r.end()))
        .collect();
    assert_eq!(reserved, [(18, 18)]);
    assert_eq!(athena_proto::ImageFormat::try_from(18).ok(), None);
}

#[test]
fn the_service_has_exactly_the_methods_of_the_contract() {
    let files = athena_files();
    let services: Vec<_> = files.iter().flat_map(|file| &file.service).collect();
    assert_eq!(services.len(), 1);
    assert_eq!(services[0].name(), "ClassifierService");
    let side = |streams: bool, name: &str| {
        if streams {
            format!("stream {name}")
        } else {
            name.into()
        }
    };
    let methods: Vec<_> = services[0]
        .method
        .iter()
        .map(|m| {
            (
                m.name(),
                side(m.client_streaming(), m.input_type()),
                side(m.server_streaming(), m.output_type()),
            )
        })
        .collect();
    let expected: Vec<_> = METHODS
        .iter()
        .map(|m| (m.0, m.1.to_owned(), m.2.to_owned()))
        .collect();
    assert_eq!(methods, expected);
}
