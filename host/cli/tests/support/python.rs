//! A Python with the packages that a folder's `requirements.txt` names, in an environment that is made once and kept in
//! `target/`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct Python {
    program: PathBuf,
    scripts: PathBuf,
}

impl Python {
    /// Makes the environment of a folder of `tests/`, unless it is there with these very requirements.
    pub(crate) fn of(folder: &str) -> Self {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
        let requirements = scripts.join("requirements.txt");
        let wanted = fs::read_to_string(&requirements).unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        fs::create_dir_all(&folder).unwrap();
        // Another run may be making it just now.
        let lock = File::create(folder.join("lock")).unwrap();
        lock.lock().unwrap();
        let (environment, installed) = (folder.join("venv"), folder.join("installed.txt"));
        let program = environment.join("bin/python");
        if fs::read_to_string(&installed).ok().as_ref() != Some(&wanted) || !program.is_file() {
            let _ = fs::remove_dir_all(&environment);
            println!("installing packages in {}", environment.display());
            let advice = "python3 with its module venv is needed: on Debian the packages python3 and python3-venv";
            run(Command::new("python3").args(["-m", "venv"]).arg(&environment), advice);
            let advice = "the packages of requirements.txt must have wheels for this Python; 3.11 was tried";
            let pip =
                ["-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--only-binary", ":all:", "-r"];
            run(Command::new(&program).args(pip).arg(&requirements), advice);
            fs::write(&installed, wanted).unwrap();
        }
        Self { program, scripts }
    }

    /// Runs a program of one of the packages, with what else its command line has; it must succeed.
    #[allow(dead_code, reason = "not every test uses it")]
    pub(crate) fn tool(&self, name: &str, arguments: &[&str], variables: &[(&str, &str)]) {
        let bin = self.program.parent().unwrap();
        let path = std::env::join_paths([bin.as_os_str(), "/usr/bin".as_ref(), "/bin".as_ref()]).unwrap();
        let mut command = Command::new(bin.join(name));
        // They keep notes where they run.
        command.current_dir(bin);
        command.args(arguments).envs(variables.iter().copied()).env("PATH", path).env("PYTHONDONTWRITEBYTECODE", "1");
        run(&mut command, "what it has found is above");
    }

    /// Runs a script of the folder, which must succeed.
    pub(crate) fn run(&self, script: &str, variables: &[(&str, &str)]) {
        let mut command = Command::new(&self.program);
        command.arg(self.scripts.join(script)).envs(variables.iter().copied()).env("PYTHONDONTWRITEBYTECODE", "1");
        run(&mut command, "what the script has found is above");
    }
}

/// Runs a command, with its output in that of the test.
fn run(command: &mut Command, advice: &str) {
    let program = command.get_program().to_os_string();
    let name = Path::new(&program).file_name().unwrap_or(OsStr::new("?")).display().to_string();
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {name}: {error}; {advice}"));
    // Printed by the test, so that it is shown when the test fails.
    print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}; {advice}", output.status);
}
