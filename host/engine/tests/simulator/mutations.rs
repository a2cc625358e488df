//! Each planted bug of `mutations` still has its place: `cargo xtask simulate --mutations` builds and runs them.

use std::path::Path;

#[test]
fn each_planted_bug_has_one_place() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = crate_folder.parent().and_then(Path::parent).unwrap();
    let mut count = 0;
    for entry in std::fs::read_dir(crate_folder.join("mutations")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let (head, rest) = text.split_once("--- original\n").unwrap();
        let (original, mutated) = rest.split_once("--- mutated\n").unwrap();
        let file = head.lines().find_map(|line| line.strip_prefix("file: ")).unwrap();
        let source = std::fs::read_to_string(root.join(file)).unwrap();
        assert_eq!(source.matches(original).count(), 1, "{}", path.display());
        assert_ne!(original, mutated, "{}", path.display());
        count += 1;
    }
    assert!(count >= 27, "{count}");
}
