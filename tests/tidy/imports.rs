//! Which file imports which: an import of a re-exported name counts as one of the file that defines it, `mod` and
//! `pub use` count for nothing. Tests within a file are not looked at.

use std::collections::{BTreeMap, BTreeSet};

/// A module's path below the crate, such as `["volume", "ops", "list"]`; the crate's root has none.
type Module = Vec<String>;

/// The files of one crate, by their modules.
#[derive(Default)]
pub(crate) struct Files {
    files: BTreeMap<Module, File>,
}

#[derive(Default)]
struct File {
    path: String,
    /// What it passes on: the name, and the path that it stands for.
    passed_on: Vec<(String, Vec<String>)>,
    /// Paths that it names, from the crate's root.
    named: BTreeSet<Vec<String>>,
}

impl Files {
    /// Takes a file in, by its path below the folder of the crate.
    pub(crate) fn add(&mut self, path: &str, text: &str) {
        let module = module_of(path);
        let code = code_of(text);
        let code = code.as_str();
        let mut file = File {
            path: path.to_owned(),
            ..File::default()
        };
        for (is_passed_on, tree) in uses(code) {
            for path in leaves(&tree) {
                let full = absolute(&module, &path);
                match full {
                    Some(full) if is_passed_on => {
                        let name = full.last().cloned().unwrap_or_default();
                        file.passed_on.push((name, full));
                    }
                    Some(full) => drop(file.named.insert(full)),
                    None if is_passed_on => {
                        let below = module.iter().chain(&path).cloned().collect();
                        let name = path.last().cloned().unwrap_or_default();
                        file.passed_on.push((name, below));
                    }
                    None => drop(file.named.insert([module.clone(), path].concat())),
                }
            }
        }
        for path in inline_paths(&without_uses(code)) {
            let full = absolute(&module, &path);
            file.named
                .insert(full.unwrap_or_else(|| [module.clone(), path].concat()));
        }
        self.files.insert(module, file);
    }

    /// The circles of files that import each other, each by the paths of its files.
    pub(crate) fn circles(&self) -> Vec<Vec<String>> {
        let modules: Vec<&Module> = self.files.keys().collect();
        let reached: BTreeMap<&Module, BTreeSet<Module>> = modules
            .iter()
            .map(|module| (*module, self.reach(module)))
            .collect();
        let mut seen = BTreeSet::new();
        let mut circles = Vec::new();
        for module in modules {
            if seen.contains(module) || !reached[module].contains(module) {
                continue;
            }
            let circle: Vec<&Module> = reached[module]
                .iter()
                .filter(|other| reached.get(other).is_some_and(|back| back.contains(module)))
                .collect();
            seen.extend(circle.iter().map(|module| (*module).clone()));
            circles.push(circle.iter().map(|m| self.files[*m].path.clone()).collect());
        }
        circles
    }

    /// All files that are imported by this one, directly or not.
    fn reach(&self, from: &Module) -> BTreeSet<Module> {
        let (mut found, mut due) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = due.pop() {
            for next in self.imports(&module) {
                if found.insert(next.clone()) {
                    due.push(next);
                }
            }
        }
        found
    }

    /// Why a file is in a circle: whom of it each file imports.
    pub(crate) fn edges(&self, circle: &[String]) -> Vec<String> {
        let within = |module: &Module| circle.contains(&self.files[module].path);
        let members = self.files.keys().filter(|module| within(module));
        let told = members.map(|module| {
            let all = self.imports(module);
            let whom = all.iter().filter(|other| within(other));
            let whom: Vec<_> = whom.map(|other| self.files[other].path.as_str()).collect();
            format!("{} -> {}", self.files[module].path, whom.join(", "))
        });
        told.collect()
    }

    /// The files that define what this one names.
    pub(crate) fn imports(&self, module: &Module) -> BTreeSet<Module> {
        let named = self.files.get(module).map(|file| &file.named);
        let defined = named
            .into_iter()
            .flatten()
            .filter_map(|path| self.defines(path, 0));
        defined.filter(|other| other != module).collect()
    }

    /// The file that defines what `path` leads to, through what others pass on.
    fn defines(&self, path: &[String], depth: usize) -> Option<Module> {
        let is_module = |end: &usize| self.files.contains_key(&path[..*end]);
        let end = (0..=path.len()).rev().find(is_module)?;
        let module = path[..end].to_vec();
        let Some(item) = path.get(end) else {
            return Some(module);
        };
        let passed_on = &self.files[&module].passed_on;
        let through = passed_on
            .iter()
            .find(|(name, _)| name == item || name == "*");
        match through {
            Some((name, target)) if depth < 8 => {
                let mut target = target.clone();
                if name == "*" {
                    target.pop();
                    target.push(item.clone());
                }
                self.defines(&target, depth + 1)
            }
            _ => Some(module),
        }
    }
}

/// The text without comments, without tests, and without where an item may be seen.
fn code_of(text: &str) -> String {
    let own = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = own
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let lines = lines.map(|line| line.split(" //").next().unwrap_or_default());
    let mut code = String::new();
    let text = lines.collect::<Vec<_>>().join("\n");
    for (number, part) in text.split("pub(in ").enumerate() {
        let rest = part.split_once(')').map_or(part, |(_, rest)| rest);
        code.push_str(if number == 0 { part } else { "pub" });
        code.push_str(if number == 0 { "" } else { rest });
    }
    code
}

fn module_of(path: &str) -> Module {
    let stem = path.trim_end_matches(".rs");
    if stem == "lib" || stem == "main" {
        return Module::new();
    }
    stem.split('/').map(str::to_owned).collect()
}

/// The trees of `use`, and whether they pass on what they name.
fn uses(code: &str) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let before = code[..at].lines().last().unwrap_or_default().trim_start();
        let begins_line =
            code[..at].ends_with('\n') || before.is_empty() || before.starts_with("pub");
        let Some(tree) = code[at + 4..].split(';').next() else {
            continue;
        };
        if begins_line {
            found.push((before.starts_with("pub"), tree.to_owned()));
        }
    }
    found
}

/// The code without its `use`, which says what it names by itself.
fn without_uses(code: &str) -> String {
    let mut rest = code.to_owned();
    for (_, tree) in uses(code) {
        rest = rest.replacen(&format!("use {tree};"), "", 1);
    }
    rest
}

/// The paths of a tree of `use`, without what they are called.
fn leaves(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim();
    // A tree that goes over several lines.
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        let parts = path
            .split("::")
            .map(str::trim)
            .filter(|part| *part != "self" || path.starts_with("self"));
        return vec![parts.map(str::to_owned).collect()];
    };
    let head: Vec<String> = tree[..open]
        .split("::")
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    let mut found = Vec::new();
    for part in split_group(&tree[open..]) {
        for leaf in leaves(&part) {
            let leaf: Vec<String> = leaf.into_iter().filter(|part| part != "self").collect();
            found.push([head.clone(), leaf].concat());
        }
    }
    found
}

/// The members of a group, which may hold groups.
fn split_group(group: &str) -> Vec<String> {
    let (mut depth, mut parts, mut part) = (0, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '{' if depth == 0 => depth = 1,
            '}' if depth == 1 => depth = 0,
            ',' if depth == 1 => parts.push(std::mem::take(&mut part)),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                part.push(c);
            }
        }
    }
    parts.push(part);
    parts
        .into_iter()
        .filter(|part| !part.trim().is_empty())
        .collect()
}

/// The path from the crate's root, if it is one of this crate.
fn absolute(module: &Module, path: &[String]) -> Option<Vec<String>> {
    let mut at = match path.first()?.as_str() {
        "crate" => return Some(path[1..].to_vec()),
        "self" => return Some([module.clone(), path[1..].to_vec()].concat()),
        "super" => module.clone(),
        _ => return None,
    };
    let ups = path.iter().take_while(|part| *part == "super").count();
    at.truncate(at.len().saturating_sub(ups));
    Some([at, path[ups..].to_vec()].concat())
}

/// Paths within the code: `crate::a::b`, and `child::item`, which may be of a module below.
fn inline_paths(code: &str) -> Vec<Vec<String>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in code.match_indices("::") {
        let start = code[..at].rfind(|c: char| !is_word(c)).map_or(0, |i| i + 1);
        if code[..start].ends_with("::") || start == at {
            continue;
        }
        let mut parts = Vec::new();
        let mut rest = &code[start..];
        loop {
            let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            parts.push(rest[..end].to_owned());
            match rest[end..].strip_prefix("::") {
                Some(more) if more.starts_with(is_word) => rest = more,
                _ => break,
            }
        }
        found.push(parts);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let mut all = Files::default();
        for (path, text) in files {
            all.add(path, text);
        }
        all.circles()
    }

    #[test]
    fn a_circle_is_found_through_groups_and_what_is_passed_on() {
        let files = [
            ("lib.rs", "pub mod a;"),
            ("a.rs", "mod b;\nmod c;\npub use b::B;\npub use c::C;"),
            ("a/b.rs", "use super::C;\npub struct B;"),
            ("a/c.rs", "use crate::{a::B, x::Y};\npub struct C;"),
        ];
        assert_eq!(circles(&files), [["a/b.rs", "a/c.rs"]]);
    }

    #[test]
    fn a_folder_that_uses_its_files_is_none_and_one_whose_files_use_it_is() {
        let above = ("a.rs", "mod b;\nfn f() { b::g() }");
        assert!(circles(&[above, ("a/b.rs", "pub fn g() {}")]).is_empty());
        let below = ("a/b.rs", "use super::f;\npub fn g() {}");
        assert_eq!(circles(&[above, below]), [["a.rs", "a/b.rs"]]);
        let inline = ("a/b.rs", "pub fn g() { super::f() }");
        assert_eq!(circles(&[above, inline]).len(), 1);
    }

    #[test]
    fn tests_and_comments_count_for_nothing() {
        let above = ("a.rs", "mod b;\nfn f() { b::g() }");
        let below = (
            "a/b.rs",
            "// super::f\npub fn g() {}\n#[cfg(test)]\nmod tests { use super::super::f; }",
        );
        assert!(circles(&[above, below]).is_empty());
    }
}
