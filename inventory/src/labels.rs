//! What an operator writes on a node: whose it is, words to find it by, and a note.

use crate::owner::{Change, Inventory};
use domain::NodeId;
use domain::node::{Labels, Node};
use domain::ports::StoreError;
use domain::timeline::printable;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The longest owner and note, characters, and the longest tag.
pub const LONGEST_OWNER: usize = 100;
/// See [`LONGEST_OWNER`].
pub const LONGEST_NOTE: usize = 1000;
/// See [`LONGEST_OWNER`].
pub const LONGEST_TAG: usize = 63;
/// The most tags of a node.
pub const MOST_TAGS: usize = 64;

/// What is to be written on a node, and what wiped off. What is not named stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelChange {
    /// Who it belongs to; an empty text takes the owner away.
    pub owner: Option<String>,
    /// Tags that it is to have.
    pub add_tags: BTreeSet<String>,
    /// Tags that it is not to have; taking away what is not there changes nothing.
    pub remove_tags: BTreeSet<String>,
    /// Anything else; an empty text takes the note away.
    pub note: Option<String>,
}

/// Why a node was not labelled. Nothing of it was changed.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// Not a tag.
    #[error("`{tag}` cannot be a tag: use 1 to {LONGEST_TAG} of a-z, 0-9, `.`, `_` and `-`")]
    BadTag {
        /// The tag, printable.
        tag: String,
    },
    /// The same tag is to be added and removed.
    #[error("the tag `{tag}` is to be added and removed at once: say one of them")]
    Both {
        /// The tag.
        tag: String,
    },
    /// More tags than a node may have.
    #[error("the node would have {found} tags, more than the {MOST_TAGS} it may have: remove some of them")]
    TooManyTags {
        /// How many it would have.
        found: usize,
    },
    /// A text is too long.
    #[error("the {field} has {found} characters, more than the {most} it may have: shorten it")]
    TooLong {
        /// `owner` or `note`.
        field: &'static str,
        /// How many it has.
        found: usize,
        /// How many it may have.
        most: usize,
    },
    /// A text would do something to a terminal.
    #[error("the {field} `{text}` has characters that cannot be printed on one line: leave them out")]
    NotPrintable {
        /// `owner` or `note`.
        field: &'static str,
        /// The text, made printable.
        text: String,
    },
    /// No such node.
    #[error("there is no node {id}: `overture nodes list` shows those there are")]
    NotFound {
        /// Its id.
        id: NodeId,
    },
    /// The node is not as the caller believed.
    #[error("the node was changed meanwhile: it has version {found}, not {expected}; look at it again")]
    Changed {
        /// The version that the caller knew.
        expected: u64,
        /// The version it has.
        found: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LabelError {
    /// The field that is wrong, if one is.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::BadTag { .. } | Self::Both { .. } | Self::TooManyTags { .. } => Some("tags"),
            Self::TooLong { field, .. } | Self::NotPrintable { field, .. } => Some(field),
            Self::NotFound { .. } | Self::Changed { .. } | Self::Store(_) => None,
        }
    }
}

impl Inventory {
    /// Writes on a node; with `expected_version` only if the node still has it.
    ///
    /// # Errors
    /// When what is to be written breaks a rule, the node is gone or was changed, or the store fails.
    pub async fn label(&self, id: NodeId, change: &LabelChange, expected_version: Option<u64>) -> Result<Arc<Node>, LabelError> {
        change.check()?;
        self.change(id, |node| {
            let node = node.ok_or(LabelError::NotFound { id })?;
            if let Some(expected) = expected_version.filter(|expected| *expected != node.version) {
                return Err(LabelError::Changed { expected, found: node.version });
            }
            let labels = change.applied_to(&node.labels);
            match labels.tags.len() {
                found if found > MOST_TAGS => Err(LabelError::TooManyTags { found }),
                _ if labels == node.labels => Ok(Change::Nothing(Box::new(node))),
                _ => Ok(Change::Keep(Box::new(Node { labels, ..node }))),
            }
        })
        .await
    }
}

impl LabelChange {
    fn check(&self) -> Result<(), LabelError> {
        text("owner", self.owner.as_deref(), LONGEST_OWNER)?;
        text("note", self.note.as_deref(), LONGEST_NOTE)?;
        if let Some(tag) = self.add_tags.iter().chain(&self.remove_tags).find(|tag| !is_tag(tag)) {
            return Err(LabelError::BadTag { tag: printable(tag, LONGEST_TAG) });
        }
        match self.add_tags.intersection(&self.remove_tags).next() {
            Some(tag) => Err(LabelError::Both { tag: tag.clone() }),
            None => Ok(()),
        }
    }

    fn applied_to(&self, labels: &Labels) -> Labels {
        let text = |new: &Option<String>, old: &Option<String>| match new.as_deref().map(str::trim) {
            Some("") => None,
            Some(new) => Some(new.to_owned()),
            None => old.clone(),
        };
        let kept = labels.tags.union(&self.add_tags).filter(|tag| !self.remove_tags.contains(*tag));
        Labels { owner: text(&self.owner, &labels.owner), tags: kept.cloned().collect(), note: text(&self.note, &labels.note) }
    }
}

fn is_tag(tag: &str) -> bool {
    (1..=LONGEST_TAG).contains(&tag.len()) && tag.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

fn text(field: &'static str, text: Option<&str>, most: usize) -> Result<(), LabelError> {
    let text = text.unwrap_or_default().trim();
    let found = text.chars().count();
    if found > most {
        return Err(LabelError::TooLong { field, found, most });
    }
    match printable(text, most) {
        shown if shown != text => Err(LabelError::NotPrintable { field, text: printable(text, 60) }),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::fakes::{Hall, NodeOf, machine};

    fn tags(tags: &[&str]) -> BTreeSet<String> {
        tags.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn what_is_written_on_a_node_stays_through_reports_and_restarts() {
        let mut hall = Hall::new().await;
        let id = hall.report_ok(&machine(1)).await.id();
        let change = LabelChange {
            owner: Some(" Ada ".into()),
            add_tags: tags(&["gpu", "rack-1"]),
            note: Some("fan is loud".into()),
            ..LabelChange::default()
        };
        let labelled = hall.inventory.label(id, &change, Some(1)).await.unwrap();
        assert_eq!((labelled.version, labelled.labels.owner.as_deref()), (2, Some("Ada")));
        assert_eq!(hall.inventory.label(id, &change, Some(2)).await.unwrap().version, 2, "the same again changes nothing");
        hall.report_ok(&machine(1)).await;
        hall.restart().await;
        let expected = Labels { owner: Some("Ada".into()), tags: tags(&["gpu", "rack-1"]), note: Some("fan is loud".into()) };
        assert_eq!(hall.inventory.find("VM-1").unwrap().labels, expected);
        let change = LabelChange { owner: Some(String::new()), remove_tags: tags(&["gpu", "none"]), ..LabelChange::default() };
        let labels = hall.inventory.label(id, &change, None).await.unwrap().labels.clone();
        assert_eq!(labels, Labels { owner: None, tags: tags(&["rack-1"]), ..expected });
    }

    #[tokio::test]
    async fn what_breaks_a_rule_is_refused_with_the_mend_and_changes_nothing() {
        let hall = Hall::new().await;
        let id = hall.report_ok(&machine(1)).await.id();
        let many: Vec<_> = (0..=MOST_TAGS).map(|n| format!("t{n}")).collect();
        let cases = [
            (LabelChange { add_tags: tags(&["GPU"]), ..LabelChange::default() }, "a-z"),
            (LabelChange { add_tags: tags(&[""]), ..LabelChange::default() }, "1 to 63"),
            (LabelChange { remove_tags: tags(&["a\u{1b}[2J"]), ..LabelChange::default() }, "a\\u{1b}[2J"),
            (LabelChange { add_tags: tags(&[&"a".repeat(64)]), ..LabelChange::default() }, "1 to 63"),
            (LabelChange { add_tags: tags(&["a"]), remove_tags: tags(&["a"]), ..LabelChange::default() }, "say one of them"),
            (LabelChange { add_tags: many.into_iter().collect(), ..LabelChange::default() }, "65 tags"),
            (LabelChange { owner: Some("x".repeat(101)), ..LabelChange::default() }, "shorten it"),
            (LabelChange { note: Some("a\nb".into()), ..LabelChange::default() }, "leave them out"),
            (LabelChange { note: Some("\u{202e}abc".into()), ..LabelChange::default() }, "leave them out"),
        ];
        for (change, mend) in cases {
            let error = hall.inventory.label(id, &change, None).await.unwrap_err();
            let sentence = error.to_string();
            assert!(sentence.contains(mend) && !sentence.contains(char::is_control) && error.field().is_some(), "{sentence}");
        }
        let change = LabelChange { owner: Some("Ada".into()), ..LabelChange::default() };
        let late = hall.inventory.label(id, &change, Some(9)).await.unwrap_err();
        assert!(matches!(late, LabelError::Changed { expected: 9, found: 1 }));
        let nobody = hall.inventory.label(NodeId(uuid::Uuid::nil()), &change, None).await.unwrap_err();
        assert!(matches!(nobody, LabelError::NotFound { .. }));
        assert_eq!(hall.node(id).await.version, 1);
    }
}
