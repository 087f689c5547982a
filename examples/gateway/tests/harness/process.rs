//! A gateway as a process: what it takes of the machine, and what it is told by signals.

use std::process::Command;

use super::Gateway;

impl Gateway {
    /// Sends it a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Writes another configuration into its file and tells it to read that again, and waits until it has. Whether it was
    /// taken.
    pub(crate) async fn reconfigure(&self, config: &str) -> bool {
        let count = |status: &serde_json::Value, name: &str| status["reloads"][name].as_u64().unwrap();
        let before = self.status().await;
        std::fs::write(self.file(), config).unwrap();
        self.signal("HUP");
        loop {
            let status = self.status().await;
            for (name, is_taken) in [("taken", true), ("refused", false)] {
                if count(&status, name) > count(&before, name) {
                    return is_taken;
                }
            }
        }
    }

    /// Its open files and sockets.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// Its resident memory, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        self.of_status("VmRSS:")
    }

    /// The most resident memory that it ever had, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.of_status("VmHWM:")
    }

    fn of_status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// The tasks of its runtime.
    pub(crate) async fn tasks(&self) -> u64 {
        self.status().await["tasks"].as_u64().unwrap()
    }
}
