//! A cache of compiled plugins on disk, so that a restart does not compile them again.
//!
//! This module has the crate's only `unsafe` call: `Component::deserialize` trusts its bytes, because machine code
//! cannot be checked. The bytes are trustworthy: they come over a pipe from the compiling process, which is this
//! program (`compiler`), or from the cache folder. Only this process's user can write to the folder (it is created with
//! mode 0700). Each file begins with the SHA-256 of its content, and the content begins with the plugin's digest and
//! the engine's version and settings; wasmtime checks version and settings again. So the bytes of each call were made
//! by Cranelift for this engine. An attacker who can forge them could also replace this program.
#![allow(unsafe_code)]

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use assay_core::names::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

/// The bytes of the content's SHA-256 at the start of a file.
const CHECKSUM_BYTES: usize = 32;
/// The bytes of the plugin's digest and the engine's hash at the start of the content.
const HEAD_BYTES: usize = 32 + 8;

/// Loads machine code that `store` or the compiling process wrote.
pub(crate) fn load_trusted(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes are output of this program's compiler; see the module's header.
    unsafe { Component::deserialize(engine, code) }
}

/// A folder of compiled plugins for one engine.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    engine: u64,
    writes: AtomicU64,
}

impl Cache {
    /// Opens the folder; creates it if it does not exist.
    pub(crate) fn open(folder: &Path, engine: &Engine) -> std::io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        Ok(Self { folder: folder.to_owned(), engine: hasher.finish(), writes: AtomicU64::new(0) })
    }

    /// The compiled plugin, if its file exists and is intact. A damaged file is deleted.
    pub(crate) fn load(&self, engine: &Engine, digest: Digest) -> Option<Component> {
        let path = self.path(digest);
        let file = match fs::read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a compiled plugin cannot be read; compiling it anew");
                return None;
            }
        };
        match self.open_file(engine, digest, &file) {
            Ok(component) => Some(component),
            Err(why) => {
                tracing::warn!(path = %path.display(), why, "a compiled plugin is damaged; compiling it anew");
                if let Err(error) = fs::remove_file(&path) {
                    tracing::warn!(path = %path.display(), %error, "a damaged compiled plugin cannot be deleted");
                }
                None
            }
        }
    }

    fn open_file(&self, engine: &Engine, digest: Digest, file: &[u8]) -> Result<Component, String> {
        let (checksum, content) = file.split_at_checked(CHECKSUM_BYTES).ok_or("it is too short")?;
        if Digest::of(content).0 != checksum {
            return Err("its hash differs".to_owned());
        }
        let (head, code) = content.split_at_checked(HEAD_BYTES).ok_or("it is too short")?;
        if head != self.head(digest) {
            return Err("it is of another plugin or engine".to_owned());
        }
        load_trusted(engine, code).map_err(|error| format!("{error:#}"))
    }

    /// Stores a compiled plugin. A failure costs only time at the next start, so it is logged and not returned.
    pub(crate) fn store(&self, digest: Digest, component: &Component) {
        if let Err(error) = self.try_store(digest, component) {
            tracing::warn!(folder = %self.folder.display(), error, "a compiled plugin cannot be kept");
        }
    }

    fn try_store(&self, digest: Digest, component: &Component) -> Result<(), String> {
        let code = component.serialize().map_err(|error| format!("{error:#}"))?;
        let mut content = Vec::with_capacity(HEAD_BYTES + code.len());
        content.extend_from_slice(&self.head(digest));
        content.extend_from_slice(&code);
        // Written under another name and renamed, so that no reader sees a partial file.
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.folder.join(format!(".{}-{}-{number}", digest.hex(), std::process::id()));
        let written = fs::File::create(&unfinished)
            .and_then(|mut file| file.write_all(&Digest::of(&content).0).and_then(|()| file.write_all(&content)))
            .and_then(|()| fs::rename(&unfinished, self.path(digest)));
        written.map_err(|error| {
            // Best effort: the file may not exist, and the first error is the relevant one.
            let _ = fs::remove_file(&unfinished);
            error.to_string()
        })
    }

    fn head(&self, digest: Digest) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        head[..32].copy_from_slice(&digest.0);
        head[32..].copy_from_slice(&self.engine.to_le_bytes());
        head
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!("{}-{:016x}.cwasm", digest.hex(), self.engine))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest component: only a header.
    const EMPTY: [u8; 8] = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00];

    #[test]
    fn stored_plugins_are_loaded_and_damaged_files_are_deleted() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let engine = Engine::default();
        let cache = Cache::open(folder.path(), &engine).expect("the folder can be opened");
        let component = Component::from_binary(&engine, &EMPTY).expect("the component compiles");
        let (digest, other) = (Digest::of(b"this"), Digest::of(b"other"));
        assert!(cache.load(&engine, digest).is_none());
        cache.store(digest, &component);
        assert!(cache.load(&engine, digest).is_some());
        assert_eq!(fs::read_dir(folder.path()).expect("the folder is there").count(), 1, "nothing unfinished is left");

        fs::copy(cache.path(digest), cache.path(other)).expect("the file can be copied");
        assert!(cache.load(&engine, other).is_none(), "a file of another plugin is not taken");
        assert!(!cache.path(other).exists());

        let mut bytes = fs::read(cache.path(digest)).expect("the file can be read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        for damaged in [&bytes[..], &bytes[..20], &[]] {
            fs::write(cache.path(digest), damaged).expect("the file can be written");
            assert!(cache.load(&engine, digest).is_none());
            assert!(!cache.path(digest).exists(), "a damaged file is deleted");
        }
    }
}
