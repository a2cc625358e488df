//! Dgraph: one zero and one alpha.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::go;
use super::http;
use super::server::{CC, GO, Place, Program, Server, Tool};
use super::steps::Steps;

/// Dgraph's first port without an offset: zero's gRPC. The other ones follow at [`Server::ports`].
const FIRST: u16 = 5080;

pub(super) struct Dgraph;

impl Server for Dgraph {
    fn name(&self) -> &'static str {
        "dgraph"
    }

    fn package(&self) -> &'static str {
        "dgraph-25.0.0"
    }

    fn needs(&self) -> &'static [Tool] {
        &[GO, CC]
    }

    fn install(&self, into: &Path, work: &Path, steps: &Steps) -> Result<()> {
        let files =
            [("go.mod", include_str!("recipes/dgraph/go.mod")), ("go.sum", include_str!("recipes/dgraph/go.sum"))];
        let package = "github.com/hypermodeinc/dgraph/v25/dgraph";
        go::build(&files, package, &into.join("dgraph"), work, steps)
    }

    fn ports(&self) -> &'static [u16] {
        // Zero's gRPC and HTTP; alpha's internal gRPC, HTTP and gRPC for clients: 5080, 6080, 7080, 8080, 9080.
        &[0, 1000, 2000, 3000, 4000]
    }

    fn programs(&self, place: &Place) -> Result<Vec<Program>> {
        let offset = place.ports[0].checked_sub(FIRST).context("a port below Dgraph's own")?.to_string();
        let zero_address = format!("127.0.0.1:{}", place.ports[0]);
        let program = |name: &'static str, data: &Path| -> Result<Command> {
            std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
            let mut command = Command::new(place.installed.join("dgraph"));
            command.args([name, "--bindall=false", "--port_offset", &offset]);
            command.args(["--telemetry", "reports=false; sentry=false;"]).current_dir(data);
            Ok(command)
        };
        let mut zero = program("zero", &place.folder.join("zero"))?;
        zero.args(["--my", &zero_address]);
        let mut alpha = program("alpha", &place.folder.join("alpha"))?;
        alpha.args(["--my", &format!("127.0.0.1:{}", place.ports[2]), "--zero", &zero_address]);
        alpha.args(["--cache", "size-mb=256"]);
        Ok(vec![Program { name: "zero", command: zero }, Program { name: "alpha", command: alpha }])
    }

    fn check_answers(&self, place: &Place) -> Result<()> {
        let health = http::get_json(&format!("http://127.0.0.1:{}/health", place.ports[3]))?;
        ensure!(health[0]["status"] == "healthy", "alpha says: {health}");
        Ok(())
    }

    fn variables(&self, ports: &[u16]) -> Vec<(&'static str, String)> {
        vec![("ASSAY_TEST_DGRAPH", format!("http://127.0.0.1:{}", ports[3]))]
    }
}
