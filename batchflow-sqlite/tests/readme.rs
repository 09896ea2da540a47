//! The first program that the README shows is the example that the compiler saw.

#[test]
fn the_first_program_of_the_readme_is_the_example_first() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let example = include_str!("../examples/first.rs");
    let (_, program) = example.split_once("\n\n").unwrap();
    assert!(readme.contains(&format!("```rust\n{program}```")), "README.md and first.rs differ");
}
