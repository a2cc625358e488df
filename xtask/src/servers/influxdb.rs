//! InfluxDB 2, with organisation and bucket `assay` and a token that is no secret.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::go::{self, go};
use super::http;
use super::server::{CARGO, CC, GO, Place, Program, Server, Tool};
use super::steps::Steps;

/// Nobody but this machine reaches the server.
const TOKEN: &str = "assay-test-token";

/// The version of Flux that this InfluxDB's go.mod names.
const FLUX: &str = "flux@v0.196.1";

pub(super) struct InfluxDb;

impl Server for InfluxDb {
    fn name(&self) -> &'static str {
        "influxdb"
    }

    fn package(&self) -> &'static str {
        "influxdb-2.7.12"
    }

    fn needs(&self) -> &'static [Tool] {
        &[GO, CC, CARGO]
    }

    /// Flux is a Rust library inside, which `pkg-config` (InfluxData's, not the usual one) builds when Go asks for it.
    fn install(&self, into: &Path, work: &Path, steps: &Steps) -> Result<()> {
        let source = work.join("influxdb");
        go::source("github.com/influxdata/influxdb/v2@v2.7.12", &source, steps)?;
        go::source(&format!("github.com/influxdata/{FLUX}"), &source.join(FLUX), steps)?;
        relax_flux(&source.join(FLUX))?;
        let replace = format!("github.com/influxdata/flux=./{FLUX}");
        steps.run(go(&source).args(["mod", "edit", "-replace", &replace]))?;
        steps.step("building its build tool");
        steps.run(go(work).env("GOBIN", work).args(["install", "github.com/influxdata/pkg-config@v0.2.14"]))?;
        steps.step("building it with Go and Cargo (the longest of all)");
        let mut build = go(&source);
        build.env("PKG_CONFIG", work.join("pkg-config")).arg("build").arg("-o").arg(into.join("influxd"));
        // Its release profile takes minutes longer, for queries that tests hardly make; and its tool looks for what it
        // built where Cargo puts it by itself.
        build.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
        build.env_remove("CARGO_TARGET_DIR").env_remove("CARGO_BUILD_TARGET").arg("./cmd/influxd");
        steps.run(&mut build)
    }

    fn ports(&self) -> &'static [u16] {
        &[0]
    }

    fn programs(&self, place: &Place) -> Result<Vec<Program>> {
        let data = place.folder.join("data");
        std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        let mut command = Command::new(place.installed.join("influxd"));
        command.arg("--bolt-path").arg(data.join("influxd.bolt")).arg("--sqlite-path").arg(data.join("influxd.sqlite"));
        command.arg("--engine-path").arg(data.join("engine")).arg("--reporting-disabled");
        command.args(["--http-bind-address", &format!("127.0.0.1:{}", place.ports[0])]);
        Ok(vec![Program { name: "influxd", command }])
    }

    fn check_answers(&self, place: &Place) -> Result<()> {
        let url = format!("http://127.0.0.1:{}", place.ports[0]);
        let health = http::get_json(&format!("{url}/health"))?;
        ensure!(health["status"] == "pass", "influxd says: {health}");
        let setup = format!("{url}/api/v2/setup");
        if http::get_json(&setup)?["allowed"] == true {
            let body = json!({
                "username": "assay", "password": "assay-test", "token": TOKEN, "org": "assay", "bucket": "assay",
            });
            http::post_json(&setup, &body)?;
        }
        Ok(())
    }

    fn variables(&self, ports: &[u16]) -> Vec<(&'static str, String)> {
        let url = format!("http://127.0.0.1:{}", ports[0]);
        vec![("ASSAY_TEST_INFLUXDB", url), ("ASSAY_TEST_INFLUXDB_TOKEN", TOKEN.to_owned())]
    }
}

/// Flux makes errors of its lints, and newer compilers have more of them; it also asks for a Rust of its own.
fn relax_flux(flux: &Path) -> Result<()> {
    let libraries = flux.join("libflux");
    for (package, features) in [("flux", "default = [\"cffi\"]"), ("flux-core", "default = []")] {
        let file = libraries.join(package).join("Cargo.toml");
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let relaxed = |line: &str| if line.starts_with("default = ") { features.to_owned() } else { line.to_owned() };
        let text: Vec<String> = text.lines().map(relaxed).collect();
        std::fs::write(&file, text.join("\n")).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let toolchain = flux.join("rust-toolchain.toml");
    std::fs::remove_file(&toolchain).with_context(|| format!("cannot delete {}", toolchain.display()))
}
