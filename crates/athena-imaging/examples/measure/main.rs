//! Runs one step over and over, for a script that reads this process's CPU time: `scripts/compare_opencv.py`.
//!
//! Each line of the input is a step, an interpolation, a number of rounds and a file; each answer is the size of the last
//! result in bytes.

use std::io::{BufRead, Write};

use athena_imaging::{
    Compression, Frame, Hashes, Interpolation, Limits, PayloadKind, Preprocessor, WebpEffort,
    decode, encode_webp, resize,
};

mod libwebp;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let limits = Limits::default();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let fields: Vec<&str> = line.splitn(4, ' ').collect();
        let [step, interpolation, rounds, path] = fields[..] else {
            return Err("a line has four fields".into());
        };
        let interpolation = match interpolation {
            "linear" => Interpolation::Linear,
            "nearest" => Interpolation::Nearest,
            "area" => Interpolation::Area,
            "lanczos4" => Interpolation::Lanczos4,
            _ => Interpolation::FastBilinear,
        };
        let rounds: u32 = rounds.parse()?;
        let bytes = std::fs::read(path)?;
        let preprocessor = Preprocessor::builder()
            .interpolation(interpolation)
            .build()?;
        let mut size = 0;
        match step {
            "decode" => {
                for _ in 0..rounds {
                    size = decode(&bytes, &limits)?.data().len();
                }
            }
            "frame" => {
                for _ in 0..rounds {
                    size = preprocessor.frame(&bytes)?.data().len();
                }
            }
            "resize" => {
                let frame = decode(&bytes, &limits)?;
                for _ in 0..rounds {
                    size = resize(&frame, interpolation)?.data().len();
                }
            }
            "webp-fastest" | "webp" | "webp-small" => {
                let frame = preprocessor.frame(&bytes)?;
                for _ in 0..rounds {
                    size = encode_webp(&frame, effort(step))?.len();
                }
            }
            "check" => {
                let frame = preprocessor.frame(&bytes)?;
                for step in ["webp-fastest", "webp", "webp-small"] {
                    let file = encode_webp(&frame, effort(step))?;
                    if decode(&file, &limits)? != frame || rgb_by_image_webp(&file)? != rgb(&frame)
                    {
                        return Err(format!("{step} of {path} decodes to other pixels").into());
                    }
                    std::fs::write(format!("{path}.{step}"), file)?;
                }
                std::fs::write(format!("{path}.libwebp"), libwebp::encode(&frame)?)?;
            }
            "libwebp" => {
                let frame = preprocessor.frame(&bytes)?;
                for _ in 0..rounds {
                    size = libwebp::encode(&frame)?.len();
                }
            }
            "hash" => {
                for _ in 0..rounds {
                    size = usize::from(Hashes::of(&bytes).md5[0]);
                }
            }
            _ => {
                let frame = preprocessor.frame(&bytes)?;
                let (payload, compression) = match step {
                    "png" => (PayloadKind::Png, Compression::None),
                    "jpeg" => (
                        PayloadKind::Jpeg {
                            quality: 90,
                            subsampling: Default::default(),
                        },
                        Compression::None,
                    ),
                    _ => (
                        PayloadKind::RawBgr,
                        Compression::Brotli {
                            quality: step.trim_start_matches("brotli").parse()?,
                        },
                    ),
                };
                for _ in 0..rounds {
                    size = compression
                        .compress(payload.encode(frame.clone())?.0)?
                        .0
                        .len();
                }
            }
        }
        println!("{size}");
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn rgb(frame: &Frame) -> Vec<u8> {
    let pixels = frame.data().as_chunks::<3>().0;
    pixels.iter().flat_map(|[b, g, r]| [*r, *g, *b]).collect()
}

fn rgb_by_image_webp(file: &[u8]) -> Result<Vec<u8>, image_webp::DecodingError> {
    let mut decoder = image_webp::WebPDecoder::new(std::io::Cursor::new(file))?;
    let mut rgb = vec![0; decoder.output_buffer_size().unwrap_or(0)];
    decoder.read_image(&mut rgb)?;
    Ok(rgb)
}

fn effort(step: &str) -> WebpEffort {
    match step {
        "webp-fastest" => WebpEffort::Fastest,
        "webp-small" => WebpEffort::Small,
        _ => WebpEffort::Default,
    }
}
