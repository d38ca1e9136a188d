//! Paints the sample pictures of `examples/images`: landscapes made of noise, varied enough to
//! compress like photographs. Only arithmetic that is the same on every machine is used, so the
//! files come out identical everywhere.

mod landscape;

use std::{fs, path::Path};

use image::{DynamicImage, ImageFormat, RgbImage, imageops};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::Result;
use landscape::{Palette, paint};

const FOLDER: &str = "examples/images";

pub(crate) fn run(root: &Path) -> Result {
    let folder = root.join(FOLDER);
    fs::create_dir_all(&folder)?;

    // JPEG: what most uploads are, in the samplings that cameras and editors write.
    let lake = paint(1200, 800, 1, Palette::LAKE);
    jpeg(&lake, &folder.join("lakeside.jpg"), SamplingFactor::F_2_2)?;
    let mountains = paint(800, 533, 2, Palette::ALPINE);
    jpeg(
        &mountains,
        &folder.join("mountains.jpg"),
        SamplingFactor::F_1_1,
    )?;
    let portrait = paint(600, 900, 3, Palette::DUSK);
    // A phone held upright: stored lying on its side, with the orientation in EXIF.
    let lying = imageops::rotate270(&portrait);
    oriented_jpeg(&lying, &folder.join("portrait.jpeg"), 6)?;

    let forest = paint(320, 240, 4, Palette::FOREST);
    forest.save_with_format(folder.join("forest.png"), ImageFormat::Png)?;
    let seashore = paint(448, 448, 5, Palette::COAST);
    let lossless = image::codecs::webp::WebPEncoder::new_lossless(fs::File::create(
        folder.join("seashore.webp"),
    )?);
    seashore.write_with_encoder(lossless)?;
    let dunes = imageops::resize(
        &paint(320, 200, 6, Palette::DESERT),
        160,
        100,
        imageops::FilterType::Triangle,
    );
    dunes.save_with_format(folder.join("dunes.bmp"), ImageFormat::Bmp)?;
    DynamicImage::from(dunes)
        .into_rgba8()
        .save_with_format(folder.join("dunes.gif"), ImageFormat::Gif)?;

    println!("{FOLDER} written");
    Ok(())
}

fn encoder(path: &Path, sampling: SamplingFactor) -> Result<Encoder<impl jpeg_encoder::JfifWrite>> {
    let mut encoder = Encoder::new_file(path, 82)?;
    encoder.set_sampling_factor(sampling);
    Ok(encoder)
}

fn jpeg(picture: &RgbImage, path: &Path, sampling: SamplingFactor) -> Result {
    write(encoder(path, sampling)?, picture)
}

fn oriented_jpeg(picture: &RgbImage, path: &Path, orientation: u8) -> Result {
    let mut encoder = encoder(path, SamplingFactor::F_2_2)?;
    encoder.add_app_segment(1, exif(orientation))?;
    write(encoder, picture)
}

fn write(encoder: Encoder<impl jpeg_encoder::JfifWrite>, picture: &RgbImage) -> Result {
    let (width, height) = (picture.width().try_into()?, picture.height().try_into()?);
    Ok(encoder.encode(picture, width, height, ColorType::Rgb)?)
}

/// An EXIF block (TIFF 6.0 layout, big-endian) that holds the orientation and nothing else.
fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01".to_vec();
    block.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]);
    block.extend([0; 4]);
    block
}
