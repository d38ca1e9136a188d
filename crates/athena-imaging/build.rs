//! Compiles the C shim over libjpeg, which keeps its `longjmp` away from Rust.

fn main() {
    println!("cargo::rerun-if-changed=src/decode/jpeg");
    if std::env::var_os("CARGO_FEATURE_NATIVE").is_none() {
        return;
    }
    let include =
        std::env::var_os("DEP_JPEG_INCLUDE").expect("mozjpeg-sys tells where its headers are");
    cc::Build::new()
        .includes(std::env::split_paths(&include))
        .file("src/decode/jpeg/shim.c")
        .compile("athena_imaging_jpeg");
}
