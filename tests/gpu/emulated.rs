//! The text of the kernels, run by `emulate.cpp` for several shapes of a tower and compared with sums in f64.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::process::Command;

/// Builds `emulate.cpp` with these defines and runs it; skipped where there is no compiler for C++.
fn check(defines: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("emulate");
    let mut compiler = Command::new("c++");
    compiler.args(["-std=c++20", "-O2", "-fno-strict-aliasing", "-I"]).arg(root.join("src/embed/cuda"));
    compiler.args(defines.iter().map(|define| format!("-D{define}")));
    let built = match compiler.arg(root.join("tests/gpu/emulate.cpp")).arg("-o").arg(&program).output() {
        Ok(built) => built,
        Err(error) => return println!("skipped: no compiler for C++ (c++: {error})"),
    };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let run = Command::new(&program).output().unwrap();
    print!("{}", String::from_utf8_lossy(&run.stdout));
    assert!(run.status.success(), "{defines:?}: {}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn the_kernels_of_a_transformer_calculate_what_they_say() {
    // Heads that fill their tiles, that do not, the least and the most.
    for (head, width) in [(64, 128), (72, 144), (8, 96), (128, 256)] {
        check(&[&format!("HEAD={head}"), &format!("WIDTH={width}"), "SOURCE=\"kernels.cu\""]);
    }
}

#[test]
fn the_kernels_of_a_convolution_calculate_what_they_say() {
    check(&["CONVOLUTION", "SOURCE=\"convolution.cu\""]);
}
