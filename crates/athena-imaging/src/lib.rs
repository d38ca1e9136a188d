//! Any image file to the exact 448 x 448 frame that Athena expects: OpenCV's pixels, bit for bit.
