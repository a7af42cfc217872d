//! `tools/startable`, which checks that Lambda can start a program.

use std::path::Path;
use std::process::Command;

use tempfile::NamedTempFile;

fn startable(program: &Path, machine: &str, emulated: bool) -> Result<(), String> {
    let mut script = Command::new("bash");
    script
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/startable"))
        .arg(program)
        .arg(machine)
        .env_remove("AWS_ENDPOINT_URL");
    if emulated {
        script.env("AWS_ENDPOINT_URL", "http://127.0.0.1:4566");
    }
    let output = script.output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

/// A minimal ELF program for `readelf`: x86-64, with a loader, without symbols.
fn program(loader: &str) -> NamedTempFile {
    let loader = [loader.as_bytes(), b"\0"].concat();
    let (header, entry) = (64_u64, 56_u64);
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    elf.resize(16, 0);
    let half = |elf: &mut Vec<u8>, n: u16| elf.extend(n.to_le_bytes());
    let word = |elf: &mut Vec<u8>, n: u32| elf.extend(n.to_le_bytes());
    let long = |elf: &mut Vec<u8>, n: u64| elf.extend(n.to_le_bytes());
    half(&mut elf, 3); // shared object, like position-independent programs
    half(&mut elf, 62); // x86-64
    word(&mut elf, 1);
    long(&mut elf, 0);
    long(&mut elf, header); // offset of the program headers
    long(&mut elf, 0);
    word(&mut elf, 0);
    for n in [64, 56, 1, 64, 0, 0] {
        half(&mut elf, n);
    }
    word(&mut elf, 3); // the loader's name
    word(&mut elf, 4);
    let size = loader.len() as u64;
    for n in [header + entry, 0, 0, size, size, 1] {
        long(&mut elf, n);
    }
    elf.extend(loader);
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), elf).unwrap();
    file
}

#[test]
fn only_programs_that_lambda_can_start_are_zipped() {
    let lambdas = program("/lib64/ld-linux-x86-64.so.2");
    startable(lambdas.path(), "x86_64", false).unwrap();
    let wrong = startable(lambdas.path(), "aarch64", true).unwrap_err();
    assert!(wrong.contains("is not for aarch64"), "{wrong}");

    let nixs = program("/nix/store/abc-glibc-2.42/lib/ld-linux-x86-64.so.2");
    let wrong = startable(nixs.path(), "x86_64", false).unwrap_err();
    assert!(
        wrong.contains("a loader that Lambda does not have"),
        "{wrong}"
    );
    // With an emulator it runs on this machine, where it may start.
    startable(nixs.path(), "x86_64", true).unwrap();

    let wrong = startable(Path::new(file!()), "x86_64", true).unwrap_err();
    assert!(wrong.contains("not a program for Linux"), "{wrong}");
}

#[test]
fn a_newer_c_library_than_lambdas_is_reported() {
    // The output of `readelf` for a program from a newer system.
    let folder = tempfile::tempdir().unwrap();
    let headers = "  Machine:                           Advanced Micro Devices X86-64\n\
                [Requesting program interpreter: /lib64/ld-linux-x86-64.so.2]\n\
                0x0010:   Name: GLIBC_2.5  Flags: none  Version: 4\n\
                0x0020:   Name: GLIBC_2.38  Flags: none  Version: 3\n";
    std::fs::write(folder.path().join("readelf-output"), headers).unwrap();
    let script =
        r#"readelf() { cat "$HERE/readelf-output"; }; export -f readelf; exec bash "$0" "$@""#;
    let output = Command::new("bash")
        .args(["-c", script])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/startable"))
        .args(["program", "x86_64"])
        .env("HERE", folder.path())
        .env_remove("AWS_ENDPOINT_URL")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("needs GLIBC_2.38, and Lambda's provided.al2023 has GLIBC_2.34"),
        "{stderr}"
    );
}
