//! Whether the tests that a profile demands have passed.

use super::{Hall, Kind, Severity, Telling, text};
use crate::clock::Timestamp;
use crate::document::Document;
use crate::history::{HardwareTest, Outcome, TestKind};
use crate::node::Node;
use crate::place::Layout;
use crate::site::DeclaredNode;
use serde_json::Value;
use std::collections::BTreeMap;

/// When the parts that a kind of test looks at were last changed, as far as that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastChanges(BTreeMap<TestKind, Timestamp>);

impl LastChanges {
    /// Takes in that a report of this moment turned one document into another. Call it for each report that changed the
    /// document, in any order. Only another part counts, not what a part says of itself: its wear, its neighbours.
    pub fn note(&mut self, at: Timestamp, before: &Document, after: &Document) {
        for kind in [TestKind::Memory, TestKind::Cpu, TestKind::Disks, TestKind::Network] {
            if parts(kind, before) != parts(kind, after) {
                let last = self.0.entry(kind).or_insert(at);
                *last = at.max(*last);
            }
        }
    }
}

/// Which parts a kind of test looks at: where each is, and which one it is.
fn parts(kind: TestKind, document: &Document) -> Vec<String> {
    let (list, keys): (&str, &[&str]) = match kind {
        TestKind::Memory => ("/memory/dimms", &["slot", "serial", "part_number", "size_bytes"]),
        TestKind::Cpu => ("", &[]),
        TestKind::Disks => ("/disks", &["serial", "wwn", "model", "size_bytes"]),
        TestKind::Network => ("/nics", &["permanent_mac", "mac", "pci"]),
    };
    if kind == TestKind::Cpu {
        return ["model", "sockets", "cores"].iter().map(|key| format!("{:?}", document.facts.pointer(&format!("/cpu/{key}")))).collect();
    }
    let items = document.facts.pointer(list).and_then(Value::as_array).into_iter().flatten();
    let mut parts: Vec<String> = items.map(|item| keys.iter().map(|key| format!("{:?} ", item.get(key))).collect()).collect();
    parts.sort_unstable();
    parts
}

/// Whether a node has what its profile demands before approval: each kind of test finished and passed at every part that
/// was tested and is there, after the parts were last changed. `tests` are the node's, newest first.
///
/// # Errors
/// A sentence for each kind of test that is missing, with what to do.
pub fn may_be_approved(layout: &Layout, node: &Node, tests: &[HardwareTest], changed: &LastChanges) -> Result<(), Vec<String>> {
    let name = text(&node.label());
    let missing = layout.declaration(&node.identity).map(|declared| lacking(layout, declared, node, tests, changed)).unwrap_or_default();
    if missing.is_empty() { Ok(()) } else { Err(missing.into_iter().map(|(_, rest)| format!("{name}: {rest}")).collect()) }
}

impl Hall<'_> {
    pub(super) fn check_tests(&self, i: usize, declared: &DeclaredNode, told: &mut Telling) {
        let Some(tests) = self.seen[i].tests else { return };
        for (kind, rest) in lacking(self.layout, declared, self.seen[i].node, tests, &LastChanges::default()) {
            told.add(Kind::Test, Severity::Wrong, format!("tests.{}", word(kind)), rest);
        }
    }
}

fn lacking(
    layout: &Layout,
    declared: &DeclaredNode,
    node: &Node,
    tests: &[HardwareTest],
    changed: &LastChanges,
) -> Vec<(TestKind, String)> {
    let Some((profile_name, profile)) = layout.site().profile_of(declared) else { return vec![] };
    let name = text(&node.label());
    let mut found = vec![];
    for &kind in &profile.tests {
        let flag = word(kind);
        let again = format!("run `overture nodes test {name} --{flag}`");
        let demand = format!("profile {profile_name} demands a passed {flag} test");
        let sentence = match newest(tests, kind) {
            None => Some(format!("{demand}, and none was finished: {again}")),
            Some((at, results)) => why_not(node, kind, at, &results, changed).map(|why| format!("{demand}: {why}; {again}")),
        };
        found.extend(sentence.map(|sentence| (kind, sentence)));
    }
    found
}

/// The newest finished test that looked at this kind of part: when, and what it found.
fn newest(tests: &[HardwareTest], kind: TestKind) -> Option<(Timestamp, Vec<&crate::history::TestResult>)> {
    let of_kind = |test: &HardwareTest| match kind {
        TestKind::Memory => test.plan.memory,
        TestKind::Cpu => test.plan.cpu,
        TestKind::Disks => test.plan.disks,
        TestKind::Network => test.plan.network,
    };
    let finished = tests.iter().filter(|test| of_kind(test)).filter_map(|test| Some((test.finished?, test)));
    let (at, test) = finished.max_by_key(|(at, _)| *at)?;
    Some((at, test.results.iter().filter(|result| result.kind == kind).collect()))
}

fn why_not(node: &Node, kind: TestKind, at: Timestamp, results: &[&crate::history::TestResult], changed: &LastChanges) -> Option<String> {
    let of = |part: &Option<String>| part.as_ref().map(|part| format!(" at {}", text(part))).unwrap_or_default();
    if let Some(failed) = results.iter().find(|result| result.outcome == Outcome::Failed) {
        return Some(format!("that of {at} failed{}: {}", of(&failed.part), crate::timeline::printable(&failed.detail, 200)));
    }
    if !results.iter().any(|result| result.outcome == Outcome::Passed) {
        let detail = results.first().map_or_else(|| "it has no result".into(), |result| crate::timeline::printable(&result.detail, 200));
        return Some(format!("that of {at} tested nothing: {detail}"));
    }
    // What the agent says of a port that has no address: it shows nothing about the way to the service.
    let fetched = |result: &&&crate::history::TestResult| !result.detail.contains("only its error counters were watched");
    if kind == TestKind::Network && !results.iter().filter(|result| result.outcome == Outcome::Passed).any(|result| fetched(&result)) {
        return Some(format!("that of {at} fetched nothing over any port"));
    }
    if let Some(last) = changed.0.get(&kind).filter(|last| **last > at) {
        return Some(format!("that of {at} is older than the last change of what it tested, {last}"));
    }
    let passed = |name: &str| results.iter().any(|result| result.part.as_deref() == Some(name) && result.outcome == Outcome::Passed);
    let by_disk = kind == TestKind::Disks && results.iter().any(|result| result.part.is_some());
    let sized = node.summary.each_disk.iter().filter(|disk| disk.size_bytes.is_some_and(|bytes| bytes > 0));
    let untested: Vec<_> = sized.filter(|disk| by_disk && !passed(&disk.name)).map(|disk| text(&disk.name)).collect();
    (!untested.is_empty()).then(|| format!("that of {at} did not test {}", untested.join(", ")))
}

fn word(kind: TestKind) -> &'static str {
    match kind {
        TestKind::Memory => "memory",
        TestKind::Cpu => "cpu",
        TestKind::Disks => "disks",
        TestKind::Network => "network",
    }
}
