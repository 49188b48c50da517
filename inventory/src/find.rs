//! Which node does a person mean? By name, id or a piece of it, UUID, MAC address or serial.

use crate::index::Index;
use domain::NodeId;
use domain::timeline::printable;

/// A piece of an id has at least this many digits.
const SHORTEST_PIECE: usize = 4;
/// How many candidates are listed.
const MOST_CANDIDATES: usize = 10;

/// Why a text does not name a node.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// No node answers to it.
    #[error("no node has the name, id, MAC address or serial `{text}`: `overture nodes list` shows those there are")]
    NotFound {
        /// What was asked for, printable.
        text: String,
    },
    /// Several do.
    #[error("`{text}` fits several nodes: {}; give the name or the whole id of one", shown(.candidates))]
    Ambiguous {
        /// What was asked for, printable.
        text: String,
        /// Their ids and what people call them, ten at most.
        candidates: Vec<(NodeId, String)>,
    },
}

fn shown(candidates: &[(NodeId, String)]) -> String {
    candidates.iter().map(|(id, label)| format!("{id} ({})", printable(label, 60))).collect::<Vec<_>>().join(", ")
}

/// The one node that a text means.
pub(crate) fn find(index: &Index, text: &str) -> Result<NodeId, FindError> {
    let text = text.trim();
    let mut found = index.exactly(text);
    if found.is_empty()
        && let Some(digits) = piece_of_id(text)
    {
        found = index.by_part_of_id(&digits, MOST_CANDIDATES + 1);
    }
    let text = printable(text, 80);
    match found[..] {
        [] => Err(FindError::NotFound { text }),
        [(only, _)] => Ok(only),
        _ => {
            found.truncate(MOST_CANDIDATES);
            Err(FindError::Ambiguous { text, candidates: found })
        }
    }
}

fn piece_of_id(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
    let fits = (SHORTEST_PIECE..=32).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then_some(digits)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::fakes::{Hall, NodeOf, machine};

    #[tokio::test]
    async fn a_node_is_found_by_whatever_is_at_hand() {
        let hall = Hall::new().await;
        let (one, machine_one) = (hall.report_ok(&machine(1)).await.id(), machine(1));
        hall.report_ok(&machine(2)).await;
        hall.inventory.rename(one, Some("w1"), None).await.unwrap();
        let simple = one.0.simple().to_string();
        let ways = [
            "w1".to_owned(),
            " W1 ".into(),
            one.to_string(),
            simple.to_uppercase(),
            machine_one.mac.to_string(),
            machine_one.mac.to_string().replace(':', "-").to_uppercase(),
            "VM-1".into(),
            "vm-1".into(),
            machine_one.uuid.to_string(),
            simple[simple.len() - 8..].to_owned(),
            one.to_string()[..36 - 3].to_owned(),
        ];
        for way in ways {
            assert_eq!(hall.inventory.find(&way).unwrap().id, one, "{way}");
            let piece = one.to_string() != way && simple.to_uppercase() != way && simple.contains(&way.replace('-', ""));
            assert_eq!(hall.inventory.answers_to(&way), !piece, "{way}");
        }
    }

    #[tokio::test]
    async fn what_fits_none_or_several_is_refused_with_the_way_on() {
        let hall = Hall::new().await;
        let ids = [hall.report_ok(&machine(1)).await.id(), hall.report_ok(&machine(2)).await.id()];
        for text in ["", "w1", "abc", "VM", "ff:ff:ff:ff:ff:ff", "00000000-0000-0000-0000-000000000000", "é\u{1b}[2J", &"a".repeat(10_000)]
        {
            let error = hall.inventory.find(text).unwrap_err();
            assert!(matches!(error, FindError::NotFound { .. }), "{text}");
            let sentence = error.to_string();
            assert!(sentence.contains("overture nodes list") && sentence.len() < 300 && !sentence.contains(char::is_control), "{sentence}");
        }
        // UUIDv7: those made in the same minute begin alike.
        let FindError::Ambiguous { candidates, .. } = hall.inventory.find(&ids[0].to_string()[..6]).unwrap_err() else {
            panic!("two nodes begin like this")
        };
        assert_eq!(candidates.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
        assert_eq!(candidates[0].1, "VM-1");
    }
}
