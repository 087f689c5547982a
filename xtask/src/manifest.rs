//! Reads from a `Cargo.toml` the few things the commands ask about.
//!
//! Not a TOML parser: it knows tables, keys, strings and values over several lines, which is what manifests are made of.

/// What a package's manifest says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The package name.
    pub(crate) name: String,
    /// The declared features, `default` included.
    pub(crate) features: Vec<String>,
    /// The packages it needs to be used, for every target; those of its tests are not among them.
    pub(crate) dependencies: Vec<String>,
    /// Whether it says `[lints] workspace = true`.
    pub(crate) inherits_lints: bool,
}

impl Manifest {
    /// Reads the text of a manifest.
    pub(crate) fn parse(text: &str) -> Self {
        let mut manifest = Self::default();
        for Entry { table, key, value } in entries(text) {
            match table.as_str() {
                "package" if key == "name" => manifest.name = unquoted(&value).to_owned(),
                "features" => manifest.features.push(unquoted(&key).to_owned()),
                "lints" if key == "workspace" => manifest.inherits_lints = value == "true",
                _ => manifest.add_dependency(&table, &key, &value),
            }
        }
        manifest
    }

    fn add_dependency(&mut self, table: &str, key: &str, value: &str) {
        let Some(alias) = dependency_alias(table, key) else { return };
        // A renamed dependency: `wire = { package = "llm-wire" }`, or `package = ...` in a table of its own.
        let renamed = if table.ends_with(&format!("ependencies.{alias}")) && key == "package" {
            Some(unquoted(value))
        } else {
            value.split_once("package").and_then(|(_, rest)| rest.split('"').nth(1))
        };
        let name = renamed.unwrap_or(alias).to_owned();
        if renamed.is_some() {
            self.dependencies.retain(|known| known != alias);
        }
        if !self.dependencies.contains(&name) {
            self.dependencies.push(name);
        }
    }
}

/// The `members` of a workspace manifest, as written.
pub(crate) fn workspace_members(text: &str) -> Vec<String> {
    entries(text)
        .into_iter()
        .filter(|entry| entry.table == "workspace" && entry.key == "members")
        .flat_map(|entry| entry.value.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// The dependency an entry is about: by its key in `[dependencies]`, by its table in `[dependencies.name]`.
fn dependency_alias<'a>(table: &'a str, key: &'a str) -> Option<&'a str> {
    let is_list = |table: &str| {
        let last = table.rsplit('.').next().unwrap_or(table);
        matches!(last, "dependencies" | "build-dependencies") && (table == last || table.starts_with("target."))
    };
    if is_list(table) {
        let name = key.split('.').next().unwrap_or(key);
        return Some(unquoted(name));
    }
    let (list, name) = table.rsplit_once('.')?;
    is_list(list).then_some(name)
}

/// One `key = value`, with the table it stands in.
struct Entry {
    table: String,
    key: String,
    value: String,
}

fn entries(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut table = String::new();
    let mut lines = text.lines().map(without_comment);
    while let Some(line) = lines.next() {
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_matches(['[', ']', ' ']).to_owned();
        } else if let Some((key, value)) = line.split_once('=') {
            let mut value = value.trim().to_owned();
            while !is_balanced(&value) {
                let Some(more) = lines.next() else { break };
                value.push(' ');
                value.push_str(more);
            }
            entries.push(Entry { table: table.clone(), key: key.trim().to_owned(), value });
        }
    }
    entries
}

/// Whether every bracket outside of strings is closed.
fn is_balanced(value: &str) -> bool {
    let outside_strings = value.split('"').step_by(2);
    let depth: i32 = outside_strings
        .flat_map(str::chars)
        .map(|character| match character {
            '[' | '{' => 1,
            ']' | '}' => -1,
            _ => 0,
        })
        .sum();
    depth == 0
}

fn without_comment(line: &str) -> &str {
    let mut in_string = false;
    for (at, character) in line.char_indices() {
        match character {
            '"' => in_string = !in_string,
            '#' if !in_string => return line[..at].trim(),
            _ => {}
        }
    }
    line.trim()
}

fn unquoted(text: &str) -> &str {
    text.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_dependency_is_read() {
        let manifest = Manifest::parse(
            r#"
            [package]
            name = "llm-retry" # the crate
            [lints]
            workspace = true
            [dependencies]
            bytes.workspace = true
            tokio = { workspace = true, features = [
                "time",   # a comment with ] in it
                "sync",
            ] }
            core = { package = "llm-core", path = "../llm-core" }
            [dependencies.serde]
            version = "1"
            features = ["derive"]
            [dependencies.wire]
            path = "../llm-wire"
            package = "llm-wire"
            [target.'cfg(unix)'.dependencies]
            libc = "0.2"
            [build-dependencies]
            cc = "1"
            [dev-dependencies]
            llm-test.workspace = true
            [dev-dependencies.proptest]
            workspace = true
            "#,
        );
        assert_eq!(manifest.name, "llm-retry");
        assert_eq!(manifest.dependencies, ["bytes", "tokio", "llm-core", "serde", "llm-wire", "libc", "cc"]);
        assert!(manifest.inherits_lints);
    }

    #[test]
    fn features_are_those_declared() {
        let manifest = Manifest::parse("[features]\ndefault = [\"a\"]\na = [\n  \"dep:b\",\n]\nb = []\n");
        assert_eq!(manifest.features, ["default", "a", "b"]);
    }

    #[test]
    fn lints_that_are_not_inherited_are_seen() {
        assert!(!Manifest::parse("[lints.rust]\nworkspace = true\n").inherits_lints);
        assert!(!Manifest::parse("[lints]\nworkspace = false\n").inherits_lints);
    }

    #[test]
    fn members_are_listed_as_written() {
        let text =
            "[workspace]\nmembers = [\n  \"crates/*\", # all\n  \"xtask\",\n]\n[workspace.package]\nname = \"x\"\n";
        assert_eq!(workspace_members(text), ["crates/*", "xtask"]);
    }
}
