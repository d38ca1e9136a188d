//! Compiles the C code over libjpeg: a shim that keeps its `longjmp` away from Rust, and a quicker entropy decoder.

fn main() {
    println!("cargo::rerun-if-changed=src/decode/jpeg");
    if std::env::var_os("CARGO_FEATURE_NATIVE").is_none() {
        return;
    }
    let include =
        std::env::var_os("DEP_JPEG_INCLUDE").expect("mozjpeg-sys tells where its headers are");
    cc::Build::new()
        .includes(std::env::split_paths(&include))
        .files(["src/decode/jpeg/huffman.c", "src/decode/jpeg/shim.c"])
        .compile("athena_imaging_jpeg");
}
