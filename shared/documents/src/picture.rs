//! Pictures, made small.
//!
//! A picture tells its size before it is decoded, and one of too many pixels is refused there: a few
//! kilobytes may unfold to gigabytes. What is decoded is written anew, so that nothing of the file but
//! its pixels is in the thumbnail.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader};
use serde::{Deserialize, Serialize};

use crate::format::Format;
use crate::rejection::{Measure, Rejection};

/// The most pixels of a picture that is decoded: four bytes each are what a reader can hold.
const MAX_PIXELS: u64 = 50_000_000;
/// The most bytes that a decoder takes beside the pixels themselves.
const MAX_DECODER_BYTES: u64 = 512 * 1024 * 1024;
/// The longest side of a thumbnail, in pixels.
const THUMBNAIL_SIDE: u32 = 320;

/// A picture that was made small.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Its size as it is shown, in pixels.
    pub width: u32,
    pub height: u32,
    /// The thumbnail, as PNG.
    pub thumbnail: Vec<u8>,
}

/// What kind of picture a file is, by its first bytes; `None` if it is none that is read.
pub(crate) fn format(bytes: &[u8]) -> Option<Format> {
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => Some(Format::Jpeg),
        Ok(ImageFormat::Png) => Some(Format::Png),
        Ok(ImageFormat::WebP) => Some(Format::Webp),
        _ => None,
    }
}

/// Makes a picture small, in this process and on this thread.
pub(crate) fn shrink(bytes: &[u8], format: Format) -> Result<Picture, Rejection> {
    let format = match format {
        Format::Jpeg => ImageFormat::Jpeg,
        Format::Webp => ImageFormat::WebP,
        _ => ImageFormat::Png,
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(rejection)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(Rejection::TooLarge {
            measure: Measure::Pixels,
            limit: MAX_PIXELS,
        });
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let picture = DynamicImage::from_decoder(decoder).map_err(rejection)?;
    let mut small = if width.max(height) > THUMBNAIL_SIDE {
        picture.thumbnail(THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    } else {
        picture
    };
    small.apply_orientation(orientation);
    let mut thumbnail = Vec::new();
    DynamicImage::ImageRgba8(small.to_rgba8())
        .write_to(&mut Cursor::new(&mut thumbnail), ImageFormat::Png)
        .map_err(rejection)?;
    let (width, height) = if is_turned(orientation) {
        (height, width)
    } else {
        (width, height)
    };
    Ok(Picture {
        width,
        height,
        thumbnail,
    })
}

fn is_turned(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

fn rejection(error: ImageError) -> Rejection {
    match error {
        ImageError::Limits(_) => Rejection::TooLarge {
            measure: Measure::Pixels,
            limit: MAX_PIXELS,
        },
        ImageError::Unsupported(_) => Rejection::unsupported("a kind of picture that is not read"),
        _ => Rejection::corrupt("it is not a whole picture"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        DynamicImage::new_rgb8(width, height)
            .write_to(&mut Cursor::new(&mut bytes), format)
            .expect("written");
        bytes
    }

    fn size(png: &[u8]) -> (u32, u32) {
        let picture = image::load_from_memory_with_format(png, ImageFormat::Png).expect("PNG");
        (picture.width(), picture.height())
    }

    #[test]
    fn a_picture_is_made_small_and_keeps_its_shape() {
        for (written, format) in [
            (ImageFormat::Png, Format::Png),
            (ImageFormat::Jpeg, Format::Jpeg),
            (ImageFormat::WebP, Format::Webp),
        ] {
            let bytes = picture(640, 320, written);
            assert_eq!(super::format(&bytes), Some(format));
            let small = shrink(&bytes, format).expect("a picture");
            assert_eq!((small.width, small.height), (640, 320));
            assert_eq!(size(&small.thumbnail), (320, 160), "{format:?}");
        }
        let tiny = shrink(&picture(3, 2, ImageFormat::Png), Format::Png).expect("a picture");
        assert_eq!(size(&tiny.thumbnail), (3, 2), "is not made larger");
    }

    /// A PNG whose header promises a size, with nothing behind it.
    fn promising(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = picture(1, 1, ImageFormat::Png);
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let checksum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let mut sum = flate2::Crc::new();
        sum.update(bytes);
        sum.sum()
    }

    #[test]
    fn a_picture_of_too_many_pixels_is_refused_before_it_is_decoded() {
        for (width, height) in [(10_000, 5_001), (60_000, 60_000)] {
            let rejection = shrink(&promising(width, height), Format::Png).expect_err("too large");
            assert_eq!(rejection.code(), "too_large", "{width}: {rejection}");
        }
        // At the limit it is looked at, and is found to be cut.
        let rejection = shrink(&promising(10_000, 5_000), Format::Png).expect_err("cut");
        assert_eq!(rejection.code(), "corrupt", "{rejection}");
    }

    #[test]
    fn what_is_cut_is_refused_and_what_is_no_picture_is_none() {
        let whole = picture(64, 64, ImageFormat::Png);
        for bytes in [&whole[..whole.len() / 2], &whole[..9]] {
            let rejection = shrink(bytes, Format::Png).expect_err("cut");
            assert_eq!(rejection.code(), "corrupt", "{rejection}");
        }
        for bytes in [&b""[..], b"GIF89a", b"text", b"<svg/>"] {
            assert_eq!(super::format(bytes), None);
        }
    }
}
