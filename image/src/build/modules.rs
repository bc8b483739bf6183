//! Which of a kernel's modules a card needs: those named and what they stand on, in loading order.

use crate::failure::Failure;
use crate::tool;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

/// A kernel's modules by name.
#[derive(Debug)]
pub(crate) struct Modules {
    /// Path below the release's folder, and the paths it stands on, nearest first.
    known: HashMap<String, (String, Vec<String>)>,
    built_in: HashSet<String>,
}

impl Modules {
    /// Reads the modules below `base/lib/modules/RELEASE`.
    pub(crate) fn read(base: &Path, release: &str) -> Result<Self, Failure> {
        tool::run(tool::command("depmod").arg("-b").arg(base).arg(release))?;
        let folder = base.join("lib/modules").join(release);
        let read = |list: &str| {
            let list = folder.join(list);
            fs::read_to_string(&list)
                .map_err(|error| Failure::Trouble(format!("{}: {error}", list.display())))
        };
        Ok(Self::parse(&read("modules.dep")?, &read("modules.builtin")?))
    }

    fn parse(needs: &str, built_in: &str) -> Self {
        let lines = needs.lines().filter_map(|line| line.split_once(':'));
        let entry = |(path, needs): (&str, &str)| {
            let needs = needs.split_whitespace().map(String::from).collect();
            (name(path), (path.to_owned(), needs))
        };
        Self { known: lines.map(entry).collect(), built_in: built_in.lines().map(name).collect() }
    }

    /// The paths of `names` and of all they stand on, each once, in the order of loading. What
    /// the kernel has built in needs no loading.
    pub(crate) fn in_order<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<String>, Failure> {
        let mut order: Vec<String> = Vec::new();
        for wanted in names {
            if self.built_in.contains(&name(wanted)) {
                continue;
            }
            let (path, needs) = self
                .known
                .get(&name(wanted))
                .ok_or_else(|| Failure::Trouble(format!("the kernel has no module {wanted}")))?;
            for path in needs.iter().rev().chain([path]) {
                if !order.contains(path) {
                    order.push(path.clone());
                }
            }
        }
        Ok(order)
    }
}

/// `kernel/fs/nls/nls-ascii.ko.xz` is `nls_ascii`.
fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_stands_on_comes_before_it() {
        let modules = Modules::parse(
            "kernel/fs/ext4.ko: kernel/fs/jbd2.ko kernel/lib/crc16.ko\nkernel/fs/jbd2.ko:\n\
             kernel/lib/crc16.ko:\nkernel/nls/nls-a.ko.xz:\n",
            "kernel/lib/built-in.ko\n",
        );
        let order = modules.in_order(["jbd2", "ext4", "built_in", "nls_a"]);
        assert_eq!(
            order.unwrap(),
            [
                "kernel/fs/jbd2.ko",
                "kernel/lib/crc16.ko",
                "kernel/fs/ext4.ko",
                "kernel/nls/nls-a.ko.xz"
            ]
        );
        let unknown = modules.in_order(["ext4", "vividd"]).unwrap_err();
        assert_eq!(unknown.to_string(), "the kernel has no module vividd");
    }
}
