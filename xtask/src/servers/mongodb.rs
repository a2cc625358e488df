//! FerretDB on SQLite: MongoDB's wire protocol. It has no change streams and no transactions, and it is slow: it shows
//! that calls are right, not how fast they are.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::go;
use super::server::{CC, GO, Place, Program, Server, Tool};
use super::steps::Steps;

pub(super) struct MongoDb;

impl Server for MongoDb {
    fn name(&self) -> &'static str {
        "mongodb"
    }

    fn package(&self) -> &'static str {
        // As released, but for what `install` mends.
        "ferretdb-1.24.2-2"
    }

    fn needs(&self) -> &'static [Tool] {
        &[GO, CC]
    }

    fn install(&self, into: &Path, work: &Path, steps: &Steps) -> Result<()> {
        let files = [
            ("go.mod", include_str!("recipes/mongodb/go.mod")),
            ("go.sum", include_str!("recipes/mongodb/go.sum")),
            ("main.go", include_str!("recipes/mongodb/main.go")),
        ];
        let source = work.join("ferretdb-source");
        go::source("github.com/FerretDB/FerretDB@v1.24.2", &source, steps)?;
        patch_source(&source)?;
        go::build(&files, ".", &into.join("ferretdb"), work, steps)
    }

    fn ports(&self) -> &'static [u16] {
        &[0]
    }

    fn programs(&self, place: &Place) -> Result<Vec<Program>> {
        let data = data(&place.folder);
        std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        let mut command = Command::new(place.installed.join("ferretdb"));
        command.arg(format!("127.0.0.1:{}", place.ports[0])).arg(data);
        Ok(vec![Program { name: "ferretdb", command }])
    }

    fn check_answers(&self, place: &Place) -> Result<()> {
        // It listens only when its files are open.
        TcpStream::connect_timeout(&([127, 0, 0, 1], place.ports[0]).into(), Duration::from_secs(2))?;
        Ok(())
    }

    fn variables(&self, ports: &[u16]) -> Vec<(&'static str, String)> {
        vec![("ASSAY_TEST_MONGODB", format!("mongodb://127.0.0.1:{}/", ports[0]))]
    }

    fn data_elsewhere(&self, folder: &Path) -> Option<PathBuf> {
        Some(data(folder))
    }
}

/// Two changes, without which updates of many documents by `_id` and something else end nowhere.
fn patch_source(source: &Path) -> Result<()> {
    // A command's statements each hold one of SQLite's 100 connections until the last of them is done: with 100 that find
    // their documents, here or in commands at the same time, nothing ever goes on again.
    let call = "result, err := common.UpdateDocument(ctx, c, \"update\", iter, &u)\n";
    replace(&source.join("internal/handler/msg_update.go"), call, &format!("{call}\t\tcloser.Close()\n"))?;
    // Only who asks for nothing but an `_id` was spared the reading of the whole collection. All conditions are looked at
    // again afterwards.
    let only = "if params.Filter.Len() == 1 {";
    let also = "if params.Filter.Len() > 0 && params.Filter.Has(\"_id\") {";
    replace(&source.join("internal/backends/sqlite/collection.go"), only, also)
}

fn replace(file: &Path, from: &str, to: &str) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    ensure!(text.contains(from), "{} is not as it was", file.display());
    std::fs::write(file, text.replace(from, to)).with_context(|| format!("cannot write {}", file.display()))
}

/// SQLite syncs every write: on a memory file system, where there is one, that costs nothing.
fn data(folder: &Path) -> PathBuf {
    let memory = Path::new("/dev/shm");
    if !memory.is_dir() {
        return folder.join("data");
    }
    let of_this_checkout = folder.display().to_string().replace('/', "-");
    memory.join(format!("assay{of_this_checkout}"))
}
