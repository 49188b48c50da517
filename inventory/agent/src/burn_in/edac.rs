//! Errors of memory that the memory controllers count, by module (EDAC, `/sys/devices/system/edac/mc`).

use crate::tree::Tree;

const MOST_MODULES: usize = 4096;

/// The counters of one module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// What the board prints beside it, where the driver knows; else the controller's own name for it.
    pub label: String,
    /// Errors that were corrected.
    pub corrected: u64,
    /// Errors that were not.
    pub uncorrected: u64,
}

/// All modules that have counters.
pub fn modules(tree: &Tree) -> Vec<Module> {
    let root = "sys/devices/system/edac/mc";
    let controllers = tree.names(root).into_iter().filter(|name| name.starts_with("mc"));
    let folders = controllers.flat_map(|controller| {
        let inside = tree.names(&format!("{root}/{controller}")).into_iter();
        inside.filter(|name| name.starts_with("dimm") || name.starts_with("rank")).map(move |name| format!("{controller}/{name}"))
    });
    folders.take(MOST_MODULES).filter_map(|at| module(tree, root, &at)).collect()
}

fn module(tree: &Tree, root: &str, at: &str) -> Option<Module> {
    let corrected = tree.number(&format!("{root}/{at}/dimm_ce_count"))?;
    let uncorrected = tree.number(&format!("{root}/{at}/dimm_ue_count")).unwrap_or(0);
    let label = tree.text(&format!("{root}/{at}/dimm_label")).unwrap_or_else(|| at.to_owned());
    Some(Module { label, corrected, uncorrected })
}

/// Those with more errors than before, with what came on top.
pub fn grown(before: &[Module], after: &[Module]) -> Vec<Module> {
    let more = after.iter().filter_map(|now| {
        let then = before.iter().find(|then| then.label == now.label)?;
        let corrected = now.corrected.saturating_sub(then.corrected);
        let uncorrected = now.uncorrected.saturating_sub(then.uncorrected);
        (corrected + uncorrected > 0).then(|| Module { label: now.label.clone(), corrected, uncorrected })
    });
    more.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_module_whose_errors_grow_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let dimm = |name: &str, label: &str, corrected: &str| {
            let at = folder.path().join("sys/devices/system/edac/mc").join(name);
            std::fs::create_dir_all(&at).unwrap();
            std::fs::write(at.join("dimm_ce_count"), corrected).unwrap();
            std::fs::write(at.join("dimm_ue_count"), "0\n").unwrap();
            std::fs::write(at.join("dimm_label"), label).unwrap();
        };
        dimm("mc0/dimm0", "DIMM_A1\n", "5\n");
        dimm("mc0/dimm1", "DIMM_B1\n", "0\n");
        dimm("mc1/rank0", "\n", "0\n");
        let tree = Tree::copy(folder.path());
        let before = modules(&tree);
        assert_eq!(before.iter().map(|module| module.label.as_str()).collect::<Vec<_>>(), ["DIMM_A1", "DIMM_B1", "mc1/rank0"]);
        assert_eq!(grown(&before, &modules(&tree)), []);
        dimm("mc0/dimm1", "DIMM_B1\n", "3\n");
        assert_eq!(grown(&before, &modules(&tree)), [Module { label: "DIMM_B1".into(), corrected: 3, uncorrected: 0 }]);
    }
}
