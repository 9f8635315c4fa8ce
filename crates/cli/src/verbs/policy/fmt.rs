//! `creel policy fmt`.

use crate::args::Fmt;
use crate::failure::Failure;
use crate::output;
use creel_policy::Document;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Lays the files out, or says which are not.
pub fn fmt(args: &Fmt) -> Result<ExitCode, Failure> {
    let mut unlike = false;
    for name in &args.files {
        let text = read(name)?;
        let laid_out =
            creel_policy::format(&Document { name: name.clone(), text: text.clone(), base: PathBuf::new() })?;
        unlike |= laid_out != text;
        match (name.as_str(), args.check) {
            (_, true) if laid_out != text => output::print(&format!("{name}\n")),
            ("-", false) => output::print(&laid_out),
            (_, false) if laid_out != text => replace(Path::new(name), &laid_out)
                .map_err(|error| Failure::new(format!("cannot write {name}: {error}")))?,
            _ => {}
        }
    }
    Ok(if args.check && unlike { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn read(name: &str) -> Result<String, Failure> {
    if name == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    fs::read_to_string(name).map_err(|error| Failure::new(format!("cannot read {name}: {error}")))
}

/// In one step, so that a file is never half written; a link stays one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = path.canonicalize()?;
    let mut beside = path.clone().into_os_string();
    beside.push(".creel-fmt");
    let beside = PathBuf::from(beside);
    fs::write(&beside, text)?;
    let moved = fs::set_permissions(&beside, fs::metadata(&path)?.permissions())
        .and_then(|()| fs::rename(&beside, &path));
    if moved.is_err() {
        let _ = fs::remove_file(&beside);
    }
    moved
}
