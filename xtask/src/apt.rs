//! Installs what a fresh Debian lacks, where we are allowed to.

use std::path::Path;
use std::process::Command;

use crate::process;

/// Installs system packages with apt, as root or through a sudo that asks no password.
/// The error says why that is not possible here.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    let wanted = packages.join(" ");
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(format!("{wanted} can only be installed by us with apt, and there is no apt-get here"));
    }
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if !is_root && !process::succeeds(Command::new("sudo").args(["-n", "true"])) {
        return Err(format!("installing {wanted} needs root, and sudo is missing or asks for a password"));
    }
    let apt_get = || {
        let mut command = Command::new(if is_root { "env" } else { "sudo" });
        if !is_root {
            command.args(["-n", "env"]);
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        command
    };
    process::run(apt_get().arg("update"))?;
    process::run(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(packages))
}
