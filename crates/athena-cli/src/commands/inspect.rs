//! `athena inspect`: what the pipeline sees in a file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use athena_imaging::{
    Format, Frame, ImageError, Limits, PayloadKind, decode, inspect, resize, sha256_hex,
};
use athena_outcome::{PathText, error_word};
use clap::Args;
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome, one_line, reason};
use crate::input::{Found, Input, InputArgs, Order};
use crate::output::terminal::{BAD, BOLD, DIM};
use crate::output::write_json;
use crate::parallel::in_order;
use crate::pixels::{ENCODINGS, InterpolationArg, encoding};

const EXAMPLES: &str = "\
Examples:
  athena inspect upload.jpg
  athena inspect --write-frame frame.png upload.jpg    Look at the exact 448 x 448 pixels
  athena inspect --json --payloads none photos/        Checksums of thousands of files";

/// Show what the pipeline sees: format, size, orientation, checksums of the pixels, payload sizes
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    input: InputArgs,
    /// How pictures become 448 x 448
    #[arg(long, value_enum, value_name = "METHOD", default_value_t)]
    interpolation: InterpolationArg,
    /// Payloads to measure, comma-separated, or `none`: raw, webp, png, jpeg[-QUALITY], brotli-QUALITY
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "LIST",
        default_value = "raw,webp"
    )]
    payloads: Vec<String>,
    /// Write the exact 448 x 448 pixels of one image as PNG
    #[arg(long, value_name = "FILE")]
    write_frame: Option<PathBuf>,
    /// One JSON object a line
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// One file's line of JSON. A file that fails has `error`, and what its headers say.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    path: PathText,
    #[serde(flatten)]
    headers: Option<Headers>,
    #[serde(flatten)]
    pixels: Option<Pixels>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_kind: Option<Cow<'static, str>>,
}

#[derive(Serialize)]
struct Headers {
    format: String,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    orientation: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bit_depth: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frames: Option<u32>,
}

#[derive(Serialize)]
struct Pixels {
    width: u32,
    height: u32,
    decoded_sha256: String,
    interpolation: String,
    frame_sha256: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    payloads: BTreeMap<String, u64>,
}

pub(crate) fn run(args: &InspectArgs) -> Outcome {
    let inspector = Inspector::new(args)?;
    let selection = args.input.select(Order::Sorted)?;
    let found = selection.collect()?;
    if let Some(path) = &args.write_frame {
        let [Ok(input)] = found.as_slice() else {
            return Err(Failure::new(
                Exit::Usage,
                "--write-frame takes exactly one image",
            ));
        };
        inspector.write_frame(input, path)?;
    }
    let mut out = anstream::stdout().lock();
    let mut exit = Exit::Done;
    in_order(
        found.into_iter(),
        |found| inspector.report(found),
        |report| {
            if report.error.is_some() {
                exit = Exit::SomeFailed;
            }
            if args.json {
                write_json(&report, &mut out)
            } else {
                print(&report, &mut out)
            }
        },
    )
    .map_err(|error| Failure::output(&error))?;
    Ok(exit)
}

struct Inspector {
    interpolation: InterpolationArg,
    payloads: Vec<(String, crate::pixels::Encoding)>,
    limits: Limits,
}

impl Inspector {
    fn new(args: &InspectArgs) -> Outcome<Self> {
        let words = args.payloads.iter().filter(|word| *word != "none");
        let payloads = words.map(|word| Ok((word.clone(), encoding(word)?)));
        Ok(Self {
            interpolation: args.interpolation,
            payloads: payloads.collect::<Result<_, String>>().map_err(|_| {
                Failure::new(Exit::Usage, "--payloads names an unknown encoding")
                    .remedy(format!("known: {ENCODINGS}, none"))
            })?,
            limits: Limits::default(),
        })
    }

    fn report(&self, found: Found) -> Report {
        let (path, content) = match found {
            Ok(input) => {
                let content = input.read(self.limits.max_file_bytes);
                let content = content.map_err(|error| reason(&error));
                (PathText::from(&*input.path()), content)
            }
            Err(unreadable) => (
                PathText::from(unreadable.path.as_path()),
                Err(unreadable.reason),
            ),
        };
        let mut report = Report {
            path,
            headers: None,
            pixels: None,
            error: None,
            error_kind: None,
        };
        match content {
            Ok(bytes) => {
                report.headers = headers(&bytes);
                // A fault in one file must not cost the others: decoders see hostile bytes here.
                match catch_unwind(AssertUnwindSafe(|| self.pixels(&bytes))) {
                    Ok(Ok(pixels)) => report.pixels = Some(pixels),
                    Ok(Err(error)) => {
                        report.error = Some(error.to_string());
                        report.error_kind = Some(error_word(error.kind()).into());
                    }
                    Err(_) => {
                        report.error = Some("a fault in the decoder".to_owned());
                        report.error_kind = Some("internal".into());
                    }
                }
            }
            Err(error) => {
                report.error = Some(error);
                report.error_kind = Some("unreadable".into());
            }
        }
        report
    }

    fn pixels(&self, bytes: &[u8]) -> Result<Pixels, ImageError> {
        let decoded = decode(bytes, &self.limits)?;
        let (width, height) = (decoded.width(), decoded.height());
        let decoded_sha256 = checksum(&decoded);
        let frame = resize(decoded, self.interpolation.into())?;
        let mut payloads = BTreeMap::new();
        for (word, encoding) in &self.payloads {
            let (data, _) = encoding.payload.encode(frame.clone())?;
            let (data, _) = encoding.compression.compress(data)?;
            payloads.insert(word.clone(), data.len() as u64);
        }
        Ok(Pixels {
            width,
            height,
            decoded_sha256,
            interpolation: self.interpolation.word(),
            frame_sha256: checksum(&frame),
            payloads,
        })
    }

    fn write_frame(&self, input: &Input, path: &Path) -> Outcome<()> {
        let bytes = input.read(self.limits.max_file_bytes).map_err(|error| {
            Failure::local(format!(
                "cannot read {}: {}",
                input.path().display(),
                reason(&error)
            ))
        })?;
        let png = decode(&bytes, &self.limits)
            .and_then(|frame| resize(frame, self.interpolation.into()))
            .and_then(|frame| PayloadKind::Png.encode(frame));
        let (png, _) = png.map_err(|error| {
            Failure::new(
                Exit::SomeFailed,
                format!("{}: {error}", input.path().display()),
            )
        })?;
        std::fs::write(path, png).map_err(|error| {
            Failure::local(format!(
                "cannot write {}: {}",
                path.display(),
                reason(&error)
            ))
        })
    }
}

/// What the headers say, as far as they can be read: the pixels are the test of a file, not these.
fn headers(bytes: &[u8]) -> Option<Headers> {
    let format = Format::detect(bytes)?;
    let inspection = catch_unwind(|| inspect(bytes)).ok().and_then(Result::ok);
    Some(Headers {
        format: format.word().to_owned(),
        bytes: bytes.len() as u64,
        orientation: inspection.as_ref().map(|i| i.orientation.tag()),
        bit_depth: inspection.as_ref().map(|i| i.bit_depth),
        frames: inspection.as_ref().map(|i| i.frames),
    })
}

fn checksum(frame: &Frame) -> String {
    sha256_hex(frame.data())
}

fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{BOLD}{}{BOLD:#}", one_line(&report.path.path))?;
    let mut line = |name: &str, value: &str| writeln!(out, "  {DIM}{name:<12}{DIM:#}{value}");
    if let Some(headers) = &report.headers {
        let depth = headers.bit_depth.map(|depth| format!(", {depth} bit"));
        let frames = headers.frames.filter(|frames| *frames > 1);
        let frames = frames.map(|frames| format!(", {frames} frames"));
        let text = [
            headers.format.as_str(),
            &depth.unwrap_or_default(),
            &frames.unwrap_or_default(),
        ];
        line("format", &text.concat())?;
        line("file", &format!("{} bytes", headers.bytes))?;
        if let Some(orientation) = headers.orientation {
            line("orientation", &orientation.to_string())?;
        }
    }
    if let Some(pixels) = &report.pixels {
        line("size", &format!("{} x {}", pixels.width, pixels.height))?;
        line("decoded", &format!("sha256 {}", pixels.decoded_sha256))?;
        line(
            "448 x 448",
            &format!("sha256 {} ({})", pixels.frame_sha256, pixels.interpolation),
        )?;
        for (word, bytes) in &pixels.payloads {
            line(word, &format!("{bytes} bytes"))?;
        }
    }
    if let Some(error) = &report.error {
        writeln!(out, "  {BAD}✗ {}{BAD:#}", one_line(error))?;
    }
    Ok(())
}
